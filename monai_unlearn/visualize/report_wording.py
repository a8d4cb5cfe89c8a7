"""How the report says numbers and names: for a reader who has never seen the code."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["detail", "duration", "interval", "plain_words", "quantity", "score"]

_ABSENT = "—"
_LONGEST_LIST = 10
_SHORT = ("AUC", "CKA", "FPR", "IDI", "IoU", "KLoM", "KS", "MIA", "MMD", "NN", "RMIA", "ROC", "SVM", "TOST", "TPR")
_ACRONYMS = {word.lower(): word for word in (*_SHORT, "ToW", "LiRA", "BaVarIA", "int8", "F1", "KL", "JS", "ECE")}
_KNOWN = {"peak_rss_bytes": "Peak memory"}


def score(value: float | None) -> str:
    """Three decimals, a true minus sign, a dash for null; powers of ten where three decimals would read zero."""
    if value is None:
        return _ABSENT
    digits = f"{value:.1e}" if value != 0 and abs(value) < 5e-4 else f"{value:.3f}"
    return digits.replace("-", "\N{MINUS SIGN}")


def interval(bounds: tuple[float, float] | None) -> str:
    """``0.812 to 0.845``; a dash would stand beside minus signs."""
    return "" if bounds is None else f"{score(bounds[0])} to {score(bounds[1])}"


def duration(seconds: float) -> str:
    """``12.3 s``, ``4 min 43 s``, ``1 h 30 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def quantity(value: float | str, name: str) -> str:
    """Format a value by what the end of its name says it is."""
    if isinstance(value, str):
        return value
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB" if value >= 100 * 2**20 else f"{value / 2**20:.1f} MiB"
    return f"{value:,}" if isinstance(value, int) else score(value)


def plain_words(name: str) -> str:
    """``peak_rss_bytes`` → ``Peak memory``; ``erase_seconds`` → ``Erase``; ``linear_cka`` → ``Linear CKA``."""
    words = name.removesuffix("_seconds").removesuffix("_bytes").split("_")
    words = [re.sub(r"^(\d+)pct$", r"\1 %", word) for word in words]
    said = _KNOWN.get(name) or " ".join(_ACRONYMS.get(word.lower(), word) for word in words)
    return said if words[0].lower() in _ACRONYMS else said[:1].upper() + said[1:]


def detail(value: Any) -> str:
    """Say whatever JSON can hold in one line; of a list longer than ten only how long it is."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return quantity(value, "") if value is not None else _ABSENT
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        if len(value) > _LONGEST_LIST:  # nobody reads a value per case; audit.json holds them
            return f"{len(value)} values"
        return ", ".join(detail(one) for one in value) or _ABSENT
    if isinstance(value, dict):
        return "; ".join(f"{plain_words(str(key))}: {detail(one)}" for key, one in value.items()) or _ABSENT
    return json.dumps(value)
