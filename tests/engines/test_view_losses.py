from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from monai_unlearn.engines.view_losses import ViewLosses, match_views


def losses_of(count: int, views: int, *, classes: list[int] | None = None, seed: int = 0) -> ViewLosses:
    generator = torch.Generator().manual_seed(seed)
    return ViewLosses(
        ids=tuple(f"{seed}_{index}" for index in range(count)),
        losses=torch.rand(count, views, generator=generator, dtype=torch.float64),
        classes=torch.tensor(classes or [0] * count),
    )


def hazen(hardness: np.ndarray, reference: np.ndarray, count: int) -> np.ndarray:
    """NumPy: the quantiles of the first cases at their ranks among all."""
    ranks = hardness.argsort(kind="stable").argsort(kind="stable")
    return np.quantile(reference, (ranks + 0.5) / len(hardness), method="hazen")[:count]


def test_without_peers_forget_cases_are_ranked_among_themselves():
    forget, reference = losses_of(5, 7), losses_of(9, 1, seed=1)
    expected = hazen(forget.losses.mean(1).numpy(), reference.losses.flatten().numpy(), 5)
    np.testing.assert_allclose(match_views(forget, reference), expected)


def test_with_peers_they_are_ranked_among_all_and_every_view_of_a_reference_case_counts():
    forget, reference, peers = losses_of(5, 7), losses_of(9, 8, seed=1), losses_of(20, 7, seed=2)
    hardness = torch.cat([forget.losses, peers.losses]).mean(1).numpy()
    np.testing.assert_allclose(
        match_views(forget, reference, peers), hazen(hardness, reference.losses.flatten().numpy(), 5)
    )


def test_each_class_is_compared_with_its_own_cases_alone():
    forget = losses_of(4, 3, classes=[1, 0, 1, 0])
    reference = losses_of(10, 4, classes=[0, 1] * 5, seed=1)
    peers = losses_of(7, 3, classes=[0, 1, 1, 0, 1, 1, 0], seed=2)
    targets = match_views(forget, reference, peers)
    for value in (0, 1):
        alone = [
            ViewLosses(ids=of.ids, losses=of.losses[of.classes == value], classes=of.classes[of.classes == value])
            for of in (forget, reference, peers)
        ]
        torch.testing.assert_close(targets[forget.classes == value], match_views(*alone))


def test_a_class_without_reference_cases_is_compared_with_all_and_said_so(caplog: pytest.LogCaptureFixture):
    forget, reference = losses_of(3, 2, classes=[4, 0, 4]), losses_of(6, 1, seed=1)
    with caplog.at_level(logging.WARNING):
        targets = match_views(forget, reference)
    hardness = forget.losses[[0, 2]].mean(1).numpy()
    np.testing.assert_allclose(targets[[0, 2]], hazen(hardness, reference.losses.flatten().numpy(), 2))
    assert "no reference case is of class 4" in caplog.text
