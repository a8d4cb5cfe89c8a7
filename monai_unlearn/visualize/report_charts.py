"""The charts of the report that are drawn from single cases, from losses and from scores by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_unlearn.visualize.case_losses import draw_case_losses
from monai_unlearn.visualize.class_bars import draw_class_bars
from monai_unlearn.visualize.curves import draw_loss_curves
from monai_unlearn.visualize.inline_svg import inline_svg
from monai_unlearn.visualize.loss_panels import CaseLosses
from monai_unlearn.visualize.membership import FEWEST_CASES, draw_attack_curves
from monai_unlearn.visualize.report_tables import by_model

__all__ = ["attack_charts", "case_charts", "class_chart", "history_chart"]

_SHOWN_BY_CLASS = ("retain", "forget", "unseen")


def case_charts(losses: CaseLosses) -> dict[str, str]:
    """Draw every network's losses over the teacher's, by the name of the network, all on the same axes."""
    return {
        model: inline_svg(
            draw_case_losses(losses, models=[model]),
            name=f"losses-{model}",
            label=f"Scatter: the loss of the {model} over that of the teacher, one dot per case, forget and unseen.",
        )
        for model in losses
        if model != "teacher" and "teacher" in losses
    }


def attack_charts(losses: CaseLosses) -> dict[str, str]:
    """Draw the curves of the loss attack, plain and logarithmic; nothing where fewer than ten cases are on a side."""
    if not losses or min(len(part) for pair in losses.values() for part in pair) < FEWEST_CASES:
        return {}
    said = f"ROC curves of the loss attack on {', '.join(losses)}"
    return {
        "linear": inline_svg(draw_attack_curves(losses), name="roc", label=f"{said}, with the diagonal."),
        "logarithmic": inline_svg(
            draw_attack_curves(losses, logarithmic=True), name="roc-log", label=f"{said}, on logarithmic axes."
        ),
    }


def class_chart(audit: Mapping[str, Any]) -> str:
    """Draw F1 by class as bars, for a classification; empty where there is none."""
    models = by_model(audit.get("models"))
    shown = [
        subset
        for subset in _SHOWN_BY_CLASS
        if models and all(isinstance((of.get(subset) or {}).get("f1_per_class"), list) for of in models.values())
    ]
    if not shown:
        return ""
    values = {model: {subset: of[subset]["f1_per_class"] for subset in shown} for model, of in models.items()}
    count = len(values["teacher"][shown[0]]) if "teacher" in values else len(next(iter(values.values()))[shown[0]])
    names = [str(name) for name in audit["data"].get("class_names") or range(count)]
    figure = draw_class_bars(values, class_names=names)
    return inline_svg(figure, name="classes", label="Bars: F1 of each class, for each network and subset.")


def history_chart(history: Sequence[Mapping[str, Any]]) -> str:
    """Draw the losses of the phases, epoch by epoch; empty where none is known."""
    if not history:
        return ""
    return inline_svg(draw_loss_curves(history), name="history", label="The loss terms of each phase, epoch by epoch.")
