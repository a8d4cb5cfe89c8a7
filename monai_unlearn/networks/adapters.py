"""Work with the adapters of a network: switch them off, measure them, scale them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn
from torch.nn.utils import parameters_to_vector

from monai_unlearn.networks.injection import ADAPTER

__all__ = ["adapter_deltas", "adapter_layers", "adapters_off", "has_adapters", "scale_adapter"]


def adapter_layers(network: nn.Module) -> dict[str, Any]:
    """List what the adapter consists of: PEFT's layers, and the wrapper of the head, by their names.

    Args:
        network: a network after :func:`inject_lora`.

    Raises:
        ValueError: if the network has no adapters.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (LoraLayer, ModulesToSaveWrapper))
    }
    if not layers:
        raise ValueError(f"{type(network).__name__} has no adapters: call inject_lora first.")
    return layers


def has_adapters(network: nn.Module) -> bool:
    """Tell whether a network, or what a parallel wrapper holds, is a student with adapters."""
    return any(isinstance(module, (LoraLayer, ModulesToSaveWrapper)) for module in network.modules())


@contextmanager
def adapters_off(network: nn.Module) -> Iterator[nn.Module]:
    """Make the network the teacher for the time of a ``with`` block.

    The output is bit for bit that of the plain network with frozen weights, whatever was learned since. (Not with
    trainable ones: torch's ``matmul`` may round its last bit differently for a weight that requires gradients, so
    freeze a separate teacher before comparing.) Blocks nest, the state before is restored after an exception too, and
    no ``requires_grad`` is touched.

    Args:
        network: a network after :func:`inject_lora`.

    Yields:
        The same network.

    Raises:
        ValueError: if the network has no adapters: it would be taken for its own teacher.

    Example:
        >>> with torch.no_grad(), adapters_off(student):  # doctest: +SKIP
        ...     teacher_logits = student(image)
    """
    layers = adapter_layers(network).values()
    before = [layer.disable_adapters for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = True  # PEFT's enable_adapters would set requires_grad, too
        yield network
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer._disable_adapters = state


def adapter_deltas(network: nn.Module) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yield what each layer has learned, detached.

    Args:
        network: a network after :func:`inject_lora`.

    Yields:
        Name of the layer, weight of the base layer, and delta of the same shape. For the head both are vectors of all
        its parameters, and the delta is the difference of the copy.
    """
    for name, layer in adapter_layers(network).items():
        if isinstance(layer, ModulesToSaveWrapper):
            base = parameters_to_vector(layer.original_module.parameters()).detach()
            yield name, base, parameters_to_vector(layer.modules_to_save[ADAPTER].parameters()).detach() - base
        else:
            yield name, layer.get_base_layer().weight.detach(), layer.get_delta_weight(ADAPTER).detach()


@torch.no_grad()
def scale_adapter(network: nn.Module, name: str, factor: float) -> None:
    """Multiply the delta of one layer by a factor, in place: 1 changes nothing, 0 forgets what it has learned.

    Args:
        network: a network after :func:`inject_lora`.
        name: name of the layer, as :func:`adapter_deltas` yields it.
        factor: the factor, for a projection onto a ball of radius ρ it is ``min(1, ρ / norm)``.

    Raises:
        ValueError: if the layer has no adapter.
    """
    layer = adapter_layers(network).get(name)
    if layer is None:
        raise ValueError(f"Layer {name!r} has no adapter; adapted are {', '.join(adapter_layers(network))}.")
    if isinstance(layer, ModulesToSaveWrapper):
        copies = layer.modules_to_save[ADAPTER].parameters()
        for base, copy in zip(layer.original_module.parameters(), copies, strict=True):
            copy.copy_(torch.lerp(base, copy, factor))
    else:
        layer.lora_B[ADAPTER].weight.mul_(factor)
