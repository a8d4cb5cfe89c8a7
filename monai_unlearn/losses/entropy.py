"""Entropy: forget cases are pushed to the prediction that knows nothing."""

from __future__ import annotations

import math

import torch

from monai_unlearn.losses.outcomes import Activation, case_mean, check_activation, log_probabilities
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["EntropyTerm", "entropy_loss"]


def entropy_loss(student: torch.Tensor, *, activation: Activation) -> torch.Tensor:
    """Divergence of the uniform prediction from the student's, per case: ``KL(u ‖ p) = -mean log p - log K``.

    ``K`` is the number of outcomes (2 per sigmoid label, C for softmax). It is 0 at the uniform prediction alone, where
    the entropy is greatest. ``KL(u ‖ p)`` and not the negative entropy ``KL(p ‖ u)``, because the gradient of the
    latter dies on saturated logits, and a trained network's are: here it stays ``p - u``.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        One value per case in nats, shape ``(B,)``.
    """
    learnt = log_probabilities(student, activation)
    return case_mean(-learnt.mean(dim=1) - math.log(learnt.shape[1]))


class EntropyTerm(UnlearningTerm):
    """Erasure towards the uniform prediction, for segmentation and classification alike.

    Args:
        activation: ``"sigmoid"`` for one or more labels, ``"softmax"`` for exclusive classes.
        weight: the paper's λ (weight of its forgetting term), there 3.

    Raises:
        ValueError: if ``activation`` is unknown.
    """

    def __init__(self, *, activation: Activation, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        self.activation = check_activation(activation)

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the divergence from the uniform prediction of every case, shape ``(B,)``."""
        return entropy_loss(cases.student, activation=self.activation)
