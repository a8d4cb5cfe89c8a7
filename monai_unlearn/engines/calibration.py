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
from monai_unlearn.engines.view_losses import ViewLosses, match_views
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import (
    CalibratedErasureTerm,
    CalibratedViewTerm,
    answers_at_losses,
    case_losses,
    choose_views,
    label_outcomes,
)

__all__ = ["CalibrationTargets"]

AS_IT_IS = MirrorView(axes=())


class CalibrationTargets:
    """Handler that measures the teacher on forget and reference cases and sets the targets of calibrated erasure terms.

    It runs once, when the engine starts, in evaluation mode. The teacher is the engine's.

    Forget cases need not be as hard as reference cases are: a set that comes with its own split may have more of the
    hard diagnoses among its training images. ``by_class`` compares like with like, and ``peers`` says how hard a forget
    case is among all that the teacher knows equally well. With ``peers`` forget cases are judged by views, so reference
    cases are, too: their losses are those of the images and of all their views, which are as unknown to the teacher.
    A small classifier recalls mirrored images a little, too, and none of its answers may be as wrong as the target
    asks; with ``by_class`` the fixed answers are moved to their targets by
    :func:`~monai_unlearn.losses.answers_at_losses`.

    Args:
        terms: the terms whose targets are set; all measure by the same loss function.
        forget: dataset of the cases to forget, with ``id``.
        reference: dataset of never-trained cases that steer, with ``id``.
        views: views of the forget cases, which a :class:`CalibratedViewTerm` needs. A :class:`CalibratedErasureTerm`
            takes its ranks from them too; without any it ranks by the loss on the images themselves.
        peers: dataset of cases that the teacher was trained on and keeps, with ``id``: forget cases are ranked among
            these and themselves; ``None``: among themselves.
        by_class: for a classification: rank and match within each class, and teach answers that lie at their targets.
        batch_size: cases per forward pass.
        inferer: how whole images are seen, where training sees crops: a sliding window. ``None``: as in training.

    Raises:
        ValueError: if there is no term, their loss functions differ, or a :class:`CalibratedViewTerm` gets no views;
            and when it runs, if ``by_class`` meets a network that does not classify whole images.
    """

    def __init__(
        self,
        *,
        terms: Sequence[CalibratedErasureTerm | CalibratedViewTerm],
        forget: Dataset[Any],
        reference: Dataset[Any],
        views: Sequence[MirrorView] = (),
        peers: Dataset[Any] | None = None,
        by_class: bool = False,
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
        self.views = tuple(views) or (AS_IT_IS,)
        self.peers = peers
        self.by_class = by_class
        self.batch_size = batch_size
        self.inferer = inferer

    def attach(self, engine: Engine) -> None:
        """Register the handler at the start of the run."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: UnlearningTrainer) -> None:
        """Fit the terms to the teacher's losses, and to its answers."""
        forget = self._measure(engine, self.forget, self.views)
        targets = self._targets(engine, forget)
        for term in self.terms:
            if not isinstance(term, CalibratedViewTerm):
                term.fit(forget.ids, targets, targets)  # a target's quantile of its own rank is itself
                continue
            chosen = choose_views(forget.losses, targets).tolist()
            if term.uses_view:
                engine.case_views = {case: self.views[view] for case, view in zip(forget.ids, chosen, strict=True)}
            else:
                answers = self._answer(engine, chosen, dict(zip(forget.ids, targets, strict=True)))
                term.fit(list(answers), list(answers.values()))

    def _targets(self, engine: UnlearningTrainer, forget: ViewLosses) -> torch.Tensor:
        """Return the loss that each forget case is pulled to, shape ``(F,)``."""
        seen = (AS_IT_IS,) if self.peers is None else tuple(dict.fromkeys((AS_IT_IS, *self.views)))
        reference = self._measure(engine, self.reference, seen)
        peers = None if self.peers is None else self._measure(engine, self.peers, self.views)
        return match_views(forget, reference, peers)

    def _measure(self, engine: UnlearningTrainer, dataset: Dataset[Any], views: Sequence[MirrorView]) -> ViewLosses:
        """Measure the teacher on every view of every case."""
        columns: list[torch.Tensor] = []
        for view in views:
            measured = [self._of_batch(batch) for batch in self._ask(engine, dataset, view)]
            columns.append(torch.cat([losses for _, losses, _ in measured]))
        return ViewLosses(
            ids=tuple(case for ids, _, _ in measured for case in ids),
            losses=torch.stack(columns, dim=1),
            classes=torch.cat([classes for _, _, classes in measured]),
        )

    def _of_batch(self, batch: CaseBatch) -> tuple[tuple[str, ...], torch.Tensor, torch.Tensor]:
        losses = case_losses(self.terms[0].loss_function, batch.logits, batch.label).cpu()
        return batch.ids, losses, self._classes_of(batch)

    def _classes_of(self, batch: CaseBatch) -> torch.Tensor:
        if not self.by_class:
            return torch.zeros(len(batch.ids), dtype=torch.long)
        if batch.logits.ndim != 2:
            raise ValueError(
                f"'by_class' is for classifications; the network's answer to {batch.ids[0]!r} has the shape "
                f"{tuple(batch.logits.shape[1:])}"
            )
        return label_outcomes(batch.label, batch.logits, "softmax").cpu()

    def _answer(
        self, engine: UnlearningTrainer, chosen: list[int], targets: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the answer that every forget case is taught, in the order of the views."""
        answers: dict[str, torch.Tensor] = {}
        for number, view in enumerate(self.views):
            cases = Subset(self.forget, [case for case, choice in enumerate(chosen) if choice == number])
            if len(cases):
                for batch in self._ask(engine, cases, view):
                    taught = batch.logits
                    if self.by_class:
                        wanted = torch.stack([targets[case] for case in batch.ids]).to(taught)
                        loss_function = self.terms[0].loss_function
                        taught = answers_at_losses(taught, batch.label, wanted, loss_function=loss_function)
                    answers.update(zip(batch.ids, taught.cpu(), strict=True))
        return answers

    def _ask(self, engine: UnlearningTrainer, dataset: Dataset[Any], view: MirrorView) -> Iterator[CaseBatch]:
        inferer = self.inferer or engine.inferer.inferer

        def seen(images: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
            return view.invert(inferer(view.apply(images), network))

        with engine.as_teacher() as teacher:
            loader = DataLoader(dataset, batch_size=self.batch_size)
            yield from predict_cases(teacher, loader, inferer=seen, device=engine.state.device)
