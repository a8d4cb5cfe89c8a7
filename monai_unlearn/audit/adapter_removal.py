"""Adapter removal: what whoever holds the base beside the adapter has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.networks import adapters_off, has_adapters

__all__ = ["AdapterRemoval"]


@dataclass(frozen=True, kw_only=True)
class AdapterRemoval:
    """The measure on forget with the adapters off: the price of being reversible.

    This is no attack on the merged checkpoint, from which no adapter can be taken off; it says what a recipient of base
    *and* adapter has. On a student of the reversible grade it is the teacher's, always.
    """

    name: ClassVar[str] = "adapter_removal"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget``."""
        student, forget = models["student"], cases.subsets["forget"]
        forgotten = "the oracle's; with a reversible adapter that cannot be, so ship the merged network alone"
        if not has_adapters(student):
            sentence = "Nothing can be taken off this network."
            reason = "there is no adapter to remove: the student is a plain network"
            return {"forget": Finding(value=None, forgotten=forgotten, sentence=sentence, reason=reason)}
        with adapters_off(student):
            value = float(config.values(config.score(student, cases.loader(forget)), forget).mean())
        known = {name: float(config.values(cases.scores[name], forget).mean()) for name in models}
        return {
            "forget": Finding(
                value=value,
                oracle=known.get("oracle"),
                teacher=known.get("teacher"),
                forgotten=forgotten,
                sentence=f"Whoever takes the adapter off has the {config.measure} on forget of {value:.3f} again "
                f"(student {known['student']:.3f}).",
            )
        }
