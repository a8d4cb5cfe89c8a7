"""What logits give probabilities to: one view of sigmoid and softmax outputs, so that each term is written once."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F

__all__ = ["Activation", "case_mean", "check_activation", "label_outcomes", "log_probabilities", "plain_float"]

Activation = Literal["sigmoid", "softmax"]


def check_activation(activation: Activation) -> Activation:
    """Return ``activation`` if it is one of ``"sigmoid"`` and ``"softmax"``, else raise a ``ValueError``."""
    if activation not in get_args(Activation):
        raise ValueError(f"activation is {activation!r}; allowed are 'sigmoid' (one or more labels) and 'softmax'.")
    return activation


def plain_float(values: torch.Tensor) -> torch.Tensor:
    """Drop MONAI's metadata and lift half precision to float32 (float64 stays); gradients pass through.

    Metadata would travel through every operation, and a sum over a half-precision volume overflows at 65504.
    """
    values = values.as_subclass(torch.Tensor)
    return values if values.dtype == torch.float64 else values.float()


def log_probabilities(logits: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Log-probability of every outcome of every element, finite for any finite logits.

    An *element* is what is predicted on its own. Sigmoid: each channel of each voxel, with the outcomes 0 (absent) and
    1 (present). Softmax: each voxel, with one outcome per class.

    Args:
        logits: shape ``(B, C, *spatial)`` or ``(B, C)``.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        Shape ``(B, 2, C, *spatial)`` for sigmoid, ``(B, C, *spatial)`` for softmax: outcomes on axis 1.

    Raises:
        ValueError: if ``activation`` is unknown, or softmax is asked of a single logit, which would be the constant 1.
    """
    logits = plain_float(logits)
    if check_activation(activation) == "sigmoid":
        return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
    if logits.shape[1] < 2:
        raise ValueError("softmax needs two logits or more, but the network gives one: use activation='sigmoid'.")
    return F.log_softmax(logits, dim=1)


def label_outcomes(label: torch.Tensor, logits: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Index of the true outcome of every element, from any form of label that MONAI's losses take.

    Args:
        label: sigmoid: the shape of ``logits``, or without its channel if that is single; present where > 0.5.
            Softmax: class indices ``(B, 1, *spatial)`` or ``(B, *spatial)``, or one-hot ``(B, C, *spatial)``.
        logits: shape ``(B, C, *spatial)`` or ``(B, C)``; only its shape is read.
        activation: ``"sigmoid"`` or ``"softmax"``.

    Returns:
        Integers (int64) of shape ``(B, C, *spatial)`` for sigmoid, ``(B, *spatial)`` for softmax.

    Raises:
        ValueError: if ``activation`` is unknown, the shape fits no form, or a class index is not in ``0 … C - 1``.
    """
    label, shape = label.as_subclass(torch.Tensor), logits.shape
    without_channel = shape[:1] + shape[2:]
    if check_activation(activation) == "sigmoid":
        if label.shape == shape or (shape[1] == 1 and label.shape == without_channel):
            return (label.reshape(shape) > 0.5).long()
    elif label.shape == shape:
        return label.argmax(dim=1)
    elif label.shape in (without_channel, (*shape[:1], 1, *shape[2:])):
        classes = label.reshape(without_channel).long()
        if foreign := sorted(set(classes[(classes < 0) | (classes >= shape[1])].tolist())):
            raise ValueError(
                f"the label holds the classes {foreign}, but the network's {shape[1]} logits stand for the classes "
                f"0 … {shape[1] - 1}: map the label's values or check the network's channels."
            )
        return classes
    raise ValueError(f"a label of shape {tuple(label.shape)} fits no {activation} logits of shape {tuple(shape)}.")


def case_mean(values: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over all but the first axis, so that neither image size nor class count changes a term's scale.

    Args:
        values: shape ``(B, …)`` or ``(B,)``.
        weights: non-negative, the shape of ``values``; a case whose weights are all zero has the mean 0.

    Returns:
        One value per case, shape ``(B,)``.
    """
    values = values.unsqueeze(-1).flatten(1)
    if weights is None:
        return values.mean(dim=1)
    weights = weights.unsqueeze(-1).flatten(1).to(values.dtype)
    total = weights.sum(dim=1)
    return (weights * values).sum(dim=1) / torch.where(total > 0, total, 1)
