"""Does a network take one image and give one output, in training as in evaluation? Unlearning compares these."""

from __future__ import annotations

import copy

import torch
from monai.networks.utils import eval_mode, train_mode
from torch import nn

__all__ = ["fitting_input"]


def fitting_input(network: nn.Module, example: torch.Tensor) -> torch.Tensor:
    """Run a copy of a network on an example in evaluation and in training mode, and return the example.

    Args:
        network: the network; it is not changed.
        example: its input, shape ``(1, C, *spatial)``.

    Raises:
        ValueError: if the network does not take the example, or gives anything but one tensor of one shape.
    """
    network = copy.deepcopy(network).cpu()
    outputs = {}
    for mode, context in {"evaluation": eval_mode, "training": train_mode}.items():
        with torch.no_grad(), context(network):
            try:  # two images: normalisation over a batch cannot train on one value
                outputs[mode] = network(example.repeat(2, *[1] * (example.ndim - 1)))
            except Exception as error:  # whatever a foreign network raises, it means that the input does not fit
                shape = tuple(example.shape)
                reason = " ".join(str(error).split())[:300]
                raise ValueError(
                    f"'network_def' ({type(network).__name__}) cannot take an image as 'train#dataset' gives it, of "
                    f"shape {shape}: {reason}"
                ) from error
        if not isinstance(outputs[mode], torch.Tensor):
            raise ValueError(
                f"'network_def' ({type(network).__name__}) gives a {type(outputs[mode]).__name__} in {mode} mode; the "
                "overlay works with networks that give one tensor of logits"
            )
    if outputs["training"].shape != outputs["evaluation"].shape:
        raise ValueError(
            f"'network_def' ({type(network).__name__}) gives an output of shape {tuple(outputs['training'].shape)} in "
            f"training and {tuple(outputs['evaluation'].shape)} in evaluation; the overlay works with networks of one "
            "output (deep supervision switched off)"
        )
    return example
