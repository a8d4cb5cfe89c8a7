"""The output folder of a run: what stands in it, what was written by us, and the log."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from monai_unlearn.data import hash_identifier, load_or_create_salt, redact
from monai_unlearn.files import sha256_of, write_whole
from monai_unlearn.phases.holdings import files_of_run

__all__ = ["RunFolder"]

RECORD = "phases.json"
CLAIMED = "claimed"
"""The entry of the record that names every file that a phase has begun to write, beside those of the phases."""
PURGED = "purging"
"""The entry that names the phases whose results were purged."""


class RunFolder:
    """A folder that remembers which phases stand in it, from which inputs, with which files.

    Args:
        path: the folder; made if missing.
        needed_bytes: free space without which nothing is begun.
        writes: whether this process writes; of several processes one does.

    Raises:
        ValueError: if the folder cannot be written to, or its disk is too full.
    """

    def __init__(self, path: str | Path, *, needed_bytes: int = 0, writes: bool = True) -> None:
        self.path = Path(path)
        self.writes = writes
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cannot make the output_dir '{self.path}': {error.strerror}; choose another one"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ValueError(
                f"cannot write to the output_dir '{self.path}'; choose another one or change its permissions"
            )
        free = shutil.disk_usage(self.path).free
        if free < needed_bytes:
            raise ValueError(
                f"the disk of the output_dir '{self.path}' has {free / 2**20:.0f} MiB free and the run may need "
                f"{needed_bytes / 2**20:.0f} MiB; free some space or choose another output_dir"
            )
        self.phases: dict[str, dict[str, Any]] = {}
        self.reload()
        try:
            self.salt = load_or_create_salt(self.path / "salt.key")
        except OSError as error:
            raise ValueError(
                f"cannot write to the output_dir '{self.path}': {error.strerror}; nothing was begun"
            ) from error

    def reload(self) -> None:
        """Read again what stands in the folder.

        Raises:
            ValueError: if the record is damaged.
        """
        record = self.path / RECORD
        if record.exists():
            try:
                self.phases = {phase: {**result} for phase, result in json.loads(record.read_bytes()).items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{record} is damaged ({error}), so nothing tells what in '{self.path}' is ours; restore it from a "
                    "backup or choose another output_dir"
                ) from error

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def result(self, phase: str) -> dict[str, Any]:
        """Return what a phase left: ``fingerprint``, ``files`` (name to SHA-256), ``seconds`` and its own figures.

        Raises:
            ValueError: if the phase has not run; the message names its run id.
        """
        if phase in self.phases.get(PURGED, {}).get("phases", ()) and phase not in self.phases:
            raise ValueError(
                f"the result of '{phase}' was purged from '{self.path}'; the run id '{phase}' or 'run' makes it again. "
                "The released network alone can be audited with --student_checkpoint"
            )
        if phase not in self.phases:
            raise ValueError(f"'{self.path}' holds no result of '{phase}'; run it first: the run id '{phase}' or 'run'")
        return self.phases[phase]

    def stands(self, phase: str, fingerprint: str) -> bool:
        """Tell whether a phase's result is there, unchanged, and was made from the same inputs."""
        result = self.phases.get(phase)
        return (
            result is not None
            and result["fingerprint"] == fingerprint
            and all(
                (self / name).is_file() and sha256_of(self / name) == hashed for name, hashed in result["files"].items()
            )
        )

    def claim(self, names: Collection[str]) -> None:
        """Note that files are ours from now on: a phase begins to write them, and may die half-way.

        Raises:
            ValueError: if one exists that no phase of ours has written.
        """
        self.refuse_foreign(names)
        claimed = self.phases.setdefault(CLAIMED, {"fingerprint": "", "files": {}})["files"]
        if not claimed.keys() >= set(names):
            claimed.update(dict.fromkeys(names, ""))
            self.write_json(RECORD, self.phases)

    def watch(self) -> None:
        """Note which files are not ours, so that :meth:`adopt` knows what the components of a bundle write from now on.

        Names are noted as salted hashes: a bundle's own components may name files after cases.
        """
        self.adopt()
        claimed = self.phases.setdefault(CLAIMED, {"fingerprint": "", "files": {}})
        claimed["others"] = sorted(self._unknown())
        self.write_json(RECORD, self.phases)

    def adopt(self) -> None:
        """Note as ours what has come into the places of a run since :meth:`watch`, also if that run was killed."""
        claimed = self.phases.get(CLAIMED, {})
        if "others" not in claimed:
            return
        claimed["adopted"] = sorted({*claimed.get("adopted", ()), *(self._unknown() - {*claimed.pop("others")})})
        self.write_json(RECORD, self.phases)

    def written(self, names: Iterable[str]) -> set[str]:
        """Return those files that are known to be ours: a phase claimed them, or they came while a run was at work."""
        ours = {name for result in self.phases.values() for name in result["files"]}
        adopted = set(self.phases.get(CLAIMED, {}).get("adopted", ()))
        return {name for name in names if name in ours or (adopted and hash_identifier(name, self.salt) in adopted)}

    def drop(self, phases: Iterable[str], *, purged: Iterable[str] = ()) -> None:
        """Forget that phases stand; their files stay known as ours.

        Args:
            phases: to be forgotten.
            purged: those of them, and of earlier ones, that are to be remembered as purged.
        """
        claimed = self.phases.setdefault(CLAIMED, {"fingerprint": "", "files": {}})["files"]
        for phase in phases:
            claimed.update(dict.fromkeys(self.phases.pop(phase)["files"], ""))
        self.phases[PURGED] = {"fingerprint": "", "files": {}, "phases": sorted(purged)}
        self.write_json(RECORD, self.phases)

    def _unknown(self) -> set[str]:
        found = files_of_run(self.path)
        return {hash_identifier(name, self.salt) for name in found - self.written(found)}

    def refuse_foreign(self, names: Iterable[str]) -> None:
        """Make sure that files may be written, before anything is computed for them.

        Raises:
            ValueError: if one exists that no phase of ours has written.
        """
        ours = {name for result in self.phases.values() for name in result["files"]}
        for name in names:
            if (self / name).exists() and name not in ours:
                raise ValueError(
                    f"'{self / name}' exists and was not written by monai_unlearn; it is left as it is. Choose "
                    f"another output_dir."
                )

    def refuse_foreign_folders(self, names: Iterable[str]) -> None:
        """Make sure that folders which a bundle's own components write into hold nothing of anybody else's.

        Raises:
            ValueError: if one holds something and no phase of ours has ever begun here.
        """
        begun = any(phase != CLAIMED or result["files"] for phase, result in self.phases.items())
        for name in names:
            if not begun and (self / name).is_dir() and any((self / name).iterdir()):
                raise ValueError(
                    f"'{self / name}' is not empty and no run of monai_unlearn has been here; it is left as it is. "
                    "Choose another output_dir."
                )

    def discard(self, names: Iterable[str]) -> None:
        """Remove files that a phase of ours wrote, and their folders where these are empty then."""
        ours = {name for result in self.phases.values() for name in result["files"]}
        for name in ours.intersection(names):
            (self / name).unlink(missing_ok=True)
            if (folder := (self / name).parent).is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def record(self, phase: str, *, fingerprint: str, files: Iterable[str], **figures: Any) -> None:
        """Note that a phase stands; files are given relative to the folder."""
        hashes = {name: sha256_of(self / name) for name in files if (self / name).exists()}
        self.phases[phase] = {"fingerprint": fingerprint, "files": hashes, **figures}
        self.write_json(RECORD, self.phases)

    def note(self, phase: str, **figures: Any) -> None:
        """Note figures of a phase that stands, in the place of earlier ones."""
        self.phases[phase] |= figures
        self.write_json(RECORD, self.phases)

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON atomically; NaN is refused."""
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        if self.writes:
            write_whole(self / name, text.encode())

    def log_to_file(self, identifiers: Iterable[str]) -> logging.Handler:
        """Copy all log lines to ``run.log``, with the identifiers of cases replaced by their salted hashes."""
        handler: logging.Handler = logging.NullHandler()
        try:
            if self.writes:
                handler = logging.FileHandler(self / "run.log", encoding="utf-8")
        except OSError as error:
            raise ValueError(f"cannot write '{self / 'run.log'}': {error.strerror}; nothing was begun") from error
        handler.setFormatter(_Redacting(identifiers, self.salt))
        logging.getLogger().addHandler(handler)
        return handler


class _Redacting(logging.Formatter):
    """Format a log line with every identifier replaced by its salted hash; the time and the level stay."""

    def __init__(self, identifiers: Iterable[str], salt: bytes) -> None:
        super().__init__("%(message)s")
        self.identifiers, self.salt = frozenset(identifiers), salt

    def format(self, record: logging.LogRecord) -> str:
        message = redact(super().format(record), self.identifiers, self.salt)
        return f"{self.formatTime(record)} - {record.levelname} - {message}"
