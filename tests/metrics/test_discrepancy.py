from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.metrics import MaximumMeanDiscrepancy

from monai_unlearn.metrics import mmd_test


def test_the_discrepancy_is_that_of_ignite_at_the_median_distance():
    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, 30), generator.normal(1, 1, 30)
    pooled = np.concatenate([first, second])
    width = np.median([abs(a - b) for i, a in enumerate(pooled) for b in pooled[i + 1 :]])
    reference = MaximumMeanDiscrepancy(var=width**2)
    reference.update([torch.from_numpy(values)[:, None] for values in (first, second)])
    squared, p_value = mmd_test(first, second, seed=0)
    assert squared == pytest.approx(reference.compute() ** 2, rel=1e-4)
    assert p_value < 0.01


def test_under_the_null_a_small_p_value_is_as_rare_as_it_says():
    generator = np.random.default_rng(1)
    p_values = [mmd_test(*generator.normal(0, 1, (2, 20)), seed=2, permutations=99)[1] for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.10
    assert 0.4 < np.mean(p_values) < 0.6


def test_a_change_of_spread_alone_is_seen():
    generator = np.random.default_rng(3)
    assert mmd_test(generator.normal(0, 0.3, 60), generator.normal(0, 1.5, 60), seed=0)[1] < 0.01


def test_equal_sets_are_not_told_apart():
    values = np.arange(10.0)
    assert mmd_test(values, values, seed=0)[1] == 1.0
    assert mmd_test(np.ones(5), np.ones(7), seed=0) == (0.0, 1.0)


def test_a_set_whose_values_mostly_coincide_still_has_a_scale():
    first, second = np.array([1.0] * 9 + [2.0]), np.array([1.0] * 2 + [2.0] * 8)
    assert mmd_test(first, second, seed=0)[1] < 0.02


@pytest.mark.parametrize(("first", "message"), [([1.0], "two values"), ([1.0, np.nan], "not finite")])
def test_what_has_no_discrepancy_is_refused(first, message):
    with pytest.raises(ValueError, match=message):
        mmd_test(np.array(first), np.arange(3.0), seed=0)
