"""Calibration of a few cases: each one's target is its own mean loss over views, not a quantile of other cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch.utils.data import Dataset

from monai_unlearn.engines.calibration import CalibrationTargets
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm, choose_views

__all__ = ["ViewTargets"]


class ViewTargets(CalibrationTargets):
    """Handler that sets the targets of calibrated erasure terms from views of the forget cases alone.

    :class:`CalibrationTargets` gives many forget cases together the distribution of the reference losses. Five cases
    are no distribution: their own difficulty decides, by which the mean of five differs more from that of the reference
    cases than calibration may err. Here each case is pulled to the mean of the teacher's losses on its own views, and
    taught the answer whose loss is nearest to it. The views must then be such that a trained case does as well by them
    as a network that never saw it would do on the case itself; that is to be measured, task by task.

    Args:
        terms: the terms whose targets are set; all measure by the same loss function.
        forget: dataset of the cases to forget, with ``id``.
        views: views of the forget cases; anything with ``apply`` and ``invert``.
        batch_size: cases per forward pass.
        inferer: how whole images are seen, where training sees crops. ``None``: as in training.

    Raises:
        ValueError: if there is no term or no view, or the terms' loss functions differ.
    """

    def __init__(
        self,
        *,
        terms: Sequence[CalibratedErasureTerm | CalibratedViewTerm],
        forget: Dataset[Any],
        views: Sequence[MirrorView],
        batch_size: int = 32,
        inferer: Inferer | None = None,
    ) -> None:
        if not views:
            raise ValueError("the targets are read off 'views', such as monai_unlearn.engines.shift_views(3); got none")
        super().__init__(
            terms=terms, forget=forget, reference=forget, views=views, batch_size=batch_size, inferer=inferer
        )

    def __call__(self, engine: UnlearningTrainer) -> None:
        """Fit the terms to the teacher's losses and answers by way of the views."""
        by_view = [self._measure(engine, self.forget, view) for view in self.views]
        ids = list(by_view[0])
        view_losses = torch.stack([torch.stack([losses[case] for case in ids]) for losses in by_view], dim=1)
        own = view_losses.mean(dim=1)  # in the place of reference losses: the quantile of a case's rank is its own
        for term in self.terms:
            if not isinstance(term, CalibratedViewTerm):
                term.fit(ids, own, own)
                continue
            chosen = choose_views(view_losses, own).tolist()
            if term.uses_view:
                engine.case_views = {case: self.views[view] for case, view in zip(ids, chosen, strict=True)}
            else:
                answers = self._answer(engine, chosen)
                term.fit(list(answers), list(answers.values()))
