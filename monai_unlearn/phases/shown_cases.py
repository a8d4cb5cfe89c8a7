"""Single cases for figures and report: a picture or a slice, and what teacher and student make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import nn

from monai_unlearn.audit import CaseScores, ClassScores
from monai_unlearn.data import hash_identifier
from monai_unlearn.phases.session import Session
from monai_unlearn.visualize import ClassifiedCase, ComparisonRow

__all__ = ["show_cases_of"]

Shown = Sequence[tuple[str, str]]


def show_cases_of(
    session: Session,
    shown: Shown,
    loader: Iterable[dict[str, Any]],
    models: dict[str, nn.Module],
    scores: dict[str, CaseScores],
) -> list[ComparisonRow] | list[ClassifiedCase]:
    """Prepare cases to be drawn, under salted hashes in place of their ids.

    Args:
        session: the session.
        shown: subset and id of every case.
        loader: the cases in the same order, one by one.
        models: ``teacher`` and ``student``.
        scores: figures of each model.
    """
    teacher, student = scores["teacher"], scores["student"]
    if isinstance(teacher, ClassScores) and isinstance(student, ClassScores):
        return _classified_cases(session, shown, loader, teacher, student)
    return _comparison_rows(session, shown, loader, models)


def _comparison_rows(
    session: Session, shown: Shown, loader: Iterable[dict[str, Any]], models: dict[str, nn.Module]
) -> list[ComparisonRow]:
    activation = session.build("audit#activation")
    rows = []
    for (subset, name), batch in zip(shown, loader, strict=True):
        image = torch.as_tensor(batch["image"])
        probability = {
            model: _foreground_probability(session, models[model], image) for model in ("teacher", "student")
        }
        truth = _foreground(torch.as_tensor(batch["label"])[0], activation)
        cut = _busiest_slice(truth)
        rows.append(
            ComparisonRow(
                subset=subset,
                name=hash_identifier(name, session.folder.salt)[:8],
                image=_picture(session, image, cut),
                truth=truth[cut].numpy(),
                **{model: values[cut].numpy() for model, values in probability.items()},
            )
        )
    return rows


def _classified_cases(
    session: Session, shown: Shown, loader: Iterable[dict[str, Any]], teacher: ClassScores, student: ClassScores
) -> list[ClassifiedCase]:
    cases = []
    for (subset, name), batch in zip(shown, loader, strict=True):
        image = torch.as_tensor(batch["image"])
        depth = [size // 2 for size in image.shape[4:]]  # of a volume the middle: there is no mask to choose by
        middle: tuple[slice | int, ...] = (slice(None), slice(None), *depth)
        (row,) = teacher.rows([name])
        cases.append(
            ClassifiedCase(
                subset=subset,
                name=hash_identifier(name, session.folder.salt)[:8],
                image=_picture(session, image, middle),
                truth=int(teacher.truth[row]),
                teacher=teacher.probabilities[row].clip(0, 1),
                student=student.probabilities[row].clip(0, 1),
            )
        )
    return cases


def _picture(session: Session, image: torch.Tensor, cut: tuple[slice | int, ...]) -> np.ndarray:
    """Turn the first image of a batch, or a slice of it, into intensities in [0, 1]."""
    span = session.build("audit#intensity_range")
    picture = image[0].as_subclass(torch.Tensor)[(slice(None), *cut)]
    low, high = span or (float(picture.min()), max(float(picture.max()), float(picture.min()) + 1e-6))
    picture = ((picture - low) / (high - low)).clamp(0, 1)
    scaled: np.ndarray = (picture.movedim(0, -1) if len(picture) == 3 else picture[0]).numpy()
    return scaled


def _foreground_probability(session: Session, network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    device, activation = session.setting("device"), session.build("audit#activation")
    with eval_mode(network), torch.no_grad():
        output = session.build("audit#inferer")(image.to(device), network)
    logits = torch.as_tensor(output).cpu().as_subclass(torch.Tensor)
    chance: torch.Tensor = logits.sigmoid().amax(1)[0] if activation == "sigmoid" else 1 - logits.softmax(1)[0, 0]
    return chance.clamp(0, 1)


def _foreground(label: torch.Tensor, activation: str) -> torch.Tensor:
    """Tell what is of any class: from one mask a label, from class indices, or one-hot with the background first."""
    label = label.as_subclass(torch.Tensor)
    if activation == "softmax" and len(label) > 1:
        label = label[1:]
    return (label > 0.5).any(dim=0)


def _busiest_slice(truth: torch.Tensor) -> tuple[slice | int, ...]:
    """Choose the slice along the last axis of a volume that holds most foreground; of a picture, everything."""
    if truth.ndim == 2:
        return (slice(None), slice(None))
    return (slice(None), slice(None), int(truth.sum(dim=(0, 1)).argmax()))
