"""Confidence: how sure a network is of its output, per case, and whether that is justified."""

from __future__ import annotations

import torch
from monai.metrics import calibration_binning

from monai_unlearn.losses.outcomes import Activation, case_mean, label_outcomes, log_probabilities

__all__ = ["PooledCalibrationError", "case_confidence"]


def case_confidence(
    logits: torch.Tensor, label: torch.Tensor | None = None, *, activation: Activation
) -> dict[str, torch.Tensor]:
    """Mean over a case's elements of the largest probability, and of the entropy in nats.

    An element is each label of each voxel for sigmoid, each voxel for softmax (or the case itself, of a
    classification). Averaged over all elements the background decides; averaged over the true foreground it does not.

    Args:
        logits: shape ``(B, C, *spatial)`` or ``(B, C)``.
        label: for a segmentation, in any form that MONAI's losses take; ``None``: no figures of the foreground.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        ``confidence`` and ``entropy``, with a label also ``foreground_confidence`` and ``foreground_entropy`` (NaN
        where a case has no foreground) and ``foreground``, the number of its elements; each of shape ``(B,)``.
    """
    log_p = log_probabilities(logits, activation)
    largest = log_p.max(dim=1).values.exp()
    entropy = -(log_p.exp() * log_p).sum(dim=1)
    values = {"confidence": case_mean(largest), "entropy": case_mean(entropy)}
    if label is not None:
        inside = label_outcomes(label, logits, activation) > 0
        count = inside.flatten(1).sum(dim=1)
        none = torch.where(count > 0, 0.0, torch.nan).to(largest.dtype)
        values["foreground_confidence"] = case_mean(largest, inside) + none
        values["foreground_entropy"] = case_mean(entropy, inside) + none
        values["foreground"] = count.to(largest.dtype)
    return values


class PooledCalibrationError:
    """Expected calibration error over the elements of all cases together, without keeping them.

    Elements are sorted by their largest probability into bins of equal width; the error is the mean over the elements
    of ``|mean probability - share that is right|`` of their bin (Guo et al., ICML 2017, eq. 3). The binning is MONAI's;
    its ``CalibrationErrorMetric`` takes the mean of the errors of single images, which is another figure and not
    defined for a classification, where an image is one element.

    Args:
        activation: ``"sigmoid"`` or ``"softmax"``.
        bins: number of bins in ``[0, 1]``.
    """

    def __init__(self, *, activation: Activation, bins: int = 15) -> None:
        self.activation, self.bins = activation, bins
        self._sums = torch.zeros(3, bins, dtype=torch.float64)

    def update(self, logits: torch.Tensor, label: torch.Tensor) -> None:
        """Add a batch: logits ``(B, C, *spatial)`` or ``(B, C)`` and labels as MONAI's losses take them."""
        largest, predicted = log_probabilities(logits, self.activation).max(dim=1)
        right = predicted == label_outcomes(label, logits, self.activation)
        self.add(largest.exp(), right)

    def add(self, confidence: torch.Tensor, right: torch.Tensor) -> None:
        """Add elements: their largest probability and whether the prediction is right, of one shape."""
        # image by image: MONAI sums in single precision, which a whole batch of volumes would exhaust
        rows = (values.unsqueeze(-1).flatten(1) for values in (confidence, right))
        for one, hit in zip(*rows, strict=True):
            stacked = (values.detach().cpu().float()[None, None] for values in (one, hit))
            mean, share, count = (value[0, 0].double() for value in calibration_binning(*stacked, num_bins=self.bins))
            self._sums += torch.stack([mean.nan_to_num() * count, share.nan_to_num() * count, count])

    def value(self) -> float:
        """Return the error of all elements so far, in ``[0, 1]``.

        Raises:
            ValueError: if there is none.
        """
        confidence, right, count = self._sums
        if not count.sum():
            raise ValueError("no element was added: there is nothing to be calibrated.")
        return float((confidence - right).abs().sum() / count.sum())
