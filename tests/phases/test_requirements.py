from __future__ import annotations

import copy
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_unlearn.phases.requirements import augments_by_mirrors, lacking_pieces
from tests.phases.bundle_text import BUNDLE


def parser_of(**changes: Any) -> ConfigParser:
    parser = ConfigParser(copy.deepcopy(BUNDLE))
    for key, value in changes.items():
        parser[key.replace("__", "#")] = value
    return parser


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
