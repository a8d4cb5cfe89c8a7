from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_unlearn.__main__ import show_overlay
from monai_unlearn.phases.survey import describe_bundle, overlay_path
from tests.phases.bundle_text import BUNDLE

ROOT = Path(__file__).parents[2]


def written(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(json.dumps(config) if path.suffix == ".json" else yaml.safe_dump(config))
    return path


def test_the_overlay_is_printed_as_one_line_with_its_absolute_path(capsys: pytest.CaptureFixture[str]) -> None:
    show_overlay()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == str(ROOT / "bundles" / "unlearn.json")
    assert Path(line).is_absolute()


def test_the_overlay_for_several_processes_is_another_file(capsys: pytest.CaptureFixture[str]) -> None:
    show_overlay(processes=True)
    assert capsys.readouterr().out == f"{ROOT / 'bundles' / 'unlearn_multi_gpu.json'}\n"


def test_a_file_that_is_not_shipped() -> None:
    with pytest.raises(FileNotFoundError, match=r"'nothing\.json' is not among the files"):
        overlay_path("nothing.json")


@pytest.mark.parametrize("name", ["train.json", "train.yaml"])
def test_what_is_used_of_a_bundle_is_said_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    show_overlay(check=str(written(tmp_path / name, BUNDLE)))
    said = capsys.readouterr().out
    assert "UNet                               the network (network_def)" in said
    assert "SlidingWindowInferer               how the network is run in the audit (validate#inferer)" in said
    assert "give the trained weights with --teacher_checkpoint" in said
    assert "mirror images (RandAxisFlipd, RandFlipd)" in said
    assert said.endswith("The bundle can be used.\n")


def test_a_bundle_that_cannot_be_used_ends_the_command_with_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {key: value for key, value in BUNDLE.items() if key != "validate"}
    with pytest.raises(SystemExit) as stop:
        show_overlay(check=str(written(tmp_path / "train.json", config)))
    assert stop.value.code == 1
    assert "The bundle cannot be used, because:\n  'validate#dataset' is missing" in capsys.readouterr().out


def test_later_configs_are_merged_over_the_first_one(tmp_path: Path) -> None:
    first = written(tmp_path / "train.json", {key: value for key, value in BUNDLE.items() if key != "validate"})
    second = written(tmp_path / "more.yaml", {"validate": BUNDLE["validate"]})
    assert describe_bundle([first])[0] is False
    assert describe_bundle([first, second])[0] is True


@pytest.mark.parametrize("text", ["{", "[1, 2]", "no: [config"])
def test_what_is_no_config_is_an_error_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"monai_unlearn: cannot read the config '.*train\.json': "):
        show_overlay(check=str(path))


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"monai_unlearn: there is no config file '.*gone\.json'"):
        show_overlay(check=str(tmp_path / "gone.json"))
