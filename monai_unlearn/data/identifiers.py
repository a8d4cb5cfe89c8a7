"""Case identifiers: how a case is named, and how its name is written down without revealing it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

__all__ = ["case_id", "hash_identifier", "load_or_create_salt"]

SALT_BYTES = 32


def case_id(item: Mapping[str, Any], image_key: str = "image") -> str:
    """Name a case: the datalist's ``id``, else the image's file name without its suffixes.

    A suffix starts with a letter (``.nii``, ``.gz``, ``.v2``), so ``spleen_0.nii.gz`` is ``spleen_0`` and a DICOM UID
    such as ``1.2.840.dcm`` stays whole.

    Args:
        item: one item of a datalist.
        image_key: key of the image path, or of a list of paths of which the first one names the case.

    Raises:
        ValueError: if the item has neither an ``id`` nor an image path.
    """
    if item.get("id") not in (None, ""):
        return str(item["id"])
    image = item.get(image_key)
    if isinstance(image, (list, tuple)) and image:
        image = image[0]
    if not isinstance(image, (str, PurePath)):
        raise ValueError(
            f"a case of the datalist has neither an 'id' nor a path under '{image_key}' to take its name from; "
            f"its keys are {sorted(item)}. Add an 'id' column to the datalist."
        )
    name = PurePath(image).name
    while (suffix := PurePath(name).suffix) and suffix[1:2].isalpha():
        name = name[: -len(suffix)]
    return name


def load_or_create_salt(path: str | Path) -> bytes:
    """Read the 32 random bytes that salt every written identifier, or make them.

    The file is readable by its owner alone (mode 0600) and must never leave the hospital: who holds it can test whether
    a known identifier is among the hashes.

    Raises:
        ValueError: if the file exists and does not hold 32 bytes.
    """
    path = Path(path)
    if not path.exists():
        descriptor, name = tempfile.mkstemp(prefix=".salt.", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SALT_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was faster: its salt counts
                os.link(name, path)
        finally:
            os.unlink(name)
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise ValueError(
            f"{path} should hold {SALT_BYTES} random bytes and holds {len(salt)}. Restore it from a backup; "
            "without it the hashes in this folder cannot be matched to cases any more."
        )
    return salt


def hash_identifier(identifier: str, salt: bytes) -> str:
    """HMAC-SHA256 of an identifier under ``salt``, as 64 hexadecimal digits."""
    return hmac.new(salt, identifier.encode("utf-8"), hashlib.sha256).hexdigest()
