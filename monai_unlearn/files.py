"""Writing files so that a killed run leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["save_tensors", "sha256_of", "write_atomically", "write_whole"]


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Write a file beside its place, flush it to the disk and move it there in one step.

    Args:
        path: where the file is to be; its folder is made if missing.
        write: writes the file to the path that it is given; that path has the same suffix.

    Returns:
        The path.

    Raises:
        ValueError: if the file cannot be written (full disk, missing permission); the old file is untouched then.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}; nothing was overwritten") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_whole(path: str | os.PathLike[str], content: bytes | memoryview) -> Path:
    """Write a file's content atomically; see :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Any]) -> Path:
    """Write a state dict, or several in one, by ``torch.save``, atomically; see :func:`write_atomically`."""
    buffer = io.BytesIO()  # of a full disk, torch would make a RuntimeError about its archive
    torch.save(tensors, buffer)
    return write_whole(path, buffer.getbuffer())


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        ValueError: if the file cannot be read.
    """
    hashed = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(2**20):
                hashed.update(chunk)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    return hashed.hexdigest()
