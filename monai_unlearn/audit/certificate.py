"""The certificate: what was asked, what was done and what was found, sealed so that a later change shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["SCHEMA", "quoted_figures", "render_certificate", "seal_certificate", "seal_of", "what_is_not_claimed"]

SCHEMA = 1
FIGURES = (
    *("schema", "tier", "data", "models", "class_request", "membership", "relearning", "verdict", "reversible", "cost"),
)
"""Parts of ``audit.json`` that a certificate quotes as they are."""
QUOTED = ("value", "oracle", "teacher", "interval", "forgotten", "sentence", "reason")
"""What it quotes of each figure of a test; curves and details stay in ``audit.json``."""


def quoted_figures(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a certificate quotes of an audit: every figure, and the verdict with the margins used.

    Args:
        audit: the content of ``audit.json``.
    """
    tests = {
        name: {
            "tier": test["tier"],
            "seconds": test["seconds"],
            "figures": {figure: {key: found.get(key) for key in QUOTED} for figure, found in test["figures"].items()},
        }
        for name, test in (audit.get("tests") or {}).items()
    }
    return {**{key: audit.get(key) for key in FIGURES}, "tests": tests}


def what_is_not_claimed(
    *,
    grade: str,
    teacher_here: bool,
    oracle_recipe: str | None,
    audited: bool,
    synthetic: bool,
    random: bool,
    classes: Sequence[int],
) -> list[str]:
    """Say in plain sentences what a certificate does not say.

    Args:
        grade: ``"reversible"`` or ``"permanent"``.
        teacher_here: whether the teacher was trained by the same run.
        oracle_recipe: how the oracle was trained; ``None`` if there is none.
        audited: whether the certificate has figures.
        synthetic: whether the images were drawn.
        random: whether chance chose what was forgotten.
        classes: label values that were to be unlearned, if that was asked.
    """
    said = [
        "No (epsilon, delta) guarantee: nothing here bounds what an attacker could learn.",
        "The audit is evidence, not proof: passing its tests is necessary for forgetting and not sufficient.",
        "The teacher, which is the base that was trained on everything, still holds the forgotten data, and so do its "
        "copies and backups. Ship the merged model.",
        "This is about one network alone: images, lists, backups, and networks made from the teacher are as they were.",
        "The seal finds a change of this file; it is no signature. Keep it where the file is not.",
    ]
    if grade == "reversible":
        said.append(
            "Reversible: whoever holds the base and the adapter can switch the forgetting off. The adapter hides; it "
            "does not erase."
        )
    else:
        said.append("Permanent means that the weights themselves changed; it is no proof that nothing can come back.")
    if not audited:
        return [*said, "No audit of this network: nothing here says how well it forgot.", *_of_cases(synthetic, random)]
    if oracle_recipe is None:
        said.append("No oracle: forgetting was read against other cases, which is a weaker yardstick.")
    elif "assumed" in oracle_recipe:
        said.append(
            "The oracle's recipe is assumed to be the teacher's"
            + ("." if teacher_here else ", since the teacher was not trained here.")
        )
    if classes:
        said.append("A class was to be unlearned: the images that show it were not forgotten as images.")
    return [*said, *_of_cases(synthetic, random)]


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything but the seal, as 64 hexadecimal digits."""
    return hashlib.sha256(_canonical({key: value for key, value in content.items() if key != "seal"})).hexdigest()


def seal_certificate(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a certificate's content with its seal as the last key; an older seal is replaced."""
    body = {key: value for key, value in content.items() if key != "seal"}
    return {**body, "seal": seal_of(body)}


def render_certificate(content: Mapping[str, Any]) -> bytes:
    """Write a certificate out; there is one way to do so, by which a changed byte shows that changes no value."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode("ascii")


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _of_cases(synthetic: bool, random: bool) -> list[str]:
    drawn = ["The images are drawn phantoms: the figures say nothing about patients."] if synthetic else []
    return drawn + (["The request was a random draw: nobody asked for it."] if random and not synthetic else [])
