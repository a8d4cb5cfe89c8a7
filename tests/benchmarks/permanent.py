"""The permanent grade on real images: does what ``cycle`` forgets stay forgotten when someone trains on?

    python tests/benchmarks/permanent.py isic --data ../shared/data/isic2018 --teacher 'T/seed{seed}/model.pt'
    --oracle 'O/seed{seed}/model.pt'

Runs ``--erasure cycle --scope weights`` on given teachers and oracles, then attacks the result, the oracle and, if
given, a calibrated student: three epochs of retain alone on all weights, and a few forget cases. Finished runs are not
repeated. Adds to ``docs/benchmarks/permanent.json`` and writes ``permanent.md`` from all that is in it.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from monai.utils import set_determinism
from torch import nn
from torch.utils.data import Subset

from monai_unlearn.engines import predict_cases
from monai_unlearn.metrics import case_score
from monai_unlearn.networks import load_weights

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = {"isic": ("isic_unlearn", {"max_cases": 800}), "hippocampus": ("hippocampus_unlearn", {})}
RESULT = ROOT / "docs" / "benchmarks" / "permanent.json"
EPOCHS, STEPS, RATE = 3, (1, 2, 4, 8, 16), 1e-3
SHOWN = 8
"""Forget cases that the few-shot attacker has, at most half of them."""


class Attacker:
    """Fine-tunes networks on a bundle's own cases, by its own loss and batch size, all weights and statistics."""

    def __init__(self, bundle: str, settings: dict[str, Any], output_dir: Path) -> None:
        self.parser = ConfigParser()
        self.parser.read_config(ROOT / "bundles" / f"{bundle}.json")
        for key, value in (settings | {"output_dir": str(output_dir), "ledger": None, "device": "cpu"}).items():
            self.parser[key] = value
        self.parser["partition#forgotten_before"] = []
        build = self.parser.get_parsed_content
        self.loss, self.inferer = build("loss"), build("audit#inferer")
        self.batch_size = build("train#dataloader").batch_size
        tagged = build("erase#dataset")
        self.retain, self.forget = (Subset(tagged, rows) for rows in (tagged.retain_indices, tagged.forget_indices))
        count = min(SHOWN, len(self.forget) // 2)
        self.shown = Subset(self.forget, range(count))
        self.others = Subset(self.forget, range(count, len(self.forget)))
        self.score_of = {"task": build("audit#task"), "activation": build("audit#activation")}

    def network(self, path: Path) -> nn.Module:
        plain = ConfigParser(copy.deepcopy(self.parser["network_def"])).get_parsed_content()
        return load_weights(plain, path)

    def score(self, network: nn.Module, cases: Subset[Any]) -> float:
        batches = predict_cases(network, DataLoader(cases, batch_size=8), inferer=self.inferer, device="cpu")
        return float(torch.cat([case_score(batch.logits, batch.label, **self.score_of) for batch in batches]).mean())

    def relearn(self, network: nn.Module, teacher: float, seed: int) -> dict[str, Any]:
        """Train on retain alone and see how much of the forget cases comes back."""
        set_determinism(seed)
        before = self.score(network, self.forget)
        optimizer, after = torch.optim.AdamW(network.parameters(), lr=RATE), []
        for _ in range(EPOCHS):
            for batch in DataLoader(self.retain, batch_size=self.batch_size, shuffle=True, drop_last=True):
                self.step(network, optimizer, batch)
            after.append(self.score(network, self.forget))
        recovery = (after[-1] - before) / (teacher - before)
        return {"before": before, "after": after, "recovery": recovery}

    def few_shot(self, network: nn.Module, seed: int) -> dict[str, list[float]]:
        """Train on a few forget cases and see how fast they and the others come back."""
        set_determinism(seed)
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
        batch = next(iter(DataLoader(self.shown, batch_size=len(self.shown))))
        curve: dict[str, list[float]] = {"steps": [0], "shown": [], "others": []}
        for step in range(STEPS[-1] + 1):
            if step:
                self.step(network, optimizer, batch)
            if step == 0 or step in STEPS:
                curve["shown"].append(self.score(network, self.shown))
                curve["others"].append(self.score(network, self.others))
        curve["steps"] += list(STEPS)
        return curve

    def step(self, network: nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Any]) -> None:
        network.train()
        optimizer.zero_grad()
        self.loss(self.inferer(batch["image"], network), batch["label"]).backward()
        optimizer.step()


def measure(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    bundle, settings = BUNDLES[name]
    settings = settings | {"dataset_dir": arguments.data, "seed": seed}
    teacher, oracle = (Path(text.format(seed=seed)) for text in (arguments.teacher, arguments.oracle))
    out = Path(arguments.output) / f"{name}{seed}"
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "run",
        "--config_file",
        str(ROOT / f"bundles/{bundle}.json"),
    ]
    command += [
        "--meta_file",
        str(ROOT / "bundles" / ("metadata.json" if name == "isic" else f"metadata/{bundle}.json")),
    ]
    given = {"teacher_checkpoint": teacher, "oracle": oracle, "scope": "weights", "erasure": "cycle", "output_dir": out}
    for key, value in (settings | given).items():
        command += [f"--{key}", str(value)]
    with out.with_suffix(".log").open("w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    audit = json.loads((out / "audit.json").read_text())
    rows: dict[str, Any] = {model: figures(audit, model) for model in ("teacher", "oracle")}
    rows["cycle"] = figures(audit, "student") | {"seconds": audit["cost"]["erase_seconds"]}
    networks = {"oracle": oracle, "cycle": out / "model.pt"}
    calibrated = Path(arguments.calibrate.format(seed=seed)) if arguments.calibrate else None
    if calibrated is not None and (calibrated / "audit.json").exists():
        rows["calibrate"] = figures(json.loads((calibrated / "audit.json").read_text()), "student")
        networks["calibrate"] = calibrated / "model.pt"
    retraining = oracle.parents[1] / "phases.json"
    if retraining.exists():
        rows["oracle"]["seconds"] = json.loads(retraining.read_text())["retraining"]["seconds"]
    attacker = Attacker(bundle, settings, out)
    known = attacker.score(attacker.network(teacher), attacker.forget)
    for model, path in networks.items():
        rows[model]["relearning"] = attacker.relearn(attacker.network(path), known, seed)
        rows[model]["few_shot"] = attacker.few_shot(attacker.network(path), seed)
    return rows


def figures(audit: dict[str, Any], model: str) -> dict[str, Any]:
    scores = {name: audit["models"][model][name]["iou"] for name in ("forget", "retain", "unseen")}
    return {"iou": scores, "auc": audit["membership"][model]["auc"]}


def table(found: dict[str, Any]) -> str:
    lines = [
        "| bundle | seed | | forget IoU | retain IoU | unseen IoU | attack AUC | R | few-shot | s | of retraining |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, rows in sorted(found.items()):
        name, seed = key.rsplit(" ", 1)
        for model in ("teacher", "oracle", "calibrate", "cycle"):
            row = rows.get(model)
            if row is None:
                continue
            cells = [f"{row['iou'][subset]:.3f}" for subset in ("forget", "retain", "unseen")]
            cells.append("–" if row["auc"] is None else f"{row['auc']:.3f}")
            attacked = "relearning" in row
            cells.append(f"{row['relearning']['recovery']:+.2f}" if attacked else "–")
            others = row["few_shot"]["others"] if attacked else []
            cells.append(f"{statistics.mean(others[1:]) - others[0]:+.3f}" if attacked else "–")
            seconds, whole = row.get("seconds"), rows["oracle"].get("seconds")
            cells.append("–" if seconds is None else f"{seconds:.0f}")
            cells.append(f"{seconds / whole:.2f}" if seconds and whole and model != "oracle" else "–")
            lines.append(f"| {name} | {seed} | {model} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", choices=BUNDLES)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True, help="checkpoints, with {seed} in the path")
    parser.add_argument("--oracle", required=True, help="checkpoints, with {seed} in the path")
    parser.add_argument("--calibrate", default=None, help="output folders of calibrated runs, with {seed} in the path")
    parser.add_argument("--output", default="./unlearned/permanent")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        found[f"{arguments.bundle} {seed}"] = measure(arguments.bundle, seed, arguments)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
        RESULT.with_suffix(".md").write_text(table(found))
    print(RESULT.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
