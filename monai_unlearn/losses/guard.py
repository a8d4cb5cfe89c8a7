"""Guard: on retain cases the student's logits stay near the teacher's."""

from __future__ import annotations

import torch

from monai_unlearn.losses.outcomes import case_mean, plain_float
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["GuardTerm", "guard_loss"]


def guard_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared logit distance, ``mean (s - t)²``, per case.

    Args:
        student: logits ``s``, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits ``t``, same shape.

    Returns:
        One value per case, shape ``(B,)``.
    """
    return case_mean((plain_float(student) - plain_float(teacher)).square())


class GuardTerm(UnlearningTerm):
    """Retention: unlike the distillation, which no longer feels a saturated probability, this holds the logits.

    Args:
        weight: the paper's β, there 0.05.
    """

    uses_teacher = True

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the mean squared logit distance of every case, shape ``(B,)``."""
        return guard_loss(cases.student, cases.teacher_logits)
