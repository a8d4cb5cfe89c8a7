"""The schema of a request: which keys it may hold, and what may stand under each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from monai_unlearn.data.wording import did_you_mean, shorten

__all__ = ["DEMAND", "LISTS", "NESTED", "checked_keys", "iso_date"]

LISTS = ("ids", "patients", "raters")
"""Keys of a criterion that hold a list of names."""
NESTED = ("all_of", "any_of")
"""Keys of a criterion that hold a list of criteria."""
DEMAND = ("reason", "date", "reference")
"""What is noted of a demand, for the ledger."""
TOP = ("classes", "fraction", "whole_patients")
"""Keys of a whole request alone."""
MAX_DEPTH = 10


def checked_keys(content: Any, source: str, *, place: str = "", depth: int = 0) -> dict[str, Any]:
    """Check the content of a request file and give every value its type.

    Args:
        content: a list of ids, or a dictionary of the keys above and ``where``.
        source: where it came from, for messages.
        place: which criterion within it, for messages.
        depth: how deep that lies.

    Returns:
        The same keys: tuples of texts, texts, booleans and numbers; criteria as dictionaries of this kind.

    Raises:
        ValueError: if a key is unknown (with the nearest name) or holds something else than it should.
    """
    where = f"the request in {source}" + (f", {place}," if place else "")
    if isinstance(content, (list, tuple)) and not place:
        content = {"ids": content}
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} should be a list of ids or have keys such as 'ids'; it is {_kind(content)}")
    if depth > MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {MAX_DEPTH} deep")
    known = (*LISTS, "where", *NESTED, *DEMAND, *(() if place else TOP))
    checked: dict[str, Any] = {}
    for key, value in content.items():
        if key in TOP and place:
            raise ValueError(f"{where} has the key '{key}', which may stand at the top of a request alone")
        if key not in known:
            raise ValueError(
                f"{where} has the unknown key {str(key)!r}{did_you_mean(str(key), known) or '.'} The keys are "
                f"{', '.join(known)}"
            )
        if key in NESTED:
            if not isinstance(value, (list, tuple)) or not value:
                raise ValueError(f"'{key}' of {where} should be a list of criteria; it is {_kind(value)}")
            checked[key] = tuple(
                checked_keys(item, source, place=f"{place + ' ' if place else ''}{key}[{number}]", depth=depth + 1)
                for number, item in enumerate(value)
            )
        else:
            checked[key] = CHECKS[key](value, f"'{key}' of {where}")
    return checked


def iso_date(text: str, name: str) -> str:
    """Return a date, or raise a ValueError if it is no day written as YEAR-MONTH-DAY."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError("not in the form YYYY-MM-DD")
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ValueError(f"{name} should be a date such as 2026-03-31; it is {text!r} ({error})") from error


def _names(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(_is_plain(item) for item in value):
        raise ValueError(f"{name} should be a list of texts such as [a, b]; it is {_kind(value)}")
    return tuple(str(item) for item in value)


def _classes(value: Any, name: str) -> tuple[int | str, ...]:
    if not isinstance(value, (list, tuple)) or not all(_is_plain(item) for item in value):
        raise ValueError(f"{name} should be a list of label values or class names; it is {_kind(value)}")
    return tuple(item if isinstance(item, int) else str(item) for item in value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} should be a text; it is {_kind(value)}")
    return value


def _note(value: Any, name: str) -> str:
    values = value if isinstance(value, (list, tuple)) else (value,)
    if not values or not all(_is_plain(item) and str(item).strip() for item in values):
        raise ValueError(f"{name} should be a text; it is {_kind(value)}")
    return "; ".join(dict.fromkeys(" ".join(str(item).split()) for item in values))


def _date(value: Any, name: str) -> str:
    values = value if isinstance(value, (list, tuple)) else (value,)
    texts = [str(item) for item in values]  # a date object of Python writes itself as it should
    return "; ".join(dict.fromkeys(iso_date(text, name) for text in texts))


def _share(value: Any, name: str) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise ValueError(f"{name} should be a number between 0 and 1; it is {value!r}") from error


def _yes_or_no(value: Any, name: str) -> bool:
    answer = {"true": True, "false": False}.get(str(value).strip().lower())
    if answer is None:
        raise ValueError(f"{name} should be true or false; it is {value!r}")
    return answer


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(LISTS, _names),
    **dict.fromkeys(("reason", "reference"), _note),
    **{"where": _text, "date": _date, "classes": _classes, "fraction": _share, "whole_patients": _yes_or_no},
}


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a set of keys ({shorten([str(key) for key in value])})" if value else "empty"
    if isinstance(value, (list, tuple)):
        odd = [item for item in value if not _is_plain(item)]
        return f"a list that holds {_kind(odd[0])}" if odd else f"the list {list(value)!r}" if value else "empty"
    return "empty" if value is None or value == "" else repr(value)
