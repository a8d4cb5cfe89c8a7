"""What a network holds inside: the features of its stages, pooled per case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from monai_unlearn.audit.stages import Stage, find_stages, network_input
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, plain_copy
from monai_unlearn.engines import predict_cases

__all__ = ["Features", "one_by_one", "read_models", "stage_features", "stages_of"]

Features = dict[str, NDArray[np.float64]]
"""Features by stage, shape ``(samples, channels)``: one sample per case, or one per cell of every case."""


def stages_of(models: AuditModels, cases: AuditCases, config: AuditConfig, case: str) -> tuple[Stage, ...]:
    """Find the stages of the teacher, which student and oracle share; see :func:`find_stages`."""
    image = torch.as_tensor(next(iter(one_by_one(cases.loader([case]))))["image"]).to(config.device)
    return find_stages(models["teacher"], network_input(models["teacher"], image, config.inferer))


def read_models(
    models: AuditModels,
    cases: AuditCases,
    config: AuditConfig,
    ids: Sequence[str],
    stages: Sequence[Stage],
    *,
    cells: int = 1,
) -> dict[str, Features]:
    """Read the features of some cases in every network, as the recipient of its merged checkpoint can."""
    return {
        role: stage_features(plain_copy(network), cases.loader(ids), stages, config=config, cells=cells)
        for role, network in models.items()
    }


def stage_features(
    network: nn.Module,
    loader: Iterable[dict[str, Any]],
    stages: Sequence[Stage],
    *,
    config: AuditConfig,
    cells: int = 1,
) -> Features:
    """Read what a network's stages put out for every case, in evaluation mode, pooled by averaging.

    The cases run one at a time, so that the windows of a sliding-window inferer belong to one case.

    Args:
        network: a network without adapters.
        loader: batches with ``id``, ``image`` and ``label``.
        stages: where to read.
        config: the inferer and the device.
        cells: 1: one sample per case, the mean over its positions and windows. More: up to so many cells per axis of
            every window, each a sample (of tokens up to the square), so that few cases give many samples; of many
            windows evenly spaced samples remain, at most the cube per case.

    Returns:
        Features by the name of the stage, in the order of ``stages``.

    Raises:
        ValueError: if a feature is not finite, or a stage did not run.
    """
    read: dict[str, list[torch.Tensor]] = {stage.name: [] for stage in stages}
    samples: dict[str, list[torch.Tensor]] = {stage.name: [] for stage in stages}

    def reader(stage: Stage) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            read[stage.name].append(_pooled(output.as_subclass(torch.Tensor), stage.channel_axis, cells))

        return note

    handles = [network.get_submodule(stage.name).register_forward_hook(reader(stage)) for stage in stages]
    try:
        for case in predict_cases(network, one_by_one(loader), inferer=config.inferer, device=config.device):
            for name, windows in read.items():
                if not windows:
                    raise ValueError(f"the stage {name!r} of the network did not run on the case {case.ids[0]!r}")
                found = torch.cat(windows)
                if not found.isfinite().all():
                    raise ValueError(
                        f"the features of {name!r} for the case {case.ids[0]!r} are not finite; check the weights"
                    )
                samples[name].append(found.mean(dim=0, keepdim=True) if cells == 1 else _thinned(found, cells**3))
                windows.clear()
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(rows).numpy() for name, rows in samples.items()}


def one_by_one(loader: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Take batches apart into batches of one case each."""
    for batch in loader:
        for index in range(len(batch["id"])):
            yield {key: batch[key][index : index + 1] for key in ("id", "image", "label")}


def _pooled(output: torch.Tensor, channel_axis: int, cells: int) -> torch.Tensor:
    """Average over cells, shape ``(windows × cells, channels)``; at once, since a later layer may work in place."""
    values = output.detach().float().movedim(channel_axis, 1)
    if values.ndim > 2 and cells > 1:
        axes = values.ndim - 2
        if axes == 1:
            values = F.adaptive_avg_pool1d(values, min(values.shape[2], cells**2))
        else:
            pool: Any = F.adaptive_avg_pool2d if axes == 2 else F.adaptive_avg_pool3d
            values = pool(values, tuple(min(size, cells) for size in values.shape[2:]))
        return values.flatten(2).transpose(1, 2).flatten(0, 1).cpu().double()
    return (values.flatten(2).mean(dim=2) if values.ndim > 2 else values).cpu().double()


def _thinned(rows: torch.Tensor, most: int) -> torch.Tensor:
    return rows if len(rows) <= most else rows[torch.linspace(0, len(rows) - 1, most).round().long()]
