"""What a user can get wrong ends in one line that names it, and nothing is overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from .conftest import BUNDLE, run_bundle


def refused(message: str, run_id: str = "run", **settings: Any) -> None:
    with pytest.raises(SystemExit, match=message) as caught:
        run_bundle(run_id, **settings)
    assert str(caught.value).startswith("monai_unlearn: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"requst": "x.csv"}, "no setting 'requst'; did you mean 'request'"),
        ({"erasure": "calibrat"}, "'erasure' is one of suppress, calibrate.*did you mean 'calibrate'"),
        ({"request": "none"}, "'request' says what to forget"),
        ({"request": "nowhere.csv"}, "cannot find the request file 'nowhere.csv'"),
        ({"request": ["case_99"]}, "'case_99'.*did you mean"),
        ({"request": ["case_03"]}, "never trained on"),
        ({"dataset_dir": "nowhere"}, "nowhere does not hold ISIC 2018.*monai_unlearn download"),
        ({"group_by": "patient"}, "'patient', which the datalist lacks"),
        ({"teacher_checkpoint": "nowhere.pt"}, "nowhere.pt"),
        ({"oracle": "nowhere.pt"}, r"nowhere\.pt"),
        ({"device": "tpu9"}, "'device' is a torch device"),
        ({"rank": 0}, "'rank' is a whole number of at least 1"),
        ({"resume": "perhaps"}, "'resume' is true or false"),
    ],
)
def test_a_wrong_setting_is_named(small: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    refused(message, **{**small, **settings})
    assert not (Path(small["output_dir"]) / "teacher").exists()


def test_a_truncated_image_is_named_before_anything_is_trained(small: dict[str, Any], tmp_path: Path) -> None:
    copy = shutil.copytree(small["dataset_dir"], tmp_path / "set")
    image = copy / "images" / "case_07.jpg"
    image.write_bytes(image.read_bytes()[:300])
    refused(r"case_07\.jpg is damaged", **{**small, "dataset_dir": str(copy)})
    assert not (tmp_path / "out" / "teacher").exists()


def test_a_mask_of_another_size_is_named(small: dict[str, Any], tmp_path: Path) -> None:
    copy = shutil.copytree(small["dataset_dir"], tmp_path / "set")
    mask = copy / "masks" / "case_07_segmentation.png"
    Image.open(mask).resize((16, 32)).save(mask)
    refused(r"case_07_segmentation\.png has 16×32 pixels", **{**small, "dataset_dir": str(copy)})


@pytest.mark.parametrize("kind", ["another network", "truncated", "text"])
def test_a_checkpoint_that_does_not_fit_is_named(small: dict[str, Any], tmp_path: Path, kind: str) -> None:
    path = tmp_path / "given.pt"
    torch.save(torch.nn.Linear(3, 4).state_dict(), path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:400])
    elif kind == "text":
        path.write_text("weights")
    refused(r"given\.pt", **{**small, "teacher_checkpoint": str(path)})


def test_a_checkpoint_that_we_did_not_write_is_never_overwritten(small: dict[str, Any], tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "model.pt"
    theirs.parent.mkdir()
    theirs.write_bytes(b"somebody's best network")
    refused("was not written by monai_unlearn", **small)
    assert theirs.read_bytes() == b"somebody's best network"
    assert not (tmp_path / "out" / "teacher").exists()


def test_an_output_dir_that_is_a_file_is_named(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    refused("cannot make the output_dir", **small)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").is_dir(), reason="root may write everywhere")
def test_an_output_dir_that_cannot_be_written_is_named(small: dict[str, Any]) -> None:
    refused("output_dir '/proc/self/", **{**small, "output_dir": "/proc/self/unlearned"})


def test_a_full_disk_is_named_before_anything_is_trained(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**30, 2**30, 0))
    refused("0 MiB free", **small)


def test_the_space_for_the_checkpoints_of_a_running_cycle_is_asked_for(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE))
    parser.update({key: value for key, value in small.items() if key.startswith("network_def")})
    parser.parse(reset=True)
    parameters = sum(one.numel() for one in parser.get_parsed_content("network_def").parameters())
    # teacher, oracle, model.pt, erased, restored; twice: network, kept, best, two moments; in float32
    needed = (5 + 2 * 5) * 4 * parameters
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**30, 2**30, needed))
    refused("MiB free", **small)
