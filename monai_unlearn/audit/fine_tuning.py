"""Training a network on, as whoever receives it may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from torch import nn

from monai_unlearn.audit.subjects import AuditConfig

__all__ = ["fine_tune"]


def fine_tune(
    network: nn.Module,
    loader: Iterable[dict[str, Any]],
    *,
    config: AuditConfig,
    epochs: int | None = None,
    parameters: Iterable[nn.Parameter] | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train a network on by the task's supervised loss, in place, and return it.

    Nothing of this package is in the way: normalisation statistics move and every weight learns, as in the training of
    the teacher.

    Args:
        network: a plain network (:func:`monai_unlearn.audit.plain_copy`), on the device of ``config``.
        loader: batches with ``image`` and ``label``.
        config: the loss, the inferer of training batches and the optimizer.
        epochs: passes over the loader; ``None``: those of ``config.fine_tuning``.
        parameters: what learns; ``None``: all.
        after_epoch: called with the number of every finished epoch, from 1.

    Raises:
        ValueError: if the loss is not finite any more.
    """
    set_determinism(config.seed)
    learning = list(network.parameters() if parameters is None else parameters)
    trainer = SupervisedTrainer(
        device=config.device,
        max_epochs=config.fine_tuning.epochs if epochs is None else epochs,
        train_data_loader=loader,
        network=network,
        optimizer=config.fine_tuning.optimizer(learning),
        loss_function=config.loss_function,
        inferer=config.training_inferer,
        decollate=False,
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, _refuse_divergence)
    if after_epoch is not None:
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: after_epoch(engine.state.epoch))
    trainer.run()
    return network


def _refuse_divergence(engine: SupervisedTrainer) -> None:
    if not torch.isfinite(engine.state.output["loss"]).all():
        raise ValueError(
            f"training the network on for the audit diverged at step {engine.state.iteration}: its loss is not finite; "
            "lower the learning rate of 'audit#fine_tuning'"
        )
