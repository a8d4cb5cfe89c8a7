"""Single cases for the report: pictures with what teacher and student see in them, small enough to lie in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from monai_unlearn.visualize.classified import ClassifiedCase
from monai_unlearn.visualize.comparison import ComparisonRow
from monai_unlearn.visualize.palette import SUBSET_COLORS

__all__ = ["OVERLAY_COLORS", "show_cases"]

OVERLAY_COLORS = {"teacher": (0x56, 0xB4, 0xE9), "student": (0xE6, 0x9F, 0x00)}
"""Sky blue and orange of Okabe and Ito: told apart by colour-blind readers, on grey and on skin alike."""

_STRENGTH = 0.65  # of an overlay where the probability is 1: the picture shows through
_LONGEST_SIDE = 320
_MOST_CLASSES = 8


def show_cases(
    cases: Sequence[ComparisonRow | ClassifiedCase], *, class_names: Sequence[str] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Prepare cases for the page by subset, retain before forget; those of one subset keep their order.

    Args:
        cases: of a segmentation or of a classification.
        class_names: names of the classes of a classification.

    Returns:
        By subset a list with, per case, ``subset``, ``name``, ``image`` (a data URI), ``width``, ``height``; of a
        segmentation also ``views`` (data URIs by model), ``outline`` (an SVG path round the true mask) and ``inside``
        (mean foreground probability inside the true mask, by model); of a classification ``truth`` and ``classes``:
        name, teacher's and student's probability, likeliest first.
    """
    shown = {subset: [_show(case, class_names) for case in cases if case.subset == subset] for subset in SUBSET_COLORS}
    return {subset: of_subset for subset, of_subset in shown.items() if of_subset}


def _show(case: ComparisonRow | ClassifiedCase, class_names: Sequence[str]) -> dict[str, Any]:
    picture = np.repeat(case.image[..., None], 3, axis=-1) if case.image.ndim == 2 else case.image
    height, width = picture.shape[:2]
    shown = {"subset": case.subset, "name": case.name, "image": _encode(picture), "width": width, "height": height}
    if isinstance(case, ClassifiedCase):
        return {**shown, "truth": _class_name(case.truth, class_names), "classes": _classes(case, class_names)}
    return {
        **shown,
        "views": {
            model: _encode(_overlaid(picture, getattr(case, model), color)) for model, color in OVERLAY_COLORS.items()
        },
        "outline": _outline(case.truth),
        "inside": {
            model: float(getattr(case, model)[case.truth].mean()) if case.truth.any() else None
            for model in OVERLAY_COLORS
        },
    }


def _overlaid(picture: np.ndarray, probability: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    strength = _STRENGTH * probability[..., None]
    mixed: np.ndarray = picture * (1 - strength) + np.asarray(color) / 255 * strength
    return mixed


def _encode(picture: np.ndarray) -> str:
    """Encode as PNG or JPEG, whichever is smaller; a long side above 384 pixels is shrunk to that."""
    image = Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    encoded: dict[str, bytes] = {}
    settings: dict[str, dict[str, Any]] = {"png": {"optimize": True}, "jpeg": {"quality": 85, "subsampling": 0}}
    for kind, options in settings.items():
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        encoded[kind] = buffer.getvalue()
    kind = min(encoded, key=lambda one: len(encoded[one]))
    return f"data:image/{kind};base64," + base64.b64encode(encoded[kind]).decode("ascii")


def _outline(truth: np.ndarray) -> str:
    """Trace the mask as an SVG path in units of pixels, whose centres lie at halves."""
    lines = find_contours(np.pad(truth.astype(np.float32), 1), 0.5)
    path = []
    for line in lines:
        points = approximate_polygon(line, tolerance=0.25) - 0.5  # one pixel of padding, half a pixel to the centre
        path.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points) + "Z")
    return "".join(path)


def _classes(case: ClassifiedCase, names: Sequence[str]) -> list[dict[str, Any]]:
    """List the likeliest classes by either network's word, and the true one whatever they say."""
    order = np.maximum(case.teacher, case.student).argsort()[::-1].tolist()
    chosen = [index for rank, index in enumerate(order) if rank < _MOST_CLASSES or index == case.truth]
    return [
        {
            "name": _class_name(index, names),
            "true": index == case.truth,
            "teacher": float(case.teacher[index]),
            "student": float(case.student[index]),
        }
        for index in chosen
    ]


def _class_name(index: int, names: Sequence[str]) -> str:
    return str(names[index]) if index < len(names) else f"class {index}"
