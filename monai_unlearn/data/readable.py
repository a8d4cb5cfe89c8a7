"""Are all files of a bundle's datalists there and whole? Asked before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

from monai.transforms import Compose, LoadImage, LoadImaged
from tqdm import tqdm

from monai_unlearn.data.datalists import Case

__all__ = ["check_readable"]


def check_readable(
    cases: Sequence[Case], *, items: Sequence[Case] = (), transform: object = None, workers: int = 2
) -> None:
    """Read every image and label file of a datalist once.

    Args:
        cases: with ``id`` and ``row``; ``image`` and ``label`` are a path or a list of paths, ``label`` may be a class.
        items: items of the bundle's datalists by row; needed for ``transform``.
        transform: the bundle's preprocessing, whose own ``LoadImaged`` read the files; without one they are read by the
            reader that MONAI chooses.
        workers: threads that read.

    Raises:
        ValueError: for the first file, in the order of the cases, that is missing or cannot be read.
    """
    loaders = [step for step in _steps(transform) if isinstance(step, LoadImaged)] if items else []
    default = LoadImage(image_only=True)

    def problem_of(case: Case) -> str | None:
        files = {key: _paths_in(case.get(key)) for key in ("image", "label")}
        for key, paths in files.items():
            for path in paths:
                if not path.exists():
                    return f"cannot find the {key} {path} of the case {case['id']!r}"
        try:
            for loader in loaders:
                loader(dict(items[case["row"]]))
            if not loaders:
                for path in (*files["image"], *files["label"]):
                    default(path)
        except Exception as error:  # each reader has errors of its own; all mean that the file is no use
            reason = " ".join(str(error).split())[:200]
            named = ", ".join(f"{key} {paths[0]}" for key, paths in files.items() if paths)
            return f"the case {case['id']!r} ({named}) cannot be read ({type(error).__name__}: {reason})"
        return None

    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(problem_of, cases)
        for problem in tqdm(found, total=len(cases), desc="check images", unit="case", disable=not sys.stderr.isatty()):
            if problem is not None:
                pool.shutdown(cancel_futures=True)
                raise ValueError(problem)


def _steps(transform: object) -> Iterator[object]:
    yield transform
    if isinstance(transform, Compose):
        for step in transform.transforms:
            yield from _steps(step)


def _paths_in(value: Any) -> list[Path]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [Path(one) for one in values if isinstance(one, (str, PurePath))]
