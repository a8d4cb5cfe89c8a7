from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from monai_unlearn.audit import ClassScores, NearestNeighbourMembership
from monai_unlearn.audit.nearest import neighbour_accuracies
from monai_unlearn.audit.probe import stratified_folds
from tests.audit.memorising import cases_of, config_of, subjects, subset_ids

RANDOM = np.random.default_rng(0)
TEST = NearestNeighbourMembership()


def scores_of(ids: list[str], truth: np.ndarray, probabilities: np.ndarray) -> ClassScores:
    return ClassScores(ids=tuple(ids), figures={}, per_class={}, truth=truth, probabilities=probabilities)


def class_request(**students: tuple[float, float, float]) -> tuple[dict[str, nn.Module], Any, Any]:
    """Class 0 was forgotten; every network gives its forget cases the probabilities of ``students``, with noise."""
    models, cases, _ = subjects()
    ids = list(cases.ids)
    truth = np.array([0 if case.startswith("forget") else 1 + index % 2 for index, case in enumerate(ids)])
    scores = {}
    for role, probabilities in students.items():
        rows = np.eye(3)[truth] * 0.8 + 0.1
        rows[truth == 0] = probabilities
        rows = np.exp(np.log(rows) + 0.2 * np.random.default_rng(3).normal(size=rows.shape))
        scores[role] = scores_of(ids, truth, rows / rows.sum(axis=1, keepdims=True))
    return models, dataclasses.replace(cases, scores=scores), config_of(classes=(0,))


ORACLE = (0.02, 0.18, 0.8)


def test_the_neighbour_is_where_the_oracle_sends_the_class():
    models, cases, config = class_request(teacher=(0.9, 0.05, 0.05), student=ORACLE, oracle=ORACLE)
    found = TEST(models, cases, config)["accuracy"]
    assert found.details["neighbour"] == 2
    assert found.details["samples_on_each_side"] == 12, "as many as there are unseen cases of the neighbour"
    models, cases, config = class_request(teacher=ORACLE, student=ORACLE, oracle=(0.02, 0.8, 0.18))
    assert TEST(models, cases, config)["accuracy"].details["neighbour"] == 1


def test_the_oracle_as_student_has_no_gap():
    models, cases, config = class_request(teacher=(0.9, 0.05, 0.05), student=ORACLE, oracle=ORACLE)
    found = TEST(models, cases, config)["accuracy"]
    assert found.value == found.oracle
    assert found.details["gap"] == 0.0
    assert found.details["signed_gap_interval"] == (0.0, 0.0)


def test_a_class_that_was_sent_elsewhere_has_a_gap():
    """A student that spreads the class over all others looks unlike any network that was retrained."""
    oracle, spread = (0.1, 0.1, 0.8), (0.04, 0.48, 0.48)
    models, cases, config = class_request(teacher=(0.9, 0.05, 0.05), student=spread, oracle=oracle)
    found = TEST(models, cases, config)["accuracy"]
    assert found.oracle < 0.8, "the oracle takes the class for its neighbour"
    assert found.details["gap"] == pytest.approx(abs(found.value - found.oracle))
    assert found.details["gap"] > 0.1


def test_accuracies_are_those_of_scikit_learn_on_left_out_samples():
    sides = {role: (RANDOM.dirichlet([1, 2, 3], 20), RANDOM.dirichlet([2, 1, 2], 20)) for role in ("oracle", "student")}
    found = neighbour_accuracies(sides, folds=4, penalty=2.0, seed=1)
    members = np.repeat([True, False], 20)
    fold = stratified_folds(members, folds=4, seed=1)
    logs = {role: np.log(np.concatenate(both).clip(min=1e-4)) for role, both in sides.items()}
    for role in sides:
        expected = np.empty(40)
        for left_out in range(4):
            seen, held = fold != left_out, fold == left_out
            scaler = StandardScaler().fit(logs["oracle"][seen])
            model = LogisticRegression(C=0.5, tol=1e-8).fit(scaler.transform(logs["oracle"][seen]), members[seen])
            expected[held] = model.predict(scaler.transform(logs[role][held])) == members[held]
        assert found[role].tolist() == expected.tolist()


def test_regions_of_a_segmentation_are_the_samples():
    """A network that knows brightness only: the oracle gives class 2, which it never saw, to the brighter class 1."""
    layout = torch.zeros(1, 6, 6)
    layout[0, :2], layout[0, 4:] = 1, 2
    counts = {"forget": 12, "retain": 2, "reference": 2, "unseen": 12}
    generator = torch.Generator().manual_seed(2)
    items = [
        {"id": case, "image": layout + 0.2 * torch.randn(layout.shape, generator=generator), "label": layout}
        for ids in subset_ids(counts).values()
        for case in ids
    ]
    teacher = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        teacher.weight.copy_(torch.tensor([0.0, 8.0, 16.0]).view(3, 1, 1, 1))
        teacher.bias.copy_(torch.tensor([0.0, -4.0, -16.0]))
    oracle = copy.deepcopy(teacher)
    with torch.no_grad():
        oracle.bias[2] = -100.0
    models = {"teacher": teacher, "student": copy.deepcopy(oracle), "oracle": oracle}
    config = config_of(
        "segmentation", classes=(2,), loss_function=DiceCELoss(softmax=True, to_onehot_y=True), activation="softmax"
    )
    cases = cases_of(items, models, config, subset_ids(counts))
    found = TEST(models, cases, config)["accuracy"]
    assert found.details["neighbour"] == 1
    assert found.details["samples_on_each_side"] == 12
    assert found.value == found.oracle
    assert found.details["gap"] == 0.0


def test_where_it_says_nothing_the_reason_is_given():
    models, cases, config = class_request(teacher=ORACLE, student=ORACLE, oracle=ORACLE)

    def reason(given_cases: Any, given_config: Any) -> str:
        found = TEST(models, given_cases, given_config)["accuracy"]
        assert found.value is None
        return found.reason

    assert reason(cases, config_of()) == "the request is of cases, not of classes"
    several = config_of("segmentation", activation="sigmoid", classes=(1,))
    assert "do not exclude one another" in reason(cases, several)
    few = dataclasses.replace(cases, subsets={**subset_ids(), "forget": subset_ids()["forget"][:9]})
    assert reason(few, config) == "needs 10 forget samples of the forgotten class; there are 9"
    few = dataclasses.replace(cases, subsets={**subset_ids(), "unseen": subset_ids()["unseen"][:9]})
    assert reason(few, config) == "no remaining class has 10 unseen samples"


@pytest.mark.parametrize("settings", [{"folds": 1}, {"penalty": -1.0}, {"most": 0}], ids=str)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="folds is 2 or more"):
        NearestNeighbourMembership(**settings)
