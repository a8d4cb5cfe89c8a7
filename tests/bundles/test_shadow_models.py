"""Tier 2 and 3 of the audit through a shipped bundle, on tiny pictures."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_unlearn.audit import ShadowAttack
from monai_unlearn.phases import session as session_module
from monai_unlearn.phases import shadows
from monai_unlearn.phases.shadows import check_shadows, draw_halves, halved

from .conftest import BUNDLE, ROOT, run_bundle, settings_for

CANARIES = [str(BUNDLE), str(ROOT / "bundles/profiles/canaries.json")]


def with_shadows(pictures: Path, out: Path, **settings: Any) -> dict[str, Any]:
    return {
        **settings_for(pictures, out),
        "audit#tests#only": ["shadow"],
        "audit#shadow#pairs": 4,
        "train#trainer#max_epochs": 1,
        "erase#trainer#max_epochs": 1,
        **settings,
    }


@pytest.fixture(scope="module")
def audited(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a run that was killed once, while the third pair was taught."""
    out = tmp_path_factory.mktemp("shadowed") / "out"
    settings = with_shadows(pictures, out)
    run = session_module.Session.run

    def killed(session: Any, plan: Any, work: Any) -> None:
        if session.folder.path.name == "pair_2":
            raise KeyboardInterrupt
        run(session, plan, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module.Session, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            run_bundle("run", **settings)
    return out


def test_a_killed_run_goes_on_with_the_next_pair_and_a_finished_one_stands(audited, pictures, caplog) -> None:
    first = audited / "shadows/pair_1/oracle/model.pt"
    before = first.stat().st_mtime_ns
    assert not (audited / "shadows/pair_2/teacher").exists()
    with caplog.at_level(logging.INFO):
        run_bundle("run", **with_shadows(pictures, audited))
    assert first.stat().st_mtime_ns == before
    assert caplog.text.count("shadow models: pair") == 4
    assert (audited / "shadows/pair_3/state/restored/adapter_model.safetensors").is_file()

    found = json.loads((audited / "audit.json").read_text())["tests"]["shadow"]
    assert found["tier"] == 2
    figures = found["figures"]
    assert figures["worst_case"]["value"] >= 0.5
    assert figures["worst_case"]["details"]["pairs"] == 4
    assert figures["worst_case"]["details"]["seconds_per_pair"] > 0
    assert "image_size 16" in figures["klom"]["sentence"]
    assert "network_def channels [2, 4]" in figures["klom"]["sentence"]
    assert figures["bavaria"]["value"] is None
    assert figures["retain"]["value"] is not None

    text = "".join(path.read_text(errors="ignore") for path in audited.rglob("*") if path.suffix in (".json", ".log"))
    assert "case_0" not in text
    assert not (audited.parent / "requests.jsonl").read_text().count("pair_")


def test_shadow_models_are_those_of_the_surrogate(audited) -> None:
    def parameters(name: str) -> int:
        return sum(value.numel() for value in torch.load(audited / name, weights_only=True).values())

    sizes = {parameters(f"shadows/pair_{pair}/{role}/model.pt") for pair in (0, 1) for role in ("teacher", "oracle")}
    assert len(sizes) == 1
    assert sizes.pop() < parameters("teacher/model.pt") / 2


def test_halves_come_in_twos_and_keep_groups_together() -> None:
    cases = [{"id": f"c{number}", "patient": f"p{number // 2}" if number < 8 else None} for number in range(15)]
    halves = draw_halves(cases, 6, group_by="patient", seed=0)
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert first | second == {case["id"] for case in cases}
        assert not first & second
        assert abs(len(first) - len(second)) <= 2
    for half in halves:
        assert all((f"c{number}" in half) == (f"c{number + 1}" in half) for number in (0, 2, 4, 6))
    assert len(set(halves)) == 6
    assert halves == draw_halves(cases, 6, group_by="patient", seed=0)
    assert halves != draw_halves(cases, 6, group_by="patient", seed=1)


@pytest.mark.parametrize(("size", "half"), [(128, 64), (96, 48), (40, 16), (20, 16), ([128, 96], [64, 48])])
def test_a_size_is_halved_to_what_networks_take(size, half) -> None:
    assert halved(size) == half


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audit#shadow#pairs": 3}, "even number from 4"),
        ({"audit#shadow": None}, "does not say how"),
        ({"audit#shadow#overrides": {"network_def#widths": "$@network_def#widths"}}, "cannot work out"),
    ],
)
def test_shadow_models_that_cannot_be_trained_are_refused_before_anything_is(small, settings, message) -> None:
    with pytest.raises(SystemExit, match=message) as raised:
        run_bundle("run", **{**small, "audit#tests#only": ["shadow"], **settings})
    assert "\n" not in str(raised.value)
    assert not Path(small["output_dir"], "teacher").exists()


def test_shadow_models_need_two_groups_of_retain_cases() -> None:
    cases = [{"id": f"c{number}", "patient": "p"} for number in range(6)]
    parser = ConfigParser({"audit": {"shadow": {"pairs": 4}}})

    def session(group_by: str | None) -> Any:
        return SimpleNamespace(
            parser=parser,
            build=parser.get_parsed_content,
            setting=lambda _: group_by,
            partition=SimpleNamespace(retain=cases),
        )

    tests = {"shadow": ShadowAttack()}
    check_shadows(session(None), tests)
    with pytest.raises(ValueError, match="whole groups each, and there is one group"):
        check_shadows(session("patient"), tests)


def test_shadow_models_are_not_tracked(tmp_path: Path) -> None:
    tracker = {"_target_": "monai.handlers.MLFlowHandler", "tracking_uri": "@tracking_uri"}
    config = {
        "network_def": {"_target_": "torch.nn.Identity"},
        "train": {"handlers": [{"_target_": "monai.handlers.StatsHandler"}, tracker]},
        "audit": {"shadow": {"pairs": 4}, "tracker": tracker},
    }
    session: Any = SimpleNamespace(
        parser=ConfigParser(config), build=lambda _: {}, setting=lambda _: 0, folder=tmp_path, partition=None
    )
    found = shadows._surrogate(session, 0, session.partition).get()
    assert found["train"]["handlers"] == config["train"]["handlers"][:1]
    assert found["audit"] == {"shadow": {"pairs": 4}}


def test_an_audit_with_shadow_models_depends_on_what_they_are_trained_by(
    audited: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = str(audited / "teacher/model.pt")

    def fingerprint(test: str, **settings: Any) -> str:
        found: list[str] = []

        def stop(session: Any, plan: Any, work: Any) -> None:
            found.append(session.fingerprint(plan))
            raise KeyboardInterrupt

        both = {"teacher_checkpoint": given, "student_checkpoint": given}
        with monkeypatch.context() as patch:
            patch.setattr(session_module.Session, "run", stop)
            with pytest.raises(KeyboardInterrupt):
                run_bundle("auditing", **{**small, **both, "tier": 2, "audit#tests#only": [test], **settings})
        return found[0]

    for key in ("train", "erase", "restore"):
        changed = {f"{key}#trainer#max_epochs": 7}
        assert fingerprint("shadow") != fingerprint("shadow", **changed)
        assert fingerprint("retain_relearning") == fingerprint("retain_relearning", **changed)


def test_the_profile_plants_and_tests_what_it_planted(small) -> None:
    run_bundle("run", CANARIES, **{**small, "tier": 3})
    audit = json.loads(Path(small["output_dir"], "audit.json").read_text())
    assert set(audit["tests"]) == {"retain_relearning", "canaries", "backdoor"}
    trace = audit["tests"]["canaries"]["figures"]["trace"]
    assert math.isfinite(trace["value"])
    assert math.isfinite(trace["oracle"])
    assert audit["tests"]["backdoor"]["figures"]["success"]["value"] is not None


def test_another_request_plants_elsewhere_and_trains_the_teacher_again(small) -> None:
    settings = {**small, "tier": "none", "oracle": "none", "train#trainer#max_epochs": 1}
    weights = []
    for request in (["case_00"], ["case_04"]):
        run_bundle("teaching", CANARIES, **{**settings, "request": request})
        weights.append(Path(small["output_dir"], "teacher/model.pt").read_bytes())
    assert weights[0] != weights[1]
