"""Fingerprints: whether the result of a phase still answers to what went into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from monai_unlearn.data import hash_identifier

__all__ = ["config_closure", "digest", "files_digest", "references_in"]


def config_closure(parser: ConfigParser, roots: Sequence[str], ignore: Collection[str]) -> dict[str, Any]:
    """Collect the config text of some ids and, in turn, of every id that it refers to.

    Args:
        parser: the parsed config.
        roots: ids to start from.
        ignore: ids that do not count, nor what only they refer to.
    """
    found: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = ReferenceResolver.normalize_id(waiting.pop())
        if name in found or name in ignore or name not in parser:
            continue
        found[name] = parser[name]
        waiting.extend(references_in(found[name]))
    return found


def digest(content: Any) -> str:
    """SHA-256 of JSON-like content, as 64 hexadecimal digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def files_digest(cases: Sequence[dict[str, Any]], salt: bytes) -> str:
    """Digest of what cases are, by salted id and by name, size and time of change of their files."""
    facts = []
    for case in cases:
        stats = [Path(case[key]).stat() for key in ("image", "label")]
        facts.append([hash_identifier(case["id"], salt), *((stat.st_size, stat.st_mtime_ns) for stat in stats)])
    return digest(facts)


def references_in(content: Any) -> list[str]:
    """List the ids that some config text refers to, as ``@id``."""
    if isinstance(content, dict):
        return [reference for value in content.values() for reference in references_in(value)]
    if isinstance(content, list):
        return [reference for value in content for reference in references_in(value)]
    return list(ReferenceResolver.match_refs_pattern(content)) if isinstance(content, str) else []
