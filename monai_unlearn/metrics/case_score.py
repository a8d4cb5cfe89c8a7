"""The one score of a case by which forgetting is steered: overlap for a segmentation, a hit for a classification."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from monai_unlearn.losses.outcomes import Activation, label_outcomes
from monai_unlearn.metrics.overlap import case_overlap

__all__ = ["case_score"]

Task = Literal["segmentation", "classification"]


def case_score(logits: torch.Tensor, label: torch.Tensor, *, task: Task, activation: Activation) -> torch.Tensor:
    """Score each case: the mean IoU of its classes, or 1 where its class is recognised and 0 where it is not.

    Args:
        logits: shape ``(B, C, *spatial)``; classification ``(B, C)``.
        label: as the bundle's loss takes it, first axis ``B``.
        task: ``"segmentation"`` or ``"classification"``.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        Shape ``(B,)``; its mean over cases is the IoU or the accuracy of the audit.

    Raises:
        ValueError: if ``task`` is unknown, or logits and label do not fit.
    """
    if task not in get_args(Task):
        raise ValueError(f"task is {task!r}; allowed are 'segmentation' and 'classification'.")
    if task == "segmentation":
        return torch.as_tensor(case_overlap(logits, label, activation=activation)["iou"]).float().mean(dim=1)
    truth = label_outcomes(label, logits, activation)
    return (logits.as_subclass(torch.Tensor).argmax(dim=1) == truth).float()
