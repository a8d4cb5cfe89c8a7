"""The verdict of an audit in words, for the first lines of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_unlearn.visualize.report_wording import score

__all__ = ["summarise_verdict"]

_HEADLINES = {
    "forgotten": "Forgotten, as far as its outputs show",
    "partly forgotten": "Partly forgotten: less than retraining forgets",
    "not forgotten": "Not forgotten",
    "over-forgotten": "Over-forgotten: the cases stand out by how badly the network does on them",
    "nothing to forget": "Nothing to forget: the teacher stood already where forgetting leads",
    "undecided": "Undecided: the figures do not say",
}
_GRADES = {
    "reversible": "Reversible: what was forgotten lies hidden behind an adapter and can be brought back.",
    "permanent": "Permanent: the weights themselves have changed.",
    None: "Unknown: it is not known how the student was made, or whether it can be undone.",
}


def summarise_verdict(audit: Mapping[str, Any]) -> dict[str, Any] | None:
    """Put the verdict into a headline and short answers.

    Returns:
        ``headline``, ``tone`` (``good``, ``mixed`` or ``bad``), ``answers`` (question, answer and tone), ``sentences``,
        ``checks`` (``bound`` in words), ``gap`` in words; ``None`` where the audit has no verdict.
    """
    verdict = audit.get("verdict")
    if not verdict:
        return None
    outcome, hidden = verdict["outcome"], verdict.get("hidden")
    forgotten = outcome == "forgotten"
    headline = _HEADLINES.get(outcome, outcome[:1].upper() + outcome[1:])
    if forgotten and hidden:
        headline = "Hidden, not erased: the outputs show nothing, yet it comes back"
    elif forgotten and not verdict.get("conclusive"):
        headline += ", on too few cases to be sure"
    comes_back = None if hidden is None else not hidden
    answers = {
        "Are there enough cases to say so?": _answer(verdict.get("conclusive"), "Yes", "No, chance is not ruled out"),
        "Does it come back when the network is trained on?": _answer(
            comes_back, "No, or hardly", "Yes: it is hidden, not erased"
        ),
        "Is the network as good as before on all else?": _answer(
            verdict.get("utility_kept"), "Yes", "No, it got worse"
        ),
    }
    if outcome == "not forgotten":
        answers["Does it come back when the network is trained on?"] = (
            "It was not forgotten in the first place",
            "mixed",
        )
    whole = verdict.get("passed", forgotten and not hidden and bool(verdict.get("utility_kept")))
    sure = whole and bool(verdict.get("conclusive")) and hidden is False
    bad = outcome in ("not forgotten", "over-forgotten")
    return {
        "headline": headline,
        "tone": "good" if sure else "bad" if bad else "mixed",
        "answers": [{"question": asked, "answer": said, "tone": tone} for asked, (said, tone) in answers.items()],
        "grade": _GRADES.get(audit.get("grade"), str(audit.get("grade"))),
        "sentences": verdict.get("sentences") or [],
        "against": verdict.get("against"),
        "gap": verdict.get("gap"),
        "gap_interval": verdict.get("gap_interval"),
        "checks": [{**check, "bound": _bound(check, audit.get("grade"))} for check in verdict.get("checks") or []],
        "margins": verdict.get("margins") or {},
    }


def _answer(holds: bool | None, yes: str, no: str) -> tuple[str, str]:
    if holds is None:
        return "Not tested", "mixed"
    return (yes, "good") if holds else (no, "bad")


def _bound(check: Mapping[str, Any], grade: str | None) -> str:
    """Say on which side of a bound a figure has to stay."""
    bound, name = check["bound"], check["name"]
    if not isinstance(bound, int | float):
        return str(bound)
    if bound < 0:
        return f"at least {score(bound)}"
    if " against the " in name or (name.startswith("recovery") and grade == "permanent"):
        if check["holds"] and abs(check["value"]) > bound:  # judged by its interval, not by the value alone
            return f"not surely beyond ±{score(bound)}"
        return f"within ±{score(bound)}"
    return f"at most {score(bound)}"
