"""The verdict: what the figures say together, from both sides, with the margins that were set before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from monai_unlearn.audit.distance import Distance, attack_distance, mean_difference, measure_distance
from monai_unlearn.audit.subjects import AuditCases, AuditConfig
from monai_unlearn.audit.verdict_words import verdict_sentences

__all__ = ["OUTCOMES", "Margins", "judge"]

OUTCOMES = ("forgotten", "partly forgotten", "not forgotten", "over-forgotten", "nothing to forget", "undecided")
"""Every word that ``outcome`` may be; :func:`judge` defines them."""


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

    Forgetting is read against the oracle on the same cases, by the measure and by the AUC of the loss attack; see
    :func:`measure_distance` for what stands in where there is no oracle. ``outcome`` is

    * ``not forgotten``: the student stands nearer to the teacher than to the target, beyond margin and chance;
    * ``partly forgotten``: nearer to the target, yet above it beyond margin and chance;
    * ``over-forgotten``: below the target beyond margin and chance;
    * ``forgotten``: none of these, neither by the measure nor, where there is one, by the attack;
    * ``nothing to forget``: none of these, but the teacher was no farther from the target than the margin either;
    * ``undecided``: the forget cases, or those that they are compared with, hold no foreground: overlap says nothing.

    The measure speaks first; where it finds nothing, the attack does, and only if the whole interval of its distance
    lies beyond the margin. ``conclusive`` tells whether chance is excluded:
    for ``forgotten`` that two one-sided tests at the margin hold (:func:`monai_unlearn.metrics.tost`).

    What was to be kept is compared with the teacher, or with the oracle where that is worse: nobody can ask more of a
    network that has to do without the forget cases. It is not kept where it fell beyond margin and chance. ``hidden``
    says that more than ``margins.hidden`` of what was lost comes back after retain-only relearning, and more than comes
    back to the oracle.

    Args:
        cases: the cases, with the scores of every model.
        config: how the networks are read.
        margins: how far is too far.
        tests: what :func:`run_tests` returned.

    Returns:
        ``outcome``, ``conclusive``, ``hidden`` (``None`` where relearning says nothing), ``utility_kept`` (``None``
        where nothing could be measured), ``passed`` (forgotten, useful, and shown not to be hidden; of the permanent
        grade, with a recovery within ``margins.recovery``), ``against``, ``gap``, ``gap_interval``, ``checks`` (each
        with ``name``, ``value``, ``bound`` and ``holds``, some with ``interval``), ``sentences``, ``margins``.
    """
    gap = measure_distance(cases, config, confidence=margins.confidence)
    attack = attack_distance(cases, config, confidence=margins.confidence)
    compared = ["forget", *(["reference"] if gap.against == "reference cases" else [])]
    readable = not any(cases.scores["student"].lacks_foreground(cases.subsets[subset]) for subset in compared)
    outcome = _outcome(gap, attack, margins) if readable else "undecided"
    if outcome in ("forgotten", "nothing to forget"):
        conclusive = gap.within(margins.measure)
    else:
        conclusive = readable and gap.interval is not None
    utility = _utility(cases, config, margins)
    utility_kept = all(check["holds"] for check in utility) if utility else None
    share, hidden = _hidden(tests, margins)
    stays_away = hidden is False and (config.grade != "permanent" or abs(share or 0.0) <= margins.recovery)
    if outcome in ("nothing to forget", "undecided"):
        hidden = None
    holds = not gap.beyond(margins.measure)
    checks = [_check("forget against the " + gap.against, gap.value, margins.measure, holds, interval=gap.interval)]
    if attack is not None:
        holds = not attack.clearly_beyond(margins.auc)  # a few dozen cases move an AUC by more than the margin
        name = "AUC of the loss attack against the oracle"
        checks.append(_check(name, attack.value, margins.auc, holds, interval=attack.interval))
    checks += utility
    if share is not None and config.grade == "permanent":
        checks.append(_within("recovery after retain-only relearning", share, margins.recovery))
    elif share is not None:
        checks.append(_check("recovery after retain-only relearning", share, margins.hidden, not hidden))
    return {
        "outcome": outcome,
        "conclusive": conclusive,
        "hidden": hidden,
        "utility_kept": utility_kept,
        "passed": outcome == "forgotten" and utility_kept is True and stays_away,
        "against": gap.against,
        "gap": gap.value,
        "gap_interval": None if gap.interval is None else list(gap.interval),
        "checks": checks,
        "sentences": verdict_sentences(
            outcome,
            gap=gap,
            attack=attack if attack is not None and attack.clearly_beyond(margins.auc) else None,
            by_attack=not gap.beyond(margins.measure),
            conclusive=conclusive,
            hidden=hidden,
            utility_kept=utility_kept,
            measure=config.measure,
            tests=tests,
        ),
        "margins": asdict(margins),
    }


def _outcome(gap: Distance, attack: Distance | None, margins: Margins) -> str:
    if gap.beyond(margins.measure):
        return _word(gap)
    if attack is not None and attack.clearly_beyond(margins.auc):
        return _word(attack)
    known = gap.start > margins.measure or (attack is not None and attack.start > margins.auc)
    return "forgotten" if known else "nothing to forget"


def _word(distance: Distance) -> str:
    if distance.value < 0:
        return "over-forgotten"
    return "not forgotten" if distance.value > 0.5 * distance.start else "partly forgotten"


def _utility(cases: AuditCases, config: AuditConfig, margins: Margins) -> list[dict[str, Any]]:
    checks = []
    for subset in ("retain", "unseen"):
        ids = cases.subsets[subset]
        if not ids or cases.scores["student"].lacks_foreground(ids):
            continue
        kept = {name: config.kept_values(scores, ids) for name, scores in cases.scores.items()}
        if not len(kept["student"]):
            continue
        means = {name: float(values.mean()) for name, values in kept.items()}
        yardstick = min((name for name in ("teacher", "oracle") if name in means), key=lambda name: means[name])
        change = kept["student"] - kept[yardstick]
        interval = mean_difference(change, margins.confidence)
        by_chance = interval is not None and interval[1] >= 0
        value, name = float(change.mean()), f"{subset} against the {yardstick}"
        holds = value >= -margins.measure or by_chance
        checks.append(_check(name, value, -margins.measure, holds, interval=interval))
    return checks


def _hidden(tests: Mapping[str, Any], margins: Margins) -> tuple[float | None, bool | None]:
    found = tests.get("retain_relearning", {}).get("figures", {}).get("recovery", {})
    share, of_oracle = found.get("value"), found.get("oracle")
    if share is None:
        return None, None
    comes_back = share > margins.hidden and (of_oracle is None or share > of_oracle + margins.recovery)
    return float(share), bool(comes_back)


def _within(name: str, value: float, margin: float, **more: Any) -> dict[str, Any]:
    return _check(name, value, margin, abs(value) <= margin, **more)


def _check(
    name: str, value: float, bound: float, holds: bool, *, interval: tuple[float, float] | None = None
) -> dict[str, Any]:
    found = {"name": name, "value": value, "bound": bound, "holds": bool(holds)}
    return found if interval is None else {**found, "interval": list(interval)}
