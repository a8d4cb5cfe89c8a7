"""The run id ``releasing``: the adapter, a checkpoint that loads wherever the old one did, and the certificate."""

from __future__ import annotations

from typing import Any

from monai_unlearn.files import save_tensors, sha256_of, write_whole
from monai_unlearn.networks import has_adapters, merged_state_dict
from monai_unlearn.phases.certify import certify, what_is_answered
from monai_unlearn.phases.demands import record_answer
from monai_unlearn.phases.erase import ADAPTER_FILES, load_student, plan_restore, state_files
from monai_unlearn.phases.session import Plan, Session

__all__ = ["release"]


def release(session: Session) -> None:
    """Write ``model.pt`` (merged weights, plain keys), for the reversible grade ``adapter/``, and the certificate."""
    session.require(plan_restore(session))
    restored = state_files(session, "state/restored")
    released = [f"adapter/{name}" for name in ADAPTER_FILES]
    reversible = session.setting("scope") == "adapters"

    def work() -> dict[str, Any]:
        student = load_student(session, "state/restored")
        state = merged_state_dict(student) if has_adapters(student) else student.state_dict()
        save_tensors(session.folder / "model.pt", {key: value.cpu() for key, value in state.items()})
        if reversible:
            for name, source in zip(released, restored, strict=True):
                write_whole(session.folder / name, (session.folder / source).read_bytes())
        else:  # an adapter of an earlier release does not belong to these weights
            session.folder.discard(released)
        made_from = {phase: session.folder.result(phase)["files"] for phase in ("erasing", "restoring")}
        return {"restored": plan.inputs["restored"], "teacher": plan.inputs["teacher"], **made_from}

    plan = Plan(
        phase="releasing",
        roots=["student"],
        inputs={"restored": [sha256_of(session.folder / name) for name in restored], "teacher": session.teacher_digest},
        files=["model.pt", *(released if reversible else ())],
        alone=True,
    )
    session.run(plan, work)
    session.folder.note("releasing", **what_is_answered(session))
    record_answer(session, adapter=released[0] if reversible else None)
    certify(session)
