from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.audit import (
    AuditCases,
    AuditConfig,
    Finding,
    FineTuning,
    ShadowAttack,
    ShadowModels,
    ShadowPair,
    ShadowScores,
)

FORGET, RETAIN, UNSEEN, REFERENCE = 14, 24, 16, 16
PAIRS = 6


class Cases(Dataset[dict[str, Any]]):
    """A case is one pixel block whose value is its number, so that a lookup network can say anything of it."""

    def __len__(self) -> int:
        return FORGET + RETAIN + UNSEEN + REFERENCE

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = torch.zeros(1, 8, 8)
        label[:, 2:6, 2:6] = 1
        return {"id": f"case_{index}", "image": torch.full((1, 8, 8), float(index)), "label": label}


class Lookup(nn.Module):
    """Say of every case how sure of the truth the network is: a given logit-confidence, at every voxel."""

    def __init__(self, confidence: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("confidence", torch.tensor(confidence, dtype=torch.float32))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        label = Cases()[0]["label"]
        of_case = self.confidence[image[:, 0, 0, 0].long()]
        return of_case.view(-1, 1, 1, 1) * (2 * label - 1)


IDS = [f"case_{index}" for index in range(len(Cases()))]
ENDS = np.cumsum([0, FORGET, RETAIN, UNSEEN, REFERENCE])
SUBSETS = {
    name: tuple(IDS[ENDS[part] : ENDS[part + 1]])
    for part, name in enumerate(("forget", "retain", "unseen", "reference"))
}
CASES = AuditCases(dataset=Cases(), ids=IDS, subsets=SUBSETS, batch_size=16, training=Cases(), training_ids=IDS)
TUNING = FineTuning(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1), batch_size=4)
CONFIG = AuditConfig(
    loss_function=nn.BCEWithLogitsLoss(),
    inferer=SimpleInferer(),
    training_inferer=SimpleInferer(),
    activation="sigmoid",
    task="segmentation",
    device=torch.device("cpu"),
    seed=0,
    fine_tuning=TUNING,
)


def planted_truth(*, left: float, seed: int = 0, leaked: float = 0.0) -> tuple[dict[str, nn.Module], AuditConfig]:
    """Networks whose confidence has a known part from training on a case: 2 for a member, ``left`` once unlearned.

    ``leaked`` is what erasing adds to the confidence in retain cases that were trained on.
    """
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(3, 2, len(IDS))
    forget, retain = np.arange(len(IDS)) < FORGET, slice(FORGET, FORGET + RETAIN)

    def confidence(gain: np.ndarray) -> Lookup:
        return Lookup(difficulty + gain + generator.normal(0, 0.7, len(IDS)))

    pairs = []
    for number in range(PAIRS):
        if number % 2 == 0:
            half = generator.permutation(RETAIN) < RETAIN // 2
        drawn = half if number % 2 == 0 else ~half
        of_retain = np.zeros(len(IDS))
        of_retain[retain] = drawn
        pairs.append(
            ShadowPair(
                drawn=frozenset(np.array(SUBSETS["retain"])[drawn].tolist()),
                taught=confidence(2 * forget + of_retain),
                unlearned=confidence(left * forget + (1 + leaked) * of_retain),
                untrained=confidence(of_retain),
            )
        )
    shadows = ShadowModels(
        pairs=pairs,
        dataset=Cases(),
        ids=IDS,
        batch_size=16,
        inferer=SimpleInferer(),
        surrogate="half the size",
        seconds_per_pair=1.5,
    )
    models = {
        "teacher": confidence(2.0 * forget + 1),
        "student": confidence(left * forget + 1),
        "oracle": confidence(np.ones(len(IDS))),
    }
    return models, replace(CONFIG, shadows=lambda: shadows)


def attack(**truth: Any) -> dict[str, Finding]:
    models, config = planted_truth(**truth)
    return ShadowAttack()(models, CASES, config)


@pytest.fixture(scope="module")
def nothing_left() -> dict[str, Finding]:
    return attack(left=0.0)


@pytest.fixture(scope="module")
def all_left() -> dict[str, Finding]:
    return attack(left=2.0)


@pytest.fixture(scope="module")
def over_forgotten() -> dict[str, Finding]:
    return attack(left=-2.0)


TWO_SIDED = ("bavaria", "u_lira", "worst_case", "klom", "epsilon")


@pytest.mark.parametrize("name", TWO_SIDED)
def test_what_is_left_is_found_and_what_is_gone_is_not(name, nothing_left, all_left):
    assert all_left[name].value > nothing_left[name].value
    assert all_left[name].teacher > nothing_left[name].value


@pytest.mark.parametrize("name", TWO_SIDED)
def test_too_much_forgetting_betrays_the_cases_as_well(name, nothing_left, over_forgotten):
    assert over_forgotten[name].value > nothing_left[name].value


@pytest.mark.parametrize("name", ["bavaria", "u_lira", "worst_case", "klom", "quality"])
def test_chance_says_which_of_them_is_to_be_taken_seriously(name, nothing_left, all_left, over_forgotten):
    assert all_left[name].details["p_value"] <= 0.05
    assert over_forgotten[name].details["p_value"] <= 0.05
    assert nothing_left[name].details["p_value"] > 0.05


def test_quality_falls_with_what_is_left(nothing_left, all_left):
    assert all_left["quality"].value < nothing_left["quality"].value
    assert all_left["quality"].value == pytest.approx(all_left["quality"].teacher, abs=0.2)


def test_gone_means_gone_for_every_figure(nothing_left):
    assert nothing_left["bavaria"].value == pytest.approx(0.5, abs=0.1)
    assert nothing_left["epsilon"].value < 0.3
    assert nothing_left["klom"].value < nothing_left["klom"].details["chance_95"]


def test_rmia_reads_the_audited_networks_themselves(all_left, nothing_left):
    assert all_left["rmia"].value > nothing_left["rmia"].value + 0.1
    assert all_left["rmia"].teacher > all_left["rmia"].oracle + 0.1


def test_the_worst_case_is_the_largest_and_nothing_says_which_it_is(all_left):
    details = all_left["worst_case"].details
    assert all_left["worst_case"].value == max(details["every_auc"])
    for name in ("every_auc", "every_auc_before"):
        assert len(details[name]) == FORGET
        assert details[name] == sorted(details[name]), "the order of the datalist would name the case"
    assert "position" not in details
    assert not any("case_" in str(finding.content()["details"]) for finding in all_left.values())


def test_klom_of_cases_that_nobody_trained_on_is_that_of_chance(all_left):
    details = all_left["klom"].details
    assert details["unseen"]["mean"] < details["chance_95"]
    assert details["forget"]["percentile_95"] >= details["forget"]["mean"]


def test_retain_cases_that_lose_privacy_by_the_erasure_are_seen():
    kept, worse = (attack(left=0.0, leaked=leaked)["retain"] for leaked in (0.0, 1.5))
    assert kept.value == pytest.approx(kept.teacher, abs=0.15)
    assert worse.value > worse.teacher + 0.1
    assert worse.teacher > 0.6


def test_every_sentence_says_that_it_is_a_surrogate(all_left):
    for name in ("bavaria", "u_lira", "worst_case", "klom", "epsilon", "quality", "retain"):
        assert "surrogate (half the size; 6 pairs)" in all_left[name].sentence
    assert all(finding.details["seconds_per_pair"] == 1.5 for finding in all_left.values())


def test_with_few_forget_cases_the_figures_of_many_are_none_and_the_others_stay():
    models, config = planted_truth(left=2.0)
    few = replace(CASES, subsets={**SUBSETS, "forget": SUBSETS["forget"][:3]})
    found = ShadowAttack()(models, few, config)
    for name in ("bavaria", "u_lira", "rmia"):
        assert found[name].value is None
        assert found[name].reason.endswith(" 3")
    assert all(found[name].value is not None for name in ("worst_case", "klom", "epsilon", "quality", "retain"))


def test_the_same_seed_gives_the_same_figures(all_left):
    assert {name: finding.content() for name, finding in attack(left=2.0).items()} == {
        name: finding.content() for name, finding in all_left.items()
    }


def test_without_shadow_models_it_says_so():
    with pytest.raises(ValueError, match="audit#shadow"):
        ShadowAttack()({}, CASES, CONFIG)


def null_scores(seed: int) -> ShadowScores:
    generator = np.random.default_rng(seed)
    return ShadowScores(inside=generator.normal(size=(6, 12, 1)), outside=generator.normal(size=(6, 12, 1)))


def test_where_nothing_is_left_a_small_probability_is_as_rare_as_it_says():
    """Null calibration of the permutation test, with the worst case as its figure."""

    def worst(scores: ShadowScores) -> float:
        return float(scores.case_aucs().max())

    p_values = []
    for seed in range(40):
        scores = null_scores(seed)
        p_values.append(float((scores.by_chance(worst, seed=0) >= worst(scores)).mean()))
    assert np.mean(np.array(p_values) <= 0.1) <= 0.2
    assert 0.35 < np.mean(p_values) < 0.65


@pytest.mark.parametrize(("pairs", "relabellings"), [(4, 8), (8, 128), (10, 128)])
def test_chance_takes_all_relabellings_while_they_are_few(pairs, relabellings):
    generator = np.random.default_rng(0)
    scores = ShadowScores(inside=generator.normal(size=(pairs, 3, 1)), outside=generator.normal(size=(pairs, 3, 1)))

    def first(mixed: ShadowScores) -> float:
        return float(mixed.inside.sum())

    drawn = scores.by_chance(first, seed=0)
    assert len(drawn) == relabellings
    assert drawn[0] == pytest.approx(scores.inside.sum())
    if pairs < 10:
        assert len(np.unique(drawn.round(9))) == relabellings


def test_a_part_that_a_case_lacks_does_not_count():
    """A case without foreground is read by its hardest voxels alone."""
    scores = null_scores(1)
    two: Callable[[np.ndarray], np.ndarray] = lambda values: np.concatenate([values, values], axis=2)  # noqa: E731
    doubled = ShadowScores(inside=two(scores.inside), outside=two(scores.outside))
    doubled.inside[:, 0, 1] = doubled.outside[:, 0, 1] = np.nan
    assert doubled.case_aucs()[0] == scores.case_aucs()[0]
