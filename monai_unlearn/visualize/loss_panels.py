"""What the figures of losses have in common."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

__all__ = ["SPREAD_FOR_LOG", "CaseLosses", "check_losses", "clear_frame"]

CaseLosses = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Losses of the forget and of the unseen cases, by model."""

SPREAD_FOR_LOG = 30.0
"""Losses that span this factor or more are drawn on logarithmic axes."""


def check_losses(values: np.ndarray, what: str) -> None:
    """Refuse losses that cannot be drawn; ``what`` names them in the message."""
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{what} must have shape (cases,) with at least one case, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: {int((~np.isfinite(values)).sum())} of {len(values)} are not finite")


def clear_frame(axes: Axes) -> None:
    """Take the upper and the right line of a panel away and put a faint grid in."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
