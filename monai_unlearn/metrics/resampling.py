"""Bootstrap intervals: how far a figure of so few cases may be off by the choice of the cases.

The percentile interval, by :func:`scipy.stats.bootstrap`: it is defined for figures that all cases share, such as an
accuracy of 1, where the corrected one (BCa) is not. With a handful of cases it is too narrow; read it as a lower bound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["auc_interval", "mean_interval"]

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Interval = tuple[float, float]
RESAMPLES = 1000


def mean_interval(values: Values, *, confidence: float, seed: int, resamples: int = RESAMPLES) -> Interval | None:
    """Interval of a mean over cases, which are drawn anew with replacement.

    Args:
        values: one per case, shape ``(N,)``.
        confidence: share of the resampled means that lies in the interval.
        seed: of the draws.
        resamples: number of draws.

    Returns:
        Lower and upper bound; ``None`` for a single case, which says nothing about others.
    """
    if len(values) < 2:
        return None
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


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

    found = stats.bootstrap(
        (np.arange(len(members)), np.arange(len(others))),
        mean_win,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


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
