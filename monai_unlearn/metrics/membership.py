"""Membership inference: how well a score tells forget cases (members) from unseen ones (non-members).

A score is any number that is larger for members, by our convention minus the supervised loss of the case. Read both
figures against the oracle's, from both sides: an AUC far below 0.5 betrays a member as surely as one far above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import compute_roc_auc

__all__ = ["membership_auc", "tpr_at_fpr", "tpr_curve"]

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
    return tpr_curve(member_scores, non_member_scores, [fpr])[0]


def tpr_curve(member_scores: Scores, non_member_scores: Scores, rates: Sequence[float]) -> list[float]:
    """Return the true-positive rate of :func:`tpr_at_fpr` for each of several false-positive rates: the ROC curve.

    Args:
        member_scores: shape ``(M,)``, larger means "more likely a member".
        non_member_scores: shape ``(N,)``.
        rates: shares of the non-members that may be called members, each in ``[0, 1]``.

    Raises:
        ValueError: as for :func:`tpr_at_fpr`.
    """
    if outside := [rate for rate in rates if not 0 <= rate <= 1]:
        raise ValueError(f"fpr is {outside[0]}; it must be a share in [0, 1].")
    members, others = _checked("member_scores", member_scores), _checked("non_member_scores", non_member_scores)
    thresholds = members.sort().values  # between two members' scores the true-positive rate does not change
    false_alarms = len(others) - torch.searchsorted(others.sort().values, thresholds)
    allowed = torch.tensor([math.floor(rate * len(others) + 1e-9) for rate in rates])  # 0.29 * 100 is 28.999…
    # the lowest threshold that is allowed: false alarms fall from one threshold to the next
    found = len(members) - torch.searchsorted(-false_alarms, -allowed)
    return (found.double() / len(members)).tolist()


def _checked(name: str, scores: Scores) -> torch.Tensor:
    values = torch.as_tensor(scores, dtype=torch.float64).detach().cpu()
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must hold one score per case, at least one; its shape is {tuple(values.shape)}.")
    if not values.isfinite().all():
        broken = (~values.isfinite()).nonzero().flatten().tolist()
        raise ValueError(f"{name} is not finite at positions {broken}: no rank can be given to these cases.")
    return values
