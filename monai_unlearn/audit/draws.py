"""Drawing cases for tests that need only some of them, and the interval that this leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval", "draw_cases", "draw_sides", "few_shots"]

_RESAMPLES = 1000


def draw_cases(ids: Sequence[str], count: int, *, seed: int) -> tuple[str, ...]:
    """Draw some cases without replacement; a smaller draw of the same seed is the beginning of a larger one.

    Args:
        ids: the cases.
        count: how many; all of them if there are fewer.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(ids))[:count]
    return tuple(ids[index] for index in order)


def draw_sides(forget: Sequence[str], unseen: Sequence[str], most: int, *, seed: int) -> tuple[str, ...]:
    """Draw equally many forget and unseen cases, at most ``most`` of each; the forget cases come first."""
    count = min(len(forget), len(unseen), most)
    return draw_cases(forget, count, seed=seed) + draw_cases(unseen, count, seed=seed)


def few_shots(forget: Sequence[str], shots: int, *, most: int, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the forget cases into a few that are shown and others that are measured.

    Args:
        forget: the forget cases.
        shots: how many are shown; at most half of them, so that enough remain to be measured.
        most: the largest number of measured cases.
        seed: of the draw.

    Returns:
        Shown and measured cases; a single forget case is both.
    """
    drawn = draw_cases(forget, len(forget), seed=seed)
    if len(drawn) == 1:
        return drawn, drawn
    shown = min(shots, len(drawn) // 2)
    return drawn[:shown], drawn[shown:][:most]


def bootstrap_interval(
    statistic: Callable[..., Any], *columns: NDArray[np.float64], seed: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Percentile interval of a statistic of cases that are drawn anew with replacement.

    Args:
        statistic: takes the columns and ``axis``, the one of the cases; not finite where it is not defined, which
            counts as beyond either bound.
        columns: values of the same cases, each of shape ``(N,)``.
        seed: of the draws.
        confidence: share of the resampled statistics that lies in the interval.

    Returns:
        Lower and upper bound; ``None`` for a single case, or where too many draws leave the statistic undefined.
    """
    if len(columns[0]) < 2:
        return None
    rows = np.random.default_rng(seed).integers(len(columns[0]), size=(_RESAMPLES, len(columns[0])))
    found = np.asarray(statistic(*(column[rows] for column in columns), axis=-1))
    undefined, tail = ~np.isfinite(found), (1 - confidence) / 2
    low = np.quantile(np.where(undefined, -np.inf, found), tail, method="lower")
    high = np.quantile(np.where(undefined, np.inf, found), 1 - tail, method="higher")
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None
