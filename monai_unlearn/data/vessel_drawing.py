"""Draw one vessel phantom: the back of an eye that never was a child's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage.filters import gaussian

__all__ = ["VesselPhantom", "draw_vessel_phantom"]

FIELD = 0.94
"""Radius of the round field of view; coordinates run from -1 to 1."""
FINE = 4
"""Vessels are drawn at this many times the image's resolution."""
STEP = 0.035

Pixels: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class VesselPhantom:
    """One drawn eye with the vessels as two observers marked them.

    Attributes:
        image: ``uint8`` RGB, shape ``(size, size, 3)``.
        masks: the vessels of the first and of the second observer, ``bool``, each of shape ``(size, size)``.
    """

    image: NDArray[np.uint8]
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class _Vessel:
    points: Pixels
    width: float
    contrast: float


def draw_vessel_phantom(child: int, eye: str, *, size: int = 256, seed: int = 0) -> VesselPhantom:
    """Draw one eye: vessels grow from the optic disc as random walks that branch, on an unevenly lit red ground.

    What belongs to the child (colour, calibre, how much the vessels wind and branch) is the same in both eyes; the
    course of the vessels is each eye's own. Each observer draws with a width of their own and leaves out some branches;
    some of those they mark can hardly be seen. No network can foresee that, so one that fits it has memorised the eye.

    Args:
        child: number of the child.
        eye: ``"L"`` or ``"R"``; the optic disc lies right or left of the middle.
        size: edge in pixels.
        seed: the set.

    Returns:
        The phantom; the same arguments give the same pixels.

    Raises:
        ValueError: if ``eye`` is neither.
    """
    if eye not in ("L", "R"):
        raise ValueError(f"'eye' is 'L' or 'R', got {eye!r}")
    nature = np.random.default_rng([seed, child, 0])
    of_eye = np.random.default_rng([seed, child, "LR".index(eye), 1])
    side = 1 if eye == "L" else -1
    disc = np.array([side * of_eye.uniform(0.35, 0.5), of_eye.uniform(-0.12, 0.12)])
    vessels = _grow_trees(
        of_eye,
        disc,
        calibre=nature.uniform(0.85, 1.2),
        winding=nature.uniform(0.06, 0.13),
        branching=nature.uniform(0.07, 0.11),
    )
    y, x = (np.mgrid[0:size, 0:size] + 0.5) * (2 / size) - 1
    image = _paint_ground(nature, of_eye, x, y, disc)
    blood = _lay(vessels, size, shades=[vessel.contrast for vessel in vessels])
    image *= np.exp(-blood[..., None] * np.array([0.45, 1.1, 0.8]) * nature.uniform(0.7, 1.0))
    image += of_eye.normal(0, 0.012, image.shape)
    image *= np.clip((FIELD - np.hypot(x, y)) * size / 4 + 0.5, 0, 1)[..., None]
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
    masks = [_mark(np.random.default_rng([seed, child, "LR".index(eye), 2 + who]), vessels, size) for who in (0, 1)]
    inside = np.hypot(x, y) < FIELD
    return VesselPhantom(
        image=np.asarray(picture.filter(ImageFilter.GaussianBlur(0.35 * size / 128))),
        masks=(masks[0] & inside, masks[1] & inside),
    )


def _grow_trees(
    rng: np.random.Generator, disc: Pixels, *, calibre: float, winding: float, branching: float
) -> list[_Vessel]:
    """Grow an artery and a vein into each of the four quadrants."""
    vessels: list[_Vessel] = []
    for quadrant in (0.25, 0.75, 1.25, 1.75):
        for thickness in (0.030, 0.042):
            heading = np.pi * (quadrant + rng.uniform(-0.15, 0.15))
            width = thickness * calibre * rng.uniform(0.85, 1.15)
            vessels += _grow(rng, disc, heading, width, winding=winding, branching=branching)
    return vessels


def _grow(
    rng: np.random.Generator, start: Pixels, heading: float, width: float, *, winding: float, branching: float
) -> list[_Vessel]:
    """Let a vessel wander until it leaves the field or ends, and its branches from where they spring."""
    points, branches, turn = [start], [], 0.0
    for _ in range(int(rng.uniform(14, 50) * min(1.0, width / 0.02))):
        turn = 0.6 * turn + rng.normal(0, winding)
        heading += turn
        points.append(points[-1] + STEP * np.array([np.cos(heading), np.sin(heading)]))
        if np.hypot(*points[-1]) > 1:
            break
        if width > 0.012 and rng.random() < branching:
            away = heading + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
            branches += _grow(
                rng, points[-1], away, width * rng.uniform(0.5, 0.75), winding=winding, branching=branching
            )
            width *= 0.93
    contrast = rng.uniform(0.55, 1.0) if width > 0.02 or rng.random() < 0.75 else rng.uniform(0.0, 0.12)
    return [_Vessel(points=np.array(points), width=width, contrast=contrast), *branches]


def _mark(rng: np.random.Generator, vessels: Sequence[_Vessel], size: int) -> NDArray[np.bool_]:
    """Mark the vessels as one observer does, who draws wide or narrow and leaves out some of the thin ones."""
    habit = float(np.exp(rng.normal(0.1, 0.12)))
    marked = [vessel for vessel in vessels if vessel.width > 0.02 or rng.random() < 0.75]
    return _lay(marked, size, shades=[1.0] * len(marked), widen=habit) > 0.5


def _lay(vessels: Sequence[_Vessel], size: int, *, shades: Sequence[float], widen: float = 1.0) -> Pixels:
    """Draw vessels into a layer, shape ``(size, size)``, values from 0 to 1; the darker covers the lighter."""
    fine = size * FINE
    layer = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(layer)
    for shade, vessel in sorted(zip(shades, vessels, strict=True), key=lambda pair: pair[0]):
        width = max(1, round(vessel.width * widen * fine / 2))
        pen.line(
            [tuple(point) for point in (vessel.points + 1) * fine / 2],
            fill=round(255 * shade),
            width=width,
            joint="curve",
        )
    return np.asarray(layer.resize((size, size), Image.Resampling.BOX), dtype=np.float64) / 255


def _paint_ground(
    nature: np.random.Generator, of_eye: np.random.Generator, x: Pixels, y: Pixels, disc: Pixels
) -> Pixels:
    """Paint the retina with its bright optic disc and dark macula, shape ``(H, W, 3)``."""
    tone = np.array([0.72, 0.36, 0.2]) + nature.normal(0, 0.05, 3)
    size = x.shape[0]
    patches = gaussian(of_eye.standard_normal(x.shape), sigma=size / 16)
    ground = tone * (1 + 0.12 * patches / patches.std())[..., None]
    optic = 1 / (1 + np.exp(np.clip((np.hypot(x - disc[0], y - disc[1]) - 0.13) / 0.015, -30, 30)))
    ground += (np.array([0.95, 0.8, 0.55]) - ground) * 0.8 * optic[..., None]
    macula = np.exp(-((x + disc[0] * 0.6) ** 2 + (y - disc[1]) ** 2) / 0.03)
    slope = of_eye.uniform(-0.2, 0.2, 2)
    light = (1 - 0.35 * macula) * (1 + slope[0] * x + slope[1] * y) * (1 - 0.25 * (x**2 + y**2))
    painted: Pixels = ground * light[..., None]
    return painted
