"""Checking images that have no mask beside them, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from monai_unlearn.data.checking import raise_first_problem
from monai_unlearn.data.datalists import Case

__all__ = ["check_images"]


def check_images(cases: Sequence[Case], *, workers: int = 4) -> None:
    """Decode every image once, so that a bad file is found before the first training step.

    Args:
        cases: items with the path ``image``; their ``label`` is no file.
        workers: threads that decode.

    Raises:
        ValueError: for the first file, in the order of the cases, that is missing, truncated or no picture.
    """
    raise_first_problem(cases, _problem_of, workers=workers)


def _problem_of(case: Case) -> str | None:
    path = Path(case["image"])
    try:
        with Image.open(path) as picture:
            picture.load()
    except FileNotFoundError:
        return f"cannot find the image {path}"
    except UnidentifiedImageError:
        return f"the image {path} is no picture that Pillow can read; replace the file"
    except (OSError, SyntaxError, ValueError) as error:
        return f"the image {path} is damaged ({error}); replace the file"
    return None
