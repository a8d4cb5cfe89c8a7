"""Figures of a classification: accuracy, F1, confusion, and what is said in place of a class that was removed."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import torch

__all__ = [
    "class_accuracy",
    "class_confusion",
    "class_f1",
    "class_recall",
    "macro_mean",
    "remaining_total_variation",
]

Classes = torch.Tensor | npt.ArrayLike
Counts = npt.NDArray[np.int64]


def class_confusion(predicted: Classes, truth: Classes, *, class_count: int) -> Counts:
    """Count how often each true class was taken for each class.

    Args:
        predicted: class indices, shape ``(N,)``.
        truth: class indices, shape ``(N,)``.
        class_count: number of classes ``C``.

    Returns:
        Shape ``(C, C)``; rows are the truth, columns the prediction.

    Raises:
        ValueError: if the two differ in length, there is no case, or an index is not in ``0 … C - 1``.
    """
    of_prediction, of_truth = (np.asarray(values) for values in (predicted, truth))
    if of_prediction.ndim != 1 or of_prediction.shape != of_truth.shape or not len(of_truth):
        raise ValueError(
            f"predicted and truth hold one class index per case, at least one; their shapes are {of_prediction.shape} "
            f"and {of_truth.shape}."
        )
    for name, values in (("predicted", of_prediction), ("truth", of_truth)):
        if foreign := sorted(set(values[(values < 0) | (values >= class_count)].tolist())):
            raise ValueError(f"{name} holds the classes {foreign}; there are 0 … {class_count - 1}.")
    counts = np.bincount(of_truth.astype(np.int64) * class_count + of_prediction, minlength=class_count**2)
    return counts.reshape(class_count, class_count).astype(np.int64)


def class_accuracy(confusion: Counts) -> float:
    """Share of the cases whose class was recognised."""
    return float(np.trace(confusion) / confusion.sum())


def class_recall(confusion: Counts) -> list[float | None]:
    """Share of each class that was recognised, the accuracy on that class; ``None`` where it has no case."""
    present = confusion.sum(axis=1)
    return [float(hit / count) if count else None for hit, count in zip(np.diagonal(confusion), present, strict=True)]


def class_f1(confusion: Counts) -> list[float | None]:
    """F1 of each class, ``2 TP / (2 TP + FP + FN)``; ``None`` where no case has the class.

    A class without a case has no F1: its value would be 0 for a single false alarm and undefined without one.
    """
    present, called = confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        float(2 * hit / (of_truth + of_prediction)) if of_truth else None
        for hit, of_truth, of_prediction in zip(np.diagonal(confusion), present, called, strict=True)
    ]


def macro_mean(per_class: Collection[float | None]) -> float:
    """Mean over the classes that have a case.

    Raises:
        ValueError: if none has.
    """
    present = [value for value in per_class if value is not None]
    if not present:
        raise ValueError("no class has a case: there is nothing to average.")
    return float(np.mean(present))


def remaining_total_variation(
    probabilities: Classes, others: Classes, *, removed: Collection[int]
) -> npt.NDArray[np.float64]:
    """Total variation of two predictions over the classes that remain, per case: ``½ Σ |p - q|`` after renormalising.

    Asked of the images of a class that was removed, it says whether two networks put the same in its place: a student
    that unlearned the class, and an oracle that never knew it.

    Args:
        probabilities: shape ``(N, C)``.
        others: of the other network, same shape.
        removed: the classes that are left out; both rest distributions are scaled to the sum 1.

    Returns:
        Shape ``(N,)``, in ``[0, 1]``.

    Raises:
        ValueError: if the shapes differ, fewer than two classes remain, or a case has no probability left on them.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (probabilities, others))
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"both predictions need one shape (N, C); they have {first.shape} and {second.shape}.")
    kept = [index for index in range(first.shape[1]) if index not in set(removed)]
    if len(kept) < 2:
        raise ValueError(f"of {first.shape[1]} classes {len(kept)} remain; a distribution needs two.")
    rests = []
    for values in (first[:, kept], second[:, kept]):
        total = values.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            row = int((total[:, 0] <= 0).argmax())
            raise ValueError(f"case {row} has no probability on the classes that remain.")
        rests.append(values / total)
    distances: npt.NDArray[np.float64] = np.abs(rests[0] - rests[1]).sum(axis=1) / 2
    return distances
