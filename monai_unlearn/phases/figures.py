"""The figures of an audit, from a session's networks and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from monai.data import DataLoader
from monai.networks.utils import eval_mode
from torch import nn
from torch.utils.data import Subset

from monai_unlearn.audit import CaseScores
from monai_unlearn.data import hash_identifier
from monai_unlearn.handlers import read_history
from monai_unlearn.phases.session import Session
from monai_unlearn.visualize import (
    ComparisonRow,
    draw_case_losses,
    draw_class_bars,
    draw_comparison,
    draw_loss_attack,
    draw_loss_curves,
    save_figure,
)

__all__ = ["FIGURES", "audit_loader", "draw_figures", "shown_subsets"]

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


def shown_subsets(session: Session) -> tuple[str, ...]:
    """Name the subsets of which images may be shown, as ``report_images`` says."""
    return {"none": (), "retain": ("retain",), "all": ("retain", "forget")}[session.setting("report_images")]


def draw_figures(
    session: Session, models: dict[str, nn.Module], scores: dict[str, CaseScores], ids: dict[str, list[str]]
) -> dict[str, Path]:
    """Draw and save every figure that fits the task; return their paths by name.

    Args:
        session: the session, whose phases have left their history.
        models: ``teacher``, ``student`` and, if there is one, ``oracle``.
        scores: figures of each model.
        ids: ids of the cases by subset.
    """
    figures: dict[str, Figure] = {}
    if session.build("audit#task") == "segmentation":
        if rows := _comparison_rows(session, models, ids):
            figures["comparison"] = draw_comparison(rows, synthetic=session.partition.synthetic)
    else:
        shown = [subset for subset in ("retain", "forget", "unseen") if ids[subset]]
        bars = {name: {subset: of_model.summary(ids[subset]) for subset in shown} for name, of_model in scores.items()}
        figures["class_bars"] = draw_class_bars(
            {name: {subset: values["f1_per_class"] for subset, values in by.items()} for name, by in bars.items()},
            class_names=session.build("audit#class_names"),
        )
    figures["case_losses"] = draw_case_losses(
        **{
            f"{subset}_{model}": scores[model].of(ids[subset], "loss")
            for subset in ("forget", "unseen")
            for model in ("teacher", "student")
        }
    )
    figures["loss_attack"] = draw_loss_attack(
        {
            name: (of_model.of(ids["forget"], "loss"), of_model.of(ids["unseen"], "loss"))
            for name, of_model in scores.items()
        }
    )
    if history := _losses_of(session):
        figures["loss_curves"] = draw_loss_curves(history)
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


def _comparison_rows(session: Session, models: dict[str, nn.Module], ids: dict[str, list[str]]) -> list[ComparisonRow]:
    shown = [(subset, name) for subset in shown_subsets(session) for name in ids[subset][:SHOWN_CASES]]
    if not shown:
        return []
    loader = audit_loader(session, [name for _, name in shown], batch_size=1)  # images may differ in size
    activation, span = session.build("audit#activation"), session.build("audit#intensity_range")
    rows = []
    for (subset, name), batch in zip(shown, loader, strict=True):
        image = torch.as_tensor(batch["image"])
        probability = {
            model: _foreground_probability(session, models[model], image) for model in ("teacher", "student")
        }
        truth = _foreground(torch.as_tensor(batch["label"])[0], activation)
        cut = _busiest_slice(truth)
        picture = image[0].as_subclass(torch.Tensor)[(slice(None), *cut)]
        low, high = span or (float(picture.min()), max(float(picture.max()), float(picture.min()) + 1e-6))
        picture = ((picture - low) / (high - low)).clamp(0, 1)
        rows.append(
            ComparisonRow(
                subset=subset,
                name=hash_identifier(name, session.folder.salt)[:8],
                image=(picture.movedim(0, -1) if len(picture) == 3 else picture[0]).numpy(),
                truth=truth[cut].numpy(),
                **{model: values[cut].numpy() for model, values in probability.items()},
            )
        )
    return rows


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
