"""The run id ``auditing``: measure teacher, student and oracle the same way, write figures and report."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import Any

import monai
import numpy as np
import peft
import torch
from monai.data import DataLoader
from torch import nn
from torch.utils.data import Subset
from tqdm import tqdm

import monai_unlearn
from monai_unlearn.audit import CaseScores, adapters_off_difference, loss_attack, score_cases
from monai_unlearn.data import SUBSETS, hash_identifier
from monai_unlearn.files import sha256_of
from monai_unlearn.handlers import read_history
from monai_unlearn.networks import has_adapters, load_weights
from monai_unlearn.phases.erase import load_student, state_files
from monai_unlearn.phases.session import Session
from monai_unlearn.phases.teach import retrain_oracle
from monai_unlearn.visualize import (
    ComparisonRow,
    draw_case_losses,
    draw_comparison,
    draw_loss_attack,
    draw_loss_curves,
    save_figure,
    write_report,
)

__all__ = ["audit"]

FIGURES = ("comparison", "loss_curves", "case_losses", "loss_attack")
SHOWN_CASES = 3


def audit(session: Session) -> None:
    """Write ``audit.json``, ``figures/`` and ``report.html``; train the oracle first where ``oracle`` is ``train``."""
    session.folder.result("restoring")
    oracle = session.setting("oracle")
    if oracle == "train":
        retrain_oracle(session)
    oracle_path = None if oracle is None else session.folder / "oracle/model.pt" if oracle == "train" else Path(oracle)
    session.run(
        "auditing",
        roots=["audit", "student", "loss"],
        inputs={
            "teacher": session.teacher_digest,
            "student": [sha256_of(session.folder / name) for name in state_files(session, "state/restored")],
            "oracle": None if oracle_path is None else load_digest(oracle_path),
            "cases": session.case_digest(*SUBSETS),
        },
        files=["audit.json", "report.html", *(f"figures/{name}.png" for name in FIGURES)],
        work=lambda: _measure(session, oracle_path),
    )


def load_digest(path: Path) -> str:
    """SHA-256 of a checkpoint that a user names."""
    if not path.is_file():
        raise FileNotFoundError(
            f"cannot find the oracle '{path}'; 'oracle' is none, train, or the path of a checkpoint"
        )
    return sha256_of(path)


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

    content = _assemble(session, scores, ids)
    if has_adapters(student):
        difference = adapters_off_difference(
            student,
            teacher,
            _loader(session, ids["forget"] + ids["unseen"]),
            inferer=session.build("audit#inferer"),
            device=device,
        )
        content["reversible"] = {"max_abs_difference": difference}
    content["cost"]["audit_seconds"] = time.perf_counter() - start
    session.folder.write_json("audit.json", content)
    figures = _draw(session, models, scores, ids)
    write_report(session.folder / "report.html", content, figures, title=f"Unlearning report: {content['bundle']}")
    return {}


def _loader(session: Session, ids: list[str] | None = None) -> DataLoader:
    dataset = session.build("audit#dataset")
    if ids is not None:
        position = {name: index for index, name in enumerate(dataset.ids)}
        dataset = Subset(dataset, [position[name] for name in ids])
    return DataLoader(dataset, batch_size=session.build("audit#batch_size"))


def _score(session: Session, name: str, network: nn.Module) -> CaseScores:
    return score_cases(
        network,
        tqdm(_loader(session), desc=f"audit, {name}", unit="batch", disable=not sys.stderr.isatty()),
        loss_function=session.build("loss"),
        inferer=session.build("audit#inferer"),
        activation=session.build("audit#activation"),
        device=session.setting("device"),
    )


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
        "settings": {key: session.setting(key) for key in ("scope", "erasure", "rank", "image_size", "max_cases")},
        "data": {"name": partition.name, "synthetic": partition.synthetic, **partition.counts()},
        "models": {
            "oracle": None,
            **{
                name: {subset: of_model.summary(ids[subset]) for subset in SUBSETS} for name, of_model in scores.items()
            },
        },
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


def _draw(
    session: Session, models: dict[str, nn.Module], scores: dict[str, CaseScores], ids: dict[str, list[str]]
) -> dict[str, Path]:
    figures = {
        "comparison": draw_comparison(_comparison_rows(session, models, ids), synthetic=session.partition.synthetic),
        "loss_curves": draw_loss_curves(_losses_of(session)),
        "case_losses": draw_case_losses(
            **{
                f"{subset}_{model}": scores[model].of(ids[subset], "loss")
                for subset in ("forget", "unseen")
                for model in ("teacher", "student")
            }
        ),
        "loss_attack": draw_loss_attack(
            {
                name: (of_model.of(ids["forget"], "loss"), of_model.of(ids["unseen"], "loss"))
                for name, of_model in scores.items()
            }
        ),
    }
    return {name: save_figure(figure, session.folder / f"figures/{name}.png") for name, figure in figures.items()}


def _losses_of(session: Session) -> list[dict[str, Any]]:
    terms = {"loss", *session.parser["erase#retention"], *session.parser["erase#erasures"][session.setting("erasure")]}
    return [row for row in read_history(session.folder / "metrics.csv") if row["name"] in terms]


def _comparison_rows(session: Session, models: dict[str, nn.Module], ids: dict[str, list[str]]) -> list[ComparisonRow]:
    shown = [(subset, name) for subset in ("retain", "forget") for name in ids[subset][:SHOWN_CASES]]
    batch = next(iter(DataLoader(_loader(session, [name for _, name in shown]).dataset, batch_size=len(shown))))
    device, inferer = session.setting("device"), session.build("audit#inferer")
    image = torch.as_tensor(batch["image"])
    probability = {}
    for name in ("teacher", "student"):
        models[name].eval()
        with torch.no_grad():
            probability[name] = inferer(image.to(device), models[name]).sigmoid().cpu().numpy()[:, 0]
    low, high = session.build("audit#intensity_range")
    pictures = ((image - low) / (high - low)).clamp(0, 1).movedim(1, -1).numpy()
    return [
        ComparisonRow(
            subset=subset,
            name=hash_identifier(name, session.folder.salt)[:8],
            image=pictures[index],
            truth=np.asarray(batch["label"][index, 0]) > 0.5,
            teacher=probability["teacher"][index],
            student=probability["student"][index],
        )
        for index, (subset, name) in enumerate(shown)
    ]
