"""Which modules run in a forward pass, one inside the other, and through which resolutions they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import nn

from monai_unlearn.networks.probe import WEIGHTED_LAYERS

__all__ = ["ModuleRun", "channels_of", "inputs_of", "trace_modules"]

_FINER = 1.5  # a class token or a border makes a few positions more, the next level at least twice as many


@dataclass(kw_only=True)
class ModuleRun:
    """One run of one module in a forward pass.

    Args:
        name: full name of the module.
        module: the module.
        batch: cases (or windows) in the pass.
        start: when it started, counted in starts and ends of all modules.
        end: when it ended.
        output: shape of what it returned; ``None`` if that was no tensor.
        runs: what ran directly inside it, in order.
    """

    name: str
    module: nn.Module
    batch: int
    start: int
    end: int = -1
    output: tuple[int, ...] | None = None
    runs: list[ModuleRun] = field(default_factory=list)

    def inner(self) -> Iterator[ModuleRun]:
        """Go through all that ran inside, in the order of starting."""
        for run in self.runs:
            yield run
            yield from run.inner()

    def weighted(self) -> list[ModuleRun]:
        """List the runs of convolutions and linear layers, this one included, in the order in which they ended."""
        every = [run for run in (self, *self.inner()) if isinstance(run.module, WEIGHTED_LAYERS)]
        return sorted(every, key=lambda run: run.end)

    @property
    def goes_one_way(self) -> bool:
        """Whether the resolution falls or rises on the way, not both."""
        steps = np.diff(self._levels())
        steps = steps[np.abs(steps) > np.log(_FINER)]
        return not len(steps) or bool(steps.min() > 0 or steps.max() < 0)

    @property
    def level_count(self) -> int:
        """The number of resolutions on the way; 0 for a module without weights."""
        levels = np.sort(self._levels())
        return 1 + int((np.diff(levels) > np.log(_FINER)).sum()) if len(levels) else 0

    def _levels(self) -> list[float]:
        """Logarithms of the numbers of positions, in order.

        Windows of an attention layer are no level, their first axis being more than the batch. Nor is a single
        position, unless the kernel there is wider: pooling before squeeze-and-excitation makes single positions, too.
        """
        counts = [
            (
                int(np.prod(run.output)) // run.batch // channels_of(run.module),
                max(getattr(run.module, "kernel_size", (1,))),
            )
            for run in self.weighted()
            if run.output is not None and run.output[0] == run.batch
        ]
        return [float(np.log(positions)) for positions, kernel in counts if positions > 1 or kernel > 1]


def trace_modules(network: nn.Module, window: torch.Tensor) -> ModuleRun:
    """Run a network once, in evaluation mode and without gradients, and return its run with all that ran inside.

    Args:
        network: any network, without adapters.
        window: what the network is called with, shape ``(B, C, *spatial)``, on its device.
    """
    outside = ModuleRun(name="", module=network, batch=len(window), start=0)
    with _recording(network, outside), eval_mode(network), torch.no_grad():
        network(window)
    return outside.runs[0]


def channels_of(layer: nn.Module) -> int:
    """Return how many channels a convolution or linear layer puts out."""
    channels: Any = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return int(channels)


def inputs_of(layer: nn.Module) -> int:
    """Return how many channels a convolution or linear layer takes in."""
    channels: Any = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    return int(channels)


@contextmanager
def _recording(network: nn.Module, outside: ModuleRun) -> Iterator[None]:
    stack, clock = [outside], iter(range(1, 10**9))

    def register(name: str, module: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        def enter(*_: Any) -> None:
            run = ModuleRun(name=name, module=module, batch=outside.batch, start=next(clock))
            stack[-1].runs.append(run)
            stack.append(run)

        def leave(_module: nn.Module, _inputs: Any, output: Any) -> None:
            run = stack.pop()
            run.end = next(clock)
            run.output = tuple(output.shape) if isinstance(output, torch.Tensor) else None

        return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]

    handles = [handle for name, module in network.named_modules() for handle in register(name, module)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
