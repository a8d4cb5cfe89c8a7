"""Are two sets of cases told apart? A test of their losses, and an interval of the difference of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import mannwhitneyu

from monai_unlearn.metrics.resampling import bootstrap_interval

__all__ = ["TwoSamples", "compare_samples", "difference_interval"]

Array = npt.NDArray[np.float64]
Values = torch.Tensor | npt.ArrayLike


@dataclass(frozen=True, kw_only=True)
class TwoSamples:
    """What two sets of losses, and if given two sets of scores, say of each other.

    Args:
        loss: mean loss of the first set.
        other_loss: mean loss of the second set.
        score: mean score of the first set.
        other_score: mean score of the second set.
        interval: bootstrap interval of ``score - other_score``.
        p_value: of the two-sided Mann-Whitney test of the losses; ``None`` where it has no power.
        reason: why there is no test; empty where there is one.
    """

    loss: float
    other_loss: float
    score: float
    other_score: float
    interval: tuple[float, float]
    p_value: float | None
    reason: str = ""

    @property
    def gap(self) -> float:
        """How much better the first set scores than the second; negative where it does worse."""
        return self.score - self.other_score

    def told_apart(self, alpha: float) -> bool:
        """Tell whether the losses, or the scores, differ by more than chance does; by the scores alone without a test.

        Args:
            alpha: level of the test.
        """
        apart = not self.interval[0] <= 0 <= self.interval[1]
        return apart or (self.p_value is not None and self.p_value < alpha)


def compare_samples(
    *,
    losses: Values,
    other_losses: Values,
    scores: Values,
    other_scores: Values,
    alpha: float = 0.05,
    minimum: int = 10,
    resamples: int = 2000,
    seed: int = 0,
) -> TwoSamples:
    """Compare the losses of two sets of cases by rank, and their scores by mean.

    The Mann-Whitney statistic is the AUC of the attack that calls the cases with the lower losses the first set; its
    test asks whether that AUC is 0.5. Scipy's ``mannwhitneyu`` does it, exactly for small sets without ties.

    Args:
        losses: shape ``(N,)``.
        other_losses: of the second set, shape ``(M,)``.
        scores: such as IoU per case, shape ``(N,)``.
        other_scores: of the second set, shape ``(M,)``.
        alpha: the interval covers ``1 - alpha``.
        minimum: cases per set below which no test is made: with five against five not even a complete separation
            would pass at 0.05 after a correction for looking more than once.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: if a set is empty or a value is not finite.
    """
    first, second, of_first, of_second = (
        _finite(values, name)
        for name, values in (
            ("losses", losses),
            ("other_losses", other_losses),
            ("scores", scores),
            ("other_scores", other_scores),
        )
    )
    small = min(len(first), len(second))
    return TwoSamples(
        loss=float(first.mean()),
        other_loss=float(second.mean()),
        score=float(of_first.mean()),
        other_score=float(of_second.mean()),
        interval=difference_interval(of_first, of_second, alpha=alpha, resamples=resamples, seed=seed),
        p_value=None if small < minimum else float(mannwhitneyu(first, second, alternative="two-sided").pvalue),
        reason=f"{small} cases on a side are too few for a test; it needs {minimum}" if small < minimum else "",
    )


def difference_interval(
    first: Values, second: Values, *, alpha: float = 0.05, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``mean(first) - mean(second)``, each set drawn anew with replacement.

    Args:
        first: shape ``(N,)``.
        second: shape ``(M,)``.
        alpha: the interval covers ``1 - alpha``.
        resamples: number of draws.
        seed: of the draws.
    """
    # a single case is drawn every time, as two equal ones are
    sides = [
        np.repeat(side, 2) if len(side) == 1 else side for side in (_finite(first, "first"), _finite(second, "second"))
    ]

    def difference(one: Array, other: Array, axis: int) -> Array:
        means: Array = one.mean(axis=axis) - other.mean(axis=axis)
        return means

    found = bootstrap_interval(difference, *sides, paired=False, confidence=1 - alpha, seed=seed, resamples=resamples)
    if found is None:
        raise ValueError("the difference of the means is too large to be written as a number.")
    return found


def _finite(values: Values, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"'{name}' holds one finite value per case, at least one; got shape {array.shape}.")
    return array
