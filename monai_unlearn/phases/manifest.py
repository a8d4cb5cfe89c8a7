"""The manifest: every file that a run wrote, what it holds, and whether it is still there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from monai_unlearn.phases.holdings import HOLDINGS, files_of_run, holding_of
from monai_unlearn.phases.run_folder import RunFolder

__all__ = ["MANIFEST", "images_shown", "oracle_answers", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
ALWAYS = (MANIFEST, "certificate.json")
"""Written with the manifest or after it, and so in it from the first time on."""
UNKNOWN_ORACLE = "weights of an oracle for another request; they may know the forget cases"
KEYS = ("file", "count", "holds", "state", "when")


def write_manifest(
    folder: RunFolder, *, going: Collection[str] = (), when: str | None = None, done: bool = False
) -> dict[str, Any]:
    """Write ``manifest.json`` and return its content.

    Args:
        folder: the output folder.
        going: files that are about to be purged; noted before the first one is deleted, so that a purging that is
            killed leaves word of all.
        when: time of that.
        done: whether all that was about to be purged is gone now.

    Returns:
        ``files``: by name, or by folder where names may be those of cases, ``count``, what they hold (``holds``), their
        ``state`` (``kept``, ``being purged``, ``purged``) and, where purged, ``when``; ``purged``: time of the last
        purging, or null.
    """
    earlier = read_manifest(folder)
    gone = {(one["file"], one["holds"]): {**one} for one in earlier["files"] if one["state"] != "kept"}
    for (file, holds), count in Counter(_entry(folder, name) for name in going).items():
        begun = gone.get((file, holds), {})
        most = max(count, begun["count"]) if begun.get("state") == "being purged" else count
        gone[file, holds] = {"file": file, "count": most, "holds": holds, "state": "being purged", "when": when}
    just = {key for key, one in gone.items() if one["state"] == "being purged"}
    if done:
        for key in just:
            gone[key]["state"] = "purged"
    present = Counter(_entry(folder, name) for name in (files_of_run(folder.path) | {*ALWAYS}) - {*going})
    files = [
        {"file": file, "count": count, "holds": _said(folder, file, holds), "state": "kept", "when": None}
        for (file, holds), count in present.items()
    ]
    again = {file for file, _ in present}  # made once more by a later run
    files += [one for key, one in gone.items() if key in just or key[0] not in again]
    content = {
        "schema": 1,
        "purged": when or earlier["purged"],
        "files": sorted(files, key=lambda one: (one["file"], one["state"])),
    }
    folder.claim([MANIFEST])
    folder.write_json(MANIFEST, content)
    return content


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Read the manifest; without one, or with one that cannot be read, nothing was purged so far."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        kept = {"purged": content["purged"], "files": [one for one in content["files"] if {*KEYS} <= one.keys()]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"purged": None, "files": []}
    return kept


def images_shown(folder: RunFolder) -> list[str]:
    """Name the subsets of which the report shows images; before it is known, all that could be there are meant."""
    shown: list[str] = folder.phases.get("auditing", {}).get("images", ["forget", "retain"])
    return shown


def oracle_answers(folder: RunFolder) -> bool:
    """Tell whether the oracle in the folder was trained without the forget cases of what was released.

    Both are recorded as a digest of salted ids, so that this can be told when data and request are gone.
    """
    released = folder.phases.get("releasing", {}).get("forget")
    return released is not None and folder.phases.get("retraining", {}).get("forget") == released


def _entry(folder: RunFolder, name: str) -> tuple[str, str]:
    holding = holding_of(name) or HOLDINGS[0]
    unknown = holding.fate == "oracle" and not oracle_answers(folder)
    return (holding.folder if holding.counted else name), UNKNOWN_ORACLE if unknown else holding.holds


def _said(folder: RunFolder, file: str, holds: str) -> str:
    """Say of what shows images whether forget cases are among them."""
    holding = holding_of(file)
    if holding is None or holding.fate != "images":
        return holds
    shown = images_shown(folder)
    return f"figures, and images of {' and '.join(shown)} cases" if shown else "figures without images"
