from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser

from monai_unlearn.__main__ import show_overlay
from monai_unlearn.phases.survey import (
    augments_by_mirrors,
    describe_bundle,
    lacking_pieces,
    overlay_path,
)

ROOT = Path(__file__).parents[2]

BUNDLE: dict[str, Any] = {
    "bundle_root": ".",
    "network_def": {"_target_": "UNet"},
    "loss": {"_target_": "DiceLoss"},
    "flips": [{"_target_": "RandFlipd"}, {"_target_": "RandAxisFlipd"}],
    "train": {
        "transforms": {"_target_": "Compose", "transforms": "$[monai.transforms.Identityd('image')] + @flips"},
        "dataset": {"_target_": "CacheDataset", "data": [], "transform": "@train#transforms"},
        "dataloader": {"_target_": "DataLoader", "batch_size": 2},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [{"_target_": "StatsHandler"}, {"_target_": "ValidationHandler"}],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 5,
            "loss_function": "@loss",
            "train_handlers": "@train#handlers",
        },
    },
    "validate": {
        "dataset": {"_target_": "Dataset", "data": [], "transform": None},
        "inferer": {"_target_": "SlidingWindowInferer"},
        "evaluator": {"_target_": "SupervisedEvaluator"},
    },
}


def parser_of(**changes: Any) -> ConfigParser:
    parser = ConfigParser(copy.deepcopy(BUNDLE))
    for key, value in changes.items():
        parser[key.replace("__", "#")] = value
    return parser


def written(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(json.dumps(config) if path.suffix == ".json" else yaml.safe_dump(config))
    return path


def test_a_bundle_that_has_all_lacks_nothing() -> None:
    assert lacking_pieces(parser_of()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_def": None}, "'network_def' is missing"),
        ({"train__dataset": None}, "'train#dataset' is missing"),
        ({"train__trainer": None}, "'train#trainer' is missing"),
        ({"validate": {}}, "'validate#dataset' is missing"),
        ({"train__trainer": "$make_trainer()"}, "'train#trainer' is no component with a '_target_'"),
        ({"train__trainer___target_": "scripts.trainer.DetectionTrainer"}, "a scripts.trainer.DetectionTrainer, and"),
        ({"train__trainer__prepare_batch": "$x"}, "'prepare_batch' of its own"),
        ({"train__trainer__iteration_update": "$x"}, "'iteration_update' of its own"),
        ({"loss": {"_target_": "monai.losses.DeepSupervisionLoss"}}, "DeepSupervisionLoss"),
        ({"train__dataset": "$make_dataset()"}, "'train#dataset' is no component with a '_target_'"),
        ({"train__dataset___target_": "SmartCacheDataset"}, "'train#dataset' is a SmartCacheDataset, which changes"),
        ({"validate__dataset___target_": "PatchWSIDataset"}, "'validate#dataset' is a PatchWSIDataset, which cuts"),
        ({"train__dataloader": "$make_loader()"}, "'train#dataloader' is no component"),
    ],
)
def test_what_a_bundle_lacks_is_said(changes: dict[str, Any], words: str) -> None:
    (reason,) = lacking_pieces(parser_of(**changes))
    assert words in reason


def test_a_trainer_without_a_loss() -> None:
    parser = parser_of()
    del parser["train"]["trainer"]["loss_function"]
    assert lacking_pieces(parser) == ["'train#trainer' has no 'loss_function'"]


def test_mirror_images_in_training_are_seen_through_references() -> None:
    assert augments_by_mirrors(parser_of()) == ["RandAxisFlipd", "RandFlipd"]
    assert augments_by_mirrors(parser_of(flips=[])) == []


def test_flips_outside_the_training_do_not_count() -> None:
    assert augments_by_mirrors(parser_of(flips=[], validate__transforms=[{"_target_": "RandFlipd"}])) == []


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
