"""Joining masks to DICOM series: NIfTI files by their name or a table, DICOM SEG objects by what they refer to."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from monai_unlearn.data.dicom_index import DicomIndex
from monai_unlearn.data.dicom_matching import match_masks
from monai_unlearn.data.dicom_seg import segmentation_labels, write_labels
from monai_unlearn.data.dicom_series import DicomSeries
from monai_unlearn.data.identifiers import hash_identifier, load_or_create_salt

__all__ = ["JoinedMasks", "join_masks"]

AFFINE_TOLERANCE = 1e-2  # mm: an affine in NIfTI has been through 32 bits and often through quaternions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JoinedMasks:
    """The masks of some series.

    Args:
        paths: NIfTI file by SeriesInstanceUID.
        names: name of every label value, as far as DICOM SEG objects tell.
    """

    paths: Mapping[str, Path]
    names: Mapping[int, str]


def join_masks(
    index: DicomIndex,
    masks: str | Path,
    *,
    output_dir: str | Path,
    table: str | Path | None = None,
    overlaps: str = "refuse",
    segments: Sequence[str] | None = None,
    salt_dir: str | Path | None = None,
    workers: int = 8,
) -> JoinedMasks:
    """Find the series that every mask was drawn on, and turn DICOM SEG objects into NIfTI.

    A NIfTI mask belongs to the series whose SeriesInstanceUID is its file name (without ``.nii``, ``.nii.gz``). A DICOM
    SEG object belongs to the series that its ReferencedSeriesSequence names, or else to the only one with its
    FrameOfReferenceUID. A table overrules both.

    Args:
        index: the images.
        masks: folder of the masks, searched to its depths; other files in it are passed over.
        output_dir: where the label volumes of SEG objects are written, named by the salted hash of their series.
        table: CSV file with the columns ``series`` (SeriesInstanceUID) and ``label`` (a mask, relative to ``masks``);
            masks that it does not list are not used.
        overlaps: see :func:`~monai_unlearn.data.segmentation_labels`.
        segments: likewise.
        salt_dir: folder of the ``salt.key`` of these names, made where missing; ``None``: ``output_dir``.
        workers: threads that read headers.

    Returns:
        The masks, by series.

    Raises:
        FileNotFoundError: if the folder or the table does not exist.
        ValueError: if a mask has no matching image or fits several, a series has several masks or forms no volume, a
            mask is not on the grid of its image, or a segment number means different things in different files; nothing
            is written then.
    """
    folder = Path(masks)
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot find the folder '{masks}' of masks")
    matched, segmentations = match_masks(folder, index, table=table, workers=workers)
    joined = {uid: path for uid, path in matched.items() if path not in segmentations}
    turned = sum(_check_grid(path, index[uid]) for uid, path in joined.items())
    if turned:
        logger.warning(
            "%d masks in %s have their axes in another order or direction than MONAI loads their images: the "
            "preprocessing needs Orientationd for images and labels",
            turned,
            folder,
        )
    drawn = {uid: path for uid, path in matched.items() if path in segmentations}
    if drawn:
        series = [(index[uid], path) for uid, path in drawn.items()]
        converted = _convert(
            series, Path(output_dir), Path(salt_dir or output_dir), overlaps=overlaps, segments=segments
        )
        return JoinedMasks(paths={**joined, **converted.paths}, names=converted.names)
    return JoinedMasks(paths=joined, names={})


def _check_grid(path: Path, series: DicomSeries) -> bool:
    """Refuse a NIfTI mask beside its image; tell whether its axes are stored in another order or direction."""
    try:
        mask = nibabel.load(path)
    except (OSError, ImageFileError) as error:
        raise ValueError(f"the mask {path} is no NIfTI file that nibabel can read ({error}); replace it") from error
    image = nibabel.Nifti1Image(np.broadcast_to(np.uint8(0), series.shape), series.affine)
    if mask.shape == image.shape and np.allclose(mask.affine, image.affine, atol=AFFINE_TOLERANCE):
        return False
    if mask.ndim == image.ndim == 3:
        one, other = nibabel.as_closest_canonical(mask), nibabel.as_closest_canonical(image)
        if one.shape == other.shape and np.allclose(one.affine, other.affine, atol=AFFINE_TOLERANCE):
            return True
    raise ValueError(
        f"the mask {path} ({_times(mask.shape)} voxels) does not lie on the grid of the series {series.uid} "
        f"({_times(series.shape)}): shape or affine differ; resample the mask to the image"
    )


def _convert(
    drawn: Sequence[tuple[DicomSeries, Path]],
    folder: Path,
    salt_dir: Path,
    *,
    overlaps: str,
    segments: Sequence[str] | None,
) -> JoinedMasks:
    """Write the label volumes of SEG objects: all of them, or none where one is faulty."""
    names: dict[int, tuple[str, Path]] = {}
    joined = {}
    try:
        for each in (folder, salt_dir):
            each.mkdir(parents=True, exist_ok=True)
        salt = load_or_create_salt(salt_dir / "salt.key")
        with tempfile.TemporaryDirectory(prefix=".masks.", dir=folder) as partial:
            for series, path in drawn:
                labels, named = segmentation_labels(path, series, overlaps=overlaps, segments=segments)
                _refuse_other_names(names, named, path)
                name = f"{hash_identifier(series.uid, salt)[:16]}.nii.gz"
                joined[series.uid] = folder / name
                write_labels(Path(partial) / name, labels, series.affine)
            for path in joined.values():
                os.replace(Path(partial) / path.name, path)
    except OSError as error:
        raise ValueError(f"cannot write the masks to {folder}: {error.strerror or error}") from error
    return JoinedMasks(paths=joined, names={value: name for value, (name, _) in sorted(names.items())})


def _refuse_other_names(names: dict[int, tuple[str, Path]], named: Mapping[int, str], path: Path) -> None:
    for value, name in named.items():
        known, where = names.setdefault(value, (name, path))
        if known != name:
            raise ValueError(
                f"segment {value} is {known!r} in {where} and {name!r} in {path}; name the 'segments' to take, in the "
                "order of their label values"
            )


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
