"""A sampler that decides how forget and retain cases meet in a batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.distributed as dist
from monai.data import DistributedSampler

from monai_unlearn.data.tagged import TaggedDataset

__all__ = ["ForgetRetainSampler"]


class ForgetRetainSampler(DistributedSampler):
    """Emit indices in blocks of ``batch_size``, so that a plain ``DataLoader`` makes the batches that unlearning needs.

    * ``joint``: every block holds ``forget_per_batch`` forget cases first, then retain cases. An epoch is one pass over
      the retain cases (or ``retain_per_epoch`` of them); the forget cases go round as often as that takes.
    * ``alternate``: one pass over the retain cases, then one over the forget cases, never mixed in a block
      (the schedule of Erase to Retain).

    Cases that an earlier request had forgotten (``held``) count among the retain cases here. Where there is neither, as
    in a class request that every case answers to, an epoch is one pass over the forget cases alone.

    All blocks are full: the last one of a pass is filled up from the beginning of the same pass, so that every process
    of a distributed run takes the same number of steps. Use it as ``sampler`` with ``shuffle: false`` and the same
    ``batch_size``, one case per index; the epoch is set by MONAI's engines, or by :meth:`set_epoch`.

    Args:
        dataset: the tagged training set.
        batch_size: size of a block, per process.
        forget_per_batch: forget cases in a ``joint`` block.
        mode: ``"joint"`` or ``"alternate"``.
        retain_per_epoch: retain cases drawn afresh for each epoch, over all processes; ``None``: all.
        seed: seed of every draw; the same for all processes.
        num_replicas: number of processes; ``None``: as ``torch.distributed`` says, 1 where it is not initialised.
        rank: index of this process, likewise.

    Raises:
        ValueError: if an argument is out of range or a subset is empty.
    """

    def __init__(
        self,
        *,
        dataset: TaggedDataset,
        batch_size: int,
        forget_per_batch: int = 8,
        mode: str = "joint",
        retain_per_epoch: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        distributed = dist.is_available() and dist.is_initialized()
        super().__init__(
            dataset=dataset,
            num_replicas=num_replicas if num_replicas is not None else dist.get_world_size() if distributed else 1,
            rank=rank if rank is not None else dist.get_rank() if distributed else 0,
            seed=seed,
        )
        if mode not in ("joint", "alternate"):
            raise ValueError(f"'mode' is 'joint' or 'alternate', got {mode!r}")
        if batch_size < 1 or (mode == "joint" and not 1 <= forget_per_batch < batch_size):
            raise ValueError(
                f"a joint batch needs at least one forget and one retain case: 1 <= forget_per_batch < batch_size, "
                f"got {forget_per_batch} and {batch_size}"
            )
        if retain_per_epoch is not None and retain_per_epoch < 1:
            raise ValueError(f"'retain_per_epoch' is a positive number of cases or none, got {retain_per_epoch}")
        if not dataset.forget_indices:
            raise ValueError("the dataset has no forget case; check the request")
        self.batch_size = batch_size
        self.forget_per_batch = forget_per_batch
        self.forget_indices = torch.tensor(dataset.forget_indices)
        self.retain_indices = torch.tensor(sorted((*dataset.retain_indices, *dataset.held_indices)), dtype=torch.long)
        self.mode = mode if len(self.retain_indices) else "alternate"
        self.retain_count = min(retain_per_epoch or len(self.retain_indices), len(self.retain_indices))

    def __len__(self) -> int:
        """Return the number of indices per process and epoch, a multiple of ``batch_size``."""
        if self.mode == "joint":
            return self._blocks(self.retain_count, self.batch_size - self.forget_per_batch) * self.batch_size
        return sum(
            self._blocks(count, self.batch_size) * self.batch_size
            for count in (self.retain_count, len(self.forget_indices))
            if count
        )

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        retain = self.retain_indices[torch.randperm(len(self.retain_indices), generator=generator)][: self.retain_count]
        if self.mode == "alternate":
            forget = self.forget_indices[torch.randperm(len(self.forget_indices), generator=generator)]
            for indices in filter(len, (retain, forget)):
                yield from self._blocks_of(indices, self.batch_size).flatten().tolist()
            return
        retain_blocks = self._blocks_of(retain, self.batch_size - self.forget_per_batch)
        needed = len(retain_blocks) * self.forget_per_batch * self.num_replicas
        rounds = -(-needed // len(self.forget_indices))
        forget = torch.cat(
            [self.forget_indices[torch.randperm(len(self.forget_indices), generator=generator)] for _ in range(rounds)]
        )[:needed]
        forget_blocks = self._blocks_of(forget, self.forget_per_batch)
        yield from torch.cat([forget_blocks, retain_blocks], dim=1).flatten().tolist()

    def _blocks(self, count: int, size: int) -> int:
        return -(-count // (size * int(self.num_replicas)))

    def _blocks_of(self, indices: torch.Tensor, size: int) -> torch.Tensor:
        """Deal indices to the processes and shape this one's share ``(blocks, size)``, filling up from the front."""
        blocks = self._blocks(len(indices), size)
        positions = torch.arange(blocks * size * self.num_replicas) % len(indices)
        return indices[positions[self.rank :: self.num_replicas]].reshape(blocks, size)
