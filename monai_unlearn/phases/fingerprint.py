"""Fingerprints: whether the result of a phase still answers to what went into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from monai_unlearn.data import hash_identifier

__all__ = ["case_files", "config_closure", "digest", "files_digest", "ids_digest", "references_in", "without_trackers"]


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


def without_trackers(config: Any) -> Any:
    """Copy config text without the handlers that ``--tracking`` has added: who watches does not change what happens."""
    if isinstance(config, dict):
        return {key: without_trackers(value) for key, value in config.items() if not _is_tracker(value)}
    return (
        [without_trackers(value) for value in config if not _is_tracker(value)] if isinstance(config, list) else config
    )


def digest(content: Any) -> str:
    """SHA-256 of JSON-like content, as 64 hexadecimal digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def files_digest(cases: Sequence[dict[str, Any]], salt: bytes) -> str:
    """Digest of what cases are, by salted id, by size and time of change of their files, and by class labels."""
    facts = []
    for case in cases:
        stats = [path.stat() for path in case_files(case)]
        label = case.get("label")
        facts.append(
            [
                hash_identifier(case["id"], salt),
                *((stat.st_size, stat.st_mtime_ns) for stat in stats),
                *([repr(label)] if _paths_in(label) == [] else []),
            ]
        )
    return digest(facts)


def ids_digest(cases: Sequence[dict[str, Any]], salt: bytes) -> str:
    """Digest of which cases these are, by salted id, in any order; their files do not count."""
    return digest(sorted(hash_identifier(case["id"], salt) for case in cases))


def case_files(case: dict[str, Any]) -> Iterator[Path]:
    """Yield every file of a case's image and label; a label that is a class index has none."""
    for key in ("image", "label"):
        yield from _paths_in(case.get(key))


def references_in(content: Any) -> list[str]:
    """List the ids that some config text refers to, as ``@id``."""
    if isinstance(content, dict):
        return [reference for value in content.values() for reference in references_in(value)]
    if isinstance(content, list):
        return [reference for value in content for reference in references_in(value)]
    return list(ReferenceResolver.match_refs_pattern(content)) if isinstance(content, str) else []


def _is_tracker(value: Any) -> bool:
    return isinstance(value, dict) and value.get("tracking_uri") == "@tracking_uri"


def _paths_in(value: Any) -> list[Path]:
    if isinstance(value, (str, PurePath)):
        return [Path(value)]
    return [path for part in value for path in _paths_in(part)] if isinstance(value, (list, tuple)) else []
