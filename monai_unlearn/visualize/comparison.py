"""Teacher and student side by side, case by case, after Figure 2 of Erase to Retain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_unlearn.visualize.palette import SUBSET_COLORS

__all__ = ["ComparisonRow", "draw_comparison"]

_COLUMNS = ("Image", "True mask", "Teacher T", "Student S", "|T \N{MINUS SIGN} S|")
_CONTRAST_FLOOR = 0.1  # the scale of |T − S| never shrinks below this: noise must not look like forgetting


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One case of the comparison.

    Attributes:
        subset: ``retain``, ``forget``, ``reference`` or ``unseen``.
        name: what may be shown of the case: a short hash, never an identifier.
        image: shape ``(H, W)`` or ``(H, W, 3)``, in ``[0, 1]``.
        truth: the true mask, ``bool``, shape ``(H, W)``.
        teacher: the teacher's foreground probability, shape ``(H, W)``.
        student: the student's, shape ``(H, W)``.

    Raises:
        ValueError: if a shape, a range or the subset is wrong, or a value is not finite. A volume is refused: pick a
            slice.
    """

    subset: str
    name: str
    image: np.ndarray
    truth: np.ndarray
    teacher: np.ndarray
    student: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn truthfully."""
        if self.subset not in SUBSET_COLORS:
            raise ValueError(f"case {self.name}: subset must be one of {', '.join(SUBSET_COLORS)}, not {self.subset!r}")
        if self.truth.ndim != 2 or self.truth.dtype != np.bool_:
            raise ValueError(
                f"case {self.name}: truth must be a bool mask of shape (H, W), not {self.truth.dtype} of shape "
                f"{self.truth.shape}; of a volume, pick one slice"
            )
        shape = self.truth.shape
        for part, allowed in (("image", (shape, (*shape, 3))), ("teacher", (shape,)), ("student", (shape,))):
            values = getattr(self, part)
            if values.shape not in allowed:
                raise ValueError(f"case {self.name}: {part} has shape {values.shape}, its mask {shape}")
            if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
                raise ValueError(f"case {self.name}: {part} must hold finite values in [0, 1]")


def draw_comparison(rows: Sequence[ComparisonRow], *, synthetic: bool = False) -> Figure:
    """Draw image, true mask, teacher, student and their difference, one case per row, retain before forget.

    On teacher and student stands the mean foreground probability inside the true mask, whose outline is drawn in:
    forgetting by suppression shows as a low number on forget and an unchanged one on retain.

    Args:
        rows: the cases; those of one subset keep their order.
        synthetic: say across the top that these are phantom images.

    Returns:
        A figure of ``5 × len(rows)`` panels and one colour bar, shared by all differences.

    Raises:
        ValueError: if there is no row.
    """
    if not rows:
        raise ValueError("no case to compare: give at least one row")
    order = list(SUBSET_COLORS)
    rows = sorted(rows, key=lambda row: order.index(row.subset))
    differences = [np.abs(row.teacher - row.student) for row in rows]
    scale = max(_CONTRAST_FLOOR, *(float(difference.max()) for difference in differences))

    tall = min(max(max(row.truth.shape[0] / row.truth.shape[1] for row in rows), 0.3), 3.0)
    figure = Figure(figsize=(10.2, 1.78 * tall * len(rows) + (0.8 if synthetic else 0.4)), layout="constrained")
    panels = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
    for axes, column in zip(panels[0], _COLUMNS, strict=True):
        axes.set_title(column, fontsize=11)
    for line, row, difference in zip(panels, rows, differences, strict=True):
        line[0].set_ylabel(f"{row.subset}\n{row.name}", color=SUBSET_COLORS[row.subset], fontsize=10, weight="bold")
        line[0].imshow(row.image, cmap="gray", vmin=0, vmax=1)
        line[1].imshow(row.truth, cmap="gray", vmin=0, vmax=1)
        _draw_probability(line[2], row.teacher, row.truth)
        _draw_probability(line[3], row.student, row.truth)
        heat = line[4].imshow(difference, cmap="inferno", vmin=0, vmax=scale)
        for axes in line:
            axes.set(xticks=[], yticks=[])
    bar = figure.colorbar(heat, ax=panels[:, 4], shrink=min(1.0, 0.4 + 0.6 / len(rows)), aspect=24, pad=0.04)
    bar.set_label(f"{_COLUMNS[4]}, foreground probability")
    if synthetic:
        figure.suptitle(
            "SYNTHETIC PHANTOM IMAGES", color="white", weight="bold", fontsize=13, backgroundcolor="#B00020"
        )
    return figure


def _draw_probability(axes: Axes, probability: np.ndarray, truth: np.ndarray) -> None:
    axes.imshow(probability, cmap="gray", vmin=0, vmax=1)
    if truth.any() and not truth.all():  # else there is no outline to draw
        axes.contour(truth, levels=[0.5], colors=SUBSET_COLORS["forget"], linewidths=0.9)
    mean = f"{probability[truth].mean():.3f}" if truth.any() else "—"
    axes.text(
        0.03,
        0.96,
        f"mean {mean}",
        transform=axes.transAxes,
        va="top",
        fontsize=9,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2},
    )
