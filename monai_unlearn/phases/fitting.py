"""Do network, images, labels and loss of a bundle fit together, as unlearning and its audit need them to?"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from monai.networks.utils import eval_mode, train_mode
from torch import nn

from monai_unlearn.losses import Activation, label_outcomes

__all__ = ["fitting_input", "fitting_names"]


def fitting_input(
    network: nn.Module, example: torch.Tensor, *, label: torch.Tensor, task: str, activation: Activation
) -> torch.Tensor:
    """Run a copy of a network on an example in evaluation and in training mode, and return the example.

    Args:
        network: the network; it is not changed.
        example: its input, shape ``(1, C, *spatial)``.
        label: the label of such an input, first axis 1.
        task: ``"segmentation"`` or ``"classification"``.
        activation: what the network's logits go through.

    Raises:
        ValueError: if the network does not take the example, gives anything but one tensor of one shape, or its logits
            and the label do not fit; or for a classification whose classes are not exclusive.
    """
    if task == "classification" and activation != "softmax":
        raise ValueError(
            f"the labels are classes of whole images and the loss reads logits through a {activation}: classifications "
            "of several labels at once are not supported"
        )
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
    label_outcomes(label, outputs["evaluation"][:1], activation)
    return example


def fitting_names(
    class_names: Sequence[str] | None, network: nn.Module, example: torch.Tensor, *, task: str
) -> list[str] | None:
    """Return names for the classes that a network gives: those of the metadata if they are as many.

    Others are no use: metadata may name the values of a label map, of which a network with one logit gives one.

    Args:
        class_names: names, if there are any.
        network: the network; it is not changed.
        example: its input, shape ``(1, C, *spatial)``.
        task: where it is ``"classification"``, classes without names are numbered.
    """
    network = copy.deepcopy(network).cpu()
    with torch.no_grad(), eval_mode(network):
        classes = network(example).shape[1]
    if class_names is not None and len(class_names) == classes:
        return list(class_names)
    return [str(number) for number in range(classes)] if task == "classification" else None
