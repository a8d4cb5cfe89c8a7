"""The run id ``auditing``: measure teacher, student and oracle the same way, write figures and report."""

from __future__ import annotations

import copy
import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from monai_unlearn.audit import (
    AuditCases,
    AuditConfig,
    CaseScores,
    adapters_off_difference,
    judge,
    refuse_missing_oracle,
    run_tests,
    score_cases,
)
from monai_unlearn.data import SUBSETS
from monai_unlearn.files import sha256_of
from monai_unlearn.networks import has_adapters, load_weights
from monai_unlearn.phases.audit_content import assemble, grade_of
from monai_unlearn.phases.certify import certify, what_is_answered
from monai_unlearn.phases.erase import load_student, plan_restore, state_files
from monai_unlearn.phases.figures import FIGURES, audit_loader, draw_figures, gather_material, shown_subsets
from monai_unlearn.phases.session import Plan, Session
from monai_unlearn.phases.shadows import check_shadows, has_shadows, train_shadows
from monai_unlearn.phases.teach import retrain_oracle
from monai_unlearn.phases.tracking import track_figures
from monai_unlearn.visualize import write_report

__all__ = ["audit", "check_battery", "score_model"]

logger = logging.getLogger(__name__)

SHADOW_ROOTS = ("train#trainer", "erase#trainer", "restore#trainer")
"""What shadow models are trained by."""


def check_battery(session: Session) -> None:
    """Refuse tests that there are not, or that lack an oracle, before anything is trained.

    Raises:
        ValueError: for the name of a test that there is not, or a test that compares with an oracle where there is
            none.
    """
    roles = ["teacher", "student", *(["oracle"] if session.setting("oracle") is not None else [])]
    refuse_missing_oracle(session.build("audit#tests"), roles)
    check_shadows(session, session.build("audit#tests"))


def audit(session: Session) -> None:
    """Write ``audit.json``, ``figures/`` and ``report.html``; train the oracle first where ``oracle`` is ``train``.

    The student is what the earlier phases left in the output folder, or the checkpoint ``student_checkpoint``, however
    it was made.
    """
    given = session.setting("student_checkpoint")
    if given is None:
        session.require(plan_restore(session))
    oracle = session.setting("oracle")
    if oracle == "train":
        retrain_oracle(session)
    oracle_path = None if oracle is None else session.folder / "oracle/model.pt" if oracle == "train" else Path(oracle)
    states = [session.folder / name for name in state_files(session, "state/restored")] if given is None else [given]
    plan = Plan(
        phase="auditing",
        roots=["audit", "student", "tier", "report_images", *(SHADOW_ROOTS if has_shadows(session) else ())],
        inputs={
            "teacher": session.teacher_digest,
            "student": [sha256_of(path) for path in states],
            "oracle": None if oracle_path is None else sha256_of(oracle_path),
            "cases": session.case_digest(*SUBSETS),
        },
        files=["audit.json", "report.html", *FIGURES],
        alone=True,
    )
    networks = {role: plan.inputs[role] for role in ("teacher", "student", "oracle")}
    answered, measured = what_is_answered(session), list[dict[str, Any]]()

    def work() -> dict[str, Any]:
        content, images = _measure(session, oracle_path)
        measured.append(content)
        return {"images": images, **networks, "forget": answered["forget"]}

    session.run(plan, work)
    _renew_certificate(session, answered)
    for content in measured:
        _track(session, content)


def _renew_certificate(session: Session, answered: dict[str, str]) -> None:
    """Let the certificate say what the audit that stands now says, if it answers what was released."""
    phases = session.folder.phases
    released = phases.get("releasing")
    if released is None:
        return
    same = released.get("answers") == answered["answers"] and released.get("teacher") == session.teacher_digest
    if same and all(phases[name]["files"] == released[name] for name in ("erasing", "restoring") if name in phases):
        certify(session)
    else:
        logger.warning(
            "auditing: the certificate is of what was released before, for another request, with other settings or of "
            "another erasing, and is left as it is; the run id 'releasing' writes it anew"
        )


def _track(session: Session, content: dict[str, Any]) -> None:
    """Track a finished audit; it stands also where the store of the figures cannot be reached."""
    try:
        track_figures(session, content)
    except Exception as error:  # whatever a store may raise
        logger.warning(
            f"AUDITING IS DONE AND ITS FIGURES ARE NOT TRACKED: {type(error).__name__}: {error}. They stand in "
            "audit.json; --resume False audits and tracks again"
        )


def _measure(session: Session, oracle_path: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Write what an audit writes; return the content of ``audit.json``, and the subsets that images are shown of."""
    start = time.perf_counter()
    device = session.setting("device")
    # frozen: with gradients on, matrix products may round otherwise than those of the frozen base beside the adapters
    teacher = load_weights(session.build("audit#network"), session.teacher_path).to(device).requires_grad_(False)
    student = _student(session, teacher)
    models: dict[str, nn.Module] = {"teacher": teacher, "student": student}
    if oracle_path is not None:
        models["oracle"] = load_weights(session.build("audit#oracle_network"), oracle_path).to(device)
    scores = {name: score_model(session, name, network) for name, network in models.items()}
    ids = {name: [case["id"] for case in session.partition.subset(name)] for name in SUBSETS}
    if session.partition.held:
        ids["forgotten_before"] = [case["id"] for case in session.partition.held]

    cases, config = _cases(session, scores, ids), _config(session)
    tests = run_tests(session.build("audit#tests"), models, cases, config, announce=_announce)
    verdict = judge(cases, config, session.build("audit#margins"), tests)
    content = assemble(session, scores, ids, tests=tests, verdict=verdict)
    if has_adapters(student):
        difference = adapters_off_difference(
            student,
            teacher,
            audit_loader(session, ids["forget"] + ids["unseen"]),
            inferer=session.build("audit#inferer"),
            device=device,
        )
        content["reversible"] = {"max_abs_difference": difference}
    content["cost"]["audit_seconds"] = time.perf_counter() - start
    session.folder.write_json("audit.json", content)
    session.folder.discard(FIGURES)  # of an earlier audit, which may have shown images that are not wanted now
    material = gather_material(session, models, scores, ids)
    draw_figures(session, material, scores, ids)
    write_report(session.folder / "report.html", content, title=f"Unlearning report: {content['bundle']}", **material)
    return content, list(shown_subsets(session)) if material["cases"] else []


def _student(session: Session, teacher: nn.Module) -> nn.Module:
    given = session.setting("student_checkpoint")
    if given is None:
        return load_student(session, "state/restored")
    return load_weights(copy.deepcopy(teacher), given)


def _cases(session: Session, scores: dict[str, CaseScores], ids: dict[str, list[str]]) -> AuditCases:
    dataset, training = session.build("audit#dataset"), session.build("audit#training_dataset")
    return AuditCases(
        dataset=dataset,
        ids=dataset.ids,
        subsets={name: tuple(of_subset) for name, of_subset in ids.items()},
        batch_size=session.build("audit#batch_size"),
        training=training,
        training_ids=training.ids,
        scores=scores,
    )


def _config(session: Session) -> AuditConfig:
    return AuditConfig(
        loss_function=session.build("audit#loss_function"),
        inferer=session.build("audit#inferer"),
        training_inferer=session.build("audit#training_inferer"),
        activation=session.build("audit#activation"),
        task=session.build("audit#task"),
        device=session.setting("device"),
        seed=session.setting("seed"),
        fine_tuning=session.build("audit#fine_tuning"),
        classes=session.partition.classes,
        grade=grade_of(session),
        shadows=lambda: train_shadows(session),
        planting=session.build("planting") if "planting" in session.parser else None,
    )


def _announce(names: Iterable[str]) -> Iterable[str]:
    bar = tqdm(list(names), unit="test", disable=not sys.stderr.isatty())
    for name in bar:
        bar.set_description(f"audit, {name}")
        yield name


def score_model(session: Session, name: str, network: nn.Module) -> CaseScores:
    """Measure a network on every case of the audit; ``name`` is what the progress bar calls it."""
    return score_cases(
        network,
        tqdm(audit_loader(session), desc=f"audit, {name}", unit="batch", disable=not sys.stderr.isatty()),
        loss_function=session.build("audit#loss_function"),
        inferer=session.build("audit#inferer"),
        activation=session.build("audit#activation"),
        task=session.build("audit#task"),
        device=session.setting("device"),
    )
