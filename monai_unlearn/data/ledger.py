"""The ledger of requests: what was asked, when, and which network answered it; lines are added and never changed."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_unlearn.data.wording import did_you_mean, shorten
from monai_unlearn.files import sha256_of

__all__ = ["append_event", "existing_salt", "read_ledger"]

SCHEMA = 1
EVENTS = ("asked", "answered")
KEYS = (
    *("schema", "event", "time", "reference", "reason", "date", "bundle", "forget", "salt", "salt_sha256", "classes"),
    *("teacher_sha256", "model_sha256", "adapter_sha256", "output_dir"),
)
OURS = ("schema", "time", "salt_sha256")
"""Keys that are filled in here."""
NEEDED = {
    "asked": ("forget", "classes", "salt"),
    "answered": ("forget", "classes", "salt", "teacher_sha256", "model_sha256", "output_dir"),
}
PATHS = ("salt", "output_dir")
CUT_OFF = " # cut off"
"""Added to a line that a crash has left unfinished, before the next line is written."""

logger = logging.getLogger(__name__)


def append_event(path: str | Path, event: Mapping[str, Any]) -> dict[str, Any]:
    """Add one line to the ledger: all of it or nothing, flushed to the disk, one writer at a time.

    Args:
        path: the ledger; made if missing.
        event: ``event`` (``asked`` or ``answered``), ``forget`` (salted hashes of the cases to forget, and of the
            never-trained ones that the request means; empty for a class request), ``classes`` (label values), ``salt``
            (path of the ``salt.key`` used); where answered, ``teacher_sha256``, ``model_sha256`` and ``output_dir``;
            and, where there are, ``reference``, ``reason`` (see :func:`~monai_unlearn.data.redact`), ``date``,
            ``bundle``, ``adapter_sha256``. Paths are as the program knows them; they are written relative to the
            ledger's folder, so that both can be moved together.

    Returns:
        The event as it was written, with every key of the schema.

    Raises:
        ValueError: if the event does not fit the schema or the ledger cannot be written; it is as it was then.
    """
    path = Path(path)
    _check(event)
    salt = existing_salt(Path(event["salt"]), "the event")
    folder = path.resolve().parent
    written: dict[str, Any] = {
        **dict.fromkeys(KEYS),
        **event,
        **{key: os.path.relpath(event[key], folder) for key in PATHS if event.get(key) is not None},
        "schema": SCHEMA,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "salt_sha256": sha256_of(salt),
    }
    line = json.dumps(written, allow_nan=False).encode("ascii") + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
            size = os.fstat(descriptor).st_size
            last = os.pread(descriptor, size, 0).rpartition(b"\n")[2]
            if last:
                line = (b"" if _is_whole(last) else CUT_OFF.encode()) + b"\n" + line
            try:
                if os.write(descriptor, line) != len(line):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # what stood there before, and no half of a line
                raise
        _flush_folder(folder)
    except OSError as error:
        raise ValueError(f"cannot write the ledger {path}: {error.strerror or error}; it is as it was") from error
    return written


def read_ledger(path: str | Path | None) -> list[dict[str, Any]]:
    """Read all events, oldest first; a line that a crash left unfinished is left out with a warning.

    Args:
        path: the ledger; ``None`` or a missing file holds no events.

    Raises:
        ValueError: if the ledger cannot be read, or a finished line is damaged; the message names the line.
    """
    if path is None or not Path(path).exists():
        return []
    try:
        with _locked(Path(path), os.O_RDONLY, fcntl.LOCK_SH) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        raise ValueError(f"cannot read the ledger {path}: {error.strerror or error}") from error
    unfinished = lines[-1] and not _is_whole(lines[-1])
    events = []
    for number, line in enumerate(lines if lines[-1] else lines[:-1], start=1):
        if line.endswith(CUT_OFF.encode()) or (unfinished and number == len(lines)):
            logger.warning(
                f"line {number} of the ledger {path} is cut off, probably by a crash while it was written; that event "
                "is left out, all others stand"
            )
            continue
        events.append(_event_of(line, f"line {number} of the ledger {path}"))
    return events


def existing_salt(path: Path, whose: str) -> Path:
    """Return the path of a salt, or raise a ValueError if it is gone; none is made in its place."""
    if not path.is_file():
        raise ValueError(
            f"the salt of {whose}, {path}, is gone; without it nothing tells which cases were forgotten. Restore it "
            "from a backup"
        )
    return path


def _check(event: Mapping[str, Any]) -> None:
    if event.get("event") not in EVENTS:
        raise ValueError(f"'event' of a ledger is one of {', '.join(EVENTS)}; got {event.get('event')!r}")
    for key in event:
        if key not in KEYS or key in OURS:
            raise ValueError(f"an event of the ledger has no key {key!r} to give{did_you_mean(key, KEYS)}")
    missing = [key for key in NEEDED[event["event"]] if event.get(key) is None]
    if missing:
        raise ValueError(f"an event '{event['event']}' of the ledger needs {shorten(missing)}")
    for key in ("forget", "classes"):
        if not isinstance(event[key], (list, tuple)):
            raise ValueError(f"'{key}' of an event is a list; got {type(event[key]).__name__}")
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in event["classes"]):
        raise ValueError("'classes' of an event holds label values, whole numbers")
    odd = [name for name in event["forget"] if not (isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", name))]
    if odd:
        raise ValueError(f"'forget' of an event holds salted hashes and never ids; {len(odd)} of its items are none")
    if event["forget"] and event["classes"]:
        raise ValueError("an event of the ledger forgets cases or classes, not both; a class request forgets no case")


def _is_whole(line: bytes) -> bool:
    """Tell whether a line without an end is whole but for that."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _event_of(line: bytes, place: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
        if not isinstance(event, dict) or event.get("schema") != SCHEMA:
            raise ValueError(f"it has not the schema {SCHEMA}")
        _check({key: value for key, value in event.items() if key not in OURS})
        return event
    except ValueError as error:
        raise ValueError(
            f"{place} is damaged ({error}), so nothing tells what was forgotten; restore the ledger from a backup"
        ) from error


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, lock)  # given back when the file is closed
        yield descriptor
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
