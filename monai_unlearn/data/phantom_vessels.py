"""Sets of vessel phantoms in the layout of CHASE_DB1, for trying its bundle without any child's image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from monai_unlearn.data.phantom_sets import write_phantom_set
from monai_unlearn.data.vessel_drawing import draw_vessel_phantom

__all__ = ["write_vessel_phantoms"]

_DRAWING_VERSION = 1  # raise when the drawing changes: a set of another version is never reused
_OBSERVERS = ("1stHO", "2ndHO")


def write_vessel_phantoms(
    folder: str | os.PathLike[str], *, children: int = 14, size: int = 256, seed: int = 0
) -> Path:
    """Write both eyes of every child as ``images/PHANTOM_01L.jpg`` …, ``masks_1stHO/PHANTOM_01L_1stHO.png`` ….

    The folder appears whole or not at all; a set written earlier with the same parameters is used as it is. More
    children change none of the earlier ones.

    Args:
        folder: where the set goes; its parents are made.
        children: number of children, 2 to 99, from 01 on.
        size: edge of the images in pixels, at least 32.
        seed: a number of 0 or more; another seed draws another set.

    Returns:
        The folder, with ``phantoms.json`` (these parameters) beside the images and masks (0 and 255).

    Raises:
        ValueError: if a parameter is out of range.
        FileExistsError: if the folder holds anything but this very set; it is left as it is.
    """
    if not 2 <= children <= 99:
        raise ValueError(f"children must be 2 to 99, got {children}")
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, got {size}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    eyes = [(child, eye, f"PHANTOM_{child:02d}{eye}") for child in range(1, children + 1) for eye in "LR"]

    def write(partial: Path) -> None:
        for child, eye, name in eyes:
            phantom = draw_vessel_phantom(child, eye, size=size, seed=seed)
            _save(phantom.image, partial / _image(name))
            for observer, mask in zip(_OBSERVERS, phantom.masks, strict=True):
                _save(mask.astype(np.uint8) * 255, partial / _mask(name, observer))

    files = [path for *_, name in eyes for path in (_image(name), *(_mask(name, observer) for observer in _OBSERVERS))]
    parameters = {"vessel_phantoms": _DRAWING_VERSION, "children": children, "size": size, "seed": seed}
    return write_phantom_set(folder, parameters=parameters, files=files, write=write)


def _image(name: str) -> str:
    return f"images/{name}.jpg"


def _mask(name: str, observer: str) -> str:
    return f"masks_{observer}/{name}_{observer}.png"


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
