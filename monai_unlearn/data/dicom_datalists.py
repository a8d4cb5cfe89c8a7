"""Datalists of DICOM series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from monai_unlearn.data.datalists import Case, Datalists
from monai_unlearn.data.dicom_index import DicomIndex, index_dicom
from monai_unlearn.data.dicom_listing import load_dicom_index
from monai_unlearn.data.dicom_series import DicomSeries
from monai_unlearn.data.wording import shorten

__all__ = ["dicom_cases", "dicom_datalists"]

NEVER_TRAINED_SHARE = 0.2


def dicom_cases(
    index: DicomIndex,
    *,
    series: Sequence[str] | None = None,
    modality: str | None = None,
    description: str | None = None,
    labels: Mapping[str, Path] | None = None,
) -> list[Case]:
    """List series as cases, identifiers in the clear.

    A case has the columns ``id`` and ``series`` (SeriesInstanceUID), ``patient`` (PatientID), ``study``, ``modality``,
    ``description``, ``image`` and, where there are masks, ``label``. ``image`` is a folder where it holds that series
    alone and MONAI's own reader would read it right; else it is the list of files, in order, and has to be read by
    :class:`~monai_unlearn.data.DicomSeriesReader`, which reads folders just as well.

    Args:
        index: the images.
        series: SeriesInstanceUIDs to list; ``None`` lists all that form volumes.
        modality: Modality to list, such as ``"MR"``; ``None`` lists all.
        description: pattern of the SeriesDescription, such as ``"*FLAIR*"``, upper and lower case alike.
        labels: masks by SeriesInstanceUID, see :func:`~monai_unlearn.data.join_masks`; series without one are left out.

    Raises:
        ValueError: if a series of ``series`` is not there or forms no volume, or nothing is left to list.
    """
    chosen = list(index.usable) if series is None else [index[uid] for uid in series]
    if modality is not None:
        chosen = [each for each in chosen if each.first.modality.casefold() == modality.casefold()]
    if description is not None:
        chosen = [each for each in chosen if fnmatch(each.first.description.casefold(), description.casefold())]
    if labels is not None:
        chosen = [each for each in chosen if each.uid in labels]
    if not chosen:
        kinds = sorted({f"{each.first.modality} {each.first.description}".strip() for each in index.usable})
        raise ValueError(
            f"no series of {index.root} is left to list"
            + (" that has a mask" if labels is not None else "")
            + f"; there are {len(index.usable)} usable ones ({shorten(kinds)})"
        )
    return [_case_of(each, labels) for each in chosen]


def dicom_datalists(
    source: str | Path | DicomIndex,
    *,
    name: str = "dicom",
    never_trained: Sequence[str] | None = None,
    seed: int = 0,
    series: Sequence[str] | None = None,
    modality: str | None = None,
    description: str | None = None,
    labels: Mapping[str, Path] | None = None,
    workers: int = 8,
) -> Datalists:
    """Divide DICOM series into those that the network was trained on and those that it never saw, whole patients each.

    Requests name patients as DICOM does: ``patients: [PGBM-002]``, with ``group_by`` ``patient``.

    Args:
        source: folder of DICOM files, an index that :func:`~monai_unlearn.data.write_dicom_index` wrote (headers are
            read again, so that identifiers are in the clear), or an index in memory.
        name: name of the set, for reports.
        never_trained: PatientIDs that the network never saw. ``None`` draws a fifth of the patients and marks the split
            as drawn; series without a PatientID count as one patient each.
        seed: seed of that draw.
        series: see :func:`dicom_cases`, likewise the next three; not for a written index, which has chosen.
        modality: see there.
        description: see there.
        labels: see there.
        workers: threads that read headers.

    Raises:
        FileNotFoundError: if ``source`` does not exist.
        ValueError: if a patient is unknown, or one side of the division would be empty; else as :func:`dicom_cases`.
    """
    if isinstance(source, DicomIndex) or Path(source).is_dir():
        index = source if isinstance(source, DicomIndex) else index_dicom(source, workers=workers)
        cases = dicom_cases(index, series=series, modality=modality, description=description, labels=labels)
    else:
        if not all(choice is None for choice in (series, modality, description, labels)):
            raise ValueError(
                f"{source} is a written index, in which the series are chosen already; index again to choose"
            )
        cases = load_dicom_index(source)
    patients = list(dict.fromkeys(_patient_of(case) for case in cases))
    if never_trained is None:
        count = min(max(2, round(NEVER_TRAINED_SHARE * len(patients))), len(patients) - 2)
        order = np.random.default_rng(seed).permutation(len(patients))
        apart = {patients[position] for position in order[: max(1, count)]}
    else:
        apart = set(map(str, never_trained))
        if unknown := sorted(apart - {*patients}):
            raise ValueError(f"'never_trained' names patients that no series has: {shorten(unknown)}")
    sides = [[case for case in cases if (_patient_of(case) in apart) == side] for side in (False, True)]
    if not all(sides):
        raise ValueError(
            f"{len(patients)} patients cannot be divided into those that the network was trained on and those that it "
            "never saw; name the latter in 'never_trained'"
        )
    return Datalists(name=name, training=sides[0], never_trained=sides[1], split_drawn=never_trained is None)


def _patient_of(case: Case) -> str:
    return str(case["patient"] or case["id"])


def _case_of(series: DicomSeries, labels: Mapping[str, Path] | None) -> Case:
    first = series.first
    case = {
        "id": series.uid,
        "patient": first.patient,
        "study": first.study,
        "series": series.uid,
        "modality": first.modality,
        "description": first.description,
        "image": _image_of(series),
    }
    return case if labels is None else {**case, "label": str(labels[series.uid])}


def _image_of(series: DicomSeries) -> str | list[str]:
    paths = [header.path for header in series.slices]
    folder = paths[0].parent
    # MONAI reads all of a folder whose name starts with no dot
    alone = {path for path in folder.iterdir() if not path.name.startswith(".")} == {*paths}
    return str(folder) if alone and (series.numbered or len(paths) == 1) else [str(path) for path in paths]
