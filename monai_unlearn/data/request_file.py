"""Request files: from text, CSV, JSON or YAML to the plain content that a request is made of."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_unlearn.data.wording import shorten

__all__ = ["read_request_file"]

HEADER = "id"
PATIENT = "patient"
DEMAND = ("reason", "date", "reference")


def read_request_file(path: Path) -> Any:
    """Read what a request file holds; every value stays the text that was written (``007`` is not 7).

    Args:
        path: ``.txt``: one id per line. ``.csv``: one column of ids, or a table with the column ``id`` or ``patient``
            (a row is named by its id, or by its patient where it has none) and, if wanted, ``reason``, ``date`` and
            ``reference``. ``.json``, ``.yaml``, ``.yml``: a list of ids, or the keys of a request.

    Returns:
        A list of ids, or a dictionary of the keys of a request, not yet checked.

    Raises:
        ValueError: if the file cannot be read, or is no table; the message names the file.
    """
    readers = {".txt": _read_text, ".csv": _read_csv, ".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml}
    if path.suffix.lower() not in readers:
        raise ValueError(f"cannot read the request '{path}': its suffix is none of {', '.join(readers)}")
    try:
        return readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError, RecursionError, json.JSONDecodeError, yaml.YAMLError, csv.Error) as error:
        raise ValueError(f"cannot read the request '{path}': {' '.join(str(error).split())}") from error


def _read_text(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    return lines[1:] if lines and lines[0].lower() == HEADER else lines


def _read_csv(path: Path) -> list[str] | dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(cell.strip() for cell in row)]
    if not rows:
        return []
    header = [cell.lower() for cell in rows[0]]
    if HEADER in header or PATIENT in header:
        return _named_by_columns(path, header, rows[1:])
    if len(rows[0]) == 1 and (separator := next((mark for mark in (";", "\t") if mark in rows[0][0]), None)):
        raise ValueError(f"the columns of the request '{path}' are separated by {separator!r}; separate them by commas")
    if any(len(row) != 1 for row in rows):
        raise ValueError(
            f"the request '{path}' has several columns and none is called '{HEADER}' or '{PATIENT}'; its header is "
            f"{rows[0]}"
        )
    return [row[0] for row in rows]


def _named_by_columns(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    naming = [name for name in (HEADER, PATIENT) if name in header]
    columns: dict[str, list[str]] = {name: [] for name in (*naming, *DEMAND)}
    for number, row in enumerate(rows, start=2):
        cells = {name: row[header.index(name)] for name in columns if name in header and len(row) > header.index(name)}
        named = next((name for name in naming if cells.get(name)), None)
        if named is None:
            raise ValueError(f"row {number} of the request '{path}' has no {' and no '.join(map(repr, naming))}")
        for name in (named, *DEMAND):
            if cells.get(name):
                columns[name].append(cells[name])
    # a list of a hospital may have a row for every image: a patient who comes twice is one patient
    columns[PATIENT] = list(dict.fromkeys(columns.get(PATIENT, ())))
    lists = [{f"{name}s": columns[name]} for name in naming if columns[name]]
    demand = {name: list(dict.fromkeys(columns[name])) for name in DEMAND if columns[name]}
    return {**(lists[0] if len(lists) == 1 else {"any_of": lists} if lists else {f"{naming[0]}s": []}), **demand}


def _read_json(path: Path) -> Any:
    def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_doubles([key for key, _ in pairs], path)
        return dict(pairs)

    # numbers stay as they are written, so that 007 or 1e5 in a hand-written file is not turned into another id
    text = path.read_text(encoding="utf-8-sig")
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=without_doubles)


def _read_yaml(path: Path) -> Any:
    # BaseLoader builds strings, lists and dictionaries alone: `007`, `no` and `1e5` are ids here, not numbers or
    # booleans
    loader = yaml.BaseLoader(path.read_text(encoding="utf-8-sig"))
    root = loader.get_single_node()
    waiting, seen = [root] if root else [], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias may lead back to what holds it
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _refuse_doubles([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)], path)
            waiting.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
    return loader.construct_document(root) if root else None


def _refuse_doubles(keys: Sequence[str], path: Path) -> None:
    """A key that comes twice would count once, and what the other one names would not be forgotten."""
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"the request '{path}' has the key {shorten(twice)} more than once; write it once")
