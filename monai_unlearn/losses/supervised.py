"""Supervised term: the bundle's own loss, one value per case."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monai_unlearn.losses.outcomes import case_mean, plain_float
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["LossFunction", "SupervisedTerm", "case_losses"]

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def case_losses(loss_function: LossFunction, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Apply any loss to each case by itself, as if the batch size were 1.

    Most MONAI losses reduce over the batch, some (``batch=True``, ``DiceCELoss``) cannot do otherwise, so the cases go
    through one at a time. That costs a few calls per case, not more arithmetic, and one backward pass serves them all:
    ``split`` joins the gradients once, where indexing case by case would write a gradient of the whole batch for each.

    Args:
        loss_function: takes logits ``(1, C, …)`` and label ``(1, …)``; a loss that does not reduce to one value is
            averaged, as MONAI's trainer does.
        logits: shape ``(B, C, *spatial)`` or ``(B, C)``; half precision is lifted to float32.
        label: as ``loss_function`` takes it, first axis ``B``.

    Returns:
        One value per case, shape ``(B,)``, with gradients.

    Raises:
        ValueError: if logits and label hold different numbers of cases.
    """
    logits, label = plain_float(logits), label.as_subclass(torch.Tensor)
    if len(logits) != len(label):
        raise ValueError(f"logits hold {len(logits)} cases, the label {len(label)}.")
    if not len(logits):
        return case_mean(logits)
    pairs = zip(torch.split(logits, 1), torch.split(label, 1), strict=True)
    return torch.stack([loss_function(case, truth).mean() for case, truth in pairs])


class SupervisedTerm(UnlearningTerm):
    """Retention: the network keeps doing on these cases what it was trained for.

    The paper's supervised term has the weight 1; it is Dice + binary cross-entropy, which for one logit is
    ``monai.losses.DiceCELoss(sigmoid=True)``.

    Args:
        loss_function: any MONAI or torch loss of (logits, label).
        weight: the term's factor in the objective.

    Raises:
        TypeError: if ``loss_function`` cannot be called.
    """

    def __init__(self, *, loss_function: LossFunction, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        if not callable(loss_function):
            raise TypeError(f"loss_function must be callable as loss(logits, label), got {loss_function!r}.")
        self.loss_function = loss_function

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the loss of every case, shape ``(B,)``."""
        return case_losses(self.loss_function, cases.student, cases.label)
