"""Are all files of a datalist there and whole? Asked before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

from monai.transforms import LoadImage
from tqdm import tqdm

from monai_unlearn.data.datalists import Case

__all__ = ["check_readable"]


def check_readable(cases: Sequence[Case], *, workers: int = 2) -> None:
    """Read every image and label file of a datalist once, with the reader that MONAI would choose.

    Args:
        cases: items with ``image`` and ``label``: a path, a list of paths, or for ``label`` a class.
        workers: threads that read.

    Raises:
        ValueError: for the first file, in the order of the cases, that is missing or cannot be read.
    """
    load = LoadImage(image_only=True)
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda case: _problem_of(case, load), cases)
        for problem in tqdm(found, total=len(cases), desc="check images", unit="case", disable=not sys.stderr.isatty()):
            if problem is not None:
                raise ValueError(problem)


def _problem_of(case: Case, load: LoadImage) -> str | None:
    for key in ("image", "label"):
        paths = case.get(key)
        if not isinstance(paths, (str, PurePath, list, tuple)):
            continue
        for path in [paths] if isinstance(paths, (str, PurePath)) else paths:
            if not Path(path).exists():
                return f"cannot find the {key} {path} of the case {case['id']!r}"
            try:
                load(path)
            except Exception as error:  # each reader has errors of its own; all mean that the file is no use
                reason = " ".join(str(error).split())[:200]
                return f"the {key} {path} of the case {case['id']!r} cannot be read ({type(error).__name__}: {reason})"
    return None
