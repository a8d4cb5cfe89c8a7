"""Keep the running statistics of a network still while it trains."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["freeze_normalisation", "normalisation_layers"]


def normalisation_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """List the layers whose running statistics move in train mode.

    These are the layers that own a ``running_mean``: batch normalisation, synchronised or not, and instance
    normalisation with ``track_running_stats``; those of third parties keep to the same name.

    Args:
        network: any network, with adapters or without.

    Returns:
        Pairs of full name and layer.
    """
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(dict(module.named_buffers(recurse=False)).get("running_mean"), torch.Tensor)
    ]


def freeze_normalisation(network: nn.Module) -> None:
    """Put the layers with running statistics in eval mode; call it after each ``network.train()``.

    ``network.train()`` moves the statistics at the next forward although every weight is frozen, and a network whose
    statistics have moved no longer gives the teacher's output with adapters off.

    Args:
        network: the network in training.
    """
    for _name, layer in normalisation_layers(network):
        layer.eval()
