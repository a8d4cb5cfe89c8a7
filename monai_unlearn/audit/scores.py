"""What every test of the audit starts from: how each model does on each case."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn

from monai_unlearn.engines import predict_cases
from monai_unlearn.losses import Activation, LossFunction, case_losses, label_outcomes, log_probabilities
from monai_unlearn.metrics import (
    case_confidence,
    case_overlap,
    class_accuracy,
    class_confusion,
    class_f1,
    class_recall,
    macro_mean,
)

__all__ = ["CaseScores", "ClassScores", "Task", "score_cases"]

Task = Literal["segmentation", "classification"]


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Figures of one model, one value per case in the order of ``ids``.

    Args:
        ids: case ids, length ``N``.
        figures: arrays of shape ``(N,)`` by name: ``loss``, and for segmentation ``iou``, ``dice`` (means over the
            classes), for classification ``correct`` (1 or 0).
        per_class: arrays of shape ``(N, K)`` by name: ``iou``, ``dice``; empty for classification.
        signals: what attacks read beside the loss, arrays of shape ``(N,)`` by name, not part of a summary; those of
            :func:`monai_unlearn.metrics.case_confidence`, of the foreground for segmentation only.
        present: which classes the truth of a case holds, shape ``(N, K)`` as ``per_class``; ``None`` for a
            classification.
    """

    ids: tuple[str, ...]
    figures: dict[str, NDArray[np.float64]]
    per_class: dict[str, NDArray[np.float64]]
    signals: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    present: NDArray[np.bool_] | None = None

    def of(self, ids: Iterable[str], name: str) -> NDArray[np.float64]:
        """Return one figure of some cases, in the order of ``ids``."""
        return self.figures[name][self.rows(ids)]

    def signal(self, ids: Iterable[str], name: str) -> NDArray[np.float64]:
        """Return one signal of some cases, in the order of ``ids``."""
        return self.signals[name][self.rows(ids)]

    def overlap_of(self, ids: Iterable[str], columns: Sequence[int]) -> NDArray[np.float64]:
        """Return the IoU of some cases over some classes, in the order of ``ids``.

        It is the mean over those of the classes that the case holds. A class that is neither there nor predicted has
        the IoU 1, so to count it would praise a network for saying nothing; only where a case holds none of the
        classes is it the mean over all of them, which a false alarm lowers.

        Args:
            ids: the cases.
            columns: columns of ``per_class``.
        """
        rows = self.rows(ids)
        values = self.per_class["iou"][rows][:, columns]
        held = np.ones_like(values) if self.present is None else self.present[rows][:, columns].astype(np.float64)
        held[held.sum(axis=1) == 0] = 1
        means: NDArray[np.float64] = (values * held).sum(axis=1) / held.sum(axis=1)
        return means

    def lacks_foreground(self, ids: Iterable[str]) -> bool:
        """Whether no label of these cases has any foreground: then overlap praises whoever says nothing.

        ``False`` for a classification, and where the labels were not looked at.
        """
        return "foreground" in self.signals and not self.signal(ids, "foreground").any()

    def rows(self, ids: Iterable[str]) -> list[int]:
        """Return the positions of some cases, in the order of ``ids``."""
        position = {case: index for index, case in enumerate(self.ids)}
        return [position[case] for case in ids]

    def summary(self, ids: Iterable[str]) -> dict[str, Any]:
        """Average every figure over some cases, never over batch means; ``n`` counts the cases."""
        rows = self.rows(ids)
        means: dict[str, Any] = {name: float(values[rows].mean()) for name, values in self.figures.items()}
        for name, values in self.per_class.items():
            if values.shape[1] > 1:
                means[f"{name}_per_class"] = values[rows].mean(axis=0).tolist()
        return {**means, "n": len(rows)}


@dataclass(frozen=True, kw_only=True)
class ClassScores(CaseScores):
    """Figures of one classifier.

    Args:
        probabilities: of every class, shape ``(N, C)``.
        truth: index of the true class, shape ``(N,)``.
    """

    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Index of the likeliest class, shape ``(N,)``."""
        likeliest: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return likeliest

    def summary(self, ids: Iterable[str], *, without: Collection[int] = ()) -> dict[str, Any]:
        """Summarise some cases: ``accuracy``, ``f1_macro``, ``loss``, ``n``, and F1 and accuracy by class.

        ``f1_per_class`` and ``accuracy_per_class`` hold ``None`` for a class that none of the cases has; ``f1_macro``
        is the mean over the others.

        Args:
            ids: the cases.
            without: classes left out of ``f1_macro``, such as those that were to be forgotten.
        """
        rows = self.rows(ids)
        classes = self.probabilities.shape[1]
        confusion = class_confusion(self.predicted[rows], self.truth[rows], class_count=classes)
        f1 = class_f1(confusion)
        averaged = [value for index, value in enumerate(f1) if index not in without and value is not None]
        return {
            "accuracy": class_accuracy(confusion),
            "f1_macro": macro_mean(averaged) if averaged else None,
            "f1_per_class": f1,
            "accuracy_per_class": class_recall(confusion),
            "loss": float(self.figures["loss"][rows].mean()),
            "n": len(rows),
        }


def score_cases(
    network: nn.Module,
    loader: Iterable[dict[str, Any]],
    *,
    loss_function: LossFunction,
    inferer: Inferer,
    activation: Activation,
    device: str | torch.device,
    task: Task = "segmentation",
) -> CaseScores:
    """Measure a network on every case of a loader, in evaluation mode on whole images.

    Args:
        network: the network, on ``device``.
        loader: batches with ``id``, ``image`` and ``label``; no augmentation.
        loss_function: the task's supervised loss.
        inferer: MONAI inferer.
        activation: ``"sigmoid"`` or ``"softmax"``; a classification is ``"softmax"``.
        device: where the batches go.
        task: ``"segmentation"``, or ``"classification"`` for logits ``(B, C)`` of exclusive classes, which gives
            :class:`ClassScores`.

    Raises:
        ValueError: if an output is not finite (the message names the case), the task is unknown, or the classes of a
            classification are not exclusive.
    """
    if task not in get_args(Task):
        raise ValueError(f"'task' is one of {', '.join(get_args(Task))}; got {task!r}")
    if task == "classification" and activation != "softmax":
        raise ValueError(f"a classification has exclusive classes: its activation is 'softmax', not {activation!r}")
    ids: list[str] = []
    columns: dict[str, list[torch.Tensor]] = {}
    seen: dict[str, list[torch.Tensor]] = {}
    for batch in predict_cases(network, loader, inferer=inferer, device=device):
        ids.extend(batch.ids)
        values = {"loss": case_losses(loss_function, batch.logits, batch.label)}
        if task == "classification":
            values["probabilities"] = log_probabilities(batch.logits.double(), activation).exp()
            values["truth"] = label_outcomes(batch.label, batch.logits, activation)
        else:
            overlap = case_overlap(batch.logits, batch.label, activation=activation)
            values.update({str(name): value for name, value in overlap.items()})
            values["present"] = _present(batch.logits, batch.label, activation)
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
        label = None if task == "classification" else batch.label  # a class is not a foreground
        for name, value in case_confidence(batch.logits, label, activation=activation).items():
            seen.setdefault(name, []).append(value)
    arrays, signals = (
        {name: torch.cat(values).cpu().double().numpy() for name, values in parts.items()} for parts in (columns, seen)
    )
    loss = {"loss": arrays.pop("loss")}
    if task == "classification":
        probabilities, truth = arrays["probabilities"], arrays["truth"].astype(np.int64)
        correct = (probabilities.argmax(axis=1) == truth).astype(np.float64)
        return ClassScores(
            ids=tuple(ids),
            figures={"correct": correct, **loss},
            per_class={},
            signals=signals,
            probabilities=probabilities,
            truth=truth,
        )
    present = arrays.pop("present").astype(np.bool_)
    means = {name: values.mean(axis=1) for name, values in arrays.items()}
    return CaseScores(ids=tuple(ids), figures={**means, **loss}, per_class=arrays, signals=signals, present=present)


def _present(logits: torch.Tensor, label: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Say which classes each case holds, shape ``(B, K)`` as the columns of :func:`case_overlap`."""
    truth = label_outcomes(label, logits, activation)
    if activation == "sigmoid":
        return truth.flatten(2).any(dim=2)
    return torch.stack([(truth == value).flatten(1).any(dim=1) for value in range(1, logits.shape[1])], dim=1)
