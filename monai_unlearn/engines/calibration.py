"""Calibration: what each forget case's loss ought to be, read off the reference cases."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from torch.utils.data import Dataset

from monai_unlearn.engines.inference import predict_cases
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.losses import CalibratedErasureTerm, case_losses

__all__ = ["CalibrationTargets"]


class CalibrationTargets:
    """Handler that measures the teacher on forget and reference cases and sets the targets of a calibrated erasure.

    It runs once, when the engine starts: both sets in evaluation mode, one loss per case. The teacher is the engine's.

    Args:
        term: the term whose targets are set.
        forget: dataset of the cases to forget, with ``id``.
        reference: dataset of never-trained cases that steer, with ``id``.
        batch_size: cases per forward pass.
    """

    def __init__(
        self, *, term: CalibratedErasureTerm, forget: Dataset[Any], reference: Dataset[Any], batch_size: int = 32
    ) -> None:
        self.term = term
        self.forget = forget
        self.reference = reference
        self.batch_size = batch_size

    def attach(self, engine: Engine) -> None:
        """Register the handler at the start of the run."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: UnlearningTrainer) -> None:
        """Fit the term to the teacher's losses."""
        forget_ids, forget_losses = self._losses(engine, self.forget)
        _, reference_losses = self._losses(engine, self.reference)
        self.term.fit(forget_ids, forget_losses, reference_losses)

    def _losses(self, engine: UnlearningTrainer, dataset: Dataset[Any]) -> tuple[list[str], torch.Tensor]:
        loader = DataLoader(dataset, batch_size=self.batch_size)
        ids: list[str] = []
        losses = []
        with engine.as_teacher() as teacher:
            for batch in predict_cases(teacher, loader, inferer=engine.inferer.inferer, device=engine.state.device):
                ids.extend(batch.ids)
                losses.append(case_losses(self.term.loss_function, batch.logits, batch.label))
        return ids, torch.cat(losses).cpu()
