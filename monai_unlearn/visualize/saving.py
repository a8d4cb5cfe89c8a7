"""Figures as PNG: encoded, and written whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

from monai_unlearn.files import write_whole

__all__ = ["encode_figure", "save_figure"]


def encode_figure(figure: Figure, *, dpi: int = 150) -> bytes:
    """Encode a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Write a figure as PNG, whole or not at all.

    Args:
        figure: from any ``draw_…`` function of this room.
        path: a file that ends in ``.png``.
        dpi: pixels per inch.

    Returns:
        The path.

    Raises:
        ValueError: if the path does not end in ``.png``, or cannot be written.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"figures are written as PNG: give a path that ends in .png, not {path}")
    return write_whole(path, encode_figure(figure, dpi=dpi))
