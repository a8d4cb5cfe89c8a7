"""Membership inference: how well a score tells forget cases (members) from unseen ones (non-members).

A score is any number that is larger for members, by our convention minus the supervised loss of the case. Read both
figures against the oracle's, from both sides: an AUC far below 0.5 betrays a member as surely as one far above.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import compute_roc_auc

__all__ = ["membership_auc", "tpr_at_fpr"]

Scores = torch.Tensor | npt.NDArray[np.floating] | Sequence[float]


def membership_auc(member_scores: Scores, non_member_scores: Scores) -> float:
    """Probability that a member scores above a non-member, ties counting half (by MONAI's ``compute_roc_auc``).

    Args:
        member_scores: shape ``(M,)``, larger means "more likely a member".
        non_member_scores: shape ``(N,)``.

    Returns:
        The area under the ROC curve: 1 every member above every non-member, 0.5 no better than chance, 0 all below.

    Raises:
        ValueError: if either set is empty, not one-dimensional or not finite.
    """
    members, others = _checked("member_scores", member_scores), _checked("non_member_scores", non_member_scores)
    membership = torch.cat([torch.ones_like(members), torch.zeros_like(others)])
    return float(compute_roc_auc(torch.cat([members, others]), membership))


def tpr_at_fpr(member_scores: Scores, non_member_scores: Scores, fpr: float = 0.01) -> float:
    """Largest true-positive rate of a threshold whose false-positive rate is at most ``fpr``.

    "Member" is said of every score at or above the threshold. There is no interpolation between thresholds, so with
    fewer than ``1 / fpr`` non-members no false alarm at all is allowed (Carlini et al., "Membership Inference Attacks
    From First Principles", 2022).

    Args:
        member_scores: shape ``(M,)``, larger means "more likely a member".
        non_member_scores: shape ``(N,)``.
        fpr: the share of non-members that may be called members, in ``[0, 1]``.

    Returns:
        A share of the members, in ``[0, 1]``.

    Raises:
        ValueError: if either set is empty, not one-dimensional or not finite, or ``fpr`` lies outside ``[0, 1]``.
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr is {fpr}; it must be a share in [0, 1].")
    members, others = _checked("member_scores", member_scores), _checked("non_member_scores", non_member_scores)
    thresholds = members.sort().values  # between two members' scores the true-positive rate does not change
    false_alarms = len(others) - torch.searchsorted(others.sort().values, thresholds)
    allowed = thresholds[false_alarms / len(others) <= fpr]
    return float((members >= allowed[0]).double().mean()) if len(allowed) else 0.0


def _checked(name: str, scores: Scores) -> torch.Tensor:
    values = torch.as_tensor(scores, dtype=torch.float64).detach().cpu()
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must hold one score per case, at least one; its shape is {tuple(values.shape)}.")
    if not values.isfinite().all():
        broken = (~values.isfinite()).nonzero().flatten().tolist()
        raise ValueError(f"{name} is not finite at positions {broken}: no rank can be given to these cases.")
    return values
