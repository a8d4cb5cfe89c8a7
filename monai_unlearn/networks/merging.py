"""Turn a network with adapters into a plain one."""

from __future__ import annotations

import copy

import torch
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from monai_unlearn.networks.adapters import adapter_layers
from monai_unlearn.networks.injection import ADAPTER

__all__ = ["MergedWeights", "merge_adapters", "merged_state_dict", "remove_adapters"]


def merge_adapters(network: nn.Module) -> nn.Module:
    """Copy a network and work the adapters into the weights of the copy.

    Args:
        network: a network after :func:`inject_lora`; it is not changed.

    Returns:
        A plain network of the same class and keys, all of its parameters trainable; its output is that of ``network``
        with adapters on, up to rounding.

    Raises:
        ValueError: if the network has no adapters, or a merged weight is not finite.
    """
    merged = copy.deepcopy(network, _without_graph(network))
    for layer in adapter_layers(merged).values():
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True, adapter_names=[ADAPTER])
        else:
            layer.original_module = layer.modules_to_save[ADAPTER]
    return remove_adapters(merged).requires_grad_(True)


def remove_adapters(network: nn.Module) -> nn.Module:
    """Put the base layers back in their places, in place, and return the network, now a plain one.

    Args:
        network: a network after :func:`inject_lora`.

    Raises:
        ValueError: if the network has no adapters.
    """
    for name, layer in adapter_layers(network).items():
        parent, _, child = name.rpartition(".")
        plain = layer.original_module if isinstance(layer, ModulesToSaveWrapper) else layer.base_layer
        setattr(network.get_submodule(parent), child, plain)
    del network.peft_config
    return network


def merged_state_dict(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of the student under plain keys, to load with ``strict=True`` into the original network.

    Args:
        network: a network after :func:`inject_lora`; it is not changed.
    """
    return merge_adapters(network).state_dict()


class MergedWeights:
    """What MONAI's stock ``CheckpointSaver`` has to save in place of the network: the merged weights.

    Args:
        network: a network after :func:`inject_lora`.

    Example:
        >>> CheckpointSaver(save_dir, {"model": MergedWeights(network)}, save_final=True)  # doctest: +SKIP
    """

    def __init__(self, network: nn.Module) -> None:
        """Keep the network; nothing is merged before :meth:`state_dict`."""
        self.network = network

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Merge a copy of the network as it is now, and return its state dict."""
        return merged_state_dict(self.network)


def _without_graph(network: nn.Module) -> dict[int, torch.Tensor]:
    """Prepare a deep copy's memo for outputs a network keeps, as DynUNet's heads: torch cannot copy their graph."""
    memo = {}
    for module in network.modules():
        for value in vars(module).values():
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, torch.Tensor) and not item.is_leaf:
                    memo[id(item)] = item.detach().clone()
    return memo
