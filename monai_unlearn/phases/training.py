"""Running a trainer so that it survives being killed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monai.engines import SupervisedTrainer
from torch import nn

from monai_unlearn.handlers import EpochCheckpoint
from monai_unlearn.phases.processes import is_first
from monai_unlearn.phases.session import Session, closing_handlers

__all__ = ["run_trainer"]


def run_trainer(session: Session, trainer: SupervisedTrainer, *, handlers: Iterable[object]) -> float:
    """Run a trainer to its end, going on from where a killed run of the same phase left it.

    Args:
        session: the session, in the work of a phase.
        trainer: the trainer.
        handlers: of the trainer; closed in the end, and part of the state where they have any.

    Returns:
        The seconds that killed runs had spent on what this one went on from.
    """
    handlers = list(handlers)
    if trainer.state.max_epochs < 1:
        return 0.0
    name = f"state/running/{session.at_work}.pt"
    if session.folder.writes:
        session.folder.claim([name])
    checkpoint = EpochCheckpoint(
        path=session.folder / name,
        parts=_parts(trainer, handlers),
        seed=session.setting("seed"),
        fingerprint=session.begun,
        writes=is_first(),
    )
    with closing_handlers(handlers):
        checkpoint.run(trainer, resume=session.setting("resume"))
    return checkpoint.seconds_before


def _parts(trainer: SupervisedTrainer, handlers: Iterable[object]) -> dict[str, Any]:
    """Name all that changes while a trainer runs and says so by ``state_dict``."""
    parts: dict[str, Any] = {"network": trainer.network, "optimizer": trainer.optimizer}
    if isinstance(trainer.network, nn.parallel.DistributedDataParallel):
        parts["network"] = trainer.network.module
    if trainer.scaler is not None:
        parts["scaler"] = trainer.scaler
    for number, handler in enumerate(handlers):
        for part in (handler, getattr(handler, "lr_scheduler", None)):
            if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
                parts[f"handler {number}"] = part
    return parts
