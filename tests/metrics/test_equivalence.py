from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monai_unlearn.metrics import tost, tug_of_war


def test_the_p_value_is_that_of_the_two_t_tests_by_hand():
    values = np.random.default_rng(0).normal(0.004, 0.03, 25)
    error = values.std(ddof=1) / np.sqrt(25)
    above = 1 - stats.t.cdf((values.mean() + 0.02) / error, 24)
    below = stats.t.cdf((values.mean() - 0.02) / error, 24)
    found = tost(values, margin=0.02)
    assert found.mean == pytest.approx(values.mean())
    assert found.p_value == pytest.approx(max(above, below))
    half = stats.t.ppf(0.95, 24) * error
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half))
    assert found.count == 25


@pytest.mark.parametrize("mean", [0.0, 0.012, 0.019, -0.03])
def test_equivalence_holds_just_where_the_interval_lies_within_the_margin(mean):
    values = mean + np.random.default_rng(1).normal(0, 0.02, 40)
    found = tost(values, margin=0.02)
    assert found.equivalent == (max(map(abs, found.interval)) < 0.02)


def test_at_the_margin_itself_one_in_twenty_passes():
    generator = np.random.default_rng(2)
    passed = [tost(generator.normal(0.02, 0.05, 30), margin=0.02).equivalent for _ in range(1000)]
    assert 0.03 < np.mean(passed) < 0.07


def test_few_cases_do_not_pass_for_want_of_evidence():
    assert tost([0.01, -0.012, 0.04], margin=0.02).equivalent is False


def test_one_case_allows_no_test():
    found = tost([0.001], margin=0.02)
    assert (found.p_value, found.interval, found.equivalent) == (None, None, None)
    assert found.content() == {"mean": 0.001, "p_value": None, "interval": None, "equivalent": None, "count": 1}


@pytest.mark.parametrize(("value", "holds"), [(0.0, True), (0.0199, True), (-0.03, False), (0.02, False)])
def test_differences_without_spread_are_judged_by_their_size(value, holds):
    found = tost([value] * 5, margin=0.02)
    assert found.equivalent is holds
    assert found.p_value == (0.0 if holds else 1.0)
    assert found.interval == (value, value)


@pytest.mark.parametrize(
    ("differences", "arguments"),
    [([], {}), ([0.0, np.nan], {}), ([0.0, 0.1], {"margin": 0}), ([0.0, 0.1], {"alpha": 0.5})],
)
def test_what_cannot_be_tested_is_refused(differences, arguments):
    with pytest.raises(ValueError, match="must"):
        tost(differences, **{"margin": 0.02, **arguments})


def test_the_tug_of_war_multiplies_what_is_left_of_each_gap():
    assert tug_of_war([0.1, -0.2, 0.0]) == pytest.approx(0.9 * 0.8)
    assert tug_of_war([0.0, 0.0, 0.0]) == 1
    assert tug_of_war([-1.0, 0.0, 0.0]) == 0
