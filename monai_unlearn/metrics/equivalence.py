"""Equivalence: are two networks alike on some cases, within a margin that was set before?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Equivalence", "tost", "tug_of_war"]


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """What two one-sided tests found.

    Args:
        mean: of the differences.
        p_value: the larger of the two tests'; ``None`` with fewer than two cases.
        interval: of the mean, at ``1 - 2 * alpha``; it lies within the margin where the tests hold. ``None`` with
            fewer than two cases.
        equivalent: whether the mean difference is smaller than the margin beyond chance; ``None`` as above.
        count: number of differences.
    """

    mean: float
    p_value: float | None
    interval: tuple[float, float] | None
    equivalent: bool | None
    count: int

    def content(self) -> dict[str, Any]:
        """Return everything by name, as JSON can hold it."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}


def tost(differences: npt.ArrayLike, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """Two one-sided paired t-tests that a mean difference lies within ``± margin`` (Schuirmann 1987).

    An ordinary test that finds no difference says nothing where cases are few. Here the burden lies the other way: few
    cases, or cases that differ widely, do *not* pass.

    Args:
        differences: figure of the one network minus that of the other, case by case, shape ``(N,)``.
        margin: largest difference that does not matter, in the unit of the figure; set in advance.
        alpha: level of each of the two tests.

    Raises:
        ValueError: if there is no difference, one is not finite, or ``margin`` or ``alpha`` is out of range.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("differences must hold one finite value per case, at least one.")
    if margin <= 0 or not 0 < alpha < 0.5:
        raise ValueError(f"margin must be above 0 and alpha within (0, 0.5); they are {margin} and {alpha}.")
    mean = float(values.mean())
    if len(values) < 2:
        return Equivalence(mean=mean, p_value=None, interval=None, equivalent=None, count=1)
    if np.ptp(values) == 0:  # no spread: the t statistic is 0 / 0 or infinite
        inside = abs(mean) < margin
        return Equivalence(
            mean=mean, p_value=0.0 if inside else 1.0, interval=(mean, mean), equivalent=inside, count=len(values)
        )
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    found = stats.ttest_1samp(values, 0).confidence_interval(1 - 2 * alpha)
    p_value = float(max(above, below))
    return Equivalence(
        mean=mean,
        p_value=p_value,
        interval=(float(found.low), float(found.high)),
        equivalent=p_value < alpha,
        count=len(values),
    )


def tug_of_war(gaps: Iterable[float]) -> float:
    r"""Return :math:`\prod_s (1 - |g_s|)`: 1 if there is no gap, 0 if one is total (arXiv 2406.01257, eq. 1)."""
    return float(np.prod([1 - abs(gap) for gap in gaps]))
