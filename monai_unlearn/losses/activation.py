"""Which activation a loss applies to the network's logits: what a bundle says nowhere else in so many words."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from monai_unlearn.losses.outcomes import Activation

__all__ = ["activation_of"]

_BY_NAME: dict[str, Activation] = {
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "use_softmax": "softmax",
    "pre_sigmoid": "sigmoid",
    "pre_softmax": "softmax",
}
"""Flags of MONAI's losses; those of the focal loss and of the masked Dice loss have names of their own."""
_BY_CLASS: dict[str, Activation] = {
    "CrossEntropyLoss": "softmax",
    "BCEWithLogitsLoss": "sigmoid",
    "MultiLabelSoftMarginLoss": "sigmoid",
}


def activation_of(loss_function: object) -> Activation:
    """Tell whether a loss reads logits through a sigmoid or through a softmax.

    MONAI's losses say so in flags such as ``sigmoid`` and ``softmax``, torch's by what they are;
    a loss that holds others, such as ``DiceCELoss`` or ``DeepSupervisionLoss``, is asked for the first that says so.

    Args:
        loss_function: the loss a network was trained with.

    Raises:
        ValueError: if the loss does not say, for instance because it takes probabilities.
    """
    for part in _parts(loss_function):
        for name, activation in _BY_NAME.items():
            if getattr(part, name, False) is True:
                return activation
        if type(part).__name__ in _BY_CLASS:
            return _BY_CLASS[type(part).__name__]
        if type(part).__name__ == "FocalLoss":
            return "sigmoid"
    raise ValueError(
        f"the loss {type(loss_function).__name__} does not say whether the network's logits go through a sigmoid or a "
        "softmax; say it with --activation sigmoid or --activation softmax"
    )


def _parts(loss_function: object) -> Iterator[object]:
    """Yield a loss, then the losses in it; the Dice part of a combined loss comes first, as it is the one that says."""
    yield loss_function
    if isinstance(loss_function, nn.Module):
        for _, part in sorted(loss_function.named_children(), key=lambda child: "dice" not in child[0]):
            yield from _parts(part)
    inner = getattr(loss_function, "loss", None)  # DeepSupervisionLoss keeps its loss as a plain attribute
    if inner is not None and not isinstance(inner, nn.Module):
        yield from _parts(inner)
