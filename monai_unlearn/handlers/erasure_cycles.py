"""Cycles: erase and settle in turn, until what is forgotten stays forgotten while the network trains on."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from monai_unlearn.handlers.cycle_steps import next_steps
from monai_unlearn.handlers.stop_at_target import CompareCases, describe, look_at_cases, note_figures
from monai_unlearn.metrics import TwoSamples

__all__ = ["ErasureCycles"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Settled:
    """A settled state of the student, and what was found of it."""

    found: TwoSamples
    state: dict[str, torch.Tensor]


class ErasureCycles:
    """Let an :class:`~monai_unlearn.engines.UnlearningTrainer` erase and settle in turn, up to the target.

    A cycle is some steps of erasing (the engine's erasure and retention terms) and then ``settle_epochs`` of settling:
    supervised fine-tuning of everything on retain alone, with a fresh optimizer, as someone would who goes on training
    the network. What comes back when the network trains on comes back there. Only then the forget cases are compared
    with their target. If they do better by more than ``tolerance``, another cycle erases on, with as many steps as the
    cycles before predict; if they do worse, the settled state before is taken up again and fewer steps are tried; else
    the run ends. The optimizer's learning rate is that of erasing; settling begins with
    ``settle_start`` of it and falls as a cosine to ``settle_end`` of it.

    In ``engine.state.metrics`` after each settling: ``settled_forget_loss``, ``settled_target_loss``,
    ``settled_forget_score``, ``settled_target_score``, ``cycle`` and ``erase_steps``.

    Args:
        compare: measures forget cases and target.
        erase_epochs: length of the first erasing half, in epochs of the engine; may be a fraction.
        settle_epochs: length of every settling half, likewise.
        tolerance: how far the mean scores of forget cases and target may be apart; positive.
        max_cycles: no more cycles than that.
        settle_start: learning rate with which settling begins, as a part of the optimizer's, in (0, 1].
        settle_end: what it falls to, likewise.
        alpha: level of the interval and test that are reported.
        seed: of the bootstrap.

    Raises:
        ValueError: if an argument is out of range; at the start, if the engine has no settling half or its epochs do
            not hold the cycles.
    """

    def __init__(
        self,
        *,
        compare: CompareCases,
        erase_epochs: float = 1.0,
        settle_epochs: float = 2.0,
        tolerance: float = 0.01,
        max_cycles: int = 6,
        settle_start: float = 0.5,
        settle_end: float = 0.025,
        alpha: float = 0.05,
        seed: int = 0,
    ) -> None:
        if min(erase_epochs, settle_epochs, tolerance) <= 0 or max_cycles < 1:
            raise ValueError(
                "'erase_epochs', 'settle_epochs' and 'tolerance' are positive and 'max_cycles' is at least 1; got "
                f"{erase_epochs}, {settle_epochs}, {tolerance} and {max_cycles}"
            )
        if not 0 < settle_end <= settle_start <= 1:
            raise ValueError(f"0 < 'settle_end' <= 'settle_start' <= 1, got {settle_end} and {settle_start}")
        self.compare = compare
        self.erase_epochs = erase_epochs
        self.settle_epochs = settle_epochs
        self.tolerance = tolerance
        self.max_cycles = max_cycles
        self.settle_start = settle_start
        self.settle_end = settle_end
        self.alpha = alpha
        self.seed = seed
        self._resumed: dict[str, Any] | None = None
        self._settling = False

    def attach(self, engine: Engine) -> None:
        """Register the handler; put it before those that write the history."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self.clear)
        engine.add_event_handler(Events.ITERATION_STARTED, self.set_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Look at the teacher's gap and begin to erase."""
        length, epochs = engine.state.epoch_length, engine.state.max_epochs
        self._settle_steps = max(1, round(self.settle_epochs * length))
        self._erase_steps = max(1, round(self.erase_epochs * length))
        needed = self._erase_steps + self._settle_steps
        if needed > length * epochs:
            raise ValueError(
                f"one cycle takes {needed} steps and the erase phase has {length * epochs}; give it at least "
                f"{math.ceil(needed / length)} epochs (erase#trainer#max_epochs)"
            )
        if unknown := [name for name in engine.settle if name not in engine.retention]:
            raise ValueError(f"settling needs the retention term {unknown[0]!r}, which this trainer lacks")
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise ValueError("cycles run in one process: start the run without torchrun, or choose another erasure")
        if self._resumed is not None:
            self._go_on(engine, self._resumed)
            return
        self._rates = [float(group["lr"]) for group in engine.optimizer.param_groups]
        self._kept = self._best = self._look(engine)
        self._over, self._cycle, self._step = False, 0, 0
        if self._kept.found.gap < -self.tolerance:
            raise ValueError(
                "before anything is erased the forget cases do worse than their target: "
                f"{describe(self._kept.found)}. It says nothing of how far to go; give erase#comparison 'views' of "
                "these cases in the place of reference cases, or choose another erasure"
            )
        self._turn(engine, settling=False)

    def state_dict(self) -> dict[str, Any]:
        """Return where the cycles are, for a checkpoint at the end of an epoch."""
        kept, best = ({**asdict(one.found), "state": one.state} for one in (self._kept, self._best))
        numbers = {"over": self._over, "cycle": self._cycle, "step": self._step, "erase_steps": self._erase_steps}
        return {**numbers, "settling": self._settling, "rates": self._rates, "kept": kept, "best": best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there when the engine starts."""
        self._resumed = dict(state)

    def _go_on(self, engine: Engine, saved: dict[str, Any]) -> None:
        self._over, self._cycle, self._step = saved["over"], saved["cycle"], saved["step"]
        self._erase_steps, self._rates = saved["erase_steps"], list(saved["rates"])
        found = [dict(saved[name]) for name in ("kept", "best")]
        states = [one.pop("state") for one in found]
        kept, best = (_Settled(found=TwoSamples(**one), state=state) for one, state in zip(found, states, strict=True))
        self._kept, self._best, self._resumed = kept, best, None
        engine.settling = self._settling = saved["settling"]

    def clear(self, engine: Engine) -> None:
        """Take the figures of a settling out of the epochs after it."""
        for name in [name for name in engine.state.metrics if name.startswith("settled_")]:
            del engine.state.metrics[name]

    def set_rate(self, engine: Engine) -> None:
        """Let the learning rate fall while settling."""
        part = 1.0
        if engine.settling:
            fallen = (1 + math.cos(math.pi * self._step / self._settle_steps)) / 2
            part = self.settle_end + (self.settle_start - self.settle_end) * fallen
        for group, rate in zip(engine.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = part * rate

    def __call__(self, engine: Engine) -> None:
        """Count the step; at the end of a half turn to the other one, and look at what is settled."""
        self._step += 1
        if not engine.settling:
            if self._step == self._erase_steps:
                self._turn(engine, settling=True)
        elif self._step == self._settle_steps:
            self._judge(engine)

    def end(self, engine: Engine) -> None:
        """End the run with the epoch in which the cycles ended, so that its figures are written."""
        if self._over:
            engine.terminate()

    def finish(self, engine: Engine) -> None:
        """Leave the student in the best settled state, and say loudly if that is not the target."""
        engine.network.load_state_dict(self._best.state)
        engine.settling = False
        words = f"after {self._cycle} cycles: {describe(self._best.found)}"
        if self._close(self._best):
            logger.info(f"the target is met {words}")
        elif self._best.found.gap > 0:
            logger.warning(
                f"THE TARGET WAS NOT MET {words}. The forget cases still do better than they should: give more cycles "
                "(max_cycles of ErasureCycles, erase#trainer#max_epochs)"
            )
        else:
            logger.warning(
                f"OVER-FORGETTING {words}. The forget cases do worse than they should, and an attacker knows them by "
                "that: erase less per cycle (erase_epochs of ErasureCycles)"
            )

    def _judge(self, engine: Engine) -> None:
        """Look at a settled state: keep it, undo it or end."""
        self._cycle += 1
        settled = self._look(engine)
        note_figures(engine, settled.found, "settled_")
        engine.state.metrics.update(cycle=float(self._cycle), erase_steps=float(self._erase_steps))
        logger.info(f"cycle {self._cycle} ({self._erase_steps} steps of erasing): {describe(settled.found)}")
        if abs(settled.found.gap) < abs(self._best.found.gap) or self._cycle == 1:
            self._best = settled
        self._erase_steps = next_steps(
            steps=self._erase_steps, gap_before=self._kept.found.gap, gap_after=settled.found.gap
        )
        if self._close(settled) or self._cycle == self.max_cycles or not self._erase_steps:
            self._over = True
            engine.terminate_epoch()
            return
        if settled.found.gap > 0:
            self._kept = settled
        else:
            engine.network.load_state_dict(self._kept.state)
        self._turn(engine, settling=False)

    def _turn(self, engine: Engine, *, settling: bool) -> None:
        engine.settling, self._settling, self._step = settling, settling, 0
        engine.optimizer.state.clear()  # as whoever trains on would: what momentum remembers must not count

    def _look(self, engine: Engine) -> _Settled:
        found = look_at_cases(engine, self.compare, alpha=self.alpha, seed=self.seed)
        state = {name: value.detach().cpu().clone() for name, value in engine.network.state_dict().items()}
        return _Settled(found=found, state=state)

    def _close(self, settled: _Settled) -> bool:
        return abs(settled.found.gap) <= self.tolerance
