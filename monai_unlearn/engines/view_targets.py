"""Calibration of a few cases: each one's target is its own mean loss over views, not a quantile of other cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch.utils.data import Dataset

from monai_unlearn.engines.calibration import CalibrationTargets
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.view_losses import ViewLosses
from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm

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

    def _targets(self, engine: UnlearningTrainer, forget: ViewLosses) -> torch.Tensor:
        """Return the mean loss of each forget case over its own views, shape ``(F,)``."""
        return forget.losses.mean(dim=1)
