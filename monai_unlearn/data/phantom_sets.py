"""Sets of phantoms on the disk: written whole, once, and never mixed with another set."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_phantom_set"]

RECORD = "phantoms.json"


def write_phantom_set(
    folder: str | os.PathLike[str],
    *,
    parameters: Mapping[str, Any],
    files: Collection[str],
    write: Callable[[Path], object],
) -> Path:
    """Write a set of phantoms into a folder, which appears whole or not at all; an earlier one of the same is kept.

    Args:
        folder: where the set goes; its parents are made.
        parameters: all that decides what is drawn, JSON values; written as ``phantoms.json`` beside the files.
        files: paths, relative to the folder, of what the set consists of.
        write: writes the set into the existing, empty folder that it is given.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the folder holds anything but this very set; it is left as it is.
    """
    target = Path(folder)
    if _holds_set(target, parameters, files):
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        write(partial)
        (partial / RECORD).write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, target)  # refuses a folder that someone filled meanwhile
    except OSError:
        if not _holds_set(target, parameters, files):  # else another process was faster with the same set
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _holds_set(folder: Path, parameters: Mapping[str, Any], files: Collection[str]) -> bool:
    """Say whether ``folder`` is this very set; False only where a new one may be written."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    record = folder / RECORD
    if not record.is_file():
        raise FileExistsError(f"{folder} exists and is no set of phantoms: name another folder")
    found = json.loads(record.read_text(encoding="utf-8"))
    if found != json.loads(json.dumps(parameters)):
        raise FileExistsError(
            f"{folder} holds phantoms with other parameters: remove it or name another folder "
            f"(found {found}, asked for {dict(parameters)})"
        )
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise FileExistsError(f"{folder} lacks {len(missing)} of its files ({missing[0]} first): remove it")
    return True
