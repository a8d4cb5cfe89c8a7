"""Checkpoints inside a phase: a run that is killed goes on with the next epoch and ends with the same weights."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism
from torch import nn

from monai_unlearn.files import save_tensors

__all__ = ["EpochCheckpoint"]

logger = logging.getLogger(__name__)


class EpochCheckpoint:
    """Save what a trainer has learned after an epoch, and go on from there.

    Every epoch begins from a seed of its own, which depends on ``seed`` and its number alone: for torch, NumPy, Python
    and, where the loader works in this process, the random transforms of its dataset. So no random state has to be
    saved, and a run that went on from a checkpoint ends with the weights of an undisturbed one, bit by bit on a CPU.

    Checkpoints are written so seldom that they take no more than a share of the time; an epoch that was not saved is
    done again. Each appears whole or not at all.

    Args:
        path: the checkpoint; replaced after every epoch that is saved.
        parts: what has ``state_dict`` and ``load_state_dict``, by name, such as the optimizer; of modules only what
            learns, and buffers, are kept.
        seed: of all epochs.
        fingerprint: what the checkpoint answers to; one of another fingerprint is not gone on from.
        writes: whether this process writes; of several processes one does.
        share: of the training time, that writing checkpoints may take.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        parts: Mapping[str, Any],
        seed: int,
        fingerprint: str = "",
        writes: bool = True,
        share: float = 0.05,
    ) -> None:
        self.path = Path(path)
        self.parts = dict(parts)
        self.seed = seed
        self.fingerprint = fingerprint
        self.writes = writes
        self.share = share
        self.seconds_before = 0.0
        """How long runs took that ended before this one, up to the checkpoint that this one goes on from."""
        self._begun = self._saved = time.perf_counter()
        self._cost = 0.0

    def attach(self, engine: Engine) -> None:
        """Register the handler; after all others, as what they change at the end of an epoch is part of its state."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.reseed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def run(self, engine: Engine, *, resume: bool = True) -> None:
        """Attach to a trainer and run it, from where the checkpoint left it.

        Args:
            engine: a trainer that has not run yet, with all its other handlers.
            resume: whether to look for a checkpoint; else the run begins anew.

        Raises:
            ValueError: see :meth:`restore`.
        """
        self.attach(engine)
        if resume and self.restore(engine):
            for event in (Events.STARTED, Events.COMPLETED):  # it was over but for what its handlers do in the end
                engine.fire_event(event)
        else:
            engine.run()

    def restore(self, engine: Engine) -> bool:
        """Bring trainer and parts to where the checkpoint left them; return whether the training was over by then.

        A checkpoint that answers to something else is not touched: the phase begins anew.

        Raises:
            ValueError: if the checkpoint is damaged or does not fit the parts.
        """
        if not self.path.is_file():
            return False
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            if saved["fingerprint"] != self.fingerprint or saved["parts"].keys() != self.parts.keys():
                return False
            for name, part in self.parts.items():
                part.load_state_dict(saved["parts"][name], **({"strict": False} if isinstance(part, nn.Module) else {}))
            epoch, over, self.seconds_before = int(saved["epoch"]), bool(saved["over"]), float(saved["seconds"])
        except Exception as error:  # torch raises a dozen kinds of error on a broken file; each means the same
            reason = str(error).partition("\n")[0][:200]
            raise ValueError(
                f"the checkpoint {self.path} cannot be gone on from ({reason}); remove it, and the phase begins anew"
            ) from error
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length
        logger.info(f"going on after epoch {epoch} of {engine.state.max_epochs}, as a run before was interrupted")
        return over or epoch >= engine.state.max_epochs

    def reseed(self, engine: Engine) -> None:
        """Begin an epoch from its own seed."""
        digest = hashlib.sha256(f"{self.seed} {engine.state.epoch}".encode()).digest()
        seed = int.from_bytes(digest[:4], "little") % (2**31)
        set_determinism(seed)
        loader: Any = getattr(engine, "data_loader", None)
        if getattr(loader, "num_workers", None) == 0:  # workers are seeded by torch as they start
            set_rnd(loader.dataset, seed)

    def save(self, engine: Engine) -> None:
        """Save the state after an epoch, unless that was done a moment ago."""
        begun = time.perf_counter()
        if not self.writes or self.share * (begun - self._saved) < self._cost:
            return
        states = {
            name: _learned(part) if isinstance(part, nn.Module) else part.state_dict()
            for name, part in self.parts.items()
        }
        seconds = self.seconds_before + begun - self._begun
        progress = {"epoch": engine.state.epoch, "over": bool(engine.should_terminate), "seconds": seconds}
        save_tensors(self.path, {"fingerprint": self.fingerprint, "parts": states, **progress})
        self._saved = time.perf_counter()
        self._cost = self._saved - begun

    def discard(self) -> None:
        """Remove the checkpoint: the phase is done."""
        if self.writes:
            self.path.unlink(missing_ok=True)


def _learned(network: nn.Module) -> dict[str, torch.Tensor]:
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}
