"""Requests: what is to be forgotten and why, as a user writes it down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_unlearn.data.request_file import read_request_file
from monai_unlearn.data.request_schema import DEMAND, LISTS, NESTED, checked_keys, iso_date
from monai_unlearn.data.where import Where
from monai_unlearn.data.wording import shorten

__all__ = ["Criterion", "Request", "load_request", "shorten"]


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """Which cases are meant; everything that is given must hold (*and*).

    Args:
        ids: ids of cases, in the order in which they were named; all cases of their groups are meant.
        patients: values of the column that names the patient.
        where: a condition on the columns of a case, see :class:`~monai_unlearn.data.Where`.
        raters: values of the column ``rater``: who drew the mask.
        all_of: criteria that must all hold.
        any_of: criteria of which one must hold.
        source: where the request came from, for messages.

    Raises:
        ValueError: if a list is empty or names something twice, ``ids`` and ``patients`` are both given, or ``where``
            is no condition.
    """

    ids: tuple[str, ...] | None = None
    patients: tuple[str, ...] | None = None
    where: str | None = None
    raters: tuple[str, ...] | None = None
    all_of: tuple[Criterion, ...] | None = None
    any_of: tuple[Criterion, ...] | None = None
    source: str = "the command line"

    def __post_init__(self) -> None:
        for key in LISTS:
            names = getattr(self, key)
            if names is not None and not names:
                raise ValueError(
                    f"the request in {self.source} names no case" + ("" if key == "ids" else f" in '{key}'")
                )
            twice = [name for name, count in Counter(names or ()).items() if count > 1]
            if twice:
                raise ValueError(
                    f"the request in {self.source} names {shorten(twice)} more than once; name each "
                    f"{'case' if key == 'ids' else 'one'} once"
                )
        if self.ids is not None and self.patients is not None:
            raise ValueError(
                f"the request in {self.source} has 'ids' and 'patients' side by side, which could mean either those "
                "cases or those patients, or only those cases of those patients; put them under 'any_of' or 'all_of', "
                "as [{ids: …}, {patients: …}]"
            )
        if self.where is not None:
            try:
                Where(self.where)
            except ValueError as error:
                raise ValueError(f"the request in {self.source}: {error}") from error

    def walk(self) -> Iterator[Criterion]:
        """Go through this criterion and all within it."""
        yield self
        for part in (*(self.all_of or ()), *(self.any_of or ())):
            yield from part.walk()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given."""
        return all(getattr(self, key) is None for key in (*LISTS, "where", *NESTED))


@dataclass(frozen=True, kw_only=True)
class Request(Criterion):
    """What is to be forgotten: the cases of a criterion, classes of a network, or a random share of the training set.

    Args:
        classes: label values or class names that are to be unlearned in every image.
        fraction: share of the training cases, in (0, 1).
        whole_patients: whether all images of a patient go as soon as one is meant. ``None``: they do where cases or
            patients are named; a ``where`` that would divide the images of a patient is an error then.
        reason: why, in the user's words.
        date: day of the demand, ``YYYY-MM-DD``.
        reference: number of the demand. Where one request answers several demands, ``reason``, ``date`` and
            ``reference`` hold what they say, separated by ``"; "``.

    Raises:
        ValueError: if not exactly one of a criterion, ``classes`` and ``fraction`` is given, or a value is out of
            range.
    """

    classes: tuple[int | str, ...] | None = None
    fraction: float | None = None
    whole_patients: bool | None = None
    reason: str | None = None
    date: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [not self.is_empty, self.classes is not None, self.fraction is not None]
        if sum(given) != 1:
            raise ValueError(
                f"a request names cases (by {', '.join(LISTS)} or where), 'classes' or a 'fraction', one of the three; "
                f"that in {self.source} {'names several' if any(given) else 'names nothing'}"
            )
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise ValueError(
                f"the 'fraction' of a request lies between 0 and 1, got {self.fraction} from {self.source}"
            )
        if self.classes is not None and not self.classes:
            raise ValueError(f"the request in {self.source} names no class in 'classes'")
        if self.is_empty and self.whole_patients is not None and (self.classes or not self.whole_patients):
            raise ValueError(
                f"the request in {self.source} has 'whole_patients', which goes with cases; a random request takes "
                "whole patients, and a class request concerns no patients"
            )
        for day in self.date.split("; ") if self.date is not None else ():
            iso_date(day, f"'date' of the request in {self.source}")


def load_request(specification: str | Path | float | Sequence[str] | Mapping[str, Any] | Request) -> Request:
    """Read a request.

    Args:
        specification: a number in (0, 1) for a random share of the training groups; a list of ids; the keys of a
            request (see the page on requests); or the path of a file: ``.txt`` (one id per line), ``.csv`` (one column,
            or a table with a column ``id`` or ``patient``), ``.json`` or ``.yaml`` (a list of ids, or the keys of a
            request). In text and one-column CSV files the header ``id`` is optional. Ids stay strings (``007`` is not
            7).

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if this is no request; the message names the file and what is wrong with it.
    """
    if isinstance(specification, Request):
        return specification
    if isinstance(specification, (int, float)) and not isinstance(specification, bool):
        return Request(fraction=float(specification))
    if isinstance(specification, (list, tuple)):
        return Request(ids=tuple(str(name) for name in specification))
    if isinstance(specification, Mapping):
        return _made_of(specification, "the command line")
    if not isinstance(specification, (str, Path)):
        raise ValueError(f"a request is a file, a list of ids, a fraction or the keys of one, got {specification!r}")
    path = Path(specification)
    if not path.is_file():
        raise FileNotFoundError(
            f"cannot find the request file '{specification}'. Give a .txt, .csv, .json or .yaml file of case ids, "
            f"a fraction such as 0.1, or a list of ids; for one case write \"['{specification}']\"."
        )
    return _made_of(read_request_file(path), str(path))


def _made_of(content: Any, source: str) -> Request:
    checked = checked_keys(content, source)
    notes = {key: [note for level in _levels(checked) if (note := level.get(key))] for key in DEMAND}
    kept = {key: value for key, value in checked.items() if key not in (*NESTED, *DEMAND)}
    joined: dict[str, Any] = {key: "; ".join(dict.fromkeys(values)) for key, values in notes.items() if values}
    return Request(source=source, **kept, **joined, **_criteria(checked, source))


def _criteria(checked: Mapping[str, Any], source: str) -> dict[str, Any]:
    made: dict[str, tuple[Criterion, ...]] = {}
    for key in NESTED:
        if key in checked:
            made[key] = tuple(
                Criterion(
                    source=source,
                    **{name: value for name, value in item.items() if name in (*LISTS, "where")},
                    **_criteria(item, source),
                )
                for item in checked[key]
            )
            if any(criterion.is_empty for criterion in made[key]):
                raise ValueError(f"the request in {source} has a criterion under '{key}' that names no case")
    return made


def _levels(checked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield checked
    for key in NESTED:
        for item in checked.get(key, ()):
            yield from _levels(item)
