"""Indexing a tree of DICOM files by patient, study and series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monai_unlearn.data.dicom_files import files_below, read_dicom_headers
from monai_unlearn.data.dicom_header import DicomHeader, DicomProblem
from monai_unlearn.data.dicom_series import DicomSeries

__all__ = ["DicomIndex", "index_dicom"]


@dataclass(frozen=True, kw_only=True)
class DicomIndex:
    """What a tree of files holds; identifiers are in the clear.

    Args:
        root: the folder.
        series: the series of images, by patient, study and series; also those that form no volume.
        segmentations: the DICOM SEG objects.
        problems: files and series that are of no use, or of less.
    """

    root: Path
    series: tuple[DicomSeries, ...]
    segmentations: tuple[DicomHeader, ...]
    problems: tuple[DicomProblem, ...]

    @property
    def usable(self) -> tuple[DicomSeries, ...]:
        """The series that form volumes."""
        return tuple(series for series in self.series if series.problem is None)

    @cached_property
    def by_uid(self) -> dict[str, DicomSeries]:
        """All series by their SeriesInstanceUID."""
        return {series.uid: series for series in self.series}

    @property
    def revealed(self) -> frozenset[str]:
        """Which identifiers of patients can be read off the paths."""
        return frozenset(kind for series in self.series for header in series.files for kind in header.revealed)

    def __getitem__(self, uid: str) -> DicomSeries:
        """Return a series that is to be used.

        Raises:
            ValueError: if there is no such series or it forms no volume.
        """
        if uid not in self.by_uid:
            raise ValueError(
                f"{self.root} holds no image series with the SeriesInstanceUID {uid!r}, but {len(self.series)} others"
            )
        return self.by_uid[uid].require_volume()


def index_dicom(folder: str | Path, *, workers: int = 8) -> DicomIndex:
    """Read the headers of all files below a folder and sort them into series.

    Every file is looked into, whatever its name. Links are followed, once each. Files that cannot be read, that are no
    DICOM or no image, and copies of an image are listed as problems; so are series that form no volume.

    Args:
        folder: the tree.
        workers: threads that read; the time goes into waiting for the disk or the network.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it holds no DICOM image at all, or ``workers`` is not positive.
    """
    root = Path(folder).absolute()
    if not root.is_dir():
        raise FileNotFoundError(f"cannot find the folder '{folder}' of DICOM files")
    if not isinstance(workers, int) or workers < 1:
        raise ValueError(f"'workers' is a positive number of threads, got {workers!r}")
    unreadable: list[DicomProblem] = []
    paths = sorted(files_below(root, unreadable))
    headers, problems = read_dicom_headers(paths, root.parent, workers=workers)
    images, copies = _without_copies([header for header in headers if not header.segmentation])
    if not images:
        kinds = ", ".join(f"{len(paths)} files, {problem}" for problem in problems[:1]) or "no files"
        raise ValueError(f"{root} holds no DICOM image: {kinds}")
    series = _by_series(images)
    unusable = [_about(each, "unusable series", each.problem) for each in series if each.problem is not None]
    nameless = [
        _about(each, "no PatientID", "a request by patient does not find it")
        for each in series
        if not each.first.patient
    ]
    return DicomIndex(
        root=root,
        series=tuple(series),
        segmentations=tuple(header for header in headers if header.segmentation),
        problems=(*unreadable, *problems, *copies, *unusable, *nameless),
    )


def _without_copies(headers: list[DicomHeader]) -> tuple[list[DicomHeader], list[DicomProblem]]:
    """Keep the first file of every SOPInstanceUID."""
    first: dict[str, DicomHeader] = {}
    copies = []
    for header in headers:
        kept = first.setdefault(header.instance, header)
        if kept is not header:
            reason = "they are the same image (SOPInstanceUID); the second one is used"
            copies.append(DicomProblem(kind="duplicate", reason=reason, files=(header.path, kept.path)))
    return list(first.values()), copies


def _by_series(headers: list[DicomHeader]) -> list[DicomSeries]:
    groups: dict[str, list[DicomHeader]] = {}
    for header in headers:
        groups.setdefault(header.series, []).append(header)
    series = [DicomSeries(files=tuple(group)) for group in groups.values()]
    return sorted(series, key=lambda each: (each.first.patient, each.first.study, each.uid))


def _about(series: DicomSeries, kind: str, reason: str) -> DicomProblem:
    return DicomProblem(
        kind=kind, reason=reason, files=tuple(header.path for header in series.files), series=series.uid
    )
