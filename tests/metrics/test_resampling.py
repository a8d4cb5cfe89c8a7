from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from monai_unlearn.metrics import auc_interval, mean_interval, membership_auc


def test_the_interval_of_a_mean_is_near_that_of_the_normal_theory():
    values = np.random.default_rng(0).normal(0.8, 0.1, 400)
    half = stats.norm.ppf(0.975) * values.std() / 20
    assert mean_interval(values, confidence=0.95, seed=0) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    intervals = [mean_interval(generator.normal(0, 1, 40), confidence=0.9, seed=i, resamples=300) for i in range(150)]
    assert 0.82 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.96


def test_a_single_case_has_no_interval_and_equal_cases_a_point():
    assert mean_interval(np.array([0.7]), confidence=0.95, seed=0) is None
    assert mean_interval(np.ones(6), confidence=0.95, seed=0) == (1.0, 1.0)


def test_the_interval_of_an_auc_is_that_of_a_bootstrap_by_hand():
    generator = np.random.default_rng(2)
    members, others = generator.normal(0.5, 1, 40), generator.normal(0, 1, 50)
    drawn = [
        roc_auc_score(
            [1] * 40 + [0] * 50, np.concatenate([generator.choice(members, 40), generator.choice(others, 50)])
        )
        for _ in range(400)
    ]
    assert auc_interval(members, others, confidence=0.95, seed=0) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.025
    )


def test_a_difference_of_two_attacks_is_surer_than_each_of_them():
    """Both see the same cases, so what makes a case easy cancels."""
    generator = np.random.default_rng(3)
    members, others = generator.normal(0.5, 1, 60), generator.normal(0, 1, 60)
    nearly = members + generator.normal(0, 0.05, 60), others + generator.normal(0, 0.05, 60)
    low, high = auc_interval(members, others, minus=nearly, confidence=0.95, seed=0)
    alone = auc_interval(members, others, confidence=0.95, seed=0)
    assert low <= membership_auc(members, others) - membership_auc(*nearly) <= high
    assert high - low < 0.3 * (alone[1] - alone[0])
    assert auc_interval(members, others, minus=(members, others), confidence=0.95, seed=0) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_interval():
    members, others = np.random.default_rng(4).normal(size=(2, 12))
    first, second = (auc_interval(members, others, confidence=0.9, seed=5) for _ in range(2))
    assert first == second


def test_sides_that_allow_no_interval_are_refused():
    with pytest.raises(ValueError, match="two cases on each side"):
        auc_interval(np.ones(1), np.ones(4), confidence=0.95, seed=0)
    with pytest.raises(ValueError, match="the same cases"):
        auc_interval(np.ones(3), np.ones(4), minus=(np.ones(3), np.ones(5)), confidence=0.95, seed=0)
