"""What a teacher has forgotten already, read from the ledger: the answer that made it, the one before, and so on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai_unlearn.data.datalists import Datalists
from monai_unlearn.data.identifiers import case_id, hash_identifier, load_or_create_salt
from monai_unlearn.data.ledger import existing_salt, read_ledger
from monai_unlearn.files import sha256_of

__all__ = ["classes_before", "forgotten_before"]

logger = logging.getLogger(__name__)


def forgotten_before(
    ledger: str | Path | None, teacher_checkpoint: str | Path | None, datalists: Datalists
) -> frozenset[str]:
    """Find which cases the teacher has forgotten already, or are not to be used although it never saw them.

    The ledger is followed back: the answer whose network the teacher is, the answer whose network that one's teacher
    was, and so on. Ids are found again by hashing every id of the datalists under the salt of each answer.

    Args:
        ledger: the ledger, or ``None``.
        teacher_checkpoint: the file of the teacher, or ``None``.
        datalists: the project's cases.

    Returns:
        Ids of cases; empty without a ledger or a teacher, or for a teacher that no request made.

    Raises:
        ValueError: if the ledger is damaged, or the salt of an answer is gone or is another one.
    """
    ids = {case_id(case) for case in (*datalists.training, *datalists.never_trained)}
    forgotten = set[str]()
    for event in _chain(ledger, teacher_checkpoint):
        if not event["forget"]:
            continue
        answer = f"the answer of {event['time']} in the ledger {ledger}"
        path = existing_salt(Path(str(ledger)).resolve().parent / event["salt"], answer)
        if sha256_of(path) != event["salt_sha256"]:
            raise ValueError(
                f"{answer} was written under another salt than {path} holds now, so nothing tells which cases it "
                "forgot; restore that file from a backup"
            )
        salt, hashes = load_or_create_salt(path), set(event["forget"])
        found = {name for name in ids if hash_identifier(name, salt) in hashes}
        if not found:
            raise ValueError(
                f"none of the {len(hashes)} cases of {answer} is in the datalist, so they would be taken for new ones: "
                "are cases named otherwise now (an 'id' column, 'id_from'), or is this another set? With --ledger none "
                "the teacher counts as having forgotten nothing"
            )
        if len(found) < len(hashes):
            logger.warning(
                f"{len(hashes) - len(found)} of the {len(hashes)} cases of {answer} are not among the training cases"
            )
        forgotten |= found
    return frozenset(forgotten)


def classes_before(ledger: str | Path | None, teacher_checkpoint: str | Path | None) -> tuple[int, ...]:
    """Find which classes the teacher has unlearned already; see :func:`forgotten_before`."""
    return tuple(sorted({value for event in _chain(ledger, teacher_checkpoint) for value in event["classes"]}))


def _chain(ledger: str | Path | None, teacher_checkpoint: str | Path | None) -> Iterator[dict[str, Any]]:
    if teacher_checkpoint is None:
        return
    answers = {event["model_sha256"]: event for event in read_ledger(ledger) if event["event"] == "answered"}
    model = sha256_of(teacher_checkpoint) if answers else None
    while (event := answers.pop(model, None)) is not None:  # popped: a chain that bites its tail ends
        yield event
        model = event["teacher_sha256"]
