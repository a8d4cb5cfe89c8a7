"""The figures of an audit, from a session's networks and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from monai.data import DataLoader
from torch import nn
from torch.utils.data import Subset

from monai_unlearn.audit import CaseScores
from monai_unlearn.handlers import read_history
from monai_unlearn.phases.session import Session
from monai_unlearn.phases.shown_cases import show_cases_of
from monai_unlearn.visualize import (
    draw_case_losses,
    draw_class_bars,
    draw_comparison,
    draw_loss_attack,
    draw_loss_curves,
    save_figure,
)

__all__ = ["FIGURES", "audit_loader", "draw_figures", "gather_material", "shown_subsets"]

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
    shown = [(subset, name) for subset in shown_subsets(session) for name in ids[subset][:SHOWN_CASES]]
    # one by one, for images may differ in size
    loader = audit_loader(session, [name for _, name in shown], batch_size=1) if shown else ()
    return {
        "cases": show_cases_of(session, shown, loader, models, scores),
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
