"""The tiers of the audit through a bundle: what stands in ``audit.json``, and what is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.audit import OUTCOMES, pool_gaps, standard_tests

from .conftest import run_bundle, settings_for


@pytest.fixture(scope="module")
def audited(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("audited") / "out"
    settings = {**settings_for(pictures, out), "tier": 1, "audit#fine_tuning#epochs": 1}
    run_bundle("run", **settings, oracle="train")
    return json.loads((out / "audit.json").read_text())


def test_every_test_of_the_tier_has_its_figures(audited: dict[str, Any]) -> None:
    assert list(audited["tests"]) == list(standard_tests(1))
    for name, test in audited["tests"].items():
        assert test["figures"], name
        for finding in test["figures"].values():
            assert finding["value"] is not None or finding["reason"]


def test_a_reversible_student_gives_the_teacher_back_and_says_so(audited: dict[str, Any]) -> None:
    removal = audited["tests"]["adapter_removal"]["figures"]["forget"]
    assert removal["value"] == removal["teacher"] == audited["models"]["teacher"]["forget"]["iou"]


def test_the_figures_of_utility_are_those_of_the_models(audited: dict[str, Any]) -> None:
    for subset in ("forget", "retain", "reference", "unseen"):
        figure = audited["tests"]["utility"]["figures"][subset]
        of_model = {"value": "student", "oracle": "oracle", "teacher": "teacher"}
        for key, model in of_model.items():
            assert figure[key] == pytest.approx(audited["models"][model][subset]["iou"])


def test_the_verdict_is_one_of_the_words(audited: dict[str, Any]) -> None:
    verdict = audited["verdict"]
    assert verdict["outcome"] in OUTCOMES
    assert verdict["against"] == "oracle"
    assert all(sentence.endswith(".") for sentence in verdict["sentences"])


def test_written_audits_can_be_pooled(audited: dict[str, Any]) -> None:
    pooled = pool_gaps([audited, audited])
    assert pooled["forget"]["count"] == 2 * audited["data"]["forget"]
    assert pooled["forget"]["seeds"]["count"] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tier": 1}, "compare with the oracle and there is none"),
        ({"audit#tests#only": ["los_attack"]}, "did you mean 'loss_attack'"),
    ],
)
def test_what_cannot_be_audited_is_refused_before_anything_is_trained(
    pictures: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        run_bundle("run", **{**settings_for(pictures, tmp_path / "out"), **settings})
    assert not (tmp_path / "out" / "teacher").exists()
