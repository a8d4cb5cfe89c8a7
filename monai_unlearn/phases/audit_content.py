"""What ``audit.json`` holds, from a session and the figures of its networks."""

from __future__ import annotations

import platform
from typing import Any

import monai
import peft
import torch

import monai_unlearn
from monai_unlearn.audit import CaseScores, ClassScores, loss_attack
from monai_unlearn.metrics import remaining_total_variation
from monai_unlearn.phases.session import Session

__all__ = ["assemble", "grade_of", "grade_of_scope", "oracle_recipe", "summarise", "versions"]


def assemble(
    session: Session,
    scores: dict[str, CaseScores],
    ids: dict[str, list[str]],
    *,
    tests: dict[str, Any],
    verdict: dict[str, Any],
) -> dict[str, Any]:
    """Put together what the audit found, with where it comes from and what it cost.

    Args:
        session: the session.
        scores: figures of each model.
        ids: ids of the cases by subset.
        tests: what :func:`monai_unlearn.audit.run_tests` returned.
        verdict: what :func:`monai_unlearn.audit.judge` returned.
    """
    phases, partition = session.folder.phases, session.partition
    membership = {
        name: loss_attack(of_model, forget=ids["forget"], unseen=ids["unseen"]) for name, of_model in scores.items()
    }
    foreign = session.setting("student_checkpoint") is not None
    erased = {} if foreign else session.folder.result("erasing")
    restored = {} if foreign else session.folder.result("restoring")
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
                    subset: summarise(of_model, cases, partition.classes) if cases else None
                    for subset, cases in ids.items()
                }
                for name, of_model in scores.items()
            },
        },
        "class_request": _of_class_request(scores, ids, partition.classes),
        "membership": {"oracle": None, **membership},
        "relearning": _relearning(tests),
        "tier": session.setting("tier"),
        "tests": tests,
        "verdict": verdict,
        "oracle_recipe": oracle_recipe(session) if "oracle" in scores else None,
        "grade": grade_of(session),
        "reversible": None,
        "cost": {
            "teach_seconds": phases.get("teaching", {}).get("seconds")
            if session.setting("teacher_checkpoint") is None
            else None,
            "retrain_seconds": phases.get("retraining", {}).get("seconds")
            if session.setting("oracle") == "train"
            else None,
            "erase_seconds": erased.get("seconds"),
            "restore_seconds": restored.get("seconds"),
            "audit_seconds": None,
            "peak_rss_bytes": erased.get("peak_rss_bytes"),
            "trainable_parameters": erased.get("trainable_parameters"),
            "total_parameters": session.parameters,
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Say with which versions of what a result was made."""
    return {
        "monai_unlearn": monai_unlearn.__version__,
        "monai": monai.__version__,
        "torch": torch.__version__,
        "peft": peft.__version__,
        "python": platform.python_version(),
    }


def grade_of(session: Session) -> str | None:
    """Name the grade of what the student is; ``None`` for a student that was not made here."""
    if session.setting("student_checkpoint") is not None:
        return None
    return grade_of_scope(session)


def grade_of_scope(session: Session) -> str:
    """Name the grade of what is made at the session's scope."""
    return "reversible" if session.setting("scope") == "adapters" else "permanent"


def _relearning(tests: dict[str, Any]) -> dict[str, Any]:
    """Sum up retain-only relearning: the measure on forget before and after it, and the share that came back."""
    found = tests.get("retain_relearning", {}).get("figures", {}).get("recovery")
    if found is None or not found["series"]:
        return {"student": None, "oracle": None}
    shares = {"student": found["value"], "oracle": found["oracle"]}
    return {
        "oracle": None,
        **{
            model: {"before": curve[0], "after": curve[-1], "recovery": shares[model]}
            for model, curve in found["series"].items()
        },
    }


def oracle_recipe(session: Session) -> str:
    """Say whether the oracle was trained by the teacher's own recipe, or that is only assumed."""
    ours = session.setting("teacher_checkpoint") is None and session.setting("oracle") == "train"
    return "the teacher's own" if ours else "assumed to be the teacher's"


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


def summarise(scores: CaseScores, ids: list[str], classes: tuple[int, ...]) -> dict[str, Any]:
    """Summarise some cases; the macro F1 of a classifier leaves out what was to be unlearned, before as after."""
    return scores.summary(ids, without=classes) if isinstance(scores, ClassScores) else scores.summary(ids)
