"""Distillation: on retain cases the student keeps the teacher's softened probabilities."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from monai_unlearn.losses.outcomes import Activation, case_mean, check_activation, log_probabilities, plain_float
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["DistillationTerm", "distillation_loss"]


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, *, temperature: float, activation: Activation
) -> torch.Tensor:
    r"""Distance of softened predictions, per case.

    Sigmoid: ``T² · BCE(s / T, σ(t / T))``, the mean over voxels and channels, as in the published procedure; at
    ``s = t`` its value is the teacher's entropy. Softmax: ``T² · KL(softmax(t / T) ‖ softmax(s / T))``, the mean over
    voxels; at ``s = t`` it is 0. For both, the gradient at ``s = t`` is zero, and ``T²`` keeps its size independent
    of ``T`` (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2).

    Args:
        student: logits ``s``, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits ``t``, same shape.
        temperature: ``T`` > 0.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        One value per case, shape ``(B,)``.
    """
    student, teacher = plain_float(student) / temperature, plain_float(teacher) / temperature
    if activation == "sigmoid":
        distance = F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none")
    else:
        learnt, taught = log_probabilities(student, activation), log_probabilities(teacher, activation)
        distance = F.kl_div(learnt, taught, reduction="none", log_target=True).sum(dim=1)
    return temperature**2 * case_mean(distance)


class DistillationTerm(UnlearningTerm):
    """Retention: the student keeps the teacher's softened probabilities.

    Args:
        activation: ``"sigmoid"`` for one or more labels, ``"softmax"`` for exclusive classes.
        temperature: the paper's T, there 2.
        weight: the paper's α, there 1.

    Raises:
        ValueError: if ``temperature`` is not positive and finite, or ``activation`` is unknown.
    """

    uses_teacher = True

    def __init__(self, *, activation: Activation, temperature: float = 2.0, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature is {temperature}; it must be finite and positive.")
        self.activation = check_activation(activation)
        self.temperature = temperature

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the distillation loss of every case, shape ``(B,)``."""
        return distillation_loss(
            cases.student, cases.teacher_logits, temperature=self.temperature, activation=self.activation
        )
