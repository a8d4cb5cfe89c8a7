"""Which mask belongs to which DICOM series."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from monai_unlearn.data.datalists import read_table
from monai_unlearn.data.dicom_files import files_below, read_dicom_headers
from monai_unlearn.data.dicom_header import DicomHeader
from monai_unlearn.data.dicom_index import DicomIndex
from monai_unlearn.data.identifiers import case_id
from monai_unlearn.data.wording import shorten

__all__ = ["match_masks"]

NIFTI = (".nii", ".nii.gz")


def match_masks(
    folder: Path, index: DicomIndex, *, table: str | Path | None, workers: int
) -> tuple[dict[str, Path], Collection[Path]]:
    """Find the series of every mask; see :func:`~monai_unlearn.data.join_masks`.

    Returns:
        The mask by SeriesInstanceUID, and which files of the folder are DICOM SEG objects.

    Raises:
        FileNotFoundError: if the table does not exist.
        ValueError: if a mask has no image or fits several, a series has several masks, or there is no mask at all.
    """
    nifti, segmentations = _masks_below(folder, workers)
    if table is not None:
        matched = _by_table(Path(table), folder)
    else:
        matched = _by_name(nifti, index)
        matched += [(path, _referred_to(header, index)) for path, header in segmentations.items()]
    if not matched:
        raise ValueError(f"{folder} holds no mask: neither NIfTI ({', '.join(NIFTI)}) nor DICOM SEG")
    _refuse_several(matched)
    return {uid: path for path, uid in matched}, segmentations.keys()


def _masks_below(folder: Path, workers: int) -> tuple[list[Path], dict[Path, DicomHeader]]:
    paths = sorted(files_below(folder, []))
    nifti = [path for path in paths if path.name.lower().endswith(NIFTI)]
    headers, _ = read_dicom_headers(sorted({*paths} - {*nifti}), folder, workers=workers)
    return nifti, {header.path: header for header in headers if header.segmentation}


def _by_table(table: Path, folder: Path) -> list[tuple[Path, str]]:
    if not table.is_file():
        raise FileNotFoundError(
            f"cannot find the table '{table}'; it is a CSV file with the columns 'series' and 'label'"
        )
    rows = read_table(table)
    if not rows or not {"series", "label"} <= rows[0].keys():
        raise ValueError(f"the table '{table}' needs the columns 'series' and 'label', separated by commas")
    missing = [row["label"] for row in rows if not (folder / row["label"]).is_file()]
    if missing:
        raise ValueError(f"the table '{table}' lists masks that are not in {folder}: {shorten(missing)}")
    return [(folder / row["label"], row["series"].strip()) for row in rows]


def _by_name(nifti: Sequence[Path], index: DicomIndex) -> list[tuple[Path, str]]:
    names = [(path, case_id({"image": path})) for path in nifti]
    strangers = [str(path) for path, name in names if name not in index.by_uid]
    if strangers:
        raise ValueError(
            f"no image for the mask {shorten(strangers)}: a mask is named by the SeriesInstanceUID of its series, or "
            f"listed in a 'table' with the columns 'series' and 'label'; {index.root} has {len(index.series)} series"
        )
    return names


def _referred_to(header: DicomHeader, index: DicomIndex) -> str:
    """Find the series that a SEG object was drawn on."""
    named = [uid for uid in header.referenced_series if uid in index.by_uid]
    if not header.referenced_series:
        named = [
            uid
            for uid, series in index.by_uid.items()
            if header.frame_of_reference and series.first.frame_of_reference == header.frame_of_reference
        ]
    if not named:
        raise ValueError(
            f"no image for the mask {header.path}: {index.root} does not hold the series that it was drawn on "
            f"({shorten(header.referenced_series) or 'it names none, and no series has its FrameOfReferenceUID'})"
        )
    if len(named) > 1:
        raise ValueError(
            f"the mask {header.path} fits {len(named)} series ({shorten(named)}); say which in a 'table' with the "
            "columns 'series' and 'label'"
        )
    return named[0]


def _refuse_several(matched: Sequence[tuple[Path, str]]) -> None:
    taken: dict[str, Path] = {}
    for path, uid in matched:
        other = taken.setdefault(uid, path)
        if other is not path:
            raise ValueError(
                f"two masks for the series {uid}: {other} and {path}; list the one to use in a 'table' with the "
                "columns 'series' and 'label'"
            )
