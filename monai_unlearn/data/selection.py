"""From a request to the cases that it means: its criteria, tried on every case, and whole patients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from monai_unlearn.data.request import Criterion, Request
from monai_unlearn.data.where import Verdict, Where, all_hold, any_holds
from monai_unlearn.data.wording import did_you_mean, shorten

__all__ = ["Groups", "Selection", "select_cases"]

Case = dict[str, Any]
Groups: TypeAlias = Mapping[str, tuple[str, str]]
"""The group of every case, by id: ``("group", patient)``, or ``("case", id)`` for a case without one."""
RATER = "rater"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The cases that a request means.

    Args:
        ids: all of them, trained on or not, with those that go because their group does.
        named: those of them that the request means by itself.
        individuals: those of them that are meant by id or patient, not by a property.
        undecided: training cases of which a condition cannot tell, for want of a value.
        divided: number of groups of which only some training cases are meant.
    """

    ids: frozenset[str]
    named: frozenset[str]
    individuals: frozenset[str]
    undecided: frozenset[str]
    divided: int


def select_cases(
    request: Request,
    *,
    training: Sequence[Case],
    never_trained: Sequence[Case],
    group_of: Groups,
    group_by: str | None,
    forgotten_before: Collection[str] = (),
) -> Selection:
    """Find the cases that a request means.

    Args:
        request: a request that names cases.
        training: cases that were trained on, each with its ``id``.
        never_trained: cases that were not.
        group_of: the group of every case.
        group_by: column that names the group.
        forgotten_before: ids of training cases that are forgotten already; they divide no group.

    Raises:
        ValueError: if something that the request names is not there, nothing is hit, or a condition would divide the
            images of a patient although the request does not say so.
    """
    cases = [*training, *never_trained]
    source = f"the request in {request.source}"
    for part in request.walk():
        _refuse_absent(part, source, cases, training, group_of, group_by)
    judge_each, judge_whole = (_judge(request, group_of, whole=whole) for whole in (False, True))
    exact = {case["id"]: judge_each(case) for case in cases}
    named = {name for name, verdict in exact.items() if verdict}
    ids = named
    if request.whole_patients is not False:
        ids = {case["id"] for case in cases if judge_whole(case)}
    if request.whole_patients:
        if group_by is None:
            raise ValueError(f"{source} wants whole patients, but no column names the patient; give 'group_by'")
        groups = {group_of[name] for name in ids}
        ids = {case["id"] for case in cases if group_of[case["id"]] in groups}
    if not ids:
        raise ValueError(f"{source} hits no case: none fulfils all of its criteria at once")
    held = set(forgotten_before)
    open_cases = [case["id"] for case in training if case["id"] not in held]
    touched = {group_of[name] for name in ids}
    left = [name for name in open_cases if group_of[name] in touched and name not in ids]
    divided = {group_of[name] for name in left}
    if divided and request.whole_patients is None and any(part.where is not None for part in request.walk()):
        raise ValueError(
            f"{source} would divide the images of {len(divided)} of the {len(touched)} groups by '{group_by}' that it "
            f"hits: {len(left)} of their training images do not fit its 'where'. Write whole_patients: true (these go, "
            "too) or whole_patients: false (only the images that fit are forgotten)"
        )
    return Selection(
        ids=frozenset(ids),
        named=frozenset(named),
        individuals=frozenset(ids & _individuals(request, cases, group_of)),
        undecided=frozenset(case["id"] for case in training if exact[case["id"]] is None),
        divided=len(divided),
    )


def _judge(criterion: Criterion, group_of: Groups, *, whole: bool) -> Callable[[Case], Verdict]:
    """Make the test of a criterion; ``whole``: an id means all cases of its group."""
    tests: list[Callable[[Case], Verdict]] = []
    if criterion.ids is not None:
        ids, groups = set(criterion.ids), {group_of[name] for name in criterion.ids}
        tests.append((lambda case: group_of[case["id"]] in groups) if whole else (lambda case: case["id"] in ids))
    if criterion.patients is not None:
        patients = {("group", name.strip()) for name in criterion.patients}
        tests.append(lambda case: group_of[case["id"]] in patients)
    if criterion.raters is not None:
        raters = {name.strip() for name in criterion.raters}
        tests.append(lambda case: _cell(case, RATER) in raters)
    if criterion.where is not None:
        tests.append(Where(criterion.where).decide)
    for parts, join in ((criterion.all_of, all_hold), (criterion.any_of, any_holds)):
        if parts is not None:
            inner = [_judge(part, group_of, whole=whole) for part in parts]
            tests.append(lambda case, inner=inner, join=join: join(test(case) for test in inner))  # type: ignore[misc]
    return lambda case: all_hold(test(case) for test in tests)


def _individuals(request: Request, cases: Sequence[Case], group_of: Groups) -> set[str]:
    groups = set()
    for part in request.walk():
        groups |= {group_of[name] for name in part.ids or ()}
        groups |= {("group", name.strip()) for name in part.patients or ()}
    return {case["id"] for case in cases if group_of[case["id"]] in groups}


def _refuse_absent(
    part: Criterion,
    source: str,
    cases: Sequence[Case],
    training: Sequence[Case],
    group_of: Groups,
    group_by: str | None,
) -> None:
    unknown = [name for name in part.ids or () if name not in group_of]
    if unknown:
        hint = did_you_mean(unknown[0], {case["id"] for case in training}) or "; ids are matched exactly."
        raise ValueError(f"{source} names {shorten(unknown)}, which no case has as its id{hint}")
    if part.patients is not None:
        if group_by is None:
            raise ValueError(f"{source} names patients, but no column names the patient of a case; give 'group_by'")
        _refuse_unknown(part.patients, {name for kind, name in group_of.values() if kind == "group"}, source, group_by)
    if part.raters is not None:
        if not any(RATER in case for case in cases):
            raise ValueError(f"{source} names raters, but the cases have no column '{RATER}'; bring it by 'table'")
        _refuse_unknown(part.raters, {_cell(case, RATER) for case in cases}, source, RATER)
    if part.where is not None:
        _check_condition(Where(part.where), source, cases, group_by)


def _refuse_unknown(names: Sequence[str], known: set[str], source: str, column: str) -> None:
    unknown = [name for name in names if name.strip() not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or "; values are matched exactly."
        raise ValueError(f"{source} names {shorten(unknown)}, which no case has in the column '{column}'{hint}")


def _check_condition(condition: Where, source: str, cases: Sequence[Case], group_by: str | None) -> None:
    columns = {key for case in cases for key in case if isinstance(key, str)} - {"row"}
    for column, place in condition.columns.items():
        if column not in columns:
            raise ValueError(
                f"{source}: the 'where', {place}, reads the column {column!r}, which the cases lack"
                f"{did_you_mean(column, columns) or '.'} They have {shorten(sorted(columns), 30)}"
            )
        if column in condition.numeric and column in ("id", group_by):
            raise ValueError(
                f"{source}: the 'where', {place}, compares '{column}' with a number; it names cases, and 007 is not 7: "
                "write the name in quotes"
            )
    verdicts = [condition.decide(case) for case in cases]
    if True not in verdicts:
        undecided = verdicts.count(None)
        raise ValueError(
            f"{source}: no case fits the 'where' {condition.text!r}"
            + (f"; {undecided} of {len(cases)} have no value to compare" if undecided else "")
        )


def _cell(case: Case, column: str) -> str:
    value = case.get(column)
    return "" if value is None else str(value).strip()
