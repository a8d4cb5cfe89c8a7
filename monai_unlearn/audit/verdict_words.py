"""The verdict in words: one plain sentence for everything that was found, and for every reservation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_unlearn.audit.distance import Distance

__all__ = ["verdict_sentences"]

BY_ATTACK = {
    "not forgotten": "The loss attack knows the forget cases as well as before",
    "partly forgotten": "The loss attack knows the forget cases better than after retraining",
    "over-forgotten": "The forget cases stand out by their high losses, which betrays them as well",
}


def verdict_sentences(
    outcome: str,
    *,
    gap: Distance,
    attack: Distance | None,
    by_attack: bool,
    conclusive: bool,
    hidden: bool | None,
    utility_kept: bool | None,
    measure: str,
    tests: Mapping[str, Any],
) -> list[str]:
    """Say what was found, what stands against it, whether it is hidden, and what it cost.

    Args:
        outcome: one of :data:`OUTCOMES`.
        gap: the student's distance by the measure.
        attack: that by the loss attack, if it is beyond margin and chance.
        by_attack: whether the attack alone decided.
        conclusive: whether chance is excluded.
        hidden: whether it comes back.
        utility_kept: whether the network is as good as before on the rest.
        measure: name of the measure.
        tests: what :func:`run_tests` returned.
    """
    return [
        _said(outcome, gap, attack, by_attack, measure),
        *_reservations(outcome, conclusive, gap),
        *_of_hiding(outcome, hidden, tests),
        *_of_utility(utility_kept),
    ]


def _said(outcome: str, gap: Distance, attack: Distance | None, by_attack: bool, measure: str) -> str:
    target = {"oracle": "the oracle's", "0": "0"}.get(gap.against, "that of the reference cases")
    size = f"the student's {measure} on forget lies {abs(gap.value):.3f} {_side(gap)} {target}"
    if attack is not None:
        betrayed = f"the AUC of the loss attack lies {abs(attack.value):.3f} {_side(attack)} the oracle's"
        if by_attack:
            return f"{BY_ATTACK[outcome]}: {betrayed}, while {size}."
        size += f", and {betrayed}"
    return {
        "not forgotten": f"Nothing of note was forgotten: {size}.",
        "partly forgotten": f"Less was forgotten than retraining forgets: {size}.",
        "over-forgotten": f"Too much was forgotten, which betrays the cases as well: {size}.",
        "forgotten": f"In its outputs the student has forgotten: {size}.",
        "nothing to forget": "There was nothing to forget that these figures could show: already the teacher's "
        f"{measure} on forget lies only {abs(gap.start):.3f} {'above' if gap.start > 0 else 'below'} {target}.",
        "undecided": "Nothing can be said: the forget cases, or those that they are compared with, have no "
        f"foreground, and a network that finds nothing has the {measure} 1 on such cases; check their labels.",
    }[outcome]


def _side(distance: Distance) -> str:
    return "above" if distance.value > 0 else "below"


def _reservations(outcome: str, conclusive: bool, gap: Distance) -> list[str]:
    sentences = []
    if not conclusive and outcome != "undecided":
        sentences.append("There are too few cases to tell this from a difference of chance with confidence.")
    if gap.against == "reference cases":
        sentences.append("No oracle was there to compare with; other cases are a weaker yardstick.")
    return sentences


def _of_hiding(outcome: str, hidden: bool | None, tests: Mapping[str, Any]) -> list[str]:
    if outcome in ("nothing to forget", "undecided"):
        return []
    if hidden:
        return ["It is hidden, not erased: training on with other cases brings a good part of it back."]
    if hidden is not None:
        return ["Training on with the retain cases brings little or nothing of it back."]
    if "retain_relearning" in tests:
        reason = tests["retain_relearning"]["figures"]["recovery"]["reason"]
        return [f"Whether it comes back when the network is trained on cannot be said: {reason}."]
    return ["Whether it comes back when the network is trained on was not tested."]


def _of_utility(utility_kept: bool | None) -> list[str]:
    if utility_kept is None:
        return ["What was to be kept could not be measured: there is no case with anything else on it."]
    return [] if utility_kept else ["The network got worse on what it was to keep."]
