"""The partition: forget, retain, reference and unseen cases, whole groups each."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monai_unlearn.data.datalists import Case, Datalists, join_table, limit_cases
from monai_unlearn.data.identifiers import case_id
from monai_unlearn.data.request import Request, load_request, shorten

__all__ = ["SUBSETS", "Partition", "make_partition"]

SUBSETS = ("forget", "retain", "reference", "unseen")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The cases of a project by what is to become of them; each case carries its ``id``.

    Args:
        name: name of the set.
        synthetic: whether the images are phantoms.
        training: what the teacher was trained on, in the order of the datalist: ``forget`` and ``retain`` together.
        forget_ids: ids of the cases to forget.
        reference: never-trained cases that steer (targets, stopping, guards).
        unseen: never-trained cases for the audit alone.
        excluded: number of never-trained cases left out because their group was trained on or is to be forgotten.
        random: whether the request was a random draw.
        named: number of ids that the request names; 0 for a random draw.
        never_trained_named: how many of these were never trained on, so that there was nothing to forget.
        identifiers: everything in the whole set that names a case or group; no written file may hold it in the clear.
        split_drawn: whether the never-trained cases were set aside by a random draw, not by the set itself.
    """

    name: str
    synthetic: bool
    training: tuple[Case, ...]
    forget_ids: frozenset[str]
    reference: tuple[Case, ...]
    unseen: tuple[Case, ...]
    excluded: int
    random: bool
    named: int = 0
    never_trained_named: int = 0
    split_drawn: bool = False
    identifiers: frozenset[str] = frozenset()

    @property
    def forget(self) -> tuple[Case, ...]:
        """Training cases to forget."""
        return tuple(case for case in self.training if case["id"] in self.forget_ids)

    @property
    def retain(self) -> tuple[Case, ...]:
        """Training cases to keep."""
        return tuple(case for case in self.training if case["id"] not in self.forget_ids)

    @property
    def never_trained(self) -> tuple[Case, ...]:
        """Reference and unseen cases, in this order."""
        return self.reference + self.unseen

    def subset(self, name: str) -> tuple[Case, ...]:
        """Return the cases of one of ``SUBSETS``."""
        if name not in SUBSETS:
            raise ValueError(f"a subset is one of {', '.join(SUBSETS)}; got {name!r}")
        cases: tuple[Case, ...] = getattr(self, name)
        return cases

    def counts(self) -> dict[str, int]:
        """Count the cases of every subset, and those excluded."""
        return {**{name: len(self.subset(name)) for name in SUBSETS}, "excluded": self.excluded}


def make_partition(
    datalists: Datalists,
    request: str | Path | float | Sequence[str] | Request,
    *,
    group_by: str | None = None,
    table: str | Path | None = None,
    max_cases: int | None = None,
    seed: int = 0,
) -> Partition:
    """Divide the cases by a request; images that share a group stay together.

    A request that names one image of a group takes the whole group. Never-trained cases whose group was trained on (or
    would have been without ``max_cases``), or is to be forgotten, are left out and counted. The others are halved, by
    group and seed, into ``reference`` and ``unseen``.

    Args:
        datalists: what the teacher was trained on, and what it never saw.
        request: see :func:`~monai_unlearn.data.load_request`.
        group_by: column of the datalist (or of ``table``) that names the patient or lesion; cases without a value
            there are groups of their own. ``None``: every case is.
        table: CSV file whose columns are joined on ``id``.
        max_cases: see :func:`~monai_unlearn.data.limit_cases`.
        seed: seed of every draw.

    Raises:
        ValueError: if an id is unknown, doubled or never trained on; if a subset would be empty; if ``group_by`` is not
            a column.
    """
    request = load_request(request)
    _refuse_doubles([*datalists.training, *datalists.never_trained])
    _refuse_unknown(request, datalists)
    whole = _named_and_numbered(datalists, table)
    group_of = _groups([*whole.training, *whole.never_trained], group_by)
    trained_groups = {group_of[case["id"]] for case in whole.training}
    named = {group_of[name] for name in request.ids or ()}
    asked_for = [case["id"] for case in whole.training if group_of[case["id"]] in named]
    limited = limit_cases(whole, max_cases, seed=seed, keep=asked_for)
    training, never_trained = limited.training, limited.never_trained
    generator = np.random.default_rng(seed)
    wanted = named or _drawn_groups(request, training, group_of, generator)

    forget_ids = frozenset(case["id"] for case in training if group_of[case["id"]] in wanted)
    if len(forget_ids) == len(training):
        raise ValueError(
            f"the request would forget all {len(training)} training cases"
            + (f" (whole groups by '{group_by}')" if group_by else "")
            + "; nothing would be left to retain. Name fewer cases, or delete the network."
        )
    kept = [case for case in never_trained if group_of[case["id"]] not in trained_groups | wanted]
    reference, unseen = _halve(kept, group_of, generator)
    if not reference or not unseen:
        raise ValueError(
            f"{len(kept)} of {len(never_trained)} never-trained cases are left once groups that were trained on "
            f"are taken out; "
            "'reference' and 'unseen' need one group each. Add cases that the network never saw."
        )
    return Partition(
        name=datalists.name,
        synthetic=datalists.synthetic,
        training=tuple(training),
        forget_ids=forget_ids,
        reference=tuple(reference),
        unseen=tuple(unseen),
        excluded=len(never_trained) - len(kept),
        random=request.ids is None,
        named=len(request.ids or ()),
        never_trained_named=len(set(request.ids or ()) & {case["id"] for case in whole.never_trained}),
        split_drawn=datalists.split_drawn,
        identifiers=_identifiers([*whole.training, *whole.never_trained], group_by),
    )


def _refuse_doubles(cases: Sequence[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(case_id(case), case)
        if other is not case:
            raise ValueError(
                f"two cases have the id {case_id(case)!r}: {other.get('image')} and {case.get('image')}. "
                "Give each a different 'id' in the datalist."
            )


def _refuse_unknown(request: Request, datalists: Datalists) -> None:
    if request.ids is None:
        return
    trained = {case_id(case) for case in datalists.training}
    never_trained = {case_id(case) for case in datalists.never_trained}
    unknown = [name for name in request.ids if name not in trained | never_trained]
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], sorted(trained), n=1)
        raise ValueError(
            f"the request in {request.source} names {shorten(unknown)}, which no case of '{datalists.name}' has "
            f"as its id" + (f"; did you mean {nearest[0]!r}?" if nearest else "; ids are matched exactly.")
        )
    if not trained.intersection(request.ids):
        raise ValueError(
            f"the request in {request.source} names only cases that the network was never trained on "
            f"({shorten(request.ids)}): there is nothing to forget"
        )


def _groups(cases: Sequence[Case], group_by: str | None) -> dict[str, tuple[str, str]]:
    if group_by is not None and not any(group_by in case for case in cases):
        columns = sorted({key for case in cases for key in case} - {"image", "label", "id", "row"})
        raise ValueError(
            f"'group_by' names the column {group_by!r}, which the datalist lacks; it has {shorten(columns, 20)}"
        )
    groups = {}
    for case in cases:
        group = str(case.get(group_by) or "").strip() if group_by else ""
        # a case without a group is one of its own; the tag keeps its id from colliding with a group of that name
        groups[case["id"]] = ("group", group) if group else ("case", case["id"])
    return groups


def _named_and_numbered(datalists: Datalists, table: str | Path | None) -> Datalists:
    """Give every case its ``id`` and its ``row`` in the datalists, training cases first, and the columns of a table."""
    rows = itertools.count()
    training, never_trained = (
        [{**case, "id": case_id(case), "row": next(rows)} for case in join_table(side, table)]
        for side in (datalists.training, datalists.never_trained)
    )
    return replace(datalists, training=training, never_trained=never_trained)


def _identifiers(cases: Sequence[Case], group_by: str | None) -> frozenset[str]:
    names = {str(case.get(key, "")) for case in cases for key in ("id", group_by or "id")}
    files = {case_id({"image": case["image"]}) for case in cases if case.get("image")}
    return frozenset(name for name in names | files if name.strip())


def _drawn_groups(
    request: Request, training: Sequence[Case], group_of: dict[str, tuple[str, str]], generator: np.random.Generator
) -> set[tuple[str, str]]:
    assert request.fraction is not None
    sizes: dict[tuple[str, str], int] = {}
    for case in training:
        group = group_of[case["id"]]
        sizes[group] = sizes.get(group, 0) + 1
    groups, wanted, count = list(sizes), set[tuple[str, str]](), 0
    for index in generator.permutation(len(groups)):
        if count >= max(1, round(request.fraction * len(training))):
            break
        wanted.add(groups[index])
        count += sizes[groups[index]]
    return wanted


def _halve(
    cases: Sequence[Case], group_of: dict[str, tuple[str, str]], generator: np.random.Generator
) -> tuple[list[Case], list[Case]]:
    groups = list(dict.fromkeys(group_of[case["id"]] for case in cases))
    members: dict[tuple[str, str], list[Case]] = {group: [] for group in groups}
    for case in cases:
        members[group_of[case["id"]]].append(case)
    halves: tuple[list[Case], list[Case]] = ([], [])
    for index in generator.permutation(len(groups)):
        min(halves, key=len).extend(members[groups[index]])
    return halves
