"""What may stand in an audit: numbers that are finite, however deep they lie."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["find_not_finite"]


def find_not_finite(value: object, where: str) -> str:
    """Name the first number in nested mappings, lists and tuples that is not finite, as in ``audit.tests.x[2]``.

    Args:
        value: what is searched.
        where: how the name begins.

    Returns:
        The name with its value, such as ``audit.tests.x[2] is nan``; empty if every number is finite.
    """
    parts: list[tuple[str, object]] = []
    if isinstance(value, Mapping):
        parts = [(f"{where}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{where}[{index}]", part) for index, part in enumerate(value)]
    elif isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}"
    return next((found for name, part in parts if (found := find_not_finite(part, name))), "")
