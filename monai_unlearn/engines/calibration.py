"""Calibration: what the student ought to say of each forget case, read off the teacher and the reference cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.inferers import Inferer
from torch.utils.data import Dataset, Subset

from monai_unlearn.engines.inference import CaseBatch, predict_cases
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm, case_losses, choose_views

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
        inferer: how whole images are seen, where training sees crops: a sliding window. ``None``: as in training.

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
        inferer: Inferer | None = None,
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
        self.inferer = inferer

    def attach(self, engine: Engine) -> None:
        """Register the handler at the start of the run."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: UnlearningTrainer) -> None:
        """Fit the terms to the teacher's losses, and to its answers."""
        reference = self._measure(engine, self.reference, MirrorView(axes=()))
        by_view = [self._measure(engine, self.forget, view) for view in self.views]
        ids = list(by_view[0])
        view_losses = torch.stack([torch.stack([losses[case] for case in ids]) for losses in by_view], dim=1)
        reference_losses = torch.stack(list(reference.values()))
        for term in self.terms:
            if isinstance(term, CalibratedViewTerm):
                chosen = choose_views(view_losses, reference_losses).tolist()
                if term.uses_view:
                    engine.case_views = {case: self.views[view] for case, view in zip(ids, chosen, strict=True)}
                    continue
                answers = self._answer(engine, chosen)
                term.fit(list(answers), list(answers.values()))
            else:
                term.fit(ids, view_losses.mean(dim=1), reference_losses)

    def _measure(self, engine: UnlearningTrainer, dataset: Dataset[Any], view: MirrorView) -> dict[str, torch.Tensor]:
        """Return the teacher's loss of every case by way of a view."""
        losses: dict[str, torch.Tensor] = {}
        for batch in self._ask(engine, dataset, view):
            of_cases = case_losses(self.terms[0].loss_function, batch.logits, batch.label).cpu()
            losses.update(zip(batch.ids, of_cases, strict=True))
        return losses

    def _answer(self, engine: UnlearningTrainer, chosen: list[int]) -> dict[str, torch.Tensor]:
        """Return the teacher's answer to the chosen view of every forget case, in the order of the dataset's views."""
        answers: dict[str, torch.Tensor] = {}
        for number, view in enumerate(self.views):
            cases = Subset(self.forget, [case for case, choice in enumerate(chosen) if choice == number])
            if len(cases):
                for batch in self._ask(engine, cases, view):
                    answers.update(zip(batch.ids, batch.logits.cpu(), strict=True))
        return answers

    def _ask(self, engine: UnlearningTrainer, dataset: Dataset[Any], view: MirrorView) -> Iterator[CaseBatch]:
        inferer = self.inferer or engine.inferer.inferer

        def seen(images: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
            return view.invert(inferer(view.apply(images), network))

        with engine.as_teacher() as teacher:
            loader = DataLoader(dataset, batch_size=self.batch_size)
            yield from predict_cases(teacher, loader, inferer=seen, device=engine.state.device)
