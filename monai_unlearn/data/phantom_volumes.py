"""Sets of phantom volumes in the layout of the hippocampus set, for trying its bundle without any patient's scan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian

from monai_unlearn.data.phantom_sets import write_phantom_set

__all__ = ["draw_volume_phantom", "write_volume_phantoms"]

_DRAWING_VERSION = 1  # raise when the drawing changes: a set of another version is never reused
_SMALLEST = 12  # voxels per axis: below, the structure is one voxel thick


def write_volume_phantoms(
    folder: str | os.PathLike[str], *, count: int = 80, size: Sequence[int] = (40, 56, 40), seed: int = 0
) -> Path:
    """Write phantoms as ``images/PHANTOM_0000.nii.gz`` … and ``labels/`` with the same names, voxels of 1 mm.

    The folder appears whole or not at all; a set written earlier with the same parameters is used as it is.

    Args:
        folder: where the set goes; its parents are made.
        count: number of volumes, 1 to 10,000.
        size: largest shape of a volume, voxels; each volume is up to a tenth smaller per axis.
        seed: a number of 0 or more; another seed draws another set.

    Returns:
        The folder, with ``phantoms.json`` (these parameters) beside the volumes.

    Raises:
        ValueError: if a parameter is out of range.
        FileExistsError: if the folder holds anything but this very set; it is left as it is.
    """
    if not 1 <= count <= 10_000:
        raise ValueError(f"count must be 1 to 10000 phantoms, got {count}")
    if len(size) != 3 or min(size) < _SMALLEST:
        raise ValueError(f"size must be three numbers of voxels, each at least {_SMALLEST}; got {list(size)}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    names = [f"PHANTOM_{index:04d}.nii.gz" for index in range(count)]

    def write(folder: Path) -> None:
        for kind in ("images", "labels"):
            (folder / kind).mkdir()
        for index, name in enumerate(names):
            image, mask = draw_volume_phantom(index, size=size, seed=seed)
            nib.save(nib.Nifti1Image(image, np.eye(4)), folder / "images" / name)
            nib.save(nib.Nifti1Image(mask, np.eye(4)), folder / "labels" / name)

    return write_phantom_set(
        folder,
        parameters={"volumes": _DRAWING_VERSION, "count": count, "size": list(size), "seed": seed},
        files=[f"{kind}/{name}" for kind in ("images", "labels") for name in names],
        write=write,
    )


def draw_volume_phantom(
    index: int, *, size: Sequence[int] = (40, 56, 40), seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draw one phantom: a bent, tapering structure of two parts in noisy tissue, and bright spots that are not it.

    The annotator's outline wanders by about half a voxel, differently in each volume: this cannot be foretold, so that
    a network does better on the volumes it was trained on. The intensity scale differs by volume, as in the real set.

    Args:
        index: number of the phantom; the same index, size and seed draw the same volume.
        size: largest shape, voxels.
        seed: seed of the set.

    Returns:
        Intensities and the mask (0 background, 1 anterior, 2 posterior), both of the volume's shape.
    """
    generator = np.random.default_rng((seed, index))
    shape = [int(np.ceil(extent * generator.uniform(0.9, 1.0))) for extent in size]
    axes = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in shape), indexing="ij")
    across, along, up = (axis - shift for axis, shift in zip(axes, generator.uniform(-0.1, 0.1, 3), strict=True))
    along = along + 0.1 * across * generator.standard_normal()
    bend, slope = generator.uniform(0.25, 0.5), generator.uniform(-0.25, 0.25)
    centre = (bend * (along**2 - 0.3), slope * along)
    width = generator.uniform(0.26, 0.36) * (1 + generator.uniform(0.25, 0.5) * along)  # thicker at the front
    distance = np.hypot(across - centre[0], up - centre[1]) / width
    signed = np.maximum(distance - 1, (np.abs(along) - generator.uniform(0.6, 0.7)) / 0.15)
    outline = signed + 0.2 * _smooth_noise(generator, shape, 2.0)
    border = generator.uniform(-0.05, 0.15) + 0.06 * _smooth_noise(generator, shape, 2.0)
    mask = np.where(outline < 0, np.where(along > border, 1, 2), 0).astype(np.uint8)

    tissue = 0.3 * _smooth_noise(generator, shape, 3.0) + 0.25 * _smooth_noise(generator, shape, 0.8)
    image = tissue + 1.2 / (1 + np.exp(6 * signed.clip(-8, 8)))
    for _ in range(3):
        spot = generator.uniform(-0.9, 0.9, 3)
        squared = sum((axis - place) ** 2 for axis, place in zip(axes, spot, strict=True))
        image = image + generator.choice([-1.2, 0.9]) * np.exp(-squared / 0.02)
    return ((image - image.min()) * 10 ** generator.uniform(1.5, 5.5)).astype(np.float32), mask


def _smooth_noise(generator: np.random.Generator, shape: Sequence[int], sigma: float) -> NDArray[np.float64]:
    """Draw noise of mean 0 and standard deviation 1, smooth over ``sigma`` voxels."""
    noise: NDArray[np.float64] = gaussian(generator.standard_normal(shape), sigma)
    centred: NDArray[np.float64] = (noise - noise.mean()) / noise.std()
    return centred
