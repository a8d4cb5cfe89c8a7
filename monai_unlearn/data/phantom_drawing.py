"""Draw one lesion phantom: dermoscopy that never was a patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["LesionPhantom", "draw_lesion_phantom"]

_SECOND_VIEW_EVERY = 17  # of 17 images, the last shows the lesion of the one before it again
_SITES = ("anterior torso", "posterior torso", "upper extremity", "lower extremity", "head/neck")


@dataclass(frozen=True)
class LesionPhantom:
    """One drawn image with its mask.

    Attributes:
        image: ``uint8`` RGB, shape ``(size, size, 3)``.
        mask: the annotator's lesion, ``bool``, shape ``(size, size)``.
        lesion: number of the lesion; two views of one lesion share it.
        findings: what was drawn into the lesion, under the column names of ISIC 2018 (``diagnosis``, ``globules`` …).
    """

    image: np.ndarray
    mask: np.ndarray
    lesion: int
    findings: dict[str, str | int]


def draw_lesion_phantom(index: int, *, size: int = 128, seed: int = 0) -> LesionPhantom:
    """Draw phantom ``index`` of the set ``seed``: a pigmented lesion on skin, under hair and a dermoscope's light.

    The lesion is a random Fourier contour filled with pigment that absorbs by Beer and Lambert's law. The mask leaves
    the visible border by a smooth random offset, the hand of this case's annotator: no network can foresee it, so a
    network that fits it has memorised the case, and there is something to forget.

    Args:
        index: number of the image; it alone (with ``seed``) decides what is drawn, whatever the size of the set.
        size: edge in pixels.
        seed: the set.

    Returns:
        The phantom; the same arguments give the same pixels.
    """
    lesion = index - (index % _SECOND_VIEW_EVERY == _SECOND_VIEW_EVERY - 1)
    growth = np.random.default_rng([seed, lesion, 0])  # what belongs to the lesion: form, pigment, findings
    view = np.random.default_rng([seed, index, 1])  # what belongs to the photograph: pose, light, hair, annotator

    y, x = (np.mgrid[0:size, 0:size] + 0.5) * (2 / size) - 1
    shift_x, shift_y, turn = view.uniform(-0.16, 0.16), view.uniform(-0.16, 0.16), view.uniform(-0.35, 0.35)
    u = np.cos(turn) * (x - shift_x) + np.sin(turn) * (y - shift_y)
    v = np.cos(turn) * (y - shift_y) - np.sin(turn) * (x - shift_x)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)

    findings = _draw_findings(growth)
    border = math.exp(growth.uniform(math.log(0.33), math.log(0.62))) * np.exp(_contour(growth, angle, findings))
    vagueness = growth.choice([0.02, 0.05, 0.12], p=[0.45, 0.35, 0.2])
    visible = 1 / (1 + np.exp(-np.clip((border - radius) / vagueness, -30, 30)))
    mask = radius < border * np.exp(_annotator_offset(view, angle))

    image = _paint_skin(view, x, y)
    image *= np.exp(-visible[..., None] * _pigment(growth, u, v, radius / border, findings))
    if findings["milia_like_cyst"]:
        cysts = visible * _dots(growth, u, v, count=5, spread=0.22, width=0.018)
        image += (np.array([0.93, 0.88, 0.74]) - image) * 0.8 * cysts[..., None]
    image = _lay_hair(view, image)
    image *= _light(view, x, y)[..., None]
    image += view.normal(0, 0.012, (size, size, 1)) + view.normal(0, 0.006, (size, size, 3))
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur(view.uniform(0, 0.7) * size / 128))
    return LesionPhantom(image=np.asarray(blurred), mask=mask, lesion=lesion, findings=findings)


def _draw_findings(rng: np.random.Generator) -> dict[str, str | int]:
    melanoma = rng.random() < 0.25
    return {
        "diagnosis": "MEL" if melanoma else "NV",
        "age_approx": int(rng.integers(4, 17)) * 5,
        "sex": str(rng.choice(["female", "male"])),
        "anatom_site": str(rng.choice(_SITES)),
        "globules": int(rng.random() < 0.3),
        "milia_like_cyst": int(rng.random() < 0.2),
        "negative_network": 0,
        "pigment_network": int(rng.random() < 0.6),
        "streaks": int(rng.random() < (0.3 if melanoma else 0.05)),
    }


def _fourier(rng: np.random.Generator, angle: np.ndarray, orders: range, deviation: float, decay: float) -> np.ndarray:
    """Sum random harmonics of ``angle``; the deviation of order ``k`` falls as ``k ** -decay``."""
    wave = np.zeros_like(angle)
    for order in orders:
        wave += rng.normal(0, deviation * order**-decay) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return wave


def _contour(rng: np.random.Generator, angle: np.ndarray, findings: dict[str, str | int]) -> np.ndarray:
    irregularity = 0.40 if findings["diagnosis"] == "MEL" else 0.28
    contour = _fourier(rng, angle, range(2, 10), irregularity, 1.3)
    streaks = _fourier(rng, angle, range(13, 20), 0.022, 0.0)
    return contour + streaks * float(findings["streaks"])


def _annotator_offset(rng: np.random.Generator, angle: np.ndarray) -> np.ndarray:
    """Logarithm of annotated over visible radius: a habit (too wide, too tight) and a wavering hand."""
    return rng.normal(0, 0.05) + _fourier(rng, angle, range(1, 8), 0.08, 0.35)


def _waves(
    rng: np.random.Generator, u: np.ndarray, v: np.ndarray, wavelength: float, *, band: float = 0.35, count: int = 12
) -> np.ndarray:
    """Sum plane waves of random direction and phase: a smooth random field of unit variance, defined everywhere."""
    field = np.zeros_like(u)
    for _ in range(count):
        direction, phase = rng.uniform(0, 2 * np.pi, 2)
        frequency = 2 * np.pi / (wavelength * math.exp(rng.uniform(-band, band)))
        field += np.cos(frequency * (np.cos(direction) * u + np.sin(direction) * v) + phase)
    return field * math.sqrt(2 / count)


def _dots(
    rng: np.random.Generator, u: np.ndarray, v: np.ndarray, *, count: int, spread: float, width: float
) -> np.ndarray:
    """Scatter round dots of height 1 about the lesion's centre."""
    field = np.zeros_like(u)
    for centre_u, centre_v in rng.normal(0, spread, (count, 2)):
        field = np.maximum(field, np.exp(-((u - centre_u) ** 2 + (v - centre_v) ** 2) / (2 * width**2)))
    return field


def _pigment(
    rng: np.random.Generator, u: np.ndarray, v: np.ndarray, depth: np.ndarray, findings: dict[str, str | int]
) -> np.ndarray:
    """Absorbance per colour channel, shape ``(H, W, 3)``: brown melanin in patches, darker towards the centre."""
    brown = np.array([0.62, 1.0, 1.22]) * rng.uniform(0.55, 1.15)
    blue = np.array([1.15, 1.0, 0.72]) * rng.uniform(0.6, 1.1)
    density = (
        1.0 + 0.22 * _waves(rng, u, v, 0.5) + 0.12 * _waves(rng, u, v, 0.16) + 0.25 * (0.6 - np.clip(depth, 0, 1.3))
    )
    if findings["pigment_network"]:
        density += 0.45 * np.exp(-((_waves(rng, u, v, 0.13, band=0.1) / 0.4) ** 2)) - 0.15
    if findings["globules"]:
        density += 0.7 * _dots(rng, u, v, count=16, spread=0.2, width=0.025)
    veil = (findings["diagnosis"] == "MEL") / (1 + np.exp(-4 * (_waves(rng, u, v, 0.8) - 0.6)))
    colour = brown + np.asarray(veil)[..., None] * (blue - 0.4 * brown)
    absorbance: np.ndarray = np.clip(density, 0.15, None)[..., None] * colour
    return absorbance


def _paint_skin(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Paint skin of a tone, blotches and a grain of its own, shape ``(H, W, 3)``: the texture a network knows it by."""
    pale, tanned = np.array([0.93, 0.76, 0.70]), np.array([0.78, 0.56, 0.45])
    tone = pale + rng.beta(1.3, 1.6) * (tanned - pale) + rng.normal(0, 0.025, 3)
    redness = 0.04 * _waves(rng, x, y, 0.9) + 0.018 * _waves(rng, x, y, 0.22)
    stretch, tilt = rng.uniform(1.0, 2.5), rng.uniform(0, np.pi)
    along, across = np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x
    furrows = np.exp(-((_waves(rng, along / stretch, across, rng.uniform(0.07, 0.16), band=0.15) / 0.3) ** 2))
    skin = np.empty((*x.shape, 3))
    skin[:] = tone
    skin += redness[..., None] * np.array([0.15, -0.75, -0.7])
    return skin * (1 - rng.uniform(0.02, 0.07) * furrows[..., None])


def _lay_hair(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Lay curved hairs over the image, at four times its resolution."""
    size = image.shape[0]
    fine = size * 4
    layer = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(layer)
    lying = rng.uniform(0, 2 * np.pi)
    time = np.linspace(0, 1, 24)[:, None]
    for _ in range(rng.choice([0, 2, 6, 14], p=[0.35, 0.3, 0.22, 0.13])):
        direction, length = lying + rng.normal(0, 0.5), rng.uniform(0.5, 1.6)
        start = rng.uniform(-1.1, 1.1, 2)
        end = start + length * np.array([np.cos(direction), np.sin(direction)])
        bend = (start + end) / 2 + rng.normal(0, 0.16, 2)
        curve = (1 - time) ** 2 * start + 2 * time * (1 - time) * bend + time**2 * end
        width = max(1, round(fine * rng.uniform(0.005, 0.011)))
        pen.line([tuple(point) for point in (curve + 1) * fine / 2], fill=int(rng.integers(150, 240)), width=width)
    opacity = np.asarray(layer.resize((size, size), Image.Resampling.BOX), dtype=np.float64)[..., None] / 255
    shade = np.array([0.20, 0.14, 0.11]) * rng.uniform(0.6, 1.8)
    covered: np.ndarray = image + (shade - image) * opacity
    return covered


def _light(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Light over the field: a slope, a fall towards the corners and, in one of four, the dermoscope's round rim."""
    direction = rng.uniform(0, 2 * np.pi)
    slope = 1 + rng.uniform(0, 0.12) * (np.cos(direction) * x + np.sin(direction) * y)
    distance = np.hypot(x - rng.normal(0, 0.05), y - rng.normal(0, 0.05))
    light = slope * (1 - rng.uniform(0.08, 0.35) * np.clip(distance / 1.41, 0, 1.2) ** 3)
    if rng.random() < 0.25:
        light *= 1 / (1 + np.exp(np.clip((distance - rng.uniform(1.08, 1.25)) / 0.025, -30, 30)))
    return np.asarray(light)
