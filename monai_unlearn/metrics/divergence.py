"""Drift: how far the student's predictions have moved from the teacher's, per case."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from monai_unlearn.losses.outcomes import Activation, case_mean, log_probabilities

__all__ = ["case_kl_divergence", "case_total_variation"]


def case_kl_divergence(student: torch.Tensor, teacher: torch.Tensor, *, activation: Activation) -> torch.Tensor:
    """Mean over a case's elements of ``KL(teacher ‖ student)``, in nats; 0 if and only if the predictions agree.

    An element is each label of each voxel for sigmoid, each voxel for softmax. The value is not bounded: it grows with
    the distance of the logits where the student is surely wrong.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits, same shape.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        Shape ``(B,)``.

    Raises:
        ValueError: if the shapes differ.
    """
    learnt, taught = _both(student, teacher, activation)
    return case_mean(F.kl_div(learnt, taught, reduction="none", log_target=True).sum(dim=1))


def case_total_variation(student: torch.Tensor, teacher: torch.Tensor, *, activation: Activation) -> torch.Tensor:
    """Mean over a case's elements of the total variation ``½ Σ |p_student - p_teacher|``, in ``[0, 1]``.

    For one logit it is the mean absolute difference of the probabilities.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits, same shape.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        Shape ``(B,)``.

    Raises:
        ValueError: if the shapes differ.
    """
    learnt, taught = _both(student, teacher, activation)
    return case_mean((learnt.exp() - taught.exp()).abs().sum(dim=1) / 2)


def _both(student: torch.Tensor, teacher: torch.Tensor, activation: Activation) -> tuple[torch.Tensor, torch.Tensor]:
    if student.shape != teacher.shape:
        raise ValueError(f"student's logits have shape {tuple(student.shape)}, teacher's {tuple(teacher.shape)}.")
    return log_probabilities(student, activation), log_probabilities(teacher, activation)
