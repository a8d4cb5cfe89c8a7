"""See in one forward pass in which order the layers of a network run, and where its decoder begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from monai_unlearn.networks.convolution import CONVOLUTIONS

__all__ = ["WEIGHTED_LAYERS", "ExampleInput", "LayerRun", "find_decoder", "find_head", "trace_layers"]

WEIGHTED_LAYERS: tuple[type[nn.Module], ...] = (*CONVOLUTIONS, nn.Linear)
"""The layers that are looked at: convolutions and linear layers."""

ExampleInput = torch.Tensor | Sequence[torch.Tensor]
"""The argument of the network's forward, or a tuple of them, the first of shape ``(batch, channels, *spatial)``."""

_FINER = 1.5  # a class token or a border makes a few positions more, the next level up at least twice as many


class LayerRun(NamedTuple):
    """One run of one layer.

    Attributes:
        name: full name of the layer in the network.
        layer: the layer.
        positions: spatial positions (or tokens, over all windows) of its output, per case of the batch.
    """

    name: str
    layer: nn.Module
    positions: int


def trace_layers(network: nn.Module, example_input: ExampleInput) -> list[LayerRun]:
    """List the convolutions and linear layers of a network in the order in which they run.

    One forward in eval mode and without gradients; neither a buffer nor the mode of a submodule is changed.

    Args:
        network: any network.
        example_input: input of the network, or a tuple of inputs, of a size it is used with; moved to its device.

    Returns:
        The runs; a layer that runs twice is listed twice, one that does not run is not listed.

    Raises:
        ValueError: if the network cannot take the example input, or none of its layers runs.
    """
    inputs = (example_input,) if isinstance(example_input, torch.Tensor) else tuple(example_input)
    parameter = next(network.parameters(), None)
    if parameter is not None:
        inputs = tuple(value.to(parameter.device) for value in inputs)
    runs: list[LayerRun] = []
    with _recording(network, runs, batch=len(inputs[0])), _evaluating(network), torch.no_grad():
        try:
            network(*inputs)
        except Exception as error:  # whatever a foreign network raises, the cause is the input that was given
            shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
            raise ValueError(
                f"{type(network).__name__} fails on an example_input of shape {shapes}: {error}. "
                "Give example_input the shape that the network is used with."
            ) from error
    if not runs:
        raise ValueError(f"No convolution or linear layer of {type(network).__name__} runs on the example_input.")
    return runs


def find_head(runs: Sequence[LayerRun]) -> str:
    """Name the layer that makes the logits: the last one to run."""
    return runs[-1].name


def find_decoder(runs: Sequence[LayerRun]) -> list[str]:
    """Name the layers that run after the coarsest feature map, in order.

    The coarsest level is the one with the fewest spatial positions. A single position counts only under a kernel wider
    than 1: global pooling, squeeze-and-excitation and time embeddings make single positions too, but no level. A layer
    that runs before as well as after the end of the coarsest level belongs to the encoder.

    Args:
        runs: what :func:`trace_layers` returns.

    Returns:
        Names of the decoder's layers, the head among them.

    Raises:
        ValueError: if nothing after the coarsest level is finer: the network has no decoder.
    """
    levels = [run.positions for run in runs if run.positions > 1 or _is_wide(run.layer)]
    finer = _FINER * min(levels, default=1)
    boundary = max(
        (i for i, run in enumerate(runs) if run.positions < finer and (run.positions > 1 or _is_wide(run.layer))),
        default=len(runs),
    )
    if not any(run.positions >= finer for run in runs[boundary + 1 :]):
        raise ValueError(
            'targets="decoder": the network has no decoder, since no layer after its coarsest feature map is finer. '
            'Use targets="all" or a pattern of layer names.'
        )
    encoder = {run.name for run in runs[: boundary + 1]}
    return list(dict.fromkeys(run.name for run in runs[boundary + 1 :] if run.name not in encoder))


def _is_wide(layer: nn.Module) -> bool:
    return isinstance(layer, CONVOLUTIONS) and max(layer.kernel_size) > 1  # type: ignore[arg-type]


@contextmanager
def _recording(network: nn.Module, runs: list[LayerRun], *, batch: int) -> Iterator[None]:
    def record(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        channels: Any = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels

        def note(_layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            runs.append(LayerRun(name, layer, output.numel() // batch // channels))

        return layer.register_forward_hook(note)

    handles = [record(name, layer) for name, layer in network.named_modules() if isinstance(layer, WEIGHTED_LAYERS)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
