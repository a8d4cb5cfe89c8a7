from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from monai_unlearn.metrics import auc_interval, bootstrap_interval, membership_auc


def test_the_interval_of_a_mean_is_near_that_of_the_normal_theory():
    values = np.random.default_rng(0).normal(0.8, 0.1, 400)
    half = stats.norm.ppf(0.975) * values.std() / 20
    assert bootstrap_interval(np.mean, values, confidence=0.95, seed=0) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    intervals = [
        bootstrap_interval(np.mean, generator.normal(0, 1, 40), confidence=0.9, seed=i, resamples=300)
        for i in range(150)
    ]
    assert 0.82 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.96


def test_a_single_case_has_no_interval_and_equal_cases_a_point():
    assert bootstrap_interval(np.mean, np.array([0.7]), confidence=0.95, seed=0) is None
    assert bootstrap_interval(np.mean, np.ones(6), confidence=0.95, seed=0) == (1.0, 1.0)


def test_the_interval_of_a_mean_is_that_of_a_bootstrap_by_hand():
    values = np.random.default_rng(1).normal(size=40)
    found = bootstrap_interval(np.mean, values, seed=0)
    draws = np.random.default_rng(5).integers(40, size=(20000, 40))
    assert found == pytest.approx(np.quantile(values[draws].mean(axis=1), [0.025, 0.975]), abs=0.03)
    assert bootstrap_interval(np.mean, values[:1], seed=0) is None


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


def test_draws_without_a_statistic_count_as_beyond_either_bound():
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])

    def mean_of_large_ones(drawn, axis):
        large = drawn > limit
        with np.errstate(invalid="ignore"):
            return (drawn * large).sum(axis=axis) / large.sum(axis=axis)

    limit = 1.5  # never drawn in (1/3)^6 of the draws, about 1.4 in 1000
    low, high = bootstrap_interval(mean_of_large_ones, values, seed=0)
    assert 2 <= low < 3.5 < high <= 5
    limit = 4.5  # never drawn in (5/6)^6, every third
    assert bootstrap_interval(mean_of_large_ones, values, seed=0) is None


def test_pairs_are_drawn_together_and_separate_samples_each_by_itself():
    values = np.random.default_rng(0).normal(size=30)

    def difference(one, other, axis):
        return one.mean(axis=axis) - other.mean(axis=axis)

    assert bootstrap_interval(difference, values + 1, values, seed=0) == pytest.approx((1, 1))
    low, high = bootstrap_interval(difference, values + 1, values, paired=False, seed=0)
    assert high - low > 0.5
