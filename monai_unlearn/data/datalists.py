"""Datalists: what a network was trained on and what it never saw, as plain MONAI lists of dictionaries."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_unlearn.data.identifiers import case_id
from monai_unlearn.data.request import shorten

__all__ = ["Datalists", "join_table", "limit_cases"]

Case = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Datalists:
    """The two datalists of a project.

    Args:
        name: name of the set, for reports.
        training: cases on which the teacher was trained.
        never_trained: cases that it never saw.
        synthetic: whether the images are phantoms.
        split_drawn: whether the set has no split of its own, so that the never-trained cases were drawn at random; a
            teacher from elsewhere may have been trained on them.
    """

    name: str
    training: Sequence[Case]
    never_trained: Sequence[Case]
    synthetic: bool = False
    split_drawn: bool = False


def limit_cases(datalists: Datalists, max_cases: int | None, *, seed: int = 0, keep: Sequence[str] = ()) -> Datalists:
    """Draw at most ``max_cases`` cases in all, keeping the ratio of training to never-trained cases and the order.

    Args:
        datalists: the whole set.
        max_cases: number of cases to keep; ``None`` keeps all.
        seed: seed of the draw.
        keep: ids that are kept in any case (those of a request).

    Raises:
        ValueError: if ``max_cases`` is too small to leave cases on both sides, or smaller than ``keep``.
    """
    total = len(datalists.training) + len(datalists.never_trained)
    if max_cases is None or max_cases >= total:
        return datalists
    if max_cases < 4:
        raise ValueError(f"'max_cases' must leave training and never-trained cases, so be at least 4; got {max_cases}")
    never_count = min(max(2, round(max_cases * len(datalists.never_trained) / total)), max_cases - 2)
    generator = np.random.default_rng(seed)
    sides = []
    for name, cases, count in (
        ("training", datalists.training, max_cases - never_count),
        ("never-trained", datalists.never_trained, never_count),
    ):
        kept = [index for index, case in enumerate(cases) if case_id(case) in set(keep)]
        if len(kept) > count:
            raise ValueError(
                f"'max_cases' {max_cases} leaves {count} {name} cases but the request names {len(kept)} of them"
            )
        others = np.setdiff1d(np.arange(len(cases)), np.asarray(kept, dtype=int))
        drawn = generator.permutation(others)[: count - len(kept)]
        sides.append([cases[index] for index in sorted([*kept, *drawn.tolist()])])
    return replace(datalists, training=sides[0], never_trained=sides[1])


def join_table(cases: Sequence[Case], table: str | Path | None) -> list[Case]:
    """Add the columns of a CSV file, joined on its column ``id``, to the cases; they replace columns of the same name.

    Raises:
        FileNotFoundError: if the table does not exist.
        ValueError: if it has no column ``id``, names a case twice, or lacks a case.
    """
    if table is None:
        return [dict(case) for case in cases]
    path = Path(table)
    if not path.is_file():
        raise FileNotFoundError(f"cannot find the table '{table}'; 'table' is a CSV file with a column 'id'")
    rows = read_table(path)
    if not rows or "id" not in rows[0]:
        header = ", ".join(map(repr, rows[0])) if rows else "nothing"
        raise ValueError(
            f"the table '{path}' has no column 'id' to join it on; its header is {header}, split at commas"
        )
    by_id = {row["id"]: row for row in rows}
    if len(by_id) != len(rows):
        raise ValueError(f"the table '{path}' names a case more than once in its column 'id'")
    missing = [name for name in map(case_id, cases) if name not in by_id]
    if missing:
        raise ValueError(f"the table '{path}' has no row for {shorten(missing)}")
    own = ("id", "image", "label")
    return [{**case, **{key: value for key, value in by_id[case_id(case)].items() if key not in own}} for case in cases]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header, one dictionary per row.

    Raises:
        ValueError: if the file cannot be read or is no CSV file in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the table '{path}' ({error}); save it as a CSV file in UTF-8") from error
