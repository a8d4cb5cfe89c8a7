"""Checking images that have no mask beside them, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

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
    with ThreadPoolExecutor(workers) as pool:
        problems = pool.map(_problem_of, cases)
        for problem in tqdm(
            problems, total=len(cases), desc="check images", unit="case", disable=not sys.stderr.isatty()
        ):
            if problem is not None:
                raise ValueError(problem)


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
