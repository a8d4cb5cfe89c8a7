"""The frames of a DICOM SEG object, each on its slice of the image series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_unlearn.data.dicom_series import DIRECTION_TOLERANCE, LPS_TO_RAS, DicomSeries

__all__ = ["SegmentationFrames"]

OFF_GRID = 0.1
"""Largest distance of a frame from a slice of the image, as a share of a voxel."""


class SegmentationFrames:
    """A DICOM SEG object, read by highdicom, and the image series that it was drawn on.

    Args:
        path: the SEG object.
        series: the image series.

    Raises:
        ValueError: if highdicom is not installed, the file cannot be read, or the series has no position.
    """

    def __init__(self, *, path: str | Path, series: DicomSeries) -> None:
        self.path = path
        self.series = series
        self.segmentation = self._read()
        segments = {int(item.SegmentNumber): str(item.SegmentLabel) for item in self.segmentation.SegmentSequence}
        self.names = {
            number: name for number, name in segments.items() if number
        }  # a label map may list its background
        self._to_voxels = self._from_patient()

    def masks(self, values: Mapping[int, int]) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
        """Yield the label value, the index of the slice and the mask, ``(columns, rows)``, of every frame.

        Args:
            values: label value by segment number; other segments are passed over. Low values come first.

        Raises:
            ValueError: if a frame does not lie on a slice of the image, or holds fractions.
        """
        frames = range(int(self.segmentation.NumberOfFrames))
        if str(self.segmentation.SegmentationType) == "LABELMAP":
            for index in frames:
                pixels, slice_index = self._pixels(index), self._slice_of(index)
                yield from ((value, slice_index, pixels == number) for number, value in values.items())
            return
        numbers = [int(self._group(i, "SegmentIdentificationSequence").ReferencedSegmentNumber) for i in frames]
        for index in sorted((i for i in frames if numbers[i] in values), key=lambda i: values[numbers[i]]):
            pixels = self._pixels(index)
            highest = int(self.segmentation.get("MaximumFractionalValue") or 1)
            if not np.isin(pixels, (0, highest)).all():
                raise ValueError(
                    f"the mask {self.path} holds fractions (segment {numbers[index]}); threshold it, and give it as a "
                    "BINARY segmentation or as NIfTI"
                )
            yield values[numbers[index]], self._slice_of(index), pixels > 0

    def _read(self) -> Any:
        segread, found = optional_import("highdicom.seg", name="segread")
        if not found:
            raise ValueError(
                f"the mask {self.path} is a DICOM SEG object, and reading these needs highdicom; install it with: "
                "pip install monai_unlearn[dicom]"
            )
        try:
            return segread(self.path)
        except Exception as error:  # damage of any kind ends in an error of any kind inside pydicom and highdicom
            raise ValueError(
                f"the mask {self.path} cannot be read as a DICOM SEG object ({error}); export it again"
            ) from error

    def _pixels(self, index: int) -> NDArray[Any]:
        pixels: NDArray[Any] = self.segmentation.get_stored_frame(index + 1).T
        return pixels

    def _from_patient(self) -> NDArray[np.floating[Any]]:
        """Return the matrix from DICOM's mm to voxels of the series."""
        if not self.series.first.position or not self.series.first.spacing:
            raise ValueError(
                f"the mask {self.path} cannot be laid on the series {self.series.uid}, whose images have no position"
            )
        affine = self.series.affine
        if len(self.series.slices) == 1:  # MONAI leaves the third direction of a single slice undefined: its normal
            normal = np.cross(affine[:3, 0], affine[:3, 1])
            affine[:3, 2] = normal / np.linalg.norm(normal)
        return np.linalg.inv(affine) @ LPS_TO_RAS

    def _group(self, index: int, keyword: str) -> Any:
        """Find a functional group of a frame: it stands with the frame, or once for all."""
        own = self.segmentation.get("PerFrameFunctionalGroupsSequence") or {}
        shared = self.segmentation.get("SharedFunctionalGroupsSequence") or [{}]
        found = (own[index].get(keyword) if own else None) or shared[0].get(keyword)
        if not found:
            raise ValueError(f"the mask {self.path} has no {keyword} for its frame {index + 1}; export it again")
        return found[0]

    def _slice_of(self, index: int) -> int:
        """Find the slice of the image on which a frame lies."""
        position = _floats(self._group(index, "PlanePositionSequence").ImagePositionPatient)
        orientation = _floats(self._group(index, "PlaneOrientationSequence").ImageOrientationPatient)
        spacing = _floats(self._group(index, "PixelMeasuresSequence").PixelSpacing)
        voxel = (self._to_voxels @ [*position, 1.0])[:3]
        slice_index = round(float(voxel[2]))
        on_grid = (
            (int(self.segmentation.Columns), int(self.segmentation.Rows)) == self.series.shape[:2]
            and np.allclose(orientation, self.series.first.orientation, rtol=0, atol=DIRECTION_TOLERANCE)
            and np.allclose(spacing, self.series.first.spacing, rtol=1e-3)
            and np.abs(voxel - [0, 0, slice_index]).max() <= OFF_GRID
        )
        where = f"its frame {index + 1} is at {' '.join(f'{number:.3f}' for number in position)} mm"
        if not on_grid:
            raise ValueError(
                f"the mask {self.path} does not lie on the grid of the series {self.series.uid}: {where}; resample the "
                "mask to the image"
            )
        if not 0 <= slice_index < len(self.series.slices):
            raise ValueError(
                f"the mask {self.path} goes beyond the {len(self.series.slices)} slices of the series "
                f"{self.series.uid}: {where}"
            )
        return slice_index


def _floats(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values]
