"""The verdict: what the figures say together, from both sides, with the margins that were set before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monai_unlearn.audit.subjects import AuditCases, AuditConfig

__all__ = ["Margins", "judge"]


@dataclass(frozen=True, kw_only=True)
class Margins:
    """How far a figure may lie from what it ought to be; set in advance, in the config.

    Args:
        measure: of IoU, Dice or accuracy, absolute.
        auc: of the loss attack's AUC against the oracle's.
        recovery: of the share that comes back after retain-only relearning, for the permanent grade, either way.
        hidden: a recovery above this says that the network hides what it was to forget.
        confidence: of the intervals.
    """

    measure: float = 0.02
    auc: float = 0.03
    recovery: float = 0.1
    hidden: float = 0.2
    confidence: float = 0.95


def judge(cases: AuditCases, config: AuditConfig, margins: Margins, tests: Mapping[str, Any]) -> dict[str, Any]:
    """Say what an audit found.

    Forgetting is read against the oracle on the same cases, or without one against the reference cases, which is
    weaker: the forget cases may be easier or harder. ``outcome`` is

    * ``not forgotten``: the student stands nearer to the teacher than to the target, beyond margin and chance;
    * ``partly forgotten``: nearer to the target, yet above it beyond margin and chance;
    * ``over-forgotten``: below the target beyond margin and chance;
    * ``forgotten``: none of these. ``conclusive`` tells whether the interval lies within the margin (two one-sided
      tests at the margin), or the cases are too few to say.

    Args:
        cases: the cases, with the scores of every model.
        config: how the networks are read.
        margins: how far is too far.
        tests: what :func:`run_tests` returned.

    Returns:
        ``outcome``, ``conclusive``, ``hidden`` (``None`` where relearning was not tried), ``utility_kept``,
        ``against``, ``checks`` (each with ``name``, ``value``, ``bound`` and ``holds``), ``sentences``, ``margins``.
    """
    gap, interval, against = _gap(cases, config, margins)
    start = _mean(cases, config, "teacher", "forget") - (_mean(cases, config, "student", "forget") - gap)
    outcome = _outcome(gap, interval, start, margins)
    conclusive = outcome != "forgotten" or (interval is not None and max(map(abs, interval)) <= margins.measure)
    checks = [_within("forget against the " + against, gap, margins.measure)]
    checks += [
        _check(f"{subset} against the teacher", change, -margins.measure, change >= -margins.measure)
        for subset in ("retain", "unseen")
        if cases.subsets[subset]
        for change in [_mean(cases, config, "student", subset) - _mean(cases, config, "teacher", subset)]
    ]
    utility_kept = all(check["holds"] for check in checks[1:])
    share = _recovery(tests)
    hidden = None if share is None else share > margins.hidden
    if share is not None and config.grade == "permanent":
        checks.append(_within("recovery after retain-only relearning", share, margins.recovery))
    elif share is not None:
        checks.append(_check("recovery after retain-only relearning", share, margins.hidden, not hidden))
    return {
        "outcome": outcome,
        "conclusive": conclusive,
        "hidden": hidden,
        "utility_kept": utility_kept,
        "against": against,
        "gap": gap,
        "gap_interval": None if interval is None else list(interval),
        "checks": checks,
        "sentences": _sentences(outcome, conclusive, hidden, utility_kept, against, gap, config),
        "margins": asdict(margins),
    }


def _gap(cases: AuditCases, config: AuditConfig, margins: Margins) -> tuple[float, tuple[float, float] | None, str]:
    """Student minus target on forget, with its interval by Student's or, against other cases, Welch's t."""
    student = config.values(cases.scores["student"], cases.subsets["forget"])
    if "oracle" in cases.scores:
        difference = student - config.values(cases.scores["oracle"], cases.subsets["forget"])
        if len(difference) < 2:
            return float(difference.mean()), None, "oracle"
        if np.ptp(difference) == 0:  # no spread: the interval is the point
            return float(difference[0]), (float(difference[0]),) * 2, "oracle"
        found = stats.ttest_1samp(difference, 0).confidence_interval(margins.confidence)
        return float(difference.mean()), (float(found.low), float(found.high)), "oracle"
    reference = config.values(cases.scores["student"], cases.subsets["reference"])
    gap = float(student.mean() - reference.mean())
    if min(len(student), len(reference)) < 2 or np.ptp(student) + np.ptp(reference) == 0:
        return gap, None, "reference cases"
    found = stats.ttest_ind(student, reference, equal_var=False).confidence_interval(margins.confidence)
    return gap, (float(found.low), float(found.high)), "reference cases"


def _outcome(gap: float, interval: tuple[float, float] | None, start: float, margins: Margins) -> str:
    told_apart = interval is None or interval[0] > 0 or interval[1] < 0
    if abs(gap) <= margins.measure or not told_apart:
        return "forgotten"
    if gap < 0:
        return "over-forgotten"
    return "not forgotten" if gap > 0.5 * start else "partly forgotten"


def _sentences(
    outcome: str,
    conclusive: bool,
    hidden: bool | None,
    utility_kept: bool,
    against: str,
    gap: float,
    config: AuditConfig,
) -> list[str]:
    size = f"the student's {config.measure} on forget lies {abs(gap):.3f} {'above' if gap > 0 else 'below'}"
    target = "the oracle's" if against == "oracle" else "that of the reference cases"
    said = {
        "not forgotten": f"Nothing of note was forgotten: {size} {target}.",
        "partly forgotten": f"Less was forgotten than retraining forgets: {size} {target}.",
        "over-forgotten": f"Too much was forgotten, which betrays the cases as well: {size} {target}.",
        "forgotten": f"In its outputs the student has forgotten: {size} {target}.",
    }
    sentences = [said[outcome]]
    if not conclusive:
        sentences.append("There are too few cases to tell this from a difference of chance with confidence.")
    if against != "oracle":
        sentences.append("No oracle was there to compare with; other cases are a weaker yardstick.")
    if hidden:
        sentences.append("It is hidden, not erased: training on with other cases brings a good part of it back.")
    elif hidden is None:
        sentences.append("Whether it comes back when the network is trained on was not tested.")
    else:
        sentences.append("Training on with the retain cases brings little or nothing of it back.")
    if not utility_kept:
        sentences.append("The network got worse on what it was to keep.")
    return sentences


def _recovery(tests: Mapping[str, Any]) -> float | None:
    value = tests.get("retain_relearning", {}).get("figures", {}).get("recovery", {}).get("value")
    return None if value is None else float(value)


def _mean(cases: AuditCases, config: AuditConfig, model: str, subset: str) -> float:
    values: NDArray[np.float64] = config.values(cases.scores[model], cases.subsets[subset])
    return float(values.mean())


def _within(name: str, value: float, margin: float) -> dict[str, Any]:
    return _check(name, value, margin, abs(value) <= margin)


def _check(name: str, value: float, bound: float, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "bound": bound, "holds": bool(holds)}
