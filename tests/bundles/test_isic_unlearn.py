"""The whole of ``bundles/isic_unlearn.json`` on tiny pictures: what it leaves, and what it does when run again."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import UNet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_unlearn.data import SUBSETS
from monai_unlearn.networks import load_adapter

from .conftest import run_bundle, settings_for

SKIPPED = "stands already"


def network() -> UNet:
    return UNet(
        spatial_dims=2, in_channels=3, out_channels=1, channels=(4, 8), strides=(2,), num_res_units=2, norm="batch"
    )


def load(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True))


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of one whole run with an oracle; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run_bundle("run", **settings_for(pictures, out), oracle="train")
    return out


@pytest.mark.parametrize(
    "name",
    [
        "partition.json",
        "salt.key",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "model.pt",
        "audit.json",
        "report.html",
        "figures/comparison.png",
        "metrics.csv",
        "run.log",
        "teacher/model.pt",
        "oracle/model.pt",
    ],
)
def test_a_run_leaves_what_the_contract_names(finished: Path, name: str) -> None:
    assert (finished / name).stat().st_size > 0


def test_tensorboard_holds_the_loss_of_every_epoch_of_erase(finished: Path) -> None:
    events = EventAccumulator(str(finished))
    events.Reload()
    assert [len(events.Scalars(name)) for name in ("loss", "calibrate_view", "supervised")] == [2, 2, 2]


def test_the_merged_checkpoint_loads_strictly_into_the_original_class(finished: Path) -> None:
    network().load_state_dict(load(finished / "model.pt"), strict=True)


def test_the_released_adapter_on_the_teacher_gives_the_merged_network(finished: Path) -> None:
    teacher, merged = network(), network()
    teacher.load_state_dict(load(finished / "teacher/model.pt"))
    merged.load_state_dict(load(finished / "model.pt"))
    student = load_adapter(teacher, finished / "adapter")
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(student.eval()(image), merged.eval()(image), atol=1e-5)


def test_adapters_off_is_the_teacher_exactly_after_erase_and_restore(finished: Path) -> None:
    audit = json.loads((finished / "audit.json").read_text())
    assert audit["grade"] == "reversible"
    assert audit["reversible"] == {"max_abs_difference": 0.0}


def test_the_audit_holds_every_subset_of_every_model(finished: Path) -> None:
    audit = json.loads((finished / "audit.json").read_text())
    counts = audit["data"]
    assert (counts["synthetic"], counts["forget"], counts["retain"]) == (False, 4, 14)
    for model in ("teacher", "student", "oracle"):
        for subset in SUBSETS:
            figures = audit["models"][model][subset]
            assert figures["n"] == counts[subset]
            assert 0 <= figures["iou"] <= figures["dice"] <= 1
    assert audit["membership"]["student"]["auc"] is None
    assert "needs 10" in audit["membership"]["student"]["reason"]
    assert audit["cost"]["trainable_parameters"] < audit["cost"]["total_parameters"]
    assert all(audit["cost"][f"{name}_seconds"] > 0 for name in ("teach", "retrain", "erase", "restore", "audit"))


def test_the_report_wipes_between_teacher_and_student_on_three_cases_of_each_subset(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    sliders = re.findall(r'aria-label="Case ([0-9a-f]{8}), (\w+): how much', page)
    assert [subset for _, subset in sliders] == ["retain"] * 3 + ["forget"] * 3
    assert len({name for name, _ in sliders}) == 6


def test_no_written_text_names_a_case(finished: Path) -> None:
    texts = [path for path in finished.rglob("*") if path.suffix in (".json", ".csv", ".log", ".html", ".key")]
    assert len(texts) >= 6
    for path in texts:
        assert b"case_0" not in path.read_bytes(), path
        assert b"lesion_a" not in path.read_bytes(), path


def test_a_second_run_does_nothing_and_says_so(
    finished: Path, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    before = (out / "phases.json").read_bytes()
    with caplog.at_level(logging.INFO):
        run_bundle("run", **settings_for(pictures, out), oracle="train")
    assert caplog.text.count(SKIPPED) == 6
    assert (out / "phases.json").read_bytes() == before


def test_another_request_trains_no_second_teacher(
    finished: Path, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    settings = settings_for(pictures, out) | {"request": ["case_00", "case_05"]}
    with caplog.at_level(logging.INFO):
        run_bundle("run", **settings)
    assert f"teaching: {SKIPPED}" in caplog.text
    assert f"erasing: {SKIPPED}" not in caplog.text
    partition = json.loads((out / "partition.json").read_text())
    assert partition["forget"] == 3  # case_00 and case_01 are one lesion


def test_the_phases_one_by_one_leave_the_same_weights_as_all_in_one(
    finished: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = settings_for(pictures, tmp_path / "out")
    for run_id in ("teaching", "erasing", "restoring", "auditing", "releasing"):
        run_bundle(run_id, **settings)
    at_once, one_by_one = load(finished / "model.pt"), load(tmp_path / "out" / "model.pt")
    assert all(torch.equal(at_once[key], one_by_one[key]) for key in at_once)


@pytest.mark.parametrize(
    ("run_id", "missing"),
    [("erasing", "teaching"), ("restoring", "erasing"), ("auditing", "erasing"), ("releasing", "erasing")],
)
def test_a_phase_without_what_it_needs_names_the_run_id_that_makes_it(
    finished: Path, pictures: Path, tmp_path: Path, run_id: str, missing: str
) -> None:
    settings = settings_for(pictures, tmp_path / "out")
    if missing != "teaching":
        settings["teacher_checkpoint"] = str(finished / "teacher/model.pt")
    with pytest.raises(SystemExit, match=f"no result of '{missing}'"):
        run_bundle(run_id, **settings)


@pytest.mark.parametrize("run_id", ["restoring", "auditing", "releasing"])
@pytest.mark.parametrize("other", [{"request": ["case_05"]}, {"rank": 3}, {"erasure": "suppress"}, {"seed": 1}])
def test_a_phase_refuses_a_result_that_was_made_from_something_else(
    finished: Path, pictures: Path, tmp_path: Path, run_id: str, other: dict[str, Any]
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    teacher = str(shutil.copy(out / "teacher/model.pt", tmp_path / "teacher.pt"))
    with pytest.raises(SystemExit, match="was made from another request, other settings or other files"):
        run_bundle(run_id, **settings_for(pictures, out) | {"teacher_checkpoint": teacher} | other)


def test_a_given_teacher_is_used_and_left_as_it_is(finished: Path, pictures: Path, tmp_path: Path) -> None:
    given = Path(shutil.copy(finished / "teacher/model.pt", tmp_path / "given.pt"))
    before = given.read_bytes()
    run_bundle("run", **settings_for(pictures, tmp_path / "out"), teacher_checkpoint=str(given), erasure="suppress")
    assert given.read_bytes() == before
    assert not (tmp_path / "out" / "teacher").exists()
    audit = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert audit["cost"]["teach_seconds"] is None
    assert audit["models"]["oracle"] is None


def test_all_weights_learn_at_scope_weights_and_no_adapter_is_released(
    finished: Path, pictures: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")  # with the adapter of an earlier release
    teacher = finished / "teacher/model.pt"
    run_bundle("run", **settings_for(pictures, out), teacher_checkpoint=str(teacher), scope="weights")
    audit = json.loads((out / "audit.json").read_text())
    assert (audit["grade"], audit["reversible"]) == ("permanent", None)
    assert not (out / "adapter").exists()
    taught, learnt = load(teacher), load(out / "model.pt")
    assert list(taught) == list(learnt)
    assert all(torch.equal(taught[key], learnt[key]) for key in taught if "running" in key)
    assert not torch.equal(taught["model.0.conv.unit0.conv.weight"], learnt["model.0.conv.unit0.conv.weight"])


def test_the_report_of_images_that_the_network_trained_on_with_augmentation_is_of_the_images_as_they_are(
    finished: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = settings_for(pictures, tmp_path / "out") | {
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "train#random_transforms": [
            {"_target_": "monai.transforms.RandFlipd", "keys": ["image", "label"], "prob": 1.0, "spatial_axis": 0}
        ],
    }
    run_bundle("run", **settings)
    plain, augmented = (json.loads((out / "audit.json").read_text()) for out in (finished, tmp_path / "out"))
    assert plain["models"]["teacher"] == augmented["models"]["teacher"]
    assert plain["models"]["student"] == augmented["models"]["student"]


def test_the_log_keeps_the_reason_of_a_failure_without_naming_the_case(pictures: Path, tmp_path: Path) -> None:
    settings = settings_for(pictures, tmp_path / "out") | {"image_size": 32, "train#trainer#max_epochs": "$case_05"}
    with pytest.raises(RuntimeError):
        run_bundle("teaching", **settings)
    log = (tmp_path / "out" / "run.log").read_text()
    assert "the run ended with an error" in log
    assert "NameError" in log
    assert "case_05" not in log
