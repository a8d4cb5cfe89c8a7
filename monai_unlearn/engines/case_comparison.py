"""How the forget cases stand beside what they ought to be: losses and scores of both, at this moment of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from monai.data import DataLoader
from monai.inferers import Inferer
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.engines.inference import CaseBatch, predict_cases
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import LossFunction, case_losses

__all__ = ["CaseComparison", "CaseScore"]

CaseScore = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits ``(B, C, …)`` and label to one score per case, ``(B,)``: the higher the better."""


class CaseComparison:
    """Measure the student on the forget cases, and what it is to be compared with.

    With ``views`` the target is what the *teacher* says of other views of the same forget cases, averaged per case over
    the views: of cases as hard as these, the answers of a network that cannot recall them. It is measured once. Without
    views the target is what the *student* says of the reference cases at the same moment: other cases, which may be
    easier or harder than the forgotten ones. All in evaluation mode, on whole images as the datasets give them.

    Args:
        forget: dataset of the cases to forget, with ``id``.
        loss_function: the bundle's supervised loss.
        score: gives one score per case, such as :func:`monai_unlearn.metrics.case_score`.
        reference: dataset of never-trained cases that steer, with ``id``; needed without views.
        views: views of the forget cases; anything with ``apply`` and ``invert``.
        batch_size: cases per forward pass.
        inferer: how whole images are seen, where training sees crops: a sliding window. ``None``: as in training.

    Raises:
        ValueError: if there are neither views nor reference cases.
    """

    def __init__(
        self,
        *,
        forget: Dataset[Any],
        loss_function: LossFunction,
        score: CaseScore,
        reference: Dataset[Any] | None = None,
        views: Sequence[MirrorView] = (),
        batch_size: int = 32,
        inferer: Inferer | None = None,
    ) -> None:
        if reference is None and not views:
            raise ValueError("the forget cases are compared with 'views' of themselves or with a 'reference' dataset")
        self.forget = forget
        self.reference = reference
        self.loss_function = loss_function
        self.score = score
        self.views = tuple(views)
        self.batch_size = batch_size
        self.inferer = inferer
        self._of_views: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, engine: UnlearningTrainer) -> dict[str, torch.Tensor]:
        """Return ``losses`` and ``scores`` of the forget cases, ``other_losses`` and ``other_scores`` of the target."""
        losses, scores = self._measure(engine, engine.network, self.forget)
        other_losses, other_scores = self._target(engine)
        return {"losses": losses, "scores": scores, "other_losses": other_losses, "other_scores": other_scores}

    def _target(self, engine: UnlearningTrainer) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.views:
            assert self.reference is not None
            return self._measure(engine, engine.network, self.reference)
        if self._of_views is None:
            with engine.as_teacher() as teacher:
                by_view = [self._measure(engine, teacher, self.forget, view) for view in self.views]
            losses, scores = (torch.stack(values).mean(dim=0) for values in zip(*by_view, strict=True))
            self._of_views = losses, scores
        return self._of_views

    def _measure(
        self, engine: UnlearningTrainer, network: nn.Module, dataset: Dataset[Any], view: MirrorView | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        losses, scores = [], []
        for batch in self._ask(engine, network, dataset, view):
            losses.append(case_losses(self.loss_function, batch.logits, batch.label).cpu())
            scores.append(self.score(batch.logits, batch.label).cpu())
        return torch.cat(losses), torch.cat(scores)

    def _ask(
        self, engine: Engine, network: nn.Module, dataset: Dataset[Any], view: MirrorView | None
    ) -> Iterator[CaseBatch]:
        inferer = self.inferer or engine.inferer.inferer

        def seen(images: torch.Tensor, asked: nn.Module) -> torch.Tensor:
            if view is None:
                return inferer(images, asked)  # type: ignore[no-any-return]
            return view.invert(inferer(view.apply(images), asked))

        loader = DataLoader(dataset, batch_size=self.batch_size)
        yield from predict_cases(network, loader, inferer=seen, device=engine.state.device)
