"""A DICOM series as a volume: its slices in order, its place in the patient, and why it may be no volume."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.data.dicom_header import DicomHeader

__all__ = ["DicomSeries"]

SPACING_TOLERANCE = 0.05
"""Largest deviation of a step between slices from the usual one, as a share of it; scanners round positions."""
MISSING = 1.5
"""From this multiple of the usual step on, a slice is taken to be missing; below it, the spacing is uneven."""
DIRECTION_TOLERANCE = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class DicomSeries:
    """The files of one SeriesInstanceUID.

    Args:
        files: headers of the files, at least one, each SOPInstanceUID once.

    Attributes:
        slices: the files in the order in which they stack to a volume: along the normal of the slices, in the direction
            in which InstanceNumber grows, upwards if it does not grow with them; as they came where ``problem`` is set.
        problem: why they form no volume; holds no identifier, since it is written down.
    """

    files: tuple[DicomHeader, ...]
    slices: tuple[DicomHeader, ...] = field(init=False)
    problem: str | None = field(init=False)

    def __post_init__(self) -> None:
        slices, problem = _in_order(self.files)
        object.__setattr__(self, "slices", slices)
        object.__setattr__(self, "problem", problem)

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.files[0].series

    @property
    def first(self) -> DicomHeader:
        """Header of the first slice; PatientID, Modality and the like are those of all."""
        return self.slices[0]

    @property
    def numbered(self) -> bool:
        """Whether InstanceNumber puts the slices into the same order, which is all that MONAI's own reader looks at."""
        numbers = [header.number for header in self.slices if header.number is not None]
        return len(numbers) == len(self.slices) and all(a < b for a, b in itertools.pairwise(numbers))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels as MONAI loads them: columns, rows, and slices where there is more than one."""
        plane = (self.first.columns, self.first.rows)
        return plane if len(self.slices) == 1 else (*plane, len(self.slices))

    @property
    def affine(self) -> NDArray[np.float64]:
        """The 4×4 matrix from voxels (column, row, slice) to mm (right, anterior, superior), as MONAI's reader has it.

        The columns are those of nibabel's DICOM formula: the steps along a row, down a column, and from the first slice
        to the last, divided by their number. Without a position it is the identity, rows and columns exchanged.
        """
        first, last = self.first, self.slices[-1]
        if not first.position or not first.orientation:
            return np.eye(4)[[1, 0, 2, 3]]
        between_rows, between_columns = first.spacing or (1.0, 1.0)
        affine = np.eye(4)
        affine[:3, 0] = np.multiply(first.orientation[:3], between_columns)
        affine[:3, 1] = np.multiply(first.orientation[3:], between_rows)
        affine[:3, 3] = first.position
        if len(self.slices) > 1:
            affine[:3, 2] = np.subtract(last.position, first.position) / (len(self.slices) - 1)
        ras: NDArray[np.float64] = LPS_TO_RAS @ affine
        return ras

    def require_volume(self) -> DicomSeries:
        """Return the series itself.

        Raises:
            ValueError: if it forms no volume; the message names the series and what is wrong where.
        """
        if self.problem is not None:
            raise ValueError(
                f"the series {self.uid} cannot be used: {self.problem}. Its files lie in {self.first.path.parent}; "
                "restore what is missing from the archive, or leave the series out"
            )
        return self


def _in_order(files: Sequence[DicomHeader]) -> tuple[tuple[DicomHeader, ...], str | None]:
    unsorted = tuple(files)
    problem = _mixture(unsorted)
    if problem or len(unsorted) == 1:
        return unsorted, problem
    orientation = np.asarray(unsorted[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    heights = np.asarray([header.position for header in unsorted]) @ normal
    order = np.argsort(heights, kind="stable")
    slices, heights = tuple(unsorted[index] for index in order), heights[order]
    problem = _unevenness(np.asarray([header.position for header in slices]), heights)
    numbers = [header.number for header in slices if header.number is not None]
    if len(numbers) == len(slices) and all(above > below for above, below in itertools.pairwise(numbers)):
        slices = slices[::-1]
    return (unsorted if problem else slices), problem


def _mixture(files: Sequence[DicomHeader]) -> str | None:
    """Say in what the files differ in which the slices of a volume must agree."""
    first = files[0]
    for name, what in (("patient", "patients"), ("study", "studies"), ("modality", "modalities")):
        count = len({getattr(header, name) for header in files})
        if count > 1:
            return f"its files belong to {count} {what}"
    if any(header.frames > 1 for header in files):
        return "it has several frames in one file, which is not supported; convert it to NIfTI"
    if len(files) == 1:
        return None
    for index, header in enumerate(files):
        where = f"file {index + 1} of {len(files)}, InstanceNumber {header.number}"
        if not header.position or not header.orientation:
            return f"it has a slice without ImagePositionPatient or ImageOrientationPatient ({where})"
        if (header.rows, header.columns) != (first.rows, first.columns):
            return f"mixed sizes: {first.columns}×{first.rows} and {header.columns}×{header.rows} pixels ({where})"
        if not np.allclose(header.orientation, first.orientation, rtol=0, atol=DIRECTION_TOLERANCE):
            return f"mixed orientations: {_shown(first.orientation)} and {_shown(header.orientation)} ({where})"
        if len(header.spacing) != len(first.spacing) or not np.allclose(header.spacing, first.spacing, rtol=1e-3):
            return f"mixed spacing: {_shown(first.spacing)} and {_shown(header.spacing)} mm ({where})"
        if header.frame_of_reference != first.frame_of_reference:
            return f"its slices have different FrameOfReferenceUIDs ({where})"
    return None


def _unevenness(positions: NDArray[np.float64], heights: NDArray[np.float64]) -> str | None:
    """Say where slices sorted by height do not follow one another at even steps."""
    gaps = np.diff(heights)
    usual = float(np.percentile(gaps, 50, method="lower"))
    if gaps.min() < 1e-3:
        at = int(np.argmin(gaps))
        return f"two slices at the same position, {heights[at]:.2f} mm along the normal: several volumes in one series"
    for gap, low, high in zip(gaps, heights, heights[1:], strict=False):
        if gap > MISSING * usual:
            count = round(gap / usual) - 1
            return (
                f"{count} missing {'slice' if count == 1 else 'slices'} between {low:.2f} and {high:.2f} mm along the "
                f"normal: a step of {gap:.2f} mm where it usually is {usual:.2f}"
            )
        if abs(gap - usual) > SPACING_TOLERANCE * usual:
            return (
                f"uneven spacing: a step of {gap:.2f} mm between {low:.2f} and {high:.2f} mm along the normal where it "
                f"usually is {usual:.2f}"
            )
    steps = np.diff(positions, axis=0)
    shifts = np.linalg.norm(steps - np.median(steps, axis=0), axis=1)
    if shifts.max() > SPACING_TOLERANCE * usual:
        at = int(np.argmax(shifts))
        return f"its slices are shifted sideways by {shifts[at]:.2f} mm at {heights[at + 1]:.2f} mm along the normal"
    return None


def _shown(values: Sequence[float]) -> str:
    return "\\".join(f"{value:.5g}" for value in values) or "none"
