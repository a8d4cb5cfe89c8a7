"""Write figures and pages so that a file is there whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["encode_figure", "save_figure", "write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file by way of a temporary one beside it, so that no reader ever meets half of it.

    Args:
        path: the file; its folder is made. A file already there is replaced.
        content: its bytes.

    Returns:
        The path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


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
        ValueError: if the path does not end in ``.png``.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"figures are written as PNG: give a path that ends in .png, not {path}")
    return write_whole(path, encode_figure(figure, dpi=dpi))
