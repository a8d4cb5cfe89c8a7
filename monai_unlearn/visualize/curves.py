"""The loss terms of a run, epoch by epoch, one panel per phase."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_unlearn.visualize.palette import TERM_COLORS

__all__ = ["draw_loss_curves"]

_DECADES_FOR_LOG = 2.0
_DASHES = ("-", "--", ":", "-.")


def draw_loss_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw one panel per phase and in it one line per loss term.

    A term has the same colour in every panel. A panel is logarithmic where all its values are above 0 and they span two
    decades or more.

    Args:
        history: one mapping per value: ``phase`` (``teach``, ``erase``, ``restore`` …), ``epoch``, ``name`` of the
            term, ``value``. Phases and terms come in the order in which they first appear; epochs are sorted.

    Returns:
        A figure with as many panels as there are phases.

    Raises:
        ValueError: if there is no value, one is not finite, or a term has two values in one epoch.
    """
    if not history:
        raise ValueError("no loss to draw: the history is empty")
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for entry in history:
        phase, name, epoch, value = entry["phase"], entry["name"], int(entry["epoch"]), float(entry["value"])
        if not math.isfinite(value):
            raise ValueError(f"{phase}, epoch {epoch}: the term {name} is {value}, no finite number")
        line = panels.setdefault(phase, {}).setdefault(name, {})
        if epoch in line:
            raise ValueError(f"{phase}, epoch {epoch}: the term {name} has two values")
        line[epoch] = value

    terms = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure = Figure(figsize=(max(5.0, 3.4 * len(panels)), 3.6), layout="constrained")
    for axes, (phase, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _draw_phase(axes, phase, lines, terms)
    return figure


def _draw_phase(axes: Axes, phase: str, lines: dict[str, dict[int, float]], terms: list[str]) -> None:
    for name, line in lines.items():
        epochs = sorted(line)
        style = terms.index(name)
        axes.plot(
            epochs,
            [line[epoch] for epoch in epochs],
            label=name,
            color=TERM_COLORS[style % len(TERM_COLORS)],
            linestyle=_DASHES[style // len(TERM_COLORS) % len(_DASHES)],
            marker="o" if len(epochs) <= 20 else None,
            markersize=3.5,
            linewidth=1.6,
        )
    values = [value for line in lines.values() for value in line.values()]
    if min(values) > 0 and math.log10(max(values) / min(values)) >= _DECADES_FOR_LOG:
        axes.set_yscale("log")
    axes.set(title=phase, xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(every := {epoch for line in lines.values() for epoch in line}) == 1:  # a point has no range of its own
        axes.set(xlim=(min(every) - 1, min(every) + 1), xticks=sorted(every))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Below the panel, where it hides no line.
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=min(2, len(lines)), frameon=False, fontsize="small"
    )
