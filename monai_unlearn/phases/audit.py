"""The run id ``auditing``: measure teacher, student and oracle the same way, write figures and report."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import Any

import monai
import peft
import torch
from torch import nn
from tqdm import tqdm

import monai_unlearn
from monai_unlearn.audit import CaseScores, ClassScores, adapters_off_difference, loss_attack, score_cases
from monai_unlearn.data import SUBSETS
from monai_unlearn.files import sha256_of
from monai_unlearn.metrics import remaining_total_variation
from monai_unlearn.networks import has_adapters, load_weights
from monai_unlearn.phases.erase import load_student, plan_restore, state_files
from monai_unlearn.phases.figures import FIGURES, audit_loader, draw_figures
from monai_unlearn.phases.session import Plan, Session
from monai_unlearn.phases.teach import retrain_oracle
from monai_unlearn.visualize import write_report

__all__ = ["audit"]


def audit(session: Session) -> None:
    """Write ``audit.json``, ``figures/`` and ``report.html``; train the oracle first where ``oracle`` is ``train``."""
    session.require(plan_restore(session))
    oracle = session.setting("oracle")
    if oracle == "train":
        retrain_oracle(session)
    oracle_path = None if oracle is None else session.folder / "oracle/model.pt" if oracle == "train" else Path(oracle)
    plan = Plan(
        phase="auditing",
        roots=["audit", "student"],
        inputs={
            "teacher": session.teacher_digest,
            "student": [sha256_of(session.folder / name) for name in state_files(session, "state/restored")],
            "oracle": None if oracle_path is None else sha256_of(oracle_path),
            "cases": session.case_digest(*SUBSETS),
        },
        files=["audit.json", "report.html", *FIGURES],
        alone=True,
    )
    session.run(plan, lambda: _measure(session, oracle_path))


def _measure(session: Session, oracle_path: Path | None) -> dict[str, Any]:
    start = time.perf_counter()
    device = session.setting("device")
    student = load_student(session, "state/restored")
    # frozen: with gradients on, matrix products may round otherwise than those of the frozen base beside the adapters
    teacher = load_weights(session.build("audit#network"), session.teacher_path).to(device).requires_grad_(False)
    models: dict[str, nn.Module] = {"teacher": teacher, "student": student}
    if oracle_path is not None:
        models["oracle"] = load_weights(session.build("audit#oracle_network"), oracle_path).to(device)
    scores = {name: _score(session, name, network) for name, network in models.items()}
    ids = {name: [case["id"] for case in session.partition.subset(name)] for name in SUBSETS}
    if session.partition.held:
        ids["forgotten_before"] = [case["id"] for case in session.partition.held]

    content = _assemble(session, scores, ids)
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
    figures = draw_figures(session, models, scores, ids)
    write_report(session.folder / "report.html", content, figures, title=f"Unlearning report: {content['bundle']}")
    return {}


def _score(session: Session, name: str, network: nn.Module) -> CaseScores:
    return score_cases(
        network,
        tqdm(audit_loader(session), desc=f"audit, {name}", unit="batch", disable=not sys.stderr.isatty()),
        loss_function=session.build("audit#loss_function"),
        inferer=session.build("audit#inferer"),
        activation=session.build("audit#activation"),
        task=session.build("audit#task"),
        device=session.setting("device"),
    )


def _of_class_request(
    scores: dict[str, CaseScores], ids: dict[str, list[str]], classes: tuple[int, ...]
) -> dict[str, Any] | None:
    """Compare student and oracle on cases of unlearned classes: do they spread them alike over the other classes?"""
    student, oracle = scores["student"], scores.get("oracle")
    if not classes or not isinstance(student, ClassScores) or not isinstance(oracle, ClassScores):
        return None
    if student.probabilities.shape[1] - len(classes) < 2:  # one class that is left is a certainty
        return None
    distances = {}
    for subset in ("forget", "unseen"):
        rows = [row for row in student.rows(ids[subset]) if student.truth[row] in classes]
        found = [one.probabilities[rows] for one in (student, oracle)]
        distances[subset] = float(remaining_total_variation(*found, removed=classes).mean()) if rows else None
    return {"total_variation_to_oracle": distances}


def _summary(scores: CaseScores, ids: list[str], classes: tuple[int, ...]) -> dict[str, Any]:
    """Summarise some cases; the macro F1 of a classifier leaves out what was to be unlearned, before as after."""
    return scores.summary(ids, without=classes) if isinstance(scores, ClassScores) else scores.summary(ids)


def _assemble(session: Session, scores: dict[str, CaseScores], ids: dict[str, list[str]]) -> dict[str, Any]:
    phases, partition = session.folder.phases, session.partition
    membership = {
        name: loss_attack(of_model, forget=ids["forget"], unseen=ids["unseen"]) for name, of_model in scores.items()
    }
    adapters = session.setting("scope") == "adapters"
    erased = session.folder.result("erasing")
    return {
        "schema": 1,
        "bundle": session.build("bundle"),
        "seed": session.setting("seed"),
        "device": str(session.setting("device")),
        "settings": {
            **{key: session.parser.get(key) for key in ("scope", "rank", "image_size", "max_cases")},
            "erasure": session.erasure,
        },
        "request": {"classes": list(partition.classes), "named": partition.named, "random": partition.random},
        "data": {
            **{"name": partition.name, "synthetic": partition.synthetic, "split_drawn": partition.split_drawn},
            **partition.counts(),
            "task": session.build("audit#task"),
            "softmax": session.build("audit#activation") == "softmax",
            "class_names": session.build("audit#class_names"),
        },
        "models": {
            "oracle": None,
            **{
                name: {
                    subset: _summary(of_model, cases, partition.classes) if cases else None
                    for subset, cases in ids.items()
                }
                for name, of_model in scores.items()
            },
        },
        "class_request": _of_class_request(scores, ids, partition.classes),
        "membership": {"oracle": None, **membership},
        "relearning": {"student": None, "oracle": None},
        "grade": "reversible" if adapters else "permanent",
        "reversible": None,
        "cost": {
            "teach_seconds": phases.get("teaching", {}).get("seconds")
            if session.setting("teacher_checkpoint") is None
            else None,
            "retrain_seconds": phases.get("retraining", {}).get("seconds")
            if session.setting("oracle") == "train"
            else None,
            "erase_seconds": erased["seconds"],
            "restore_seconds": session.folder.result("restoring")["seconds"],
            "audit_seconds": None,
            "peak_rss_bytes": erased["peak_rss_bytes"],
            "trainable_parameters": erased["trainable_parameters"],
            "total_parameters": session.parameters,
        },
        "versions": {
            "monai_unlearn": monai_unlearn.__version__,
            "monai": monai.__version__,
            "torch": torch.__version__,
            "peft": peft.__version__,
            "python": platform.python_version(),
        },
    }
