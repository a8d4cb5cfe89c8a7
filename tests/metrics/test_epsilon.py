from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from monai_unlearn.metrics import best_threshold, epsilon_lower_bound, forgetting_epsilon, forgetting_quality


@pytest.mark.parametrize(("hits", "alarms"), [(80, 10), (30, 2), (50, 50), (100, 0), (0, 0), (90, 95)])
def test_the_bound_is_that_of_scipys_exact_intervals(hits, alarms):
    """Both rates' intervals at 95 % are the two one-sided bounds at 97.5 %."""
    rates = {
        "tpr": binomtest(hits, 100).proportion_ci(0.95, method="exact"),
        "fpr": binomtest(alarms, 120).proportion_ci(0.95, method="exact"),
    }
    expected = 0.0
    for low, high in (
        (rates["tpr"].low, rates["fpr"].high),
        (1 - rates["fpr"].high, 1 - rates["tpr"].low),
    ):
        if low > 1e-5:
            expected = max(expected, math.log((low - 1e-5) / high))
    assert epsilon_lower_bound(hits, 100, alarms, 120) == pytest.approx(expected)


def test_randomised_response_proves_its_epsilon_and_not_more():
    """Randomised response with epsilon 1 tells the truth with probability e/(1 + e): the bound lies below, in 95 %."""
    generator, truth = np.random.default_rng(0), math.e / (1 + math.e)
    found = [
        epsilon_lower_bound(generator.binomial(2000, truth), 2000, generator.binomial(2000, 1 - truth), 2000)
        for _ in range(200)
    ]
    assert np.mean(np.array(found) > 1) <= 0.05
    assert np.mean(found) > 0.8


def test_it_is_finite_even_for_an_attack_that_never_errs():
    assert 2.5 < epsilon_lower_bound(64, 64, 0, 64) < math.log(64)


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="5 of 4 hits"):
        epsilon_lower_bound(5, 4, 0, 4)


def test_the_best_threshold_proves_at_least_as_much_as_any_other():
    generator = np.random.default_rng(1)
    members, others = generator.normal(1, 1, 60), generator.normal(0, 1, 60)

    def proved(value: float) -> float:
        return epsilon_lower_bound(int((members >= value).sum()), 60, int((others >= value).sum()), 60)

    best = proved(best_threshold(members, others))
    assert best > 0
    assert best >= max(proved(value) for value in np.linspace(-3, 3, 50))


def test_epsilon_of_a_case_by_hand():
    """At the threshold 1.5, FPR = 1/4 and FNR = 1/4: ln((1 - 0.01 - 0.25) / 0.25); no other one is better."""
    unlearned, retrained = np.array([[1.0], [2], [3], [4]]), np.array([[0.0], [0.5], [1.2], [2.5]])
    assert forgetting_epsilon(unlearned, retrained)[0] == pytest.approx(math.log(0.74 / 0.25))


def test_a_case_that_is_told_without_error_either_way_has_no_finite_epsilon():
    low, high = np.zeros((4, 2)), np.array([[1.0, -1.0]] * 4)
    assert np.isinf(forgetting_epsilon(low, high)).all()


def test_the_same_networks_give_the_best_quality_and_separate_ones_the_worst():
    scores = np.arange(8.0)[:, None] * np.ones(3)
    assert forgetting_quality(forgetting_epsilon(scores, scores)) == 1
    assert forgetting_quality(np.array([math.inf])) == 2 / 2**13


@pytest.mark.parametrize(("epsilon", "number"), [(0.0, 1), (0.49, 1), (0.5, 2), (1.2, 3), (6.0, 13), (50, 13)])
def test_the_bins_are_half_a_unit_wide(epsilon, number):
    assert forgetting_quality(np.array([epsilon])) == 2 / 2**number
