"""DICOM SEG objects: segments drawn on a series, as a label volume on the grid of that series."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from monai_unlearn.data.dicom_seg_frames import SegmentationFrames
from monai_unlearn.data.dicom_series import DicomSeries
from monai_unlearn.files import write_whole

__all__ = ["segmentation_labels", "write_labels"]

OVERLAPS = ("refuse", "highest")

logger = logging.getLogger(__name__)


def segmentation_labels(
    path: str | Path, series: DicomSeries, *, overlaps: str = "refuse", segments: Sequence[str] | None = None
) -> tuple[NDArray[np.uint16], dict[int, str]]:
    """Turn a DICOM SEG object into a label volume on the grid on which MONAI loads the image series.

    Args:
        path: the SEG object; its frames must lie on slices of the series, and slices without a frame are background.
        series: the image series.
        overlaps: what becomes of voxels in several segments: ``"refuse"`` them, or take the ``"highest"`` label value
            and warn.
        segments: the SegmentLabels to take, which get the label values 1, 2 …; ``None`` takes all segments, and the
            segment numbers are the values.

    Returns:
        The labels, shape ``series.shape``, and the name of every label value.

    Raises:
        ValueError: if highdicom is not installed, the file cannot be read, does not lie on the grid of the image, holds
            fractions or overlapping segments, or none of ``segments``.
    """
    if overlaps not in OVERLAPS:
        raise ValueError(f"'overlaps' is one of {', '.join(OVERLAPS)}; got {overlaps!r}")
    frames = SegmentationFrames(path=path, series=series)
    values = {number: number for number in frames.names}
    if segments is not None:
        values = {number: segments.index(name) + 1 for number, name in frames.names.items() if name in segments}
    if not values:
        raise ValueError(
            f"the mask {path} has none of the segments {list(segments or ())}; it has {sorted(frames.names.values())}"
        )
    names = {value: frames.names[number] for number, value in values.items()}
    columns, rows, *_ = series.shape
    labels: NDArray[np.uint16] = np.zeros((columns, rows, len(series.slices)), dtype=np.uint16)
    clashes: dict[tuple[int, int], int] = {}
    for value, slice_index, mask in frames.masks(values):
        plane = labels[:, :, slice_index]
        others, counts = np.unique(plane[mask & (plane != value)], return_counts=True)
        for other, count in zip(others.tolist(), counts.tolist(), strict=True):
            if other:
                clashes[other, value] = clashes.get((other, value), 0) + count
        plane[mask] = value
    if clashes:
        _tell_overlaps(clashes, names, overlaps, path)
    return labels.reshape(series.shape), names


def write_labels(path: str | Path, labels: NDArray[np.uint16], affine: NDArray[np.float64]) -> Path:
    """Write a label volume as ``.nii.gz``, whole or not at all; equal volumes make equal files."""
    small = labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels
    return write_whole(path, gzip.compress(nibabel.Nifti1Image(small, affine).to_bytes(), mtime=0))


def _tell_overlaps(
    clashes: Mapping[tuple[int, int], int], names: Mapping[int, str], overlaps: str, path: str | Path
) -> None:
    shown = ", ".join(
        f"{names[low]!r} ({low}) and {names[high]!r} ({high}) in {count} voxels"
        for (low, high), count in sorted(clashes.items())
    )
    if overlaps == "refuse":
        raise ValueError(
            f"the mask {path} has overlapping segments, which a label volume cannot hold: {shown}. Take the highest "
            "label value there with 'overlaps' 'highest', or name the 'segments' to take"
        )
    logger.warning("%s has overlapping segments; the higher label value is taken: %s", path, shown)
