"""The ledger of a run: what was asked when erasing begins, and with which networks it was answered at the release."""

from __future__ import annotations

import logging
from typing import Any

from monai_unlearn.data import append_event, hash_identifier, read_ledger, redact
from monai_unlearn.files import sha256_of
from monai_unlearn.phases.session import Session

__all__ = ["record_answer", "record_demand"]

logger = logging.getLogger(__name__)


def record_demand(session: Session) -> None:
    """Write into the ledger what is asked."""
    _append(session, {"event": "asked", "teacher_sha256": session.teacher_digest})


def record_answer(session: Session, *, adapter: str | None) -> None:
    """Write into the ledger which network answers what was asked, unless that stands there already.

    Args:
        session: the session, its ``model.pt`` released.
        adapter: name of the released adapter's weights in the output folder, if there is one.
    """
    if not session.folder.writes:
        return
    answer = {
        "event": "answered",
        "teacher_sha256": session.teacher_digest,
        "model_sha256": sha256_of(session.folder / "model.pt"),
        "adapter_sha256": None if adapter is None else sha256_of(session.folder / adapter),
        "output_dir": str(session.folder.path.resolve()),
    }
    ledger, model = session.setting("ledger"), answer["model_sha256"]
    if not any(event["event"] == "answered" and event["model_sha256"] == model for event in read_ledger(ledger)):
        _append(session, answer)


def _append(session: Session, event: dict[str, Any]) -> None:
    ledger = session.setting("ledger")
    if ledger is None or not session.folder.writes:
        return
    partition, salt = session.partition, session.folder.salt
    request = partition.request
    # with them the never-trained cases that are meant, so that no later request uses these either
    meant = sorted({case["id"] for case in partition.forget} | partition.spent)
    free_text = {"reference": request.reference, "reason": request.reason}
    asked = {
        **{key: text and redact(text, partition.identifiers, salt) for key, text in free_text.items()},
        "date": request.date,
        "bundle": session.build("bundle"),
        "forget": [] if partition.classes else [hash_identifier(name, salt) for name in meant],
        "classes": list(partition.classes),
        "salt": str((session.folder / "salt.key").resolve()),
    }
    append_event(ledger, {**asked, **event})
    logger.info(f"the ledger '{ledger}' has one line more ({event['event']})")
