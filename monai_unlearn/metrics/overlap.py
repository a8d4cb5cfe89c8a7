"""Overlap of prediction and truth, one value per case and class."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from monai.metrics import CumulativeIterationMetric, compute_dice, compute_iou

from monai_unlearn.losses.outcomes import Activation, check_activation, label_outcomes, plain_float

__all__ = ["CaseOverlapMetric", "case_overlap"]

Measure = Literal["iou", "dice"]


def case_overlap(
    prediction_logits: torch.Tensor, label: torch.Tensor, *, activation: Activation, threshold: float = 0.0
) -> dict[Measure, torch.Tensor]:
    """IoU and Dice of the discrete prediction, per case and class, by MONAI's ``compute_iou`` and ``compute_dice``.

    Sigmoid predicts a label where its logit exceeds ``threshold``. Softmax predicts the likeliest class; class 0 is the
    background and left out. If truth and prediction are both empty the value is 1, as in the published procedure,
    where ``(overlap + ε) / (union + ε)`` is then 1; so every case counts, and no value is NaN.

    Args:
        prediction_logits: shape ``(B, C, *spatial)``.
        label: sigmoid: the same shape (present where > 0.5); softmax: class indices ``(B, 1, *spatial)`` or
            ``(B, *spatial)``, or one-hot ``(B, C, *spatial)``.
        activation: ``"sigmoid"`` or ``"softmax"``.
        threshold: of the logit, not of the probability; 0 is the probability 0.5. Sigmoid only.

    Returns:
        ``{"iou": (B, K), "dice": (B, K)}``, with ``K = C`` for sigmoid and ``C - 1`` for softmax.

    Raises:
        ValueError: if a logit is NaN (it would count as an empty prediction, which looks like perfect forgetting), the
            logits have no spatial axis, the label does not fit them, or ``activation`` is unknown.
    """
    logits = plain_float(prediction_logits)
    if logits.ndim < 3:
        raise ValueError(f"overlap needs logits of shape (B, C, *spatial), got {tuple(logits.shape)}.")
    if broken := logits.isnan().flatten(1).any(dim=1).nonzero().flatten().tolist():
        raise ValueError(f"the network's logits are NaN in the cases at positions {broken} of the batch.")
    truth = label_outcomes(label, logits, activation)
    if activation == "sigmoid":
        masks = {"y_pred": logits > threshold, "y": truth.bool()}
    else:
        classes = {"y_pred": logits.argmax(dim=1), "y": truth}
        masks = {
            name: F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].bool() for name, index in classes.items()
        }
    return {
        "iou": compute_iou(**masks, ignore_empty=False),
        "dice": compute_dice(**masks, ignore_empty=False),
    }


class CaseOverlapMetric(CumulativeIterationMetric):
    """`case_overlap` as a MONAI metric, fed with logits: the mean over all cases, never a mean of batch means.

    Args:
        activation: ``"sigmoid"`` or ``"softmax"``.
        measure: ``"iou"`` or ``"dice"``.
        threshold: of the logit; sigmoid only.

    Raises:
        ValueError: if ``activation`` or ``measure`` is unknown.
    """

    def __init__(self, *, activation: Activation, measure: Measure, threshold: float = 0.0) -> None:
        super().__init__()
        if measure not in get_args(Measure):
            raise ValueError(f"measure is {measure!r}; allowed are 'iou' and 'dice'.")
        self.activation, self.measure, self.threshold = check_activation(activation), measure, threshold

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return case_overlap(y_pred, y, activation=self.activation, threshold=self.threshold)[self.measure]

    def aggregate(self) -> torch.Tensor:
        """Return the mean over all cases and classes seen since ``reset``, a scalar.

        Raises:
            ValueError: if no case was seen.
        """
        values = self.get_buffer()
        if values is None:
            raise ValueError("no case was measured: call the metric on predictions and labels first.")
        return torch.as_tensor(values).mean()
