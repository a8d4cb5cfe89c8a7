"""Attacks among shadow models, and what chance alone would give them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.metrics import (
    LikelihoodRatio,
    best_threshold,
    epsilon_lower_bound,
    leave_out_log_ratios,
    membership_auc,
    tpr_at_fpr,
)

__all__ = ["ShadowScores", "mean_over_parts", "retain_ratios"]

Values = NDArray[np.float64]
SWAPS = 128
"""Relabellings that chance is judged by: all there are for eight pairs."""


@dataclass(frozen=True, kw_only=True)
class ShadowScores:
    """Statistics of two kinds of networks on the same cases, in pairs.

    Args:
        inside: of networks that were trained on the cases, unlearned since or not; shape ``(N, C, K)``.
        outside: of networks that never saw them, shape ``(N, C, K)``; NaN marks parts that a case has not.
    """

    inside: Values
    outside: Values

    def ratios(self, kind: LikelihoodRatio = "bavaria") -> tuple[Values, Values]:
        """Attack every network with the other pairs: log-likelihood ratios, mean over the parts, each ``(N, C)``."""
        count, cases, parts = self.inside.shape
        both = np.concatenate([self.inside, self.outside])
        member = np.repeat([True, False], count)[:, None] & np.ones(cases, dtype=bool)
        groups = [*range(count), *range(count)]
        by_part = [leave_out_log_ratios(both[:, :, part], member, groups, kind=kind) for part in range(parts)]
        mean = mean_over_parts(np.stack(by_part, axis=2))
        return mean[:count], mean[count:]

    def auc(self, kind: LikelihoodRatio = "bavaria") -> float:
        """AUC of the attack over all networks and cases together."""
        inside, outside = self.ratios(kind)
        return membership_auc(inside.ravel(), outside.ravel())

    def tpr(self, kind: LikelihoodRatio = "bavaria") -> float:
        """True-positive rate at a false-positive rate of 1 %, over all networks and cases together."""
        inside, outside = self.ratios(kind)
        return tpr_at_fpr(inside.ravel(), outside.ravel(), fpr=0.01)

    def case_aucs(self, kind: LikelihoodRatio = "bavaria") -> Values:
        """AUC of the attack on each case by itself, over the networks; shape ``(C,)``."""
        inside, outside = self.ratios(kind)
        wins = inside[:, None] - outside[None, :]
        aucs: Values = ((wins > 0) + 0.5 * (wins == 0)).mean(axis=(0, 1))
        return aucs

    def epsilon(self, *, delta: float, confidence: float) -> float:
        """Epsilon that the attack proves; the threshold for one half of the cases is chosen on the other half."""
        inside, outside = self.ratios()
        halves = [slice(0, None, 2), slice(1, None, 2)]
        hits = alarms = 0
        for chosen, judged in (halves, halves[::-1]):
            threshold = best_threshold(
                inside[:, chosen].ravel(), outside[:, chosen].ravel(), delta=delta, confidence=confidence
            )
            hits += int((inside[:, judged] >= threshold).sum())
            alarms += int((outside[:, judged] >= threshold).sum())
        return epsilon_lower_bound(hits, inside.size, alarms, outside.size, delta=delta, confidence=confidence)

    def by_chance(self, figure: Callable[[ShadowScores], float], *, seed: int) -> Values:
        """Return a figure for every relabelling: within a pair, which network is inside is as good as drawn by lot.

        If unlearning is perfect, swapping the two changes nothing, so the figure itself is a draw from these (an exact
        permutation test). To swap all pairs changes no figure that is symmetric, so the first stays as it is.
        """
        found = []
        for swapped in self._swaps(seed):
            where = swapped[:, None, None]
            mixed = replace(
                self,
                inside=np.where(where, self.outside, self.inside),
                outside=np.where(where, self.inside, self.outside),
            )
            found.append(figure(mixed))
        return np.array(found)

    def _swaps(self, seed: int) -> Iterator[NDArray[np.bool_]]:
        count = len(self.inside)
        if 2 ** (count - 1) <= SWAPS:
            yield from (np.array([False, *rest]) for rest in itertools.product([False, True], repeat=count - 1))
            return
        generator = np.random.default_rng(seed)
        yield np.zeros(count, dtype=bool)  # the labels as they are belong to the test, too
        for _ in range(SWAPS - 1):
            yield np.array([False, *(generator.random(count - 1) < 0.5)])


def mean_over_parts(values: Values) -> Values:
    """Mean over the last axis, of the parts that a case has."""
    known = np.isfinite(values)
    mean: Values = np.where(known, values, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.where(known.any(axis=-1), mean, np.nan)


def retain_ratios(statistics: Values, member: NDArray[np.bool_]) -> Values:
    """Attack retain cases, which every network saw or did not see by lot; shape ``(N, C)``, NaN where it cannot be.

    Args:
        statistics: of each network, shape ``(N, C, K)``.
        member: whether it was trained on the case, shape ``(N, C)``.
    """
    groups = range(len(statistics))
    parts = [leave_out_log_ratios(statistics[:, :, part], member, groups) for part in range(statistics.shape[2])]
    return mean_over_parts(np.stack(parts, axis=2))
