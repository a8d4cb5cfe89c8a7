"""Sets of lesion phantoms in the layout of ISIC 2018, for trying the bundles without any patient's image."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from monai_unlearn.data.phantom_drawing import draw_lesion_phantom
from monai_unlearn.data.phantom_sets import write_phantom_set

__all__ = ["write_lesion_phantoms"]

_DRAWING_VERSION = 1  # raise when the drawing changes: a set of another version is never reused
_COLUMNS = (  # of labels.csv of ISIC 2018
    *("image_id", "diagnosis", "age_approx", "sex", "anatom_site", "lesion_id", "source_hint"),
    *("globules", "milia_like_cyst", "negative_network", "pigment_network", "streaks", "split"),
)


def write_lesion_phantoms(
    folder: str | os.PathLike[str],
    *,
    count: int = 200,
    size: int = 128,
    seed: int = 0,
    validation_share: float = 0.2,
) -> Path:
    """Write a set of phantoms in the layout of the ISIC 2018 copy: ``images/``, ``masks/``, ``labels.csv``.

    The folder appears whole or not at all; a set written earlier with the same parameters is used as it is. Some
    lesions have two images, always in the same split. More images change neither the earlier ones nor their splits.

    Args:
        folder: where the set goes; its parents are made.
        count: number of images, 2 to 10,000.
        size: edge of the images in pixels, at least 16.
        seed: a number of 0 or more; another seed draws another set.
        validation_share: part of the images whose ``split`` is ``val``, in ``[0, 1)``; the rest is ``train``.

    Returns:
        The folder, with ``images/PHANTOM_0000.jpg`` …, ``masks/PHANTOM_0000_segmentation.png`` … (0 and 255),
        ``labels.csv`` (the columns of ISIC 2018) and ``phantoms.json`` (these parameters).

    Raises:
        ValueError: if a parameter is out of range.
        FileExistsError: if the folder holds anything but this very set; it is left as it is.
    """
    _check_parameters(count=count, size=size, seed=seed, validation_share=validation_share)
    parameters = {
        "phantoms": _DRAWING_VERSION,
        "count": count,
        "size": size,
        "seed": seed,
        "validation_share": validation_share,
    }
    names = [_image_id(index) for index in range(count)]
    return write_phantom_set(
        folder,
        parameters=parameters,
        files=[file for name in names for file in (f"images/{name}.jpg", f"masks/{name}_segmentation.png")],
        write=lambda partial: _write_set(partial, parameters),
    )


def _check_parameters(*, count: int, size: int, seed: int, validation_share: float) -> None:
    if not 2 <= count <= 10_000:
        raise ValueError(f"count must be 2 to 10000 phantoms, got {count}")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 <= validation_share < 1:
        raise ValueError(f"validation_share must lie in [0, 1), got {validation_share}")


def _write_set(folder: Path, parameters: dict[str, int | float]) -> None:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    rows = []
    for index in range(int(parameters["count"])):
        phantom = draw_lesion_phantom(index, size=int(parameters["size"]), seed=int(parameters["seed"]))
        name = _image_id(index)
        Image.fromarray(phantom.image).save(folder / "images" / f"{name}.jpg", quality=95)
        Image.fromarray(phantom.mask.astype(np.uint8) * 255).save(folder / "masks" / f"{name}_segmentation.png")
        in_validation = _in_validation(phantom.lesion, float(parameters["validation_share"]))
        rows.append(
            {
                "image_id": name,
                "lesion_id": f"PHANTOM_LESION_{phantom.lesion:04d}",
                "source_hint": "phantom",
                "split": "val" if in_validation else "train",
                **phantom.findings,
            }
        )
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _image_id(index: int) -> str:
    return f"PHANTOM_{index:04d}"


def _in_validation(lesion: int, share: float) -> bool:
    """Spread the share evenly over the lesions, so that it does not hang on their number."""
    return math.floor((lesion + 1) * share + 0.5) > math.floor(lesion * share + 0.5)
