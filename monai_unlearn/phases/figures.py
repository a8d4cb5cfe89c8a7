"""The figures of an audit, from a session's networks and scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.data import DataLoader
from monai.networks.utils import eval_mode
from torch import nn
from torch.utils.data import Subset

from monai_unlearn.audit import CaseScores, ClassScores
from monai_unlearn.data import hash_identifier
from monai_unlearn.handlers import read_history
from monai_unlearn.phases.session import Session
from monai_unlearn.visualize import (
    ClassifiedCase,
    ComparisonRow,
    draw_case_losses,
    draw_class_bars,
    draw_comparison,
    draw_loss_attack,
    draw_loss_curves,
    save_figure,
)

__all__ = ["FIGURES", "audit_loader", "draw_figures", "gather_material"]

FIGURES = tuple(
    f"figures/{name}.png" for name in ("comparison", "class_bars", "loss_curves", "case_losses", "loss_attack")
)
SHOWN_CASES = 3


def audit_loader(session: Session, ids: list[str] | None = None, *, batch_size: int | None = None) -> DataLoader:
    """Load whole images without augmentation: all cases, or those of ``ids`` in their order."""
    dataset = session.build("audit#dataset")
    if ids is not None:
        position = {name: index for index, name in enumerate(dataset.ids)}
        dataset = Subset(dataset, [position[name] for name in ids])
    return DataLoader(dataset, batch_size=batch_size or session.build("audit#batch_size"))


def gather_material(
    session: Session, models: dict[str, nn.Module], scores: dict[str, CaseScores], ids: dict[str, list[str]]
) -> dict[str, Any]:
    """Gather what figures and report are drawn from: ``cases``, ``losses`` and ``history``.

    Args:
        session: the session, whose phases have left their history.
        models: ``teacher``, ``student`` and, if there is one, ``oracle``.
        scores: figures of each model.
        ids: ids of the cases by subset.
    """
    shown = [(subset, name) for subset in ("retain", "forget") for name in ids[subset][:SHOWN_CASES]]
    teacher, student = scores["teacher"], scores["student"]
    if isinstance(teacher, ClassScores) and isinstance(student, ClassScores):
        cases: list[Any] = [*_classified_cases(session, teacher, student, shown)]
    else:
        cases = [*_comparison_rows(session, models, shown)]
    return {
        "cases": cases,
        "losses": {
            name: (scores[name].of(ids["forget"], "loss"), scores[name].of(ids["unseen"], "loss"))
            for name in ("teacher", "student", "oracle")
            if name in scores
        },
        "history": _losses_of(session),
    }


def draw_figures(
    session: Session, material: dict[str, Any], scores: dict[str, CaseScores], ids: dict[str, list[str]]
) -> dict[str, Path]:
    """Draw and save every figure that fits the task; return their paths by name.

    Args:
        session: the session.
        material: what :func:`gather_material` returned.
        scores: figures of each model.
        ids: ids of the cases by subset.
    """
    figures: dict[str, Figure] = {}
    if session.build("audit#task") == "classification":
        shown = [subset for subset in ("retain", "forget", "unseen") if ids[subset]]
        bars = {name: {subset: of_model.summary(ids[subset]) for subset in shown} for name, of_model in scores.items()}
        figures["class_bars"] = draw_class_bars(
            {name: {subset: values["f1_per_class"] for subset, values in by.items()} for name, by in bars.items()},
            class_names=session.build("audit#class_names"),
        )
    elif material["cases"]:
        figures["comparison"] = draw_comparison(material["cases"], synthetic=session.partition.synthetic)
    figures["case_losses"] = draw_case_losses(material["losses"])
    figures["loss_attack"] = draw_loss_attack(material["losses"])
    if material["history"]:
        figures["loss_curves"] = draw_loss_curves(material["history"])
    return {name: save_figure(figure, session.folder / f"figures/{name}.png") for name, figure in figures.items()}


def _losses_of(session: Session) -> list[dict[str, Any]]:
    """Read the losses of the phases that led to this result; others may have left rows in the same file."""
    path = session.folder / "metrics.csv"
    phases = {"erase", "restore"}
    if session.setting("teacher_checkpoint") is None:
        phases.add("teach")
    if session.setting("oracle") == "train":
        phases.add("retrain")
    erase = session.parser["erase"]
    erasure = erase["class_erasure"] if session.partition.classes else erase["erasures"][session.erasure]
    terms = {"loss", *erasure, *(name for side in ("retention", "hold", "locality") for name in erase.get(side) or ())}
    rows = read_history(path) if path.exists() else []
    return [row for row in rows if row["phase"] in phases and row["name"] in terms]


def _comparison_rows(
    session: Session, models: dict[str, nn.Module], shown: list[tuple[str, str]]
) -> list[ComparisonRow]:
    activation = session.build("audit#activation")
    rows = []
    for subset, name, batch in _load_shown(session, shown):
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
    session: Session, teacher: ClassScores, student: ClassScores, shown: list[tuple[str, str]]
) -> list[ClassifiedCase]:
    cases = []
    for subset, name, batch in _load_shown(session, shown):
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


def _load_shown(session: Session, shown: list[tuple[str, str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Load one case after the other, for images may differ in size."""
    loader = audit_loader(session, [name for _, name in shown], batch_size=1) if shown else []
    for (subset, name), batch in zip(shown, loader, strict=True):
        yield subset, name, batch


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
