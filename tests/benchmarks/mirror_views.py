"""Why calibrate asks the teacher about mirror images: how well they foretell the oracle on the forget cases.

    python tests/benchmarks/mirror_views.py --data ../shared/data/isic2018

reads the teachers and oracles that ``isic_quality.py`` left (by default in ``./unlearned/isic_quality``) and writes
``docs/benchmarks/mirror_views.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from scipy.stats import spearmanr
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.engines import MirrorView, mirror_views, predict_cases
from monai_unlearn.losses import case_losses
from monai_unlearn.metrics import case_overlap
from monai_unlearn.networks import load_weights

ROOT = Path(__file__).resolve().parents[2]
ITSELF = MirrorView(axes=())


def measure(
    parser: ConfigParser, network: nn.Module, dataset: Dataset[Any], view: MirrorView
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and IoU of every case by way of a view."""
    loss, ious, losses = parser.get_parsed_content("loss"), [], []
    for batch in predict_cases(
        network,
        DataLoader(dataset, batch_size=32),
        inferer=lambda images, network: view.invert(network(view.apply(images))),
        device="cpu",
    ):
        losses.append(case_losses(loss, batch.logits, batch.label))
        ious.append(case_overlap(batch.logits, batch.label, activation="sigmoid")["iou"][:, 0])
    return torch.cat(losses).numpy(), torch.cat(ious).numpy()


def compare(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    parser = ConfigParser()
    parser.read_config(ROOT / "bundles" / "isic_unlearn.json")
    settings = {"dataset_dir": arguments.data, "max_cases": arguments.max_cases, "seed": seed, "device": "cpu"}
    parser.update(settings)
    folder = Path(arguments.runs) / f"seed{seed}" / "teacher"
    teacher = load_weights(parser.get_parsed_content("audit#network"), folder / "teacher/model.pt")
    oracle = load_weights(parser.get_parsed_content("audit#oracle_network"), folder / "oracle/model.pt")
    row: dict[str, Any] = {}
    for name in ("forget", "reference"):
        dataset = parser.get_parsed_content(f"{name}_dataset")
        recalled_loss, recalled_iou = measure(parser, teacher, dataset, ITSELF)
        views = [measure(parser, teacher, dataset, view) for view in mirror_views(2)]
        view_loss, view_iou = (np.mean([view[part] for view in views], axis=0) for part in (0, 1))
        oracle_loss, oracle_iou = measure(parser, oracle, dataset, ITSELF)
        row[name] = {
            "teacher_iou": float(recalled_iou.mean()),
            "mirrored_iou": float(view_iou.mean()),
            "oracle_iou": float(oracle_iou.mean()),
            "rank_correlation_teacher": float(spearmanr(recalled_loss, oracle_loss).statistic),
            "rank_correlation_mirrored": float(spearmanr(view_loss, oracle_loss).statistic),
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", default="./unlearned/isic_quality")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-cases", type=int, default=800)
    arguments = parser.parse_args()
    seeds = {seed: compare(arguments, seed) for seed in arguments.seeds}
    lines = [
        "| cases | seed | IoU: teacher | mirrored | oracle | correlation with the oracle: teacher | mirrored |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("forget", "reference"):
        for seed, row in seeds.items():
            lines.append(f"| {name} | {seed} | " + " | ".join(f"{value:.3f}" for value in row[name].values()) + " |")
    folder = ROOT / "docs" / "benchmarks"
    (folder / "mirror_views.json").write_text(json.dumps(seeds, indent=2) + "\n")
    (folder / "mirror_views.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
