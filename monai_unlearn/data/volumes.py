"""Volumes (NIfTI and whatever else nibabel reads): checking them before anything is trained, and their label values."""

from __future__ import annotations

import gzip
import math
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from tqdm import tqdm

from monai_unlearn.data.datalists import Case

__all__ = ["check_volumes", "volume_label_values"]

AFFINE_TOLERANCE = 1e-3  # mm: what writing an affine as float32 and as quaternions may cost
SPACING_TOLERANCE = 0.01  # of the spacing
GZIP_AT_BEST = 1032
"""How many times smaller deflate can make a file, at the very most."""


def check_volumes(cases: Sequence[Case], *, workers: int = 4) -> None:
    """Load every volume and mask once, so that a bad file is found before the first training step.

    Args:
        cases: items with the paths ``image`` and ``label``.
        workers: threads that read.

    Raises:
        ValueError: for the first case, in their order, with a file that is missing, truncated or unreadable, a volume
            that is not finite, a mask that is empty or not of whole numbers, or a mask of another shape or affine than
            its volume; and if orientation or voxel spacing differ within the set. The message names the files.
    """
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(_check, cases)
        bar = tqdm(found, total=len(cases), desc="check volumes", unit="case", disable=not sys.stderr.isatty())
        geometries = list(bar)
    if not geometries:
        return
    first = geometries[0]
    for other in geometries[1:]:
        if other.orientation != first.orientation:
            raise ValueError(
                f"mixed orientations: {first.path} is {first.orientation}, {other.path} is {other.orientation}; "
                "bring all volumes and masks into one orientation, for instance with nibabel.as_closest_canonical"
            )
        if not np.allclose(other.spacing, first.spacing, rtol=SPACING_TOLERANCE):
            raise ValueError(
                f"mixed voxel spacing: {first.path} has {_millimetres(first.spacing)}, "
                f"{other.path} has {_millimetres(other.spacing)}; resample all volumes and masks to one spacing"
            )


def volume_label_values(case: Case) -> frozenset[int]:
    """Return the label values that occur in a case's mask, background included.

    Args:
        case: an item with the path ``label``.

    Raises:
        ValueError: if the mask is missing, unreadable or not of whole numbers.
    """
    return frozenset(_label_values(_read(Path(case["label"]), "mask")[1], case["label"]))


@dataclass(frozen=True, kw_only=True)
class _Geometry:
    path: Path
    orientation: str
    spacing: NDArray[np.float64]


class _ImpossibleSizeError(ValueError):
    """The header contradicts the size of the file; the message is complete."""


def _check(case: Case) -> _Geometry:
    image_path, label_path = Path(case["image"]), Path(case["label"])
    image, intensities = _read(image_path, "volume")
    label, values = _read(label_path, "mask")
    if broken := int(np.count_nonzero(~np.isfinite(intensities))):
        raise ValueError(f"the volume {image_path} has {broken} voxels that are not finite; mend or remove the case")
    if intensities.shape[:3] != values.shape:  # a fourth axis of a volume is its channels
        raise ValueError(
            f"the mask {label_path} has the shape {_times(values.shape)}, its volume {image_path} "
            f"{_times(intensities.shape)}; a mask fits its volume voxel by voxel"
        )
    if not np.allclose(image.affine, label.affine, atol=AFFINE_TOLERANCE):
        gap = float(np.abs(image.affine - label.affine).max())
        raise ValueError(
            f"the mask {label_path} lies elsewhere than its volume {image_path}: their affines differ by up to "
            f"{gap:.3g} mm; give both the affine of the volume if they were drawn on it"
        )
    if not _label_values(values, label_path) - {0}:
        raise ValueError(f"the mask {label_path} is empty (all 0); remove the case or mend the mask")
    return _Geometry(
        path=image_path,
        orientation="".join(axis or "?" for axis in nib.aff2axcodes(image.affine)),
        spacing=voxel_sizes(image.affine),
    )


def _read(path: Path, what: str) -> tuple[Any, NDArray[Any]]:
    try:
        volume = nib.load(path)
        _refuse_impossible_size(volume, path, what)
        voxels = np.asanyarray(volume.dataobj)
        if path.suffix == ".gz":  # nibabel stops before the checksum at the end of the archive
            with gzip.open(path) as file:
                while file.read(2**20):
                    pass
        return volume, voxels
    except FileNotFoundError:
        raise ValueError(f"cannot find the {what} {path}") from None
    except _ImpossibleSizeError:
        raise
    except (ImageFileError, HeaderDataError) as error:
        raise ValueError(f"the {what} {path} is no volume that nibabel can read ({error}); replace the file") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the {what} {path} is truncated or damaged ({reason}); replace the file") from error


def _refuse_impossible_size(volume: Any, path: Path, what: str) -> None:
    """Refuse a header that promises more voxels than the file can hold, before memory is taken for them."""
    promised = math.prod(volume.shape) * volume.get_data_dtype().itemsize
    possible = path.stat().st_size * (GZIP_AT_BEST if path.suffix == ".gz" else 1)
    if volume.shape and promised > possible and path.suffix in (".nii", ".gz"):
        raise _ImpossibleSizeError(
            f"the {what} {path} is truncated or damaged (its header promises {_times(volume.shape)} voxels, "
            f"{promised / 2**20:.0f} MiB, which a file of {path.stat().st_size} bytes cannot hold); replace the file"
        )


def _label_values(values: NDArray[Any], path: Path | str) -> set[int]:
    present = np.unique(values)
    wrong = present[~np.isfinite(present) | (present != np.round(present)) | (present < 0)]
    if wrong.size:
        raise ValueError(f"the mask {path} holds the value {wrong[0]}; masks are of whole numbers, 0 or more")
    return {int(value) for value in present}


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _millimetres(spacing: NDArray[np.float64]) -> str:
    return "×".join(f"{value:.3g}" for value in spacing) + " mm"
