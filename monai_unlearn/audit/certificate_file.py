"""Reading a certificate from an unknown hand: size, depth and every type are checked before anything is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from monai_unlearn.audit.certificate import SCHEMA, render_certificate, seal_of

__all__ = ["DIGESTS", "is_sealed", "read_certificate"]

MOST_BYTES = 64 * 2**20
MOST_LEVELS = 24
DIGESTS = ("partition", "teacher", "model", "adapter_weights", "adapter_config", "oracle", "audit")
"""Files whose SHA-256 a certificate holds; null where there is none."""


def read_certificate(path: str | PathLike[str]) -> tuple[dict[str, Any], bytes]:
    """Read a certificate and check that it is one.

    Args:
        path: the file.

    Returns:
        Its content, and its bytes.

    Raises:
        ValueError: in one line, if the file cannot be read, is too large, too deep, no JSON or no certificate.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError(f"there is no certificate '{path}'")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"'{path}' has {size / 2**20:.0f} MiB; a certificate has at most {MOST_BYTES // 2**20}")
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read the certificate '{path}': {error.strerror or error}") from error
    try:
        content = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except RecursionError as error:
        raise ValueError(f"'{path}' is no certificate: it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"'{path}' is no certificate: it is not JSON ({ascii(str(error))[1:-1][:120]})") from error
    _refuse_depth(content, path)
    if problem := _problem(content):
        raise ValueError(f"'{path}' is no certificate of this schema: {problem}")
    return content, raw


def is_sealed(content: Mapping[str, Any], raw: bytes) -> bool:
    """Tell whether a certificate is as it was written, byte by byte."""
    return content["seal"] == seal_of(content) and raw == render_certificate(content)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key comes twice")
    return content


def _refuse_depth(content: Any, path: Path) -> None:
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise ValueError(f"'{path}' is no certificate: it is nested too deeply")
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
            if isinstance(part, (dict, list))
        ]


def _problem(content: Any) -> str:
    """Say in words what is wrong with the content; an empty string if nothing is."""
    if not isinstance(content, dict):
        return "it has no keys"
    if content.get("schema") != SCHEMA or isinstance(content.get("schema"), bool):
        return f"'schema' should be {SCHEMA}"
    kind = content.get("kind")
    checks = KINDS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        return f"'kind' should be one of {', '.join(KINDS)}"
    if missing := [key for key in checks if key not in content]:
        return f"'{missing[0]}' is missing"
    if unknown := [key for key in content if key not in checks and key != "schema"]:
        return f"it has the unknown key {unknown[0][:40]!a}"
    wrong = [key for key, check in checks.items() if not check(content[key])]
    return f"'{wrong[0]}' is not what it should be" if wrong else ""


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_digests(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_digest, value))


def _is_files(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(DIGESTS)
        and all(one is None or _is_digest(one) for one in value.values())
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_settings(value: Any) -> bool:
    size = value.get("image_size") if isinstance(value, dict) else 0
    sizes = size if isinstance(size, list) else [size]
    return (
        isinstance(value, dict)
        and (value.get("max_cases") is None or _is_count(value["max_cases"]))
        and all(one is None or _is_count(one) for one in sizes)
    )


def _is_figures(value: Any) -> bool:
    """Models by role, subsets by name, figures by name; deeper values are compared and never run."""
    models = value.get("models") if isinstance(value, dict) else None
    data = value.get("data") if isinstance(value, dict) else None
    return (
        isinstance(models, dict)
        and isinstance(data, dict)
        and isinstance(models.get("student"), dict)
        and all(one is None or isinstance(one, dict) for one in models["student"].values())
    )


def _is_manifest(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("files"), list) and all(map(_is_mapping, value["files"]))


def _is_members(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() >= {"folder", "certificate", "seal", "model"}
        and isinstance(one["folder"], str)
        and re.fullmatch(r"network_\d{1,6}", one["folder"]) is not None  # no way out of the certificate's own folder
        and all(_is_digest(one[key]) for key in ("certificate", "seal", "model"))
        for one in value
    )


KINDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "network": {
        "kind": _is_text,
        "issued": _is_text,
        "bundle": _is_text,
        "request": _is_mapping,
        "forget": _is_digests,
        "counts": _is_mapping,
        "sha256": _is_files,
        "versions": _is_mapping,
        "seed": _is_count,
        "device": _is_text,
        "settings": _is_settings,
        "teacher_trained_here": lambda value: isinstance(value, bool),
        "oracle_recipe": _is_optional(_is_text),
        "grade": lambda value: value in ("reversible", "permanent"),
        "figures": _is_optional(_is_figures),
        "figures_absent": _is_optional(_is_text),
        "manifest": _is_manifest,
        "not_claimed": _is_texts,
        "seal": _is_digest,
    },
    "ensemble": {
        "kind": _is_text,
        "issued": _is_text,
        "bundle": _is_text,
        "networks": _is_members,
        "not_claimed": _is_texts,
        "seal": _is_digest,
    },
}
"""Kinds of certificates, with a check of the value of every key; no key may be missing and none may be more."""
