"""What a membership attack reads of a case: how sure the network is of the truth, where it matters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_unlearn.audit.scores import Task
from monai_unlearn.losses import Activation, label_outcomes, log_probabilities

__all__ = ["DenseStatistic"]

POOLING = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


@dataclass(frozen=True, kw_only=True)
class DenseStatistic:
    r"""Mean logit-confidence of the truth over parts of a case: the statistic of LiRA, made for dense predictions.

    LiRA's statistic of a classifier is :math:`\varphi = \log p_y - \log(1 - p_y)`, the margin of the true class over
    all others together; for one logit it is plus or minus the logit. A segmentation has one at every element (see
    :func:`~monai_unlearn.losses.log_probabilities`); our adaptation takes its mean over

    * ``foreground``: the elements whose truth is a structure;
    * ``boundary``: those within ``band`` steps of a structure's edge (dilation minus erosion);
    * ``hardest``: the share ``hardest`` of all elements with the lowest margins.

    Args:
        activation: ``"sigmoid"`` or ``"softmax"``.
        task: ``"segmentation"``, or ``"classification"``, where the only part is ``case``.
        classes: classes that were to be unlearned, which alone count as structures then; empty: all.
        band: half the width of the boundary band, in voxels.
        hardest: a share in (0, 1].

    Raises:
        ValueError: if ``band`` is below 1 or ``hardest`` not in (0, 1].
    """

    activation: Activation
    task: Task = "segmentation"
    classes: tuple[int, ...] = ()
    band: int = 1
    hardest: float = 0.1

    def __post_init__(self) -> None:
        if self.band < 1 or not 0 < self.hardest <= 1:
            raise ValueError(
                "the boundary band is at least 1 voxel wide and the hardest share in (0, 1]; "
                f"got {self.band} and {self.hardest}"
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order of the columns."""
        return ("case",) if self.task == "classification" else ("foreground", "boundary", "hardest")

    def __call__(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the statistic of every case.

        Args:
            logits: shape ``(B, C, *spatial)`` or ``(B, C)``.
            label: any form that MONAI's losses take.

        Returns:
            Shape ``(B, K)``, float64; NaN for the foreground and boundary of a case without any structure.
        """
        truth = label_outcomes(label, logits, self.activation)
        margins = _margins(log_probabilities(logits.double(), self.activation), truth)
        if self.task == "classification":
            return margins.reshape(len(margins), -1).mean(dim=1, keepdim=True)
        structures = self._structures(truth, logits.shape[1])
        edges = structures if structures.shape == truth.shape else structures.any(dim=1)
        boundary = self._boundary(structures)
        flat = margins.flatten(1)
        lowest = flat.topk(math.ceil(self.hardest * flat.shape[1]), dim=1, largest=False, sorted=False).values
        parts = [_mean_over(margins, edges), _mean_over(margins, boundary), lowest.mean(dim=1)]
        return torch.stack(parts, dim=1)

    def _structures(self, truth: torch.Tensor, channels: int) -> torch.Tensor:
        """Maps of the structures: of the shape of the truth for sigmoid, one per class on axis 1 for softmax."""
        if self.activation == "sigmoid":
            counted = torch.tensor([not self.classes or channel in self.classes for channel in range(channels)])
            return truth.bool() & counted.to(truth.device).view(1, -1, *[1] * (truth.ndim - 2))
        return torch.stack([truth == value for value in self.classes or range(1, channels)], dim=1)

    def _boundary(self, structures: torch.Tensor) -> torch.Tensor:
        pool = POOLING[structures.ndim - 3]
        maps = structures.double()

        def widen(values: torch.Tensor) -> torch.Tensor:
            return pool(values, kernel_size=2 * self.band + 1, stride=1, padding=self.band)

        # the pooling pads with minus infinity, so that the border of the image is no edge
        band = widen(maps) + widen(-maps) > 0.5
        return band if self.activation == "sigmoid" else band.any(dim=1)


def _margins(logs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    index = truth.unsqueeze(1)
    others = logs.scatter(1, index, -math.inf)
    return (logs.gather(1, index) - others.logsumexp(dim=1, keepdim=True)).squeeze(1)


def _mean_over(margins: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean over the chosen elements of each case; NaN, as 0 / 0 is, where none is chosen."""
    return (margins * chosen).flatten(1).sum(dim=1) / chosen.flatten(1).sum(dim=1)
