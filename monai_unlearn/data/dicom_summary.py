"""What an index holds, as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monai_unlearn.data.dicom_index import DicomIndex
from monai_unlearn.data.dicom_series import DicomSeries

__all__ = ["summarise_index"]

HEADER = ("modality", "description", "patients", "studies", "series", "slices", "unusable")
NAMES = 2
"""Number of columns that hold names, not counts."""
SHOWN = 10


def summarise_index(index: DicomIndex) -> str:
    """Count patients, studies, series and slices by kind of series, and list the first problems of every kind.

    The text names files and series, but no patient; what the paths say is the user's own.

    Args:
        index: the images.
    """
    groups: dict[tuple[str, str], list[DicomSeries]] = {}
    for series in index.series:
        groups.setdefault((series.first.modality, series.first.description), []).append(series)
    rows: list[Sequence[object]] = [HEADER]
    rows += [(*kind, *_counts(groups[kind])) for kind in sorted(groups)]
    rows.append(("all", "", *_counts(index.series)))
    problems = Counter(problem.kind for problem in index.problems)
    lines = [*_aligned(rows), f"DICOM SEG objects: {len(index.segmentations)}", f"problems: {problems.total()}"]
    for kind, count in problems.items():
        lines += [f"  {problem}" for problem in index.problems if problem.kind == kind][:SHOWN]
        lines += [f"  … and {count - SHOWN} more: {kind}"] if count > SHOWN else []
    return "\n".join(lines)


def _counts(series: Sequence[DicomSeries]) -> tuple[int, ...]:
    return (
        len({each.first.patient or each.uid for each in series}),  # without a PatientID, a patient of its own
        len({each.first.study for each in series}),
        len(series),
        sum(len(each.files) for each in series),
        sum(each.problem is not None for each in series),
    )


def _aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < NAMES else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
