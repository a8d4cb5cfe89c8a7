"""The colours of every figure: one per subset and one per model, told apart by colour-blind readers too."""

from __future__ import annotations

__all__ = ["MODEL_COLORS", "SUBSET_COLORS", "TERM_COLORS"]

# Okabe and Ito, "Color Universal Design", 2008.
_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#A6468A"
_ORANGE, _SKY, _BLACK = "#E69F00", "#56B4E9", "#222222"

SUBSET_COLORS = {"retain": _BLUE, "forget": _VERMILION, "reference": _GREEN, "unseen": _PURPLE}
MODEL_COLORS = {"teacher": _BLACK, "student": _VERMILION, "oracle": _GREEN}
TERM_COLORS = (_BLUE, _VERMILION, _GREEN, _ORANGE, _PURPLE, _SKY, _BLACK)
