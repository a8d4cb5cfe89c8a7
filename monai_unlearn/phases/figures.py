"""The figures of an audit, from a session's networks and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from torch import nn
from torch.utils.data import Subset

from monai_unlearn.audit import CaseScores
from monai_unlearn.data import hash_identifier
from monai_unlearn.handlers import read_history
from monai_unlearn.phases.session import Session
from monai_unlearn.visualize import (
    ComparisonRow,
    draw_case_losses,
    draw_comparison,
    draw_loss_attack,
    draw_loss_curves,
    save_figure,
)

__all__ = ["FIGURES", "audit_loader", "draw_figures"]

FIGURES = tuple(f"figures/{name}.png" for name in ("comparison", "loss_curves", "case_losses", "loss_attack"))
SHOWN_CASES = 3


def audit_loader(session: Session, ids: list[str] | None = None, *, batch_size: int | None = None) -> DataLoader:
    """Load whole images without augmentation: all cases, or those of ``ids`` in their order."""
    dataset = session.build("audit#dataset")
    if ids is not None:
        position = {name: index for index, name in enumerate(dataset.ids)}
        dataset = Subset(dataset, [position[name] for name in ids])
    return DataLoader(dataset, batch_size=batch_size or session.build("audit#batch_size"))


def draw_figures(
    session: Session, models: dict[str, nn.Module], scores: dict[str, CaseScores], ids: dict[str, list[str]]
) -> dict[str, Path]:
    """Draw and save every figure; return their paths by name.

    Args:
        session: the session, whose phases have left their history.
        models: ``teacher``, ``student`` and, if there is one, ``oracle``.
        scores: figures of each model.
        ids: ids of the cases by subset.
    """
    figures = {
        "comparison": draw_comparison(_comparison_rows(session, models, ids), synthetic=session.partition.synthetic),
        "case_losses": draw_case_losses(
            **{
                f"{subset}_{model}": scores[model].of(ids[subset], "loss")
                for subset in ("forget", "unseen")
                for model in ("teacher", "student")
            }
        ),
        "loss_attack": draw_loss_attack(
            {
                name: (of_model.of(ids["forget"], "loss"), of_model.of(ids["unseen"], "loss"))
                for name, of_model in scores.items()
            }
        ),
    }
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
    terms = {"loss", *erase["retention"], *erase["erasures"][session.setting("erasure")], *erase.get("locality", ())}
    rows = read_history(path) if path.exists() else []
    return [row for row in rows if row["phase"] in phases and row["name"] in terms]


def _comparison_rows(session: Session, models: dict[str, nn.Module], ids: dict[str, list[str]]) -> list[ComparisonRow]:
    shown = [(subset, name) for subset in ("retain", "forget") for name in ids[subset][:SHOWN_CASES]]
    batch = next(iter(audit_loader(session, [name for _, name in shown], batch_size=len(shown))))
    device, inferer = session.setting("device"), session.build("audit#inferer")
    image = torch.as_tensor(batch["image"])
    probability = {}
    for name in ("teacher", "student"):
        models[name].eval()
        with torch.no_grad():
            logits = inferer(image.to(device), models[name]).cpu()
        sigmoid = session.build("audit#activation") == "sigmoid"
        probability[name] = (logits.sigmoid()[:, 0] if sigmoid else 1 - logits.softmax(1)[:, 0]).numpy()
    low, high = session.build("audit#intensity_range")
    pictures = ((image - low) / (high - low)).clamp(0, 1).movedim(1, -1).numpy()
    return [
        ComparisonRow(
            subset=subset,
            name=hash_identifier(name, session.folder.salt)[:8],
            image=pictures[index],
            truth=np.asarray(batch["label"][index, 0]) > 0.5,
            teacher=probability["teacher"][index],
            student=probability["student"][index],
        )
        for index, (subset, name) in enumerate(shown)
    ]
