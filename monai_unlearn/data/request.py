"""Requests: which cases are to be forgotten, as a user writes it down."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Request", "load_request"]

HEADER = "id"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be forgotten: either named cases or a random share of the training set.

    Args:
        ids: case ids, in the order in which they were named; ``None`` for a random request.
        fraction: share of the training cases, in (0, 1); ``None`` for named cases.
        source: where the request came from, for messages.

    Raises:
        ValueError: if not exactly one of ``ids`` and ``fraction`` is given, an id comes twice, or a value is out of
        range.
    """

    ids: tuple[str, ...] | None = None
    fraction: float | None = None
    source: str = "the command line"

    def __post_init__(self) -> None:
        if (self.ids is None) == (self.fraction is None):
            raise ValueError(f"a request names either 'ids' or a 'fraction'; {self.source} gives both or neither")
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise ValueError(
                f"the 'fraction' of a request lies between 0 and 1, got {self.fraction} from {self.source}"
            )
        if self.ids is not None:
            if not self.ids:
                raise ValueError(f"the request in {self.source} names no case")
            twice = [name for name, count in Counter(self.ids).items() if count > 1]
            if twice:
                raise ValueError(
                    f"the request in {self.source} names {shorten(twice)} more than once; name each case once"
                )


def load_request(specification: str | Path | float | Sequence[str] | Request) -> Request:
    """Read a request.

    Args:
        specification: a number in (0, 1) for a random share of the training groups; a list of ids; or the path of a
            file: ``.txt`` (one id per line), ``.csv`` (one column, or a column ``id``), ``.json`` or ``.yaml`` (a list
            of ids, or ``{"ids": [...]}``). In text and one-column CSV files the header ``id`` is optional. Ids stay
            strings (``007`` is not 7).

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not a request; the message names the file and what is wrong with it.
    """
    if isinstance(specification, Request):
        return specification
    if isinstance(specification, (int, float)) and not isinstance(specification, bool):
        return Request(fraction=float(specification))
    if isinstance(specification, (list, tuple)):
        return Request(ids=tuple(str(name) for name in specification))
    if not isinstance(specification, (str, Path)):
        raise ValueError(f"a request is a file, a list of ids or a fraction, got {specification!r}")
    path = Path(specification)
    if not path.is_file():
        raise FileNotFoundError(
            f"cannot find the request file '{specification}'. Give a .txt, .csv, .json or .yaml file of case ids, "
            f"a fraction such as 0.1, or a list of ids; for one case write \"['{specification}']\"."
        )
    readers = {".txt": _read_text, ".csv": _read_csv, ".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml}
    if path.suffix.lower() not in readers:
        raise ValueError(f"cannot read the request '{path}': its suffix is none of {', '.join(readers)}")
    try:
        ids = readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot read the request '{path}': {reason}") from error
    return Request(ids=tuple(ids), source=str(path))


def shorten(names: Sequence[str], limit: int = 5) -> str:
    """Join names for a message, at most ``limit`` of them."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _read_text(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    return lines[1:] if lines and lines[0].lower() == HEADER else lines


def _read_csv(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
    if not rows:
        return []
    header = [cell.lower() for cell in rows[0]]
    if HEADER in header:
        column = header.index(HEADER)
        short = [number for number, row in enumerate(rows, start=1) if len(row) <= column or not row[column]]
        if short:
            raise ValueError(f"row {short[0]} of the request '{path}' has no '{HEADER}'")
        return [row[column] for row in rows[1:]]
    if len(rows[0]) == 1 and (separator := next((mark for mark in (";", "\t") if mark in rows[0][0]), None)):
        raise ValueError(f"the columns of the request '{path}' are separated by {separator!r}; separate them by commas")
    if any(len(row) != 1 for row in rows):
        raise ValueError(
            f"the request '{path}' has several columns and none is called '{HEADER}'; its header is {rows[0]}"
        )
    return [row[0] for row in rows]


def _read_json(path: Path) -> list[str]:
    # numbers stay as they are written, so that 007 or 1e5 in a hand-written file is not turned into another id
    return _ids_of(json.loads(path.read_text(encoding="utf-8-sig"), parse_int=str, parse_float=str), path)


def _read_yaml(path: Path) -> list[str]:
    # BaseLoader builds strings, lists and dictionaries alone: `007`, `no` and `1e5` are ids here, not numbers or
    # booleans
    return _ids_of(yaml.BaseLoader(path.read_text(encoding="utf-8-sig")).get_single_data(), path)


def _ids_of(content: Any, path: Path) -> list[str]:
    ids = content.get("ids") if isinstance(content, dict) else content
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError(f"the request '{path}' should be a list of ids, or hold one under 'ids'")
    if isinstance(content, dict) and (unknown := sorted(set(content) - {"ids"})):
        raise ValueError(f"the request '{path}' holds {shorten(unknown)}; the only key it may hold is 'ids'")
    return ids
