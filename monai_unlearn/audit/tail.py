"""The tail test: are the high losses missing that cases have which were never trained on?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import tpr_at_fpr

__all__ = ["TailTest"]


@dataclass(frozen=True, kw_only=True)
class TailTest:
    """How vulnerable a network is, from the tail of its losses alone (arXiv 2510.19773).

    Training takes cases out of the high-loss tail. The share of unseen cases with a loss above (nearly) all members'
    losses, the true-negative rate of the loss attack at a low false-negative rate, predicts without any shadow model
    how well a strong attack does at few false alarms. Asked of forget cases it says whether they are back in the tail
    that unseen ones have; asked of retain cases, how exposed those are, before and after.

    Args:
        false_negatives: share of the members whose loss may lie above the threshold.
    """

    name: ClassVar[str] = "tail_test"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    false_negatives: float = 0.01

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget`` and ``retain``: the share of unseen cases above the losses of these."""
        return {
            "forget": self._missing("forget", "the oracle's share, neither above nor below it", models, cases),
            "retain": self._missing("retain", "no more than the teacher's: nobody else is exposed", models, cases),
        }

    def _missing(self, subset: str, forgotten: str, models: AuditModels, cases: AuditCases) -> Finding:
        members, unseen = cases.subsets[subset], cases.subsets["unseen"]
        if reason := too_few({subset: len(members), "unseen": len(unseen)}):
            return Finding(value=None, forgotten=forgotten, sentence="The tail was not looked at.", reason=reason)
        share = {
            name: tpr_at_fpr(
                cases.scores[name].of(unseen, "loss"),
                cases.scores[name].of(members, "loss"),
                fpr=self.false_negatives,
            )
            for name in models
        }
        return Finding(
            value=share["student"],
            oracle=share.get("oracle"),
            teacher=share.get("teacher"),
            forgotten=forgotten,
            sentence=f"A share of {share['student']:.3f} of the unseen cases has a loss that {subset} cases never "
            f"reach{said_beside(share)}.",
            details={"false_negatives": self.false_negatives},
        )
