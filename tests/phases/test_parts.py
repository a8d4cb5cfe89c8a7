from __future__ import annotations

import copy
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_unlearn.phases.parts import complete_sections

TEMPLATE: dict[str, Any] = {
    "train_dataset": {"_target_": "Dataset", "data": ["a"]},
    "val_dataset": {"_target_": "Dataset", "data": ["b"]},
    "train_dataloader": {"_target_": "ThreadDataLoader", "dataset": "@train_dataset", "batch_size": 5},
    "val_dataloader": {"_target_": "DataLoader", "dataset": "@val_dataset"},
    "evaluator": {"_target_": "monai.engines.SupervisedEvaluator", "val_data_loader": "@val_dataloader"},
    "trainer": {"_target_": "SupervisedTrainer", "train_data_loader": "@train_dataloader", "inferer": "@inferer"},
    "inferer": {"_target_": "SlidingWindowInferer"},
}
"""As MONAI's own templates have it: everything at the top level."""


def completed(config: dict[str, Any]) -> ConfigParser:
    parser = ConfigParser(copy.deepcopy(config))
    complete_sections(parser)
    return parser


def test_parts_at_the_top_level_are_found_from_the_trainer_and_the_evaluator() -> None:
    parser = completed(TEMPLATE)
    assert parser["train#dataset"] == TEMPLATE["train_dataset"]
    assert parser["validate#dataset"] == TEMPLATE["val_dataset"]
    assert parser["train#dataloader"]["batch_size"] == 5
    assert parser["train#inferer"] == TEMPLATE["inferer"]
    assert parser["train#trainer#_target_"] == "SupervisedTrainer"


def test_loaders_and_engines_refer_to_what_stands_in_the_section() -> None:
    """Who replaces ``train#dataset``, as the oracle's recipe does, replaces what the trainer sees."""
    parser = completed(TEMPLATE)
    assert parser["train#dataloader#dataset"] == "@train#dataset"
    assert parser["train#trainer#train_data_loader"] == "@train#dataloader"
    assert parser["validate#evaluator#val_data_loader"] == "@validate#dataloader"


def test_what_the_bundle_has_at_the_top_level_is_not_changed() -> None:
    parser = completed(TEMPLATE)
    assert {key: parser[key] for key in TEMPLATE} == TEMPLATE


def test_settings_of_the_trainer_that_stand_alone_are_kept() -> None:
    trainer = completed({**TEMPLATE, "train": {"trainer": {"max_epochs": 10}}})["train#trainer"]
    assert (trainer["_target_"], trainer["max_epochs"]) == ("SupervisedTrainer", 10)


def test_a_trainer_without_an_inferer_has_the_one_that_monai_gives_it() -> None:
    config = copy.deepcopy(TEMPLATE)
    del config["trainer"]["inferer"]
    assert completed(config)["train#inferer"] == {"_target_": "monai.inferers.SimpleInferer"}


def test_plain_references_are_followed() -> None:
    config = {**TEMPLATE, "mine": "@train_dataset", "train": {"dataset": "@mine"}}
    assert completed(config)["train#dataset"] == TEMPLATE["train_dataset"]


def test_what_stands_in_a_section_comes_first() -> None:
    mine = {"_target_": "CacheDataset", "data": ["mine"]}
    assert completed({**TEMPLATE, "train": {"dataset": mine}})["train#dataset"] == mine


@pytest.mark.parametrize("reference", ["@nowhere", "@train#dataset"])
def test_a_reference_to_nothing_or_in_a_circle_leaves_the_part_missing(reference: str) -> None:
    config = copy.deepcopy(TEMPLATE)
    config["train_dataloader"]["dataset"] = reference
    assert completed(config).get("train#dataset") is None


def test_of_two_trainers_none_is_taken() -> None:
    config = {**TEMPLATE, "second_trainer": {"_target_": "SupervisedTrainer"}}
    assert completed(config).get("train#trainer") is None
