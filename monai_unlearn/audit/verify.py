"""Verifying a certificate: does it stand as it was written, and are the files at hand those that it is about?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from monai_unlearn.audit.certificate import quoted_figures
from monai_unlearn.audit.certificate_file import is_sealed, read_certificate
from monai_unlearn.files import sha256_of

__all__ = ["TOLERANCE", "Check", "check_files", "check_members", "check_seal", "compare_figures"]

TOLERANCE = 1e-4
"""By how much a figure may differ when it is computed again, absolute."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of what was verified.

    Args:
        holds: whether it is as the certificate says; ``None`` if there was nothing to compare.
        line: what was looked at, in words.
    """

    holds: bool | None
    line: str

    def __str__(self) -> str:
        word = {True: "holds", False: "DIFFERS", None: "not checked"}[self.holds]
        return f"{word:<11} {self.line}"


def check_seal(path: str | PathLike[str]) -> tuple[dict[str, Any], Check]:
    """Read a certificate and check its seal.

    Raises:
        ValueError: if the file is no certificate.
    """
    content, raw = read_certificate(path)
    sealed = is_sealed(content, raw)
    words = f"seal {content['seal']}" if sealed else "seal: the file was changed after it was written"
    return content, Check(holds=sealed, line=words)


def check_files(content: Mapping[str, Any], files: Mapping[str, str | PathLike[str]]) -> list[Check]:
    """Compare files with the SHA-256 that a certificate holds of them.

    Args:
        content: a certificate of one network.
        files: paths by the names of :data:`~monai_unlearn.audit.certificate_file.DIGESTS`.

    Raises:
        ValueError: if a file cannot be read.
    """
    checks = []
    for name, path in files.items():
        said, found = content["sha256"][name], sha256_of(path)
        if said is None:
            checks.append(Check(holds=False, line=f"{name}: the certificate names none, and '{path}' was given"))
        else:
            same = said == found
            words = f"SHA-256 {found}" if same else f"SHA-256 {found}, and the certificate says {said}"
            checks.append(Check(holds=same, line=f"{name}: {words} ('{path}')"))
    if "audit" in files:
        checks.append(_check_quotes(content, Path(files["audit"])))
    return checks


def check_members(content: Mapping[str, Any], folder: Path) -> list[Check]:
    """Check the certificates of single networks that one over all of them names.

    Args:
        content: a certificate of an ensemble.
        folder: where that one lies; the others lie in folders below it.
    """
    checks = []
    for member in content["networks"]:
        path = folder / member["folder"] / "certificate.json"
        if not path.is_file():
            checks.append(Check(holds=False, line=f"{member['folder']}: there is no '{path}'"))
            continue
        same = sha256_of(path) == member["certificate"]
        own, seal = check_seal(path)
        same = same and own["seal"] == member["seal"] and own.get("sha256", {}).get("model") == member["model"]
        line = f"{member['folder']}: {'its' if same else 'not the'} certificate that is named; {seal.line}"
        checks.append(Check(holds=same and bool(seal.holds), line=line))
    return checks


def compare_figures(said: Mapping[str, Any], found: Mapping[str, Any], *, where: str = "student") -> list[Check]:
    """Compare figures of the certificate with the same figures, computed again; deeper than one level, too.

    Args:
        said: figures of the certificate.
        found: figures that were computed.
        where: name of the place, for the lines.

    Returns:
        One line per group of numbers, with the largest difference.
    """
    checks = []
    for key in sorted({*said, *found}):
        left, right = said.get(key), found.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            checks += compare_figures(left, right, where=f"{where}.{_plain(key)}")
        elif (left is None) != (right is None):
            absent = "the data have none" if right is None else "the certificate has none"
            checks.append(Check(holds=False, line=f"{where}.{_plain(key)}: {absent}"))
        elif left is not None:
            checks.append(_compare(left, right, f"{where}.{_plain(key)}"))
    return checks


def _compare(said: Any, found: Any, where: str) -> Check:
    left, right = (value if isinstance(value, list) else [value] for value in (said, found))
    if (
        len(left) != len(right)
        or any(map(_is_odd, left))
        or any((a is None) != (b is None) for a, b in zip(left, right, strict=True))
    ):
        return Check(holds=False, line=f"{where}: the certificate has other values there than can be computed")
    gaps = [abs(float(a) - float(b)) for a, b in zip(left, right, strict=True) if a is not None]
    gap = max(gaps, default=0.0)
    words = "; ".join(
        f"{float(b):.6g}, and the certificate says {float(a):.6g}"
        for a, b in zip(left, right, strict=True)
        if a is not None and abs(a - b) > TOLERANCE
    )
    return Check(holds=gap <= TOLERANCE, line=f"{where}: {words or f'within {TOLERANCE:g}'}")


def _is_odd(value: Any) -> bool:
    return value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e30)


def _check_quotes(content: Mapping[str, Any], path: Path) -> Check:
    """Tell whether the figures in the certificate are those of an ``audit.json``."""
    try:
        audit = json.loads(path.read_bytes())
        same = content["figures"] == json.loads(json.dumps(quoted_figures(audit)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Check(holds=False, line=f"figures: '{path}' is no audit")
    return Check(holds=same, line=f"figures: {'those' if same else 'not those'} of '{path}'")


def _plain(key: str) -> str:
    return ascii(key)[1:-1][:60]
