"""What every test of the audit starts from: each model's loss and overlap on each case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn

from monai_unlearn.engines import predict_cases
from monai_unlearn.losses import Activation, LossFunction, case_losses
from monai_unlearn.metrics import case_overlap

__all__ = ["CaseScores", "score_cases"]


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Figures of one model, one value per case in the order of ``ids``.

    Args:
        ids: case ids, length ``N``.
        figures: arrays of shape ``(N,)`` by name: ``iou``, ``dice`` (means over the classes) and ``loss``.
        per_class: arrays of shape ``(N, K)`` by name: ``iou``, ``dice``.
    """

    ids: tuple[str, ...]
    figures: dict[str, NDArray[np.float64]]
    per_class: dict[str, NDArray[np.float64]]

    def of(self, ids: Iterable[str], name: str) -> NDArray[np.float64]:
        """Return one figure of some cases, in the order of ``ids``."""
        position = {case: index for index, case in enumerate(self.ids)}
        return self.figures[name][[position[case] for case in ids]]

    def summary(self, ids: Iterable[str]) -> dict[str, Any]:
        """Average every figure over some cases, never over batch means; ``n`` counts the cases."""
        ids = tuple(ids)
        position = {case: index for index, case in enumerate(self.ids)}
        rows = [position[case] for case in ids]
        means: dict[str, Any] = {name: float(values[rows].mean()) for name, values in self.figures.items()}
        for name, values in self.per_class.items():
            if values.shape[1] > 1:
                means[f"{name}_per_class"] = values[rows].mean(axis=0).tolist()
        return {**means, "n": len(ids)}


def score_cases(
    network: nn.Module,
    loader: Iterable[dict[str, Any]],
    *,
    loss_function: LossFunction,
    inferer: Inferer,
    activation: Activation,
    device: str | torch.device,
) -> CaseScores:
    """Measure a network on every case of a loader, in evaluation mode on whole images.

    Args:
        network: the network, on ``device``.
        loader: batches with ``id``, ``image`` and ``label``; no augmentation.
        loss_function: the task's supervised loss.
        inferer: MONAI inferer.
        activation: ``"sigmoid"`` or ``"softmax"``.
        device: where the batches go.

    Raises:
        ValueError: if an output is not finite; the message names the case.
    """
    ids: list[str] = []
    losses: list[torch.Tensor] = []
    overlaps: dict[str, list[torch.Tensor]] = {"iou": [], "dice": []}
    for batch in predict_cases(network, loader, inferer=inferer, device=device):
        ids.extend(batch.ids)
        losses.append(case_losses(loss_function, batch.logits, batch.label))
        for name, values in case_overlap(batch.logits, batch.label, activation=activation).items():
            overlaps[name].append(values)
    per_class = {name: torch.cat(values).cpu().double().numpy() for name, values in overlaps.items()}
    figures = {name: values.mean(axis=1) for name, values in per_class.items()}
    figures["loss"] = torch.cat(losses).cpu().double().numpy()
    return CaseScores(ids=tuple(ids), figures=figures, per_class=per_class)
