"""How far the student is from what it ought to be, and how much of that the choice of the cases may explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.subjects import AuditCases, AuditConfig
from monai_unlearn.metrics import auc_interval, membership_auc

__all__ = ["Distance", "attack_distance", "mean_difference", "measure_distance"]

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The student's figure minus the target's.

    Args:
        value: of the student.
        interval: of ``value``; ``None`` where there are too few cases for one.
        start: the same of the teacher: what there was to forget.
        against: what the target is, in words.
        narrow: the interval at ``2 * confidence - 1``: two one-sided tests hold where it lies within the margin.
    """

    value: float
    interval: Interval | None
    start: float
    against: str
    narrow: Interval | None = None

    def beyond(self, margin: float) -> bool:
        """Whether the student is off by more than the margin, and the cases do not explain it."""
        told_apart = self.interval is None or self.interval[0] > 0 or self.interval[1] < 0
        return abs(self.value) > margin and told_apart

    def clearly_beyond(self, margin: float) -> bool:
        """Whether the whole interval lies beyond the margin.

        An interval over cases takes both networks as given, but another training of the oracle moves its AUC as well;
        two oracles would be told apart if being above or below 0 were enough.
        """
        return self.interval is not None and (self.interval[0] > margin or self.interval[1] < -margin)

    def within(self, margin: float) -> bool:
        """Whether it is shown that the student is off by no more than the margin."""
        return self.narrow is not None and max(map(abs, self.narrow)) <= margin


def measure_distance(cases: AuditCases, config: AuditConfig, *, confidence: float) -> Distance:
    """Compare the measure on forget with the oracle's on the same cases.

    Without an oracle the target of a class request is 0, for a network that does not know the class has no overlap with
    it; of any other request it is the student's own measure on the reference cases, which is weaker: the forget cases
    may be easier or harder. Intervals are Student's t, or Welch's against other cases.
    """
    taught, student = (config.values(cases.scores[name], cases.subsets["forget"]) for name in ("teacher", "student"))
    if "oracle" in cases.scores or config.classes:
        known = "oracle" in cases.scores
        target = config.values(cases.scores["oracle"], cases.subsets["forget"]) if known else np.zeros(len(student))
        intervals = [mean_difference(student - target, level) for level in (confidence, 2 * confidence - 1)]
        against = "oracle" if known else "0"
    else:
        target = config.values(cases.scores["student"], cases.subsets["reference"])
        intervals = [_of_difference(student, target, level) for level in (confidence, 2 * confidence - 1)]
        against = "reference cases"
    return Distance(
        value=float(student.mean() - target.mean()),
        interval=intervals[0],
        narrow=intervals[1],
        start=float(taught.mean() - target.mean()),
        against=against,
    )


def attack_distance(cases: AuditCases, config: AuditConfig, *, confidence: float) -> Distance | None:
    """Compare the AUC of the loss attack with the oracle's; intervals by bootstrap over the cases.

    ``None`` without an oracle, with fewer than ten cases on a side, and for a class request: that asks what the network
    knows of a class, not whether it has seen a case.
    """
    forget, unseen = cases.subsets["forget"], cases.subsets["unseen"]
    if "oracle" not in cases.scores or config.classes or too_few({"forget": len(forget), "unseen": len(unseen)}):
        return None
    sides = {name: (-scores.of(forget, "loss"), -scores.of(unseen, "loss")) for name, scores in cases.scores.items()}
    auc = {name: membership_auc(*pair) for name, pair in sides.items()}
    return Distance(
        value=auc["student"] - auc["oracle"],
        interval=auc_interval(*sides["student"], minus=sides["oracle"], confidence=confidence, seed=config.seed),
        start=auc["teacher"] - auc["oracle"],
        against="oracle",
    )


def mean_difference(values: NDArray[np.float64], confidence: float) -> Interval | None:
    """Give the interval of a mean of paired differences by Student's t; ``None`` with fewer than two cases."""
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:  # no spread: the interval is the point
        return float(values[0]), float(values[0])
    found = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return float(found.low), float(found.high)


def _of_difference(first: NDArray[np.float64], second: NDArray[np.float64], confidence: float) -> Interval | None:
    if min(len(first), len(second)) < 2 or np.ptp(first) + np.ptp(second) == 0:
        return None
    found = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    return float(found.low), float(found.high)
