from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from monai_unlearn.metrics import margin_divergence


def test_the_gaussian_form_is_that_of_torch():
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(0, 1, (8, 5)), generator.normal(1, 2, (6, 5))
    fits = [Normal(torch.tensor(side.mean(0)), torch.tensor(side.std(0, ddof=1))) for side in (ours, theirs)]
    assert margin_divergence(ours, theirs) == pytest.approx(kl_divergence(*fits).numpy())


def test_kernels_and_gaussians_agree_on_many_gaussian_margins():
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(0, 1, (3000, 1)), generator.normal(0.8, 1.2, (3000, 1))
    exact = np.log(1.2) + (1 + 0.64) / (2 * 1.44) - 0.5
    assert margin_divergence(ours, theirs) == pytest.approx(exact, abs=0.03)
    assert margin_divergence(ours, theirs, method="kde") == pytest.approx(exact, abs=0.06)


def test_kernels_see_two_heaps_that_gaussians_take_for_one():
    generator = np.random.default_rng(2)
    theirs = generator.normal(0, 1, (600, 1))
    ours = np.where(generator.random((600, 1)) < 0.5, -1, 1) * 0.95 + generator.normal(0, 0.3, (600, 1))
    assert margin_divergence(ours, theirs)[0] < 0.02
    assert margin_divergence(ours, theirs, method="kde")[0] > 0.15


def test_the_same_networks_are_at_distance_nought():
    margins = np.random.default_rng(3).normal(size=(8, 4))
    for method in ("gaussian", "kde"):
        assert margin_divergence(margins, margins, method=method) == pytest.approx(np.zeros(4), abs=1e-9)


def test_kernels_of_margins_that_do_not_vary_are_not_a_number():
    assert np.isnan(margin_divergence(np.ones((4, 1)), np.zeros((4, 1)), method="kde")).all()


def test_a_single_network_has_no_spread():
    with pytest.raises(ValueError, match="there are 1 and 4"):
        margin_divergence(np.zeros((1, 2)), np.zeros((4, 2)))
