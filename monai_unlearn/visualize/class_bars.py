"""F1 of every class as bars: what forgetting took from which class, per subset and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_unlearn.visualize.palette import MODEL_COLORS, TERM_COLORS

__all__ = ["draw_class_bars"]

ClassValues = Sequence[float | None]


def draw_class_bars(
    f1: Mapping[str, Mapping[str, ClassValues]], *, class_names: Sequence[str], measure: str = "F1"
) -> Figure:
    """Draw one panel per subset and in it, for each class, one bar per model (Erase to Retain, figure 3).

    A class of which a subset has no case gets no bar but a dash: a bar of height 0 would be a failure.

    Args:
        f1: per model (``teacher``, ``student``, ``oracle`` …) and subset (``retain``, ``forget``, ``unseen`` …) the
            value of every class, in ``[0, 1]``, or ``None``. All models have the same subsets.
        class_names: names of the classes.
        measure: what the values are, for the axis.

    Returns:
        A figure with as many panels, one below the other, as there are subsets.

    Raises:
        ValueError: if there is nothing to draw, the models differ in their subsets, the values are not one per class,
            or one of them lies outside ``[0, 1]``.
    """
    subsets = list(next(iter(f1.values()), ()))
    if not subsets:
        raise ValueError("no bar to draw: give at least one model with one subset")
    for model, by_subset in f1.items():
        if set(by_subset) != set(subsets):
            raise ValueError(f"{model} has the subsets {', '.join(by_subset)}, the first model {', '.join(subsets)}")
        for subset, values in by_subset.items():
            _check_values(values, len(class_names), f"{model} on {subset}")

    figure = Figure(figsize=(max(6.4, 0.95 * len(class_names) + 1.2), 2.2 * len(subsets) + 0.5), layout="constrained")
    panels = figure.subplots(len(subsets), 1, sharex=True, squeeze=False)[:, 0]
    for axes, subset in zip(panels, subsets, strict=True):
        _draw_panel(axes, {model: by_subset[subset] for model, by_subset in f1.items()})
        axes.set_title(subset, loc="left")
        axes.set_ylabel(measure)
    panels[-1].set_xticks(range(len(class_names)), [name.replace("$", r"\$") for name in class_names])  # no formulas
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False, fontsize="small")
    return figure


def _check_values(values: ClassValues, count: int, what: str) -> None:
    if len(values) != count:
        raise ValueError(f"{what}: {len(values)} values for {count} classes")
    if wrong := [value for value in values if value is not None and not 0 <= value <= 1]:  # NaN is none of both
        raise ValueError(f"{what}: {wrong[0]} lies outside [0, 1]")


def _draw_panel(axes: Axes, by_model: Mapping[str, ClassValues]) -> None:
    spare = iter(TERM_COLORS)
    width = 0.8 / len(by_model)
    for number, (model, values) in enumerate(by_model.items()):
        places = np.arange(len(values)) + (number - (len(by_model) - 1) / 2) * width
        there = [index for index, value in enumerate(values) if value is not None]
        axes.bar(
            places[there],
            [value for value in values if value is not None],
            width=0.9 * width,
            color=MODEL_COLORS.get(model) or next(spare),
            label=model,
        )
    for index in range(len(next(iter(by_model.values())))):
        if all(values[index] is None for values in by_model.values()):
            axes.text(index, 0.02, "\N{EM DASH}", ha="center", va="bottom", color="#888888")
    axes.set(ylim=(0, 1.02), yticks=[0, 0.5, 1])
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
