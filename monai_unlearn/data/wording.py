"""How messages name things: short lists, and the nearest name to one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

__all__ = ["did_you_mean", "shorten"]


def shorten(names: Sequence[str], limit: int = 5) -> str:
    """Join names for a message, at most ``limit`` of them."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a message that offers the nearest known name, or nothing where none is near."""
    longer = [other for other in sorted(known, key=len) if len(name) > 1 and other.startswith(name)]  # age: age_approx
    nearest = longer or difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
