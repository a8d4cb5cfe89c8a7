"""The run ids ``erasing`` and ``restoring``."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from monai_unlearn.files import save_tensors, sha256_of
from monai_unlearn.networks import has_adapters, load_adapter, load_weights, remove_adapters, save_adapter
from monai_unlearn.phases.demands import record_demand
from monai_unlearn.phases.session import Plan, Session, peak_memory_bytes
from monai_unlearn.phases.training import run_trainer

__all__ = ["erase", "load_student", "plan_erase", "plan_restore", "restore", "state_files"]

logger = logging.getLogger(__name__)

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")


def state_files(session: Session, folder: str) -> list[str]:
    """Name the files that hold a student's state in a folder: an adapter, or at scope ``weights`` all weights."""
    names = ADAPTER_FILES if session.setting("scope") == "adapters" else ("model.pt",)
    return [f"{folder}/{name}" for name in names]


def plan_erase(session: Session) -> Plan:
    """Say what the erase phase depends on."""
    return Plan(
        phase="erasing",
        roots=["erase#trainer", "student"],
        inputs={
            "teacher": session.teacher_digest,
            "cases": session.case_digest("forget", "retain", "reference", "held"),
        },
        files=[*state_files(session, "state/erased"), "partition.json"],
    )


def plan_restore(session: Session) -> Plan:
    """Say what the restore phase depends on; the erase phase has to stand."""
    session.require(plan_erase(session))
    return Plan(
        phase="restoring",
        roots=["restore#trainer", "student"],
        inputs={
            "erased": [sha256_of(session.folder / name) for name in state_files(session, "state/erased")],
            "cases": session.case_digest("retain"),
        },
        files=state_files(session, "state/restored"),
    )


def erase(session: Session) -> None:
    """Phase 1: learn to forget, against the teacher."""

    def work() -> dict[str, Any]:
        session.write_partition()
        record_demand(session)
        return _train(session, "erase", "state/erased")

    session.run(plan_erase(session), work)


def restore(session: Session) -> None:
    """Phase 2: a gentle, head-only supervised refinement on retain."""

    def work() -> dict[str, Any]:
        student = load_student(session, "state/erased")
        if reason := session.nothing_to_restore_on:
            logger.info(f"restoring: {reason}, so the head is left as it is")
            _save(session, student, "state/restored")
            return {"epochs": 0, "trainable_parameters": 0, "peak_rss_bytes": peak_memory_bytes()}
        return _train(session, "restore", "state/restored")

    session.run(plan_restore(session), work)


def load_student(session: Session, folder: str) -> nn.Module:
    """Give the config's student the state that a phase left in a folder; return it."""
    student: nn.Module = session.build("student")
    if has_adapters(student):
        return load_adapter(remove_adapters(student), session.folder / folder).to(session.setting("device"))
    return load_weights(student, session.folder / folder / "model.pt")


def _train(session: Session, phase: str, folder: str) -> dict[str, Any]:
    trainer = session.build(f"{phase}#trainer")
    trained = sum(parameter.numel() for group in trainer.optimizer.param_groups for parameter in group["params"])
    before = run_trainer(session, trainer, handlers=session.build(f"{phase}#handlers"))
    _save(session, session.build("student"), folder)
    return {
        "epochs": trainer.state.epoch,
        "trainable_parameters": trained,
        "peak_rss_bytes": peak_memory_bytes(),
        "seconds_before": before,
    }


def _save(session: Session, student: nn.Module, folder: str) -> None:
    if not session.folder.writes:
        return
    if has_adapters(student):
        save_adapter(student, session.folder / folder)
    else:
        save_tensors(session.folder / folder / "model.pt", student.state_dict())
