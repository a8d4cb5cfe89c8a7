"""The header of one DICOM file: what indexing needs of it, and why a file is of no use."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from monai_unlearn.data.dicom_paths import told_by_path

__all__ = ["DicomHeader", "DicomProblem", "read_dicom_header"]

SEGMENTATION_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of segmentations: as one bit or fraction per segment, and as a label map."""

TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesDescription",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "NumberOfFrames",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "InstanceNumber",
    "ReferencedSeriesSequence",
)


@dataclass(frozen=True, kw_only=True)
class DicomProblem:
    """Why some files are left out of a datalist.

    Args:
        kind: one word or two, to count by: ``"not DICOM"``, ``"duplicate"`` …
        reason: what is wrong and where; holds no identifier, since it is written down.
        files: the files that it is about.
        series: SeriesInstanceUID, where it is about a series.
    """

    kind: str
    reason: str
    files: tuple[Path, ...]
    series: str = ""

    def __str__(self) -> str:
        files = ", ".join(map(str, self.files[:2])) + (" …" if len(self.files) > 2 else "")
        where = f"series {self.series} ({files})" if self.series else files
        return f"{self.kind}: {where}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class DicomHeader:
    """What is read of one file; lengths in mm, in the patient's coordinates of DICOM (left, posterior, superior).

    Args:
        path: the file.
        instance: SOPInstanceUID.
        series: SeriesInstanceUID.
        study: StudyInstanceUID.
        patient: PatientID, empty where the file has none.
        modality: Modality.
        description: SeriesDescription.
        frame_of_reference: FrameOfReferenceUID.
        rows: height in pixels; 0 for an object that is no image.
        columns: width in pixels.
        frames: NumberOfFrames.
        number: InstanceNumber.
        spacing: PixelSpacing, between rows and between columns.
        position: ImagePositionPatient.
        orientation: ImageOrientationPatient, direction along a row and down a column.
        referenced_series: the series that a segmentation was drawn on.
        segmentation: whether the file is a DICOM SEG object.
        revealed: what of the patient can be read off the path.
    """

    path: Path
    instance: str
    series: str
    study: str = ""
    patient: str = ""
    modality: str = ""
    description: str = ""
    frame_of_reference: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1
    number: int | None = None
    spacing: tuple[float, ...] = ()
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    referenced_series: tuple[str, ...] = ()
    segmentation: bool = False
    revealed: frozenset[str] = frozenset()


def read_dicom_header(path: Path, root: Path | None = None) -> DicomHeader | DicomProblem:
    """Read a file's header, whatever the file's name; a file that is of no use is told, never raised.

    Args:
        path: the file.
        root: folder below which the path is searched for what it says about the patient.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return DicomProblem(kind="unreadable", reason="it is no regular file", files=(path,))
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
            rest = status.st_size - file.tell()
        return _problem_of(dataset, path, rest) or header_of(dataset, path, root)
    except InvalidDicomError:
        return DicomProblem(kind="not DICOM", reason="it does not start as a DICOM file does", files=(path,))
    except OSError as error:
        return DicomProblem(kind="unreadable", reason=error.strerror or type(error).__name__, files=(path,))
    except Exception as error:
        # damage of any kind ends in an error of any kind inside pydicom; its text may quote the header, so none of it
        return DicomProblem(kind="unreadable", reason=f"damaged header ({type(error).__name__})", files=(path,))


def header_of(dataset: pydicom.Dataset, path: Path, root: Path | None = None) -> DicomHeader:
    """Take from a dataset what indexing needs; see :func:`read_dicom_header`."""
    number = dataset.get("InstanceNumber")
    return DicomHeader(
        path=path,
        instance=_text(dataset, "SOPInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        study=_text(dataset, "StudyInstanceUID"),
        patient=_text(dataset, "PatientID"),
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        rows=int(dataset.get("Rows") or 0),
        columns=int(dataset.get("Columns") or 0),
        frames=int(dataset.get("NumberOfFrames") or 1),
        number=None if number in (None, "") else int(number),
        spacing=_numbers(dataset, "PixelSpacing", 2),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        referenced_series=tuple(
            _text(item, "SeriesInstanceUID") for item in dataset.get("ReferencedSeriesSequence") or ()
        ),
        segmentation=_text(dataset, "SOPClassUID") in SEGMENTATION_STORAGE,
        revealed=told_by_path(
            path if root is None else path.relative_to(root),
            {
                "PatientID": [_text(dataset, "PatientID")],
                "PatientName": re.split(r"[\^=\s,]+", _text(dataset, "PatientName")),
                "PatientBirthDate": [_text(dataset, "PatientBirthDate")],
                "UID": [_text(dataset, f"{level}InstanceUID") for level in ("Study", "Series", "SOP")],
            },
        ),
    )


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _numbers(dataset: pydicom.Dataset, keyword: str, count: int) -> tuple[float, ...]:
    value = dataset.get(keyword)
    if value in (None, ""):
        return ()
    numbers = tuple(float(number) for number in value)
    if len(numbers) < count:
        raise ValueError(f"{keyword} should hold {count} numbers")
    return numbers[:count]  # MONAI's reader adds the distance of the slices to PixelSpacing


def _problem_of(dataset: pydicom.Dataset, path: Path, rest: int) -> DicomProblem | None:
    """Name what is wrong with a file that could be read; ``rest`` is the number of bytes after its header."""
    missing = [name for name in ("SOPInstanceUID", "SeriesInstanceUID") if not _text(dataset, name)]
    if not dataset.get("Rows"):
        kind = dataset.file_meta.get("MediaStorageSOPClassUID")
        name = kind.name if kind is not None else "unknown object"
        return DicomProblem(kind="no image", reason=f"it is DICOM without pixels ({name})", files=(path,))
    if missing:
        return DicomProblem(kind="unreadable", reason=f"its header has no {' and no '.join(missing)}", files=(path,))
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    bits = int(dataset.get("BitsAllocated") or 0) * int(dataset.get("SamplesPerPixel") or 1)
    needed = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1) * bits // 8
    plain = syntax is not None and not syntax.is_compressed and not syntax.is_deflated
    if plain and rest < needed:
        reason = f"truncated: its pixels take {needed} bytes and {rest} are left after its header"
        return DicomProblem(kind="unreadable", reason=reason, files=(path,))
    return None
