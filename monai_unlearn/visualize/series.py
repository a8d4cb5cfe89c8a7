"""The curves of a test of forgetting: one line per network, step by step."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_unlearn.visualize.palette import MODEL_COLORS, TERM_COLORS

__all__ = ["draw_series"]

_DASHES = {"teacher": "--", "oracle": "-."}


def draw_series(series: Mapping[str, Sequence[float]], *, axis: str, taught: float | None = None) -> Figure:
    """Draw curves by the name of the network, over the number of the step.

    Args:
        series: values by network (``teacher``, ``student``, ``oracle`` …), at least one; all of one length.
        axis: what the steps are. They count from 0, the state before the first step; along the stages of a network from
            1; ``RATE, 0 to 1 in N steps`` spreads them from 0 to 1; names separated by commas, alone or behind a colon,
            stand at the steps if they are as many.
        taught: a level that the teacher has, drawn across.

    Returns:
        A figure of one panel.

    Raises:
        ValueError: if there is no value, or the curves differ in length.
    """
    lengths = {len(curve) for curve in series.values()}
    if not lengths or 0 in lengths:
        raise ValueError("no curve to draw: give at least one with at least one value")
    if len(lengths) > 1:
        raise ValueError(f"the curves of {', '.join(series)} differ in length: {sorted(lengths)}")
    steps, label, names = _read_axis(axis, lengths.pop())
    figure = Figure(figsize=(4.4, 3.3), layout="constrained")
    axes = figure.subplots()
    if label == "false-positive rate":
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="a coin toss")
    if taught is not None:
        axes.axhline(taught, color=MODEL_COLORS["teacher"], linestyle="--", linewidth=1.2, label="teacher")
    spare = iter([*TERM_COLORS] * (1 + len(series) // len(TERM_COLORS)))
    for name, curve in series.items():
        axes.plot(
            steps,
            curve,
            label=name,
            color=MODEL_COLORS.get(name) or next(spare),
            linestyle=_DASHES.get(name, "-"),
            marker="o" if len(steps) <= 30 else None,
            markersize=4,
            linewidth=1.8,
        )
    axes.set_xlabel("\n".join(textwrap.wrap(label or "step", 48)))
    if names:
        axes.set_xticks(steps, names)
    elif isinstance(steps[0], int):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(steps) == 1:  # a point has no range of its own
        axes.set(xlim=(steps[0] - 1, steps[0] + 1), xticks=steps)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _read_axis(axis: str, count: int) -> tuple[Sequence[float], str, list[str]]:
    """Find places, label and names of the steps."""
    if (rate := re.fullmatch(r"(.+), 0 to 1 in \d+ steps", axis)) is not None:
        return [step / max(count - 1, 1) for step in range(count)], rate[1], []
    label, _, listed = axis.rpartition(": ")
    names = [name.strip() for name in listed.split(",")]
    if len(names) == count > 1:
        return range(count), label, names
    first = int("stage" in axis)
    return range(first, first + count), axis, []
