"""Calibration: what the student ought to say of each forget case, read off the teacher and the reference cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from torch.utils.data import Dataset

from monai_unlearn.engines.inference import CaseBatch, predict_cases
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm, case_losses

__all__ = ["CalibrationTargets"]


class CalibrationTargets:
    """Handler that measures the teacher on forget and reference cases and sets the targets of calibrated erasure terms.

    It runs once, when the engine starts, in evaluation mode. The teacher is the engine's.

    Args:
        terms: the terms whose targets are set; all measure by the same loss function.
        forget: dataset of the cases to forget, with ``id``.
        reference: dataset of never-trained cases that steer, with ``id``.
        views: views of the forget cases, which a :class:`CalibratedViewTerm` needs. A :class:`CalibratedErasureTerm`
            takes its ranks from them too; without any it ranks by the loss on the images themselves.
        batch_size: cases per forward pass.

    Raises:
        ValueError: if there is no term, their loss functions differ, or a :class:`CalibratedViewTerm` gets no views.
    """

    def __init__(
        self,
        *,
        terms: Sequence[CalibratedErasureTerm | CalibratedViewTerm],
        forget: Dataset[Any],
        reference: Dataset[Any],
        views: Sequence[MirrorView] = (),
        batch_size: int = 32,
    ) -> None:
        if not terms or any(term.loss_function is not terms[0].loss_function for term in terms):
            raise ValueError(
                f"'terms' are calibrated terms of one and the same loss function; got {len(terms)} of them"
            )
        if not views and any(isinstance(term, CalibratedViewTerm) for term in terms):
            raise ValueError("a CalibratedViewTerm needs 'views', such as monai_unlearn.engines.mirror_views(2)")
        self.terms = tuple(terms)
        self.forget = forget
        self.reference = reference
        self.views = tuple(views) or (MirrorView(axes=()),)
        self.batch_size = batch_size

    def attach(self, engine: Engine) -> None:
        """Register the handler at the start of the run."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: UnlearningTrainer) -> None:
        """Fit the terms to the teacher's losses, and to its answers."""
        reference = torch.cat([losses for _, losses, _ in self._measure(engine, self.reference, MirrorView(axes=()))])
        ids: list[str] = []
        answers: list[torch.Tensor] = []
        view_losses = []
        for view in self.views:
            ids, parts, logits = [], [], []
            for names, losses, answer in self._measure(engine, self.forget, view):
                ids.extend(names)
                parts.append(losses)
                logits.extend(answer)
            view_losses.append(torch.cat(parts))
            answers = [torch.cat(pair) for pair in zip(answers, logits, strict=True)] if answers else logits
        losses_by_view = torch.stack(view_losses, dim=1)
        for term in self.terms:
            if isinstance(term, CalibratedViewTerm):
                term.fit(ids, answers, losses_by_view, reference)
            else:
                term.fit(ids, losses_by_view.mean(dim=1), reference)

    def _measure(
        self, engine: UnlearningTrainer, dataset: Dataset[Any], view: MirrorView
    ) -> Iterator[tuple[tuple[str, ...], torch.Tensor, list[torch.Tensor]]]:
        """Yield ids, losses and answers ``(1, C, *spatial)`` of a batch, by way of a view."""
        inferer = engine.inferer.inferer

        def seen(images: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
            return view.invert(inferer(view.apply(images), network))

        with engine.as_teacher() as teacher:
            batch: CaseBatch
            loader = DataLoader(dataset, batch_size=self.batch_size)
            for batch in predict_cases(teacher, loader, inferer=seen, device=engine.state.device):
                losses = case_losses(self.terms[0].loss_function, batch.logits, batch.label).cpu()
                yield batch.ids, losses, list(torch.split(batch.logits.cpu(), 1))
