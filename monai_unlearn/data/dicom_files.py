"""Reading the headers of all files in a tree, in parallel."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
from tqdm import tqdm

from monai_unlearn.data.dicom_header import DicomHeader, DicomProblem, read_dicom_header

__all__ = ["files_below", "read_dicom_headers"]


def files_below(root: Path, problems: list[DicomProblem]) -> Iterator[Path]:
    """Walk a tree, following links to folders without going in circles; folders that are closed become problems."""

    def tell(error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        problems.append(DicomProblem(kind="unreadable", reason=reason, files=(Path(error.filename),)))

    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(root, onerror=tell, followlinks=True):
        folders.sort()  # so that of two ways to a folder the same one is taken every time
        try:
            status = os.stat(parent)
        except OSError as error:  # it has gone meanwhile
            tell(error)
            continue
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        yield from (Path(parent, name) for name in names)


def read_dicom_headers(
    paths: Sequence[Path], root: Path | None = None, *, workers: int = 8
) -> tuple[list[DicomHeader], list[DicomProblem]]:
    """Read the headers of many files at once; see :func:`~monai_unlearn.data.dicom_header.read_dicom_header`."""
    headers: list[DicomHeader] = []
    problems: list[DicomProblem] = []
    # archives hold many values that break the standard a little; what is needed of them is checked here
    with pydicom.config.disable_value_validation(), warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        results = pool.map(lambda path: read_dicom_header(path, root), paths)
        for result in tqdm(
            results, total=len(paths), desc="read headers", unit="file", disable=not sys.stderr.isatty()
        ):
            if isinstance(result, DicomHeader):
                headers.append(result)
            else:
                problems.append(result)
    return headers, problems
