"""The names of cases: their ids, rows and groups, and everything that no written file may hold in the clear."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monai_unlearn.data.datalists import Case, Datalists, join_table
from monai_unlearn.data.identifiers import case_id
from monai_unlearn.data.selection import Groups
from monai_unlearn.data.wording import shorten

__all__ = ["group_cases", "identifiers_of", "name_cases"]


def name_cases(datalists: Datalists, table: str | Path | None) -> Datalists:
    """Give every case its ``id`` and its ``row`` in the datalists, training cases first, and the columns of a table.

    Raises:
        ValueError: if two cases have the same id, or the table does not fit.
    """
    _refuse_doubles([*datalists.training, *datalists.never_trained])
    rows = itertools.count()
    training, never_trained = (
        [{**case, "id": case_id(case), "row": next(rows)} for case in join_table(side, table)]
        for side in (datalists.training, datalists.never_trained)
    )
    return replace(datalists, training=training, never_trained=never_trained)


def group_cases(cases: Sequence[Case], group_by: str | None) -> Groups:
    """Find the group of every case; a case without a value in the column is a group of its own.

    Raises:
        ValueError: if no case has the column.
    """
    if group_by is not None and not any(group_by in case for case in cases):
        columns = sorted({key for case in cases for key in case} - {"image", "label", "id", "row"})
        raise ValueError(
            f"'group_by' names the column {group_by!r}, which the datalist lacks; it has {shorten(columns, 20)}"
        )
    groups = {}
    for case in cases:
        value = case.get(group_by) if group_by else None
        group = "" if value is None else str(value).strip()
        # a case without a group is one of its own; the tag keeps its id from colliding with a group of that name
        groups[case["id"]] = ("group", group) if group else ("case", case["id"])
    return groups


def identifiers_of(cases: Sequence[Case], group_by: str | None) -> frozenset[str]:
    """Collect every id, group and file name of the cases."""
    keys = {"id", "patient", group_by or "id"}
    names = {str(case[key]) for case in cases for key in keys if case.get(key) is not None}
    files = {case_id({"image": case["image"]}) for case in cases if case.get("image")}
    return frozenset(name for name in names | files if name.strip())


def _refuse_doubles(cases: Sequence[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(case_id(case), case)
        if other is not case:
            raise ValueError(
                f"two cases have the id {case_id(case)!r}: {other.get('image')} and {case.get('image')}. "
                "Give each a different 'id' in the datalist."
            )
