"""Class requests: which classes are meant, and which cases have one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from monai_unlearn.data.request import Request
from monai_unlearn.data.wording import did_you_mean, shorten

__all__ = ["cases_with_classes", "resolve_classes"]

Case = dict[str, Any]


def resolve_classes(request: Request, class_names: Sequence[str] | None) -> tuple[int, ...]:
    """Turn the classes of a request into label values; a name counts before a number of the same spelling.

    Args:
        request: a class request.
        class_names: names of the network's classes, by label value; ``None``: they have no names.

    Returns:
        The label values in rising order.

    Raises:
        ValueError: if there is no such class, one is named twice, or nothing would be left.
    """
    names = list(class_names or ())
    listed = ", ".join(f"{value} {name!r}" for value, name in enumerate(names))
    values = []
    for item in request.classes or ():
        if item in names:
            values.append(names.index(str(item)))
        elif isinstance(item, int) or item.strip().isdecimal():
            values.append(int(item))
        else:
            reason = (
                f"{did_you_mean(item, names) or '.'} The classes are {listed}"
                if names
                else (", and the classes of this network have no names; give its label value")
            )
            raise ValueError(f"the request in {request.source} names the class {item!r}, which there is not{reason}")
        if values[-1] < 0 or (names and values[-1] >= len(names)):
            raise ValueError(
                f"the request in {request.source} names the class {item}, which there is not. The classes are "
                f"{listed or 'numbered from 0'}"
            )
    if len(set(values)) != len(values):
        raise ValueError(f"the request in {request.source} names a class more than once; name each once")
    if names and len(values) == len(names):
        raise ValueError(
            f"the request in {request.source} names all classes of the network; delete the network instead"
        )
    return tuple(sorted(values))


def cases_with_classes(
    classes: Collection[int],
    cases: Sequence[Case],
    *,
    label_values: Callable[[Case], Collection[int]] | None,
    source: str,
) -> frozenset[str]:
    """Find the cases that have one of some classes.

    Args:
        classes: label values.
        cases: training cases, each with its ``id``.
        label_values: reads which label values a case has.
        source: where the request came from, for messages.

    Raises:
        ValueError: if the label values cannot be read, or a class is in no case.
    """
    if label_values is None:
        raise ValueError(
            f"the request in {source} names classes; class requests need a network of several classes, and the config "
            "gives its 'partition' no 'label_values' to read the classes of a case by"
        )
    present = {case["id"]: {int(value) for value in label_values(case)} & set(classes) for case in cases}
    absent = set(classes).difference(*present.values())
    if absent:
        raise ValueError(
            f"the request in {source} names the class {shorten([str(value) for value in sorted(absent)])}, which none "
            f"of the {len(cases)} training cases has"
        )
    return frozenset(name for name, values in present.items() if values)
