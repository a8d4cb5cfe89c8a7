"""How a request divides the cases of a project."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_unlearn.data.classes import cases_with_classes, resolve_classes
from monai_unlearn.data.datalists import Case, Datalists, limit_cases
from monai_unlearn.data.naming import group_cases, identifiers_of, name_cases
from monai_unlearn.data.partition import Partition
from monai_unlearn.data.request import Request, load_request
from monai_unlearn.data.selection import Groups, Selection, select_cases
from monai_unlearn.data.wording import shorten

__all__ = ["make_partition"]

LISTED = ("ids", "patients")
"""What names individuals."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Training cases to forget, all cases that are used for nothing else, and what is to be said of the choice."""

    forget: frozenset[str]
    spent: frozenset[str] = frozenset()
    classes: tuple[int, ...] = ()
    figures: Mapping[str, int] = field(default_factory=dict)


def make_partition(
    datalists: Datalists,
    request: str | Path | float | Sequence[str] | Mapping[str, Any] | Request,
    *,
    group_by: str | None = None,
    table: str | Path | None = None,
    max_cases: int | None = None,
    seed: int = 0,
    forgotten_before: Collection[str] = (),
    label_values: Callable[[Case], Collection[int]] | None = None,
    class_names: Sequence[str] | None = None,
) -> Partition:
    """Divide the cases by a request; images that share a group stay together.

    A request that names one image of a group, or the group, takes the whole group; a condition that would divide one is
    an error unless the request says what it wants. Never-trained cases whose group was trained on (or would have been
    without ``max_cases``), or which the request means, are left out and counted. The others are halved, by group and
    seed, into ``reference`` and ``unseen``.

    Args:
        datalists: what the teacher was trained on, and what it never saw.
        request: see :func:`~monai_unlearn.data.load_request`.
        group_by: column of the datalist (or of ``table``) that names the patient or lesion; cases without a value
            there are groups of their own. ``None``: every case is.
        table: CSV file whose columns are joined on ``id``.
        max_cases: see :func:`~monai_unlearn.data.limit_cases`. Cases that are named by id or patient are kept; of those
            that a property singles out, the draw takes its share.
        seed: seed of every draw.
        forgotten_before: ids that earlier requests had forgotten, or meant although they were never trained on, see
            :func:`~monai_unlearn.data.forgotten_before`; those that are not in the datalist do not count.
        label_values: reads which label values a case has; for class requests.
        class_names: names of the network's classes, by label value.

    Raises:
        ValueError: if what the request names is unknown, doubled, never trained on or forgotten already; if it would
            divide a group; if a subset would be empty; if ``group_by`` is not a column.
    """
    request = load_request(request)
    whole = name_cases(datalists, table)
    group_of = group_cases([*whole.training, *whole.never_trained], group_by)
    trained_groups = {group_of[case["id"]] for case in whole.training}
    before = frozenset(forgotten_before)
    held = before.intersection(case["id"] for case in whole.training)
    selection = None
    if not request.is_empty:
        selection = select_cases(
            request,
            training=whole.training,
            never_trained=whole.never_trained,
            group_of=group_of,
            group_by=group_by,
            forgotten_before=held,
        )
        _refuse_nothing_to_forget(request, selection, whole, group_of, held)
    keep = [case["id"] for case in whole.training if selection and case["id"] in selection.individuals - held]
    limited = limit_cases(whole, max_cases, seed=seed, keep=keep)
    training, never_trained = limited.training, limited.never_trained
    held &= {case["id"] for case in training}
    available = [case for case in training if case["id"] not in held]
    generator = np.random.default_rng(seed)

    if selection:
        wanted = _selected(request, selection, whole, available, held)
    elif request.classes:
        classes = resolve_classes(request, class_names)
        # those forgotten before as well: held as they are, they would keep the class alive
        having = cases_with_classes(classes, training, label_values=label_values, source=request.source)
        wanted = _Wanted(forget=having, classes=classes)
    else:
        wanted = _Wanted(forget=_drawn(request, available, group_of, generator))
    if len(wanted.forget) == len(available) and not wanted.classes:
        raise ValueError(
            f"the request would forget all {len(available)} training cases"
            + (f" (whole groups by '{group_by}')" if group_by else "")
            + (f" that are left after {len(held)} forgotten before" if held else "")
            + "; nothing would be left to retain. Name fewer cases, or delete the network."
        )
    spent = before | wanted.spent
    kept = [case for case in never_trained if group_of[case["id"]] not in trained_groups and case["id"] not in spent]
    reference, unseen = _halve(kept, group_of, generator)
    if not reference or not unseen:
        raise ValueError(
            f"{len(kept)} of {len(never_trained)} never-trained cases are left once groups that were trained on "
            f"{'and cases that a request means ' if spent else ''}are taken out; "
            "'reference' and 'unseen' need one group each. Add cases that the network never saw."
        )
    return Partition(
        name=datalists.name,
        synthetic=datalists.synthetic,
        training=tuple(training),
        forget_ids=wanted.forget,
        reference=tuple(reference),
        unseen=tuple(unseen),
        excluded=len(never_trained) - len(kept),
        random=request.fraction is not None,
        request=request,
        classes=wanted.classes,
        forgotten_before=held,
        spent=wanted.spent.intersection(case["id"] for case in whole.never_trained),
        split_drawn=datalists.split_drawn,
        identifiers=identifiers_of([*whole.training, *whole.never_trained], group_by),
        **wanted.figures,
    )


def _selected(
    request: Request, selection: Selection, whole: Datalists, available: Sequence[Case], held: Collection[str]
) -> _Wanted:
    forget = frozenset(case["id"] for case in available if case["id"] in selection.ids)
    if not forget:
        raise ValueError(
            f"'max_cases' leaves none of the training cases that the request in {request.source} hits; raise it"
        )
    never_trained = {case["id"] for case in whole.never_trained}
    figures = {
        "named": len(selection.named),
        "never_trained_named": len(selection.named & never_trained),
        "forgotten_again": len(selection.ids.intersection(held)),
        "undecided": len(selection.undecided),
        "divided": selection.divided,
    }
    return _Wanted(forget=forget, spent=selection.ids, figures=figures)


def _refuse_nothing_to_forget(
    request: Request, selection: Selection, whole: Datalists, group_of: Groups, held: frozenset[str]
) -> None:
    trained = {case["id"] for case in whole.training}
    names, patients = ([name for part in request.walk() for name in getattr(part, key) or ()] for key in LISTED)
    images = {name: {case for case in trained if group_of[case] == ("group", name.strip())} for name in patients}
    again = [name for name in names if name in held]
    again += [name for name, cases in images.items() if cases and cases <= held]
    hit = selection.ids & trained
    if again or (hit and hit <= held):
        raise ValueError(
            f"the request in {request.source} names {shorten(again) if again else 'only cases'} that an earlier "
            f"request had forgotten already (see the ledger); {'leave them out' if again else 'there is nothing to do'}"
        )
    if not hit:
        raise ValueError(
            f"the request in {request.source} names only cases that the network was never trained on "
            f"({shorten(names or sorted(selection.ids))}): there is nothing to forget"
        )


def _drawn(request: Request, cases: Sequence[Case], group_of: Groups, generator: np.random.Generator) -> frozenset[str]:
    assert request.fraction is not None
    members: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        members.setdefault(group_of[case["id"]], []).append(case["id"])
    groups, wanted = list(members), set[str]()
    for index in generator.permutation(len(groups)):
        if len(wanted) >= max(1, round(request.fraction * len(cases))):
            break
        wanted.update(members[groups[index]])
    return frozenset(wanted)


def _halve(cases: Sequence[Case], group_of: Groups, generator: np.random.Generator) -> tuple[list[Case], list[Case]]:
    groups = list(dict.fromkeys(group_of[case["id"]] for case in cases))
    members: dict[tuple[str, str], list[Case]] = {group: [] for group in groups}
    for case in cases:
        members[group_of[case["id"]]].append(case)
    halves: tuple[list[Case], list[Case]] = ([], [])
    for index in generator.permutation(len(groups)):
        min(halves, key=len).extend(members[groups[index]])
    return halves
