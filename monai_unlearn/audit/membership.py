"""The loss attack: can one tell forgotten cases from unseen ones by how well the network does on them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_unlearn.audit.scores import CaseScores
from monai_unlearn.metrics import membership_auc, tpr_at_fpr

__all__ = ["MINIMUM_CASES", "loss_attack", "too_few"]

MINIMUM_CASES = 10
"""With fewer cases on a side, the AUC of an attack says nothing."""


def loss_attack(scores: CaseScores, *, forget: Sequence[str], unseen: Sequence[str]) -> dict[str, Any]:
    """Attack with the negative supervised loss as the membership score, forget cases positive, unseen ones negative.

    Args:
        scores: figures of the attacked model.
        forget: ids of the cases that were to be forgotten.
        unseen: ids of cases that were never trained on and steered nothing.

    Returns:
        ``auc`` and ``tpr_at_1pct_fpr``. With fewer than ten cases on a side both are ``None`` and ``reason`` says why.
        0.5 is no better than guessing; what matters is the oracle's figure, from both sides.
    """
    if reason := too_few({"forget": len(forget), "unseen": len(unseen)}):
        return {"auc": None, "tpr_at_1pct_fpr": None, "reason": reason}
    positive, negative = -scores.of(forget, "loss"), -scores.of(unseen, "loss")
    return {"auc": membership_auc(positive, negative), "tpr_at_1pct_fpr": tpr_at_fpr(positive, negative, fpr=0.01)}


def too_few(counts: Mapping[str, int], *, needed: int = MINIMUM_CASES, noun: str = "cases") -> str:
    """Say why so few cases give no figure; empty if they are enough.

    Args:
        counts: how many there are, by kind, such as ``{"forget": 9, "unseen": 24}``.
        needed: how many of each there must be.
        noun: what is counted, such as ``"cases with foreground"``.
    """
    fewest = min(counts.values())
    if fewest >= needed:
        return ""
    which = " and ".join(f"{needed} {kind}" for kind in counts)
    return f"needs {which} {noun}; " + (f"one of them has {fewest}" if len(counts) > 1 else f"there are {fewest}")
