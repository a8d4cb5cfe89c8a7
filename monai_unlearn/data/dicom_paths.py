"""What the path of a file tells about a patient, whose identifiers are hashed elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["told_by_path"]

SHORTEST_NAME = 3
"""A part of a name that is shorter, such as an initial, is found in too many paths."""


def told_by_path(path: str | Path, identifiers: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Name the kinds of identifiers that stand in a path as a word of their own, upper and lower case alike.

    Args:
        path: the path, relative to what everybody may know.
        identifiers: words by kind, such as ``{"PatientID": ["PGBM-002"]}``; empty ones are passed over.
    """
    text = os.fspath(path).casefold()
    return frozenset(
        kind
        for kind, words in identifiers.items()
        for word in words
        if word
        and (kind != "PatientName" or len(word) >= SHORTEST_NAME)
        and re.search(rf"(?<![^\W_]){re.escape(word.casefold())}(?![^\W_])", text)
    )
