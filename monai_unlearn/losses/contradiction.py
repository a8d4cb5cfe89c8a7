"""Contradiction: the paper's adversarial erasing, towards the complement of what the teacher is sure of."""

from __future__ import annotations

import torch

from monai_unlearn.losses.outcomes import Activation, case_mean, check_activation, log_probabilities
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["ContradictionTerm", "contradiction_loss"]


def contradiction_loss(
    student: torch.Tensor, teacher: torch.Tensor, *, activation: Activation, tau: float
) -> torch.Tensor:
    """Push the student off the teacher's confident outcomes: ``mean (-log(1 - p_s[k]))`` per case.

    ``k`` is the teacher's likeliest outcome, and the mean runs over the elements where the teacher gives it more than
    ``tau``; the others pull at nothing. A case without any such element has the value 0. For one logit this is the
    binary cross-entropy towards the inverted mask; for softmax, any class but the teacher's will do.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits, same shape.
        activation: ``"sigmoid"`` or ``"softmax"``.
        tau: confidence above which the teacher is contradicted, in ``[0, 1)``.

    Returns:
        One value per case, shape ``(B,)``.
    """
    confidence, outcome = log_probabilities(teacher, activation).exp().max(dim=1)
    learnt = log_probabilities(student, activation)
    believed = torch.zeros_like(learnt, dtype=torch.bool).scatter_(1, outcome.unsqueeze(1), True)
    otherwise = learnt.masked_fill(believed, -torch.inf).logsumexp(dim=1)  # log(1 - p) without cancellation
    return case_mean(-otherwise, confidence > tau)


class ContradictionTerm(UnlearningTerm):
    """Erasure by contradiction: where the teacher is sure, the student comes to say something else.

    In a segmentation most confident voxels are background, so the term calls for foreground there as well.

    Args:
        activation: ``"sigmoid"`` for one or more labels, ``"softmax"`` for exclusive classes.
        tau: confidence above which the teacher is contradicted, in ``[0, 1)``; the default is our choice.
        weight: the paper's λ, there 3.

    Raises:
        ValueError: if ``tau`` is outside ``[0, 1)`` or ``activation`` is unknown.
    """

    uses_teacher = True

    def __init__(self, *, activation: Activation, tau: float = 0.9, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        if not 0 <= tau < 1:
            raise ValueError(f"tau is {tau}; it must be a probability in [0, 1).")
        self.activation = check_activation(activation)
        self.tau = tau

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the contradiction loss of every case, shape ``(B,)``."""
        return contradiction_loss(cases.student, cases.teacher_logits, activation=self.activation, tau=self.tau)
