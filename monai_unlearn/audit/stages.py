"""The stages of any network: the blocks it is made of, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.inferers import Inferer
from monai.networks.layers import SkipConnection
from monai.networks.utils import eval_mode
from torch import nn

from monai_unlearn.audit.module_runs import ModuleRun, channels_of, inputs_of, trace_modules
from monai_unlearn.networks import trace_layers

__all__ = ["MOST_STAGES", "Stage", "find_rich_head", "find_stages", "network_input"]

MOST_STAGES = 8
"""More stages than these are thinned out evenly."""

_FEWEST_BLOCKS = 2  # below that a block that wraps the others is opened, whatever is in it


class Stage(NamedTuple):
    """A block whose output is read.

    Attributes:
        name: full name of the module.
        channel_axis: axis of its output that holds the channels: 1, or -1 where tokens or positions come first.
    """

    name: str
    channel_axis: int


def find_stages(network: nn.Module, window: torch.Tensor, *, most: int = MOST_STAGES) -> tuple[Stage, ...]:
    """Find the stages of a network by looking at one forward pass.

    A stage is a block that goes one way, down or up in resolution, such as a level of a U-shaped network, a stage of a
    ResNet or a block of a transformer; the normalisation and activation that follow it are part of it. Containers are
    opened where they go down and up again, return no tensor or span more than two resolutions, and further while there
    are fewer than ``most`` blocks and one spans two. What makes the logits (:func:`find_rich_head`), what follows it
    and side heads are left out.

    Args:
        network: any network, without adapters.
        window: what the network is called with, shape ``(B, C, *spatial)``, on its device.
        most: the largest number of stages; of more, evenly spaced ones remain, the last among them.

    Raises:
        ValueError: if the network has no block before its head, or ``most`` is below 1.
    """
    if most < 1:
        raise ValueError(f"'most' counts stages and is 1 or more; got {most}")
    root, head = trace_modules(network, window), find_rich_head(network, window)
    end = max(run.start for run in root.inner() if run.name == head)
    stages = _join(_open_up(root, end, most), logits=root.output, tokens=window.ndim > 3)
    if not stages:
        raise ValueError(
            f"{type(network).__name__} has no block before its head {head!r}: there is no inside that could be read"
        )
    chosen = np.unique(np.linspace(len(stages) - 1, 0, min(most, len(stages))).round().astype(int))
    return tuple(stages[index] for index in chosen)


def find_rich_head(network: nn.Module, window: torch.Tensor) -> str:
    """Name the layer that turns features into logits: the last to run on more channels than there are logits.

    In most networks it is the last layer; MONAI's ``UNet`` refines its logits by another one after that.
    """
    runs = trace_layers(network, window)
    rich = [run.name for run in runs if inputs_of(run.layer) > channels_of(runs[-1].layer)]
    return rich[-1] if rich else runs[-1].name


def network_input(network: nn.Module, image: torch.Tensor, inferer: Inferer) -> torch.Tensor:
    """Return what the inferer calls the network with first, for an image ``(1, C, *spatial)``."""
    windows: list[torch.Tensor] = []

    def noted(window: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
        if not windows:
            windows.append(window.detach().clone())
        return network(window, *arguments, **keywords)

    with eval_mode(network), torch.no_grad():
        inferer(image, noted)
    return windows[0].as_subclass(torch.Tensor)


def _open_up(root: ModuleRun, head: int, most: int) -> list[ModuleRun]:
    """Divide a run into blocks that end before the head starts."""
    seen = [run.name for run in root.inner()]
    twice = {name for name in seen if seen.count(name) > 1}  # one hook would mix what they put out

    def closed(run: ModuleRun) -> list[ModuleRun]:
        whole = run.output is not None and len(run.output) > 1 and run.output[0] == run.batch and run.end < head
        if whole and run.name not in twice and not isinstance(run.module, SkipConnection) and run.goes_one_way:
            return [run]
        return [block for inner in run.runs if inner.start < head for block in closed(inner)]

    blocks = [block for run in root.runs for block in closed(run)]
    while True:
        count = sum(bool(block.weighted()) for block in blocks)
        wraps = [block for block in blocks if block.weighted() and any(closed(run) for run in block.runs)]
        widest = max(wraps, key=lambda block: (block.level_count, len(block.weighted())), default=None)
        if widest is None or not (
            widest.level_count > 2 or (widest.level_count == 2 and count < most) or count < _FEWEST_BLOCKS
        ):
            return blocks
        place = blocks.index(widest)
        blocks[place : place + 1] = [block for run in widest.runs for block in closed(run)]


def _join(blocks: Sequence[ModuleRun], *, logits: tuple[int, ...] | None, tokens: bool) -> list[Stage]:
    """Give every block with weights the layers without weights that follow it, as long as the shape stays."""
    stages: list[Stage] = []
    side_heads: list[Stage] = []
    shape: tuple[int, ...] | None = None
    for block in blocks:
        if block.output is not None and (layers := block.weighted()):
            shape = block.output
            stages.append(Stage(block.name, _channel_axis(shape, layers[-1].module, tokens=tokens)))
            if logits is not None and shape[stages[-1].channel_axis] == logits[1]:
                side_heads.append(stages[-1])  # such as one for deep supervision
        elif stages and block.output == shape and stages[-1] not in side_heads:
            stages[-1] = Stage(block.name, stages[-1].channel_axis)
        else:
            shape = None  # pooled or flattened: what comes now is no longer that stage
    return [stage for stage in stages if stage not in side_heads] or stages


def _channel_axis(shape: tuple[int, ...], last: nn.Module, *, tokens: bool) -> int:
    """Find the channels: a convolution puts them first, a linear layer last, but their block may have moved them."""
    if len(shape) == 3 and tokens:
        return 1 if shape[1] == channels_of(last) != shape[2] else -1
    if not isinstance(last, nn.Linear) or len(shape) == 2:
        return 1
    return 1 if len(shape) > 3 and shape[1] == last.out_features else -1
