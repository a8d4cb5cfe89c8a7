"""Several processes: who writes, who waits, and how they agree on what is to be done."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import nn

from monai_unlearn.phases.boundary import calling_parser

__all__ = [
    "agree",
    "distribute",
    "is_first",
    "join_processes",
    "refuse_alone",
    "refuse_several_processes",
    "wait_for_all",
]

PATIENCE = timedelta(hours=12)
"""How long a process waits for another one: while one audits, the others have nothing to do."""


def join_processes(device: str | None = None) -> torch.device:
    """Join the processes that ``torchrun`` started; for ``initialize`` of a multi-GPU config.

    Args:
        device: ``"cpu"`` for processes without GPUs (gloo); ``None``: what ``device`` of the config says, or the GPU of
            the process' number where there are enough, else the CPU.

    Returns:
        This process' device.

    Raises:
        ValueError: if the process was not started by ``torchrun``.
    """
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(
            "this config is for several processes: start it with torchrun --nproc_per_node=N -m monai.bundle"
        )
    if device is None:
        given = calling_parser().get("device")
        device = given if isinstance(given, str) and not given.startswith("$") else None
    local = int(os.environ["LOCAL_RANK"])
    gpu = device != "cpu" and torch.cuda.is_available() and torch.cuda.device_count() > local
    if not dist.is_initialized():
        dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
        # ignite looks round by a collective when it is first asked: here all ask, later the first process might alone
        idist.sync()
    if gpu:
        torch.cuda.set_device(local)
    return torch.device(f"cuda:{local}" if gpu else "cpu")


def distribute(student: nn.Module, trained: Any) -> nn.Module:
    """Wrap a student so that its gradients are averaged over the processes; alone, return it as it is.

    Args:
        student: the student, on its device.
        trained: the optimiser; what trains has to be settled before the network is wrapped.
    """
    if not dist.is_initialized() or not trained:
        return student
    device = next(student.parameters()).device
    wrapped: nn.Module = nn.parallel.DistributedDataParallel(
        student, device_ids=[device] if device.type == "cuda" else None
    )
    return wrapped


def is_first() -> bool:
    """Tell whether this process writes the files: the first one does, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def agree(value: bool) -> bool:
    """Return what the first process says."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said, src=0)
    return bool(said[0])


def wait_for_all() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def refuse_alone(why: str) -> None:
    """Raise a ``ValueError`` if several processes are at work: one of them would ask the others, who are waiting."""
    if dist.is_initialized():
        raise ValueError(
            f"{why}; do it beforehand in one process (run id 'retraining'), and give its network by --oracle"
        )


def refuse_several_processes() -> None:
    """Raise a ``ValueError`` if several processes were started with a config that is for one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        raise ValueError(
            "this config is for one process; for several GPUs add bundles/unlearn_multi_gpu.json after the overlay"
        )
