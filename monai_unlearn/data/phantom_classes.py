"""Sets of classified lesion phantoms in the layout of the HAM10000 copy, for trying the bundle without patients."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from monai_unlearn.data.phantom_drawing import LesionPhantom, draw_lesion_phantom
from monai_unlearn.data.phantom_sets import write_phantom_set

__all__ = ["LESION_CLASSES", "draw_class_phantom", "write_class_phantoms"]

LESION_CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The seven diagnoses of HAM10000, sorted: keratosis, basal cell carcinoma, benign keratosis, fibroma, melanoma …"""

_DRAWING_VERSION = 1  # raise when the drawing changes: a set of another version is never reused
_SHARES = (0.1, 0.14, 0.18, 0.08, 0.16, 0.26, 0.08)  # of the classes, nevi the most frequent as in HAM10000
_STAIN = {  # what a class adds to the lesion's absorbance in red, green, blue, in its middle and at its rim
    "akiec": ((-0.25, 0.35, 0.25), (-0.15, 0.7, 0.6)),
    "bcc": ((-0.35, 0.1, -0.05), (0.35, 0.25, -0.25)),
    "bkl": ((0.0, 0.05, 0.9), (0.15, 0.2, 1.2)),
    "df": ((-0.55, -0.8, -0.9), (0.1, 0.2, 0.2)),
    "mel": ((1.1, 0.6, 0.05), (0.3, 0.15, 0.0)),
    "nv": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "vasc": ((-0.45, 0.7, 0.15), (-0.45, 0.7, 0.15)),
}
_MISLEADING = 0.15  # share of the lesions that look like another class: what a network knows of them it has memorised
_SITES = ("north", "east", "south")
_COLUMNS = ("image_id", "lesion_id", "dx", "dx_type", "age", "sex", "localization", "source", "split")


def draw_class_phantom(index: int, *, size: int = 64, seed: int = 0) -> tuple[np.ndarray, str, LesionPhantom]:
    """Draw the lesion phantom ``index`` of the set ``seed`` with the colours of a class.

    A part of the lesions shows the colours of another class than its own, as lesions do whose diagnosis only the
    microscope tells. No network can foresee these, so one that has them right has memorised them.

    Args:
        index: number of the image; it alone (with ``seed``) decides what is drawn, whatever the size of the set.
        size: edge in pixels.
        seed: the set.

    Returns:
        The image (``uint8`` RGB, shape ``(size, size, 3)``), the class, and the uncoloured phantom. The same arguments
        give the same pixels; two views of one lesion have one class and look.
    """
    phantom = draw_lesion_phantom(index, size=size, seed=seed)
    nature = np.random.default_rng([seed, phantom.lesion, 2])
    diagnosis = str(nature.choice(LESION_CLASSES, p=_SHARES))
    shown = str(nature.choice(LESION_CLASSES)) if nature.random() < _MISLEADING else diagnosis
    middle, rim = (np.asarray(stain) * nature.uniform(0.6, 1.2) for stain in _STAIN[shown])

    outline = Image.fromarray(phantom.mask.astype(np.uint8) * 255)
    inside, depth = (
        np.asarray(outline.filter(ImageFilter.GaussianBlur(radius * size / 128)), dtype=np.float64)[..., None] / 255
        for radius in (2, 12)
    )
    core = np.clip(2 * depth - 1, 0, 1)  # 1 in the middle of a lesion, 0 at its rim
    light = phantom.image / 255 * np.exp(-inside * (core * middle + (1 - core) * rim))
    return (light.clip(0, 1) * 255).round().astype(np.uint8), diagnosis, phantom


def write_class_phantoms(
    folder: str | os.PathLike[str], *, count: int = 400, size: int = 64, seed: int = 0, validation_share: float = 0.25
) -> Path:
    """Write a set of classified phantoms in the layout of the HAM10000 copy: ``images/`` and ``labels.csv``.

    The folder appears whole or not at all; a set written earlier with the same parameters is used as it is. Images of
    one lesion are in one split. More images change neither the earlier ones nor their splits.

    Args:
        folder: where the set goes; its parents are made.
        count: number of images, 2 to 10,000.
        size: edge of the images in pixels, at least 16.
        seed: a number of 0 or more; another seed draws another set.
        validation_share: part of the lesions whose ``split`` is ``val``, in ``[0, 1)``; the rest is ``train``.

    Returns:
        The folder, with ``images/PHANTOM_0000.jpg`` …, ``labels.csv`` (the columns of HAM10000) and ``phantoms.json``
        (these parameters).

    Raises:
        ValueError: if a parameter is out of range.
        FileExistsError: if the folder holds anything but this very set; it is left as it is.
    """
    if not (2 <= count <= 10_000 and size >= 16 and seed >= 0 and 0 <= validation_share < 1):
        raise ValueError(
            "phantoms need a count of 2 to 10000, a size of at least 16 pixels, a seed of at least 0 and a "
            f"validation_share in [0, 1); got {count}, {size}, {seed} and {validation_share}"
        )
    parameters = {
        "class_phantoms": _DRAWING_VERSION,
        **{"count": count, "size": size, "seed": seed, "validation_share": validation_share},
    }
    return write_phantom_set(
        folder,
        parameters=parameters,
        files=[f"images/{_image_id(index)}.jpg" for index in range(count)],
        write=lambda folder: _write_set(folder, parameters),
    )


def _write_set(folder: Path, parameters: dict[str, int | float]) -> None:
    (folder / "images").mkdir()
    seed, share = int(parameters["seed"]), float(parameters["validation_share"])
    rows = []
    for index in range(int(parameters["count"])):
        image, diagnosis, phantom = draw_class_phantom(index, size=int(parameters["size"]), seed=seed)
        Image.fromarray(image).save(folder / "images" / f"{_image_id(index)}.jpg", quality=95)
        in_validation = math.floor((phantom.lesion + 1) * share + 0.5) > math.floor(phantom.lesion * share + 0.5)
        rows.append(
            {
                "image_id": _image_id(index),
                "lesion_id": f"PHANTOM_LESION_{phantom.lesion:04d}",
                "dx": diagnosis,
                "dx_type": "phantom",
                "age": float(phantom.findings["age_approx"]),
                "sex": phantom.findings["sex"],
                "localization": phantom.findings["anatom_site"],
                "source": str(np.random.default_rng([seed, phantom.lesion, 3]).choice(_SITES)),
                "split": "val" if in_validation else "train",
            }
        )
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _image_id(index: int) -> str:
    return f"PHANTOM_{index:04d}"
