"""Every case by its loss, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_unlearn.visualize.loss_panels import SPREAD_FOR_LOG, CaseLosses, check_losses, clear_frame
from monai_unlearn.visualize.palette import SUBSET_COLORS

__all__ = ["draw_case_losses"]

_MOST_DOTS = 2000


def draw_case_losses(losses: CaseLosses, *, models: Sequence[str] = ()) -> Figure:
    """Draw each network's loss over the teacher's, one dot per case, one panel per network.

    A case on the diagonal is as the teacher left it. Forgetting lifts the forget cases off it, ideally into the cloud
    of the unseen ones and no further; the oracle's panel shows where retraining puts them.

    Args:
        losses: per model, the ``teacher`` among them, the losses of the forget cases, shape ``(F,)``, and of the unseen
            ones, shape ``(U,)``; every model's in the same order.
        models: which of them get a panel; by default all but the teacher. All panels have the same axes.

    Returns:
        A figure of square panels, logarithmic where the losses span a factor of 30 or more. Of more than 2000 cases of
        a subset 2000 are drawn, evenly spread in the order given, and the legend says so.

    Raises:
        ValueError: if there is no teacher or no other model, a set is empty, holds a value that is not finite, or two
            models' sets differ in length.
    """
    chosen = list(models) or [model for model in losses if model != "teacher"]
    if "teacher" not in losses or not chosen or not {*chosen} <= {*losses}:
        raise ValueError(f"give the losses of the teacher and of another model, not of {', '.join(losses) or 'none'}")
    for place, subset in enumerate(("forget", "unseen")):
        for model, sets in losses.items():
            check_losses(sets[place], f"{model}'s losses on {subset}")
            if len(sets[place]) != len(losses["teacher"][place]):
                counts = f"{len(losses['teacher'][place])} losses of the teacher, {len(sets[place])} of the {model}"
                raise ValueError(f"{subset}: {counts}")

    everything = np.concatenate([part for pair in losses.values() for part in pair])
    low, high = everything.min(), everything.max()
    logarithmic = low > 0 and high / low >= SPREAD_FOR_LOG
    if logarithmic:
        low, high = low / 1.15, high * 1.15
    else:
        margin = 0.04 * (high - low) or 0.05
        low, high = low - margin, high + margin
    figure = Figure(figsize=(4.4 * len(chosen), 4.7), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        if logarithmic:
            axes.set(xscale="log", yscale="log")
        axes.plot(
            [low, high], [low, high], color="#888888", linewidth=1, linestyle="--", label="as the teacher left it"
        )
        for place, subset in ((1, "unseen"), (0, "forget")):
            _draw_dots(axes, subset, losses["teacher"][place], losses[model][place])
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="teacher's loss", ylabel=f"{model}'s loss")
        clear_frame(axes)
    legend = figure.axes[0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside upper center", frameon=False, fontsize=9, ncols=3 if len(chosen) > 1 else 2)
    return figure


def _draw_dots(axes: Axes, subset: str, teacher: np.ndarray, model: np.ndarray) -> None:
    drawn = np.arange(len(teacher))
    if len(drawn) > _MOST_DOTS:  # a page with tens of thousands of marks opens slowly
        drawn = np.linspace(0, len(teacher) - 1, _MOST_DOTS).round().astype(int)
    count = str(len(teacher)) if len(drawn) == len(teacher) else f"{len(drawn)} of {len(teacher)}"
    axes.plot(
        teacher[drawn],
        model[drawn],
        linestyle="none",
        markersize=5,
        alpha=0.65,
        color=SUBSET_COLORS[subset],
        marker="o" if subset == "forget" else "s",
        markeredgewidth=0,
        label=f"{subset} ({count})",
    )
