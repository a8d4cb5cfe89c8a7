"""Bootstrap intervals: how far a figure of so few cases may be off by the choice of the cases.

The percentile interval, by :func:`scipy.stats.bootstrap`: it is defined for figures that all cases share, such as an
accuracy of 1, where the corrected one (BCa) is not. With a handful of cases it is too narrow; read it as a lower bound.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["auc_interval", "bootstrap_interval"]

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Interval = tuple[float, float]
RESAMPLES = 1000


def bootstrap_interval(
    statistic: Callable[..., Any],
    *samples: Values | Positions,
    paired: bool = True,
    confidence: float = 0.95,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Percentile interval of a statistic of cases that are drawn anew with replacement.

    Args:
        statistic: takes the samples and ``axis``, the one of the cases; not finite where it is not defined, which
            counts as beyond either bound.
        samples: values of cases, each of shape ``(N,)``.
        paired: whether the samples are of the same cases, which are drawn together; else each is drawn by itself.
        confidence: share of the resampled statistics that lies in the interval.
        seed: of the draws.
        resamples: number of draws.

    Returns:
        Lower and upper bound; ``None`` for a single case on a side, which says nothing about others, or where too many
        draws leave the statistic undefined.
    """
    if min(map(len, samples)) < 2:
        return None

    def defined(*drawn: Values, axis: int) -> Values:
        found = np.asarray(statistic(*drawn, axis=axis))
        return np.where(np.isfinite(found), found, np.nan)

    with warnings.catch_warnings():  # scipy warns of what is undefined, and speaks of another method
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            samples,
            defined,
            paired=paired,
            vectorized=True,
            confidence_level=confidence,
            n_resamples=resamples,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    low, high = found.confidence_interval
    undefined = np.isnan(found.bootstrap_distribution)
    if undefined.any():
        tail, drawn = (1 - confidence) / 2, found.bootstrap_distribution
        low = np.quantile(np.where(undefined, -np.inf, drawn), tail, method="lower")
        high = np.quantile(np.where(undefined, np.inf, drawn), 1 - tail, method="higher")
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def auc_interval(
    members: Values,
    others: Values,
    *,
    minus: tuple[Values, Values] | None = None,
    confidence: float,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of the AUC of an attack, or of the difference of two attacks on the same cases.

    Members and others are drawn anew with replacement, each among themselves; for a difference both attacks see the
    same draw, so what the cases have in common cancels.

    Args:
        members: scores of the members, larger means "more likely a member", shape ``(M,)``.
        others: scores of the non-members, shape ``(N,)``.
        minus: scores of the same members and non-members by another network, whose AUC is subtracted.
        confidence: share of the resampled figures that lies in the interval.
        seed: of the draws.
        resamples: number of draws.

    Returns:
        Lower and upper bound.

    Raises:
        ValueError: if a side has fewer than two cases, or the two attacks differ in their numbers of cases.
    """
    if min(len(members), len(others)) < 2:
        raise ValueError(f"an interval needs two cases on each side; there are {len(members)} and {len(others)}.")
    wins = _wins(members, others)
    if minus is not None:
        other = _wins(*minus)
        if other.shape != wins.shape:
            raise ValueError(f"both attacks need the same cases; they have {wins.shape} and {other.shape}.")
        wins = wins - other

    def mean_win(rows: Positions, columns: Positions, axis: int) -> Values:
        means: Values = ((_counts(rows) @ wins) * _counts(columns)).sum(axis=axis) / wins.size
        return means

    rows, columns = np.arange(len(members)), np.arange(len(others))
    found = bootstrap_interval(
        mean_win, rows, columns, paired=False, confidence=confidence, seed=seed, resamples=resamples
    )
    if found is None:
        raise ValueError("no draw of the cases has an AUC.")
    return found


def _counts(drawn: Positions) -> Values:
    """Count how often each position was drawn: of shape ``(…, N)`` as ``drawn``, which holds positions below ``N``."""
    size = drawn.shape[-1]
    flat = drawn.reshape(-1, size)
    offset = np.arange(len(flat))[:, None] * size
    counts = np.bincount((flat + offset).ravel(), minlength=flat.size)
    return counts.reshape(drawn.shape).astype(np.float64)


def _wins(members: Values, others: Values) -> Values:
    """Return 1 where a member scores above a non-member and ½ where they tie, shape ``(M, N)``; its mean is the AUC."""
    above = members[:, None] > others[None, :]
    tied = members[:, None] == others[None, :]
    wins: Values = above + 0.5 * tied
    return wins
