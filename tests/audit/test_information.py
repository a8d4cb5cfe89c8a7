from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from monai_unlearn.audit import InformationDifference
from monai_unlearn.audit.information import probe_information
from monai_unlearn.audit.probe import stratified_folds
from tests.audit.memorising import subjects, subset_ids

RANDOM = np.random.default_rng(0)
SETTINGS = {"folds": 4, "penalties": (1.0, 10.0, 100.0, 1000.0), "seed": 0}


def two_normals(count: int, *, distance: float, idle: int = 0) -> tuple[np.ndarray, np.ndarray]:
    members = np.arange(count) < count // 2
    telling = RANDOM.normal(size=(count, 1)) + distance * members[:, None]
    return np.concatenate([telling, RANDOM.normal(size=(count, idle))], axis=1), members


def true_information(distance: float) -> float:
    """Information in nats between a fair coin and a normal variable that it shifts, by numerical integration."""

    def integrand(z: float) -> float:
        one, other = norm.pdf(z), norm.pdf(z, loc=distance)
        mixed = (one + other) / 2
        return 0.5 * one * np.log(one / mixed) + 0.5 * other * np.log(other / mixed)

    return quad(integrand, -8, 8 + distance)[0]


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_the_bound_reaches_the_true_information_where_a_linear_probe_is_the_best_one(distance):
    features, members = two_normals(2000, distance=distance)
    found = probe_information(features, members, folds=4, penalties=(1.0, 10.0), seed=0)
    assert found == pytest.approx(true_information(distance), abs=0.04)


def test_features_that_tell_all_give_the_entropy_of_a_coin_and_no_more():
    features, members = two_normals(100, distance=200.0)
    assert 0.9 * np.log(2) < probe_information(features, members, **SETTINGS) <= np.log(2)


def test_features_that_tell_nothing_give_nothing_however_many_they_are():
    features, members = two_normals(60, distance=0.0, idle=100)
    assert 0 <= probe_information(features, members, **SETTINGS) < 0.05


def test_it_is_the_entropy_less_the_log_loss_on_left_out_samples():
    features, members = two_normals(60, distance=1.5, idle=3)
    fold = stratified_folds(members, folds=4, seed=0)
    odds = np.empty(60)
    for left_out in range(4):
        seen, held = fold != left_out, fold == left_out
        scaler = StandardScaler().fit(features[seen])
        model = LogisticRegression(C=1 / 5.0, tol=1e-8).fit(scaler.transform(features[seen]), members[seen])
        odds[held] = model.predict_proba(scaler.transform(features[held]))[:, 1]
    found = probe_information(features, members, folds=4, penalties=(5.0,), seed=0)
    assert found == pytest.approx(np.log(2) - log_loss(members, odds), abs=1e-4)


@pytest.mark.parametrize(("student", "share"), [("teacher", 1.0), ("head_only", 1.0), ("oracle", 0.0)])
def test_teacher_and_head_only_edit_keep_all_of_it_and_the_oracle_nothing(student, share):
    models, cases, config = subjects(student)
    found = InformationDifference()(models, cases, config)
    assert found["difference"].value == share
    assert (found["difference"].oracle, found["difference"].teacher) == (0.0, 1.0)
    information = found["information"]
    assert information.details["stages"] == ["2", "4"]
    assert information.value == sum(information.series["student"])
    assert information.teacher > 1.0 > 0.3 > information.oracle
    assert information.value == (information.teacher if share else information.oracle)


def test_two_thirds_of_a_memory_lie_between():
    models, cases, config = subjects("teacher")
    weight = models["student"][1].weight
    weight[5:] = models["oracle"][1].weight[5:]  # one of three memory units is gone
    share = InformationDifference()(models, cases, config)["difference"].value
    assert 0.05 < share < 0.8


def test_a_teacher_that_tells_no_more_than_the_oracle_gives_no_share():
    models, cases, config = subjects("oracle")
    models["teacher"] = models["oracle"]
    found = InformationDifference()(models, cases, config)
    assert found["difference"].value is None
    assert "only 0.000 nats more than the oracle's" in found["difference"].reason
    assert set(found["information"].series) == {"teacher", "student", "oracle"}


def test_fewer_than_ten_cases_give_none_and_the_reason():
    models, cases, config = subjects()
    few = dataclasses.replace(cases, subsets={**subset_ids(), "unseen": subset_ids()["unseen"][:9]})
    for found in InformationDifference()(models, few, config).values():
        assert found.value is None
        assert "one of them has 9" in found.reason


@pytest.mark.parametrize("settings", [{"folds": 1}, {"penalties": ()}, {"penalties": (1.0, 0.0)}, {"most": 0}], ids=str)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="folds is 2 or more, penalties are positive"):
        InformationDifference(**settings)
