"""Quality and cost on real ISIC images: teacher, oracle, suppress, calibrate and the published procedure, seed by seed.

    python tests/benchmarks/isic_quality.py --data ../shared/data/isic2018 --published
    ../shared/reference/published_procedure.py

Every row comes from ``monai.bundle run`` on the same teacher and lists; one process at a time, so that the times
compare. Finished runs are not repeated. Writes ``docs/benchmarks/isic_quality.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.data import SUBSETS, isic_datalists, make_partition
from monai_unlearn.handlers import read_history

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "isic_unlearn.json"
ERASURES = ("suppress", "calibrate")


def run(command: list[str], log: Path) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    log.write_text(finished.stdout + finished.stderr)
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log}")
    return finished.stdout


def run_bundle(run_id: str, output_dir: Path, arguments: argparse.Namespace, seed: int, **settings: object) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(BUNDLE)]
    settings |= {"dataset_dir": arguments.data, "max_cases": arguments.max_cases}
    settings |= {"seed": seed, "output_dir": output_dir, "tier": "none"}  # what is told apart here are the scores
    for key, value in settings.items():
        command += [f"--{key}", str(value)]
    run(command, output_dir.with_suffix(".log"))


def published(folder: Path, teacher: Path, arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Run the published procedure on the same teacher and lists; ``unseen`` is our unseen half."""
    result = folder / "published.json"
    if not result.exists():
        partition = make_partition(
            isic_datalists(arguments.data, seed=seed),
            0.1,
            group_by="lesion_id",
            max_cases=arguments.max_cases,
            seed=seed,
        )
        for name in ("forget", "retain", "unseen"):
            (folder / f"{name}.txt").write_text("\n".join(case["id"] for case in partition.subset(name)))
        parser = ConfigParser()
        parser.read_config(BUNDLE)
        (folder / "network.json").write_text(json.dumps(parser["network_def"]))
        command = [sys.executable, arguments.published, "--data", arguments.data, "--teacher", str(teacher)]
        command += ["--network", str(folder / "network.json"), "--size", "128", "--seed", str(seed)]
        for name in ("forget", "retain", "unseen"):
            command += [f"--{name}", str(folder / f"{name}.txt")]
        result.write_text(run(command, folder / "published.log").strip().splitlines()[-1])
    return dict(json.loads(result.read_text()))


def measure(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    folder = Path(arguments.output) / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    teacher, oracle = folder / "teacher/teacher/model.pt", folder / "teacher/oracle/model.pt"
    run_bundle("teaching", folder / "teacher", arguments, seed)
    run_bundle("retraining", folder / "teacher", arguments, seed)
    rows: dict[str, Any] = {}
    for erasure in ERASURES:
        out = folder / erasure
        run_bundle("run", out, arguments, seed, erasure=erasure, teacher_checkpoint=teacher, oracle=oracle)
        audit = json.loads((out / "audit.json").read_text())
        history = read_history(out / "metrics.csv")
        epochs = [row["value"] for row in history if row["name"] == "seconds" and row["phase"] == "erase"]
        rows[erasure] = figures(audit, "student") | {
            "seconds_per_epoch": statistics.median(epochs),
            "epochs": len(epochs),
            "seconds": audit["cost"]["erase_seconds"] + audit["cost"]["restore_seconds"],
            "adapters_off_difference": audit["reversible"]["max_abs_difference"],
        }
        rows["teacher"], rows["oracle"] = figures(audit, "teacher"), figures(audit, "oracle")
    for name in ("teaching", "retraining"):
        phases = json.loads((folder / "teacher/phases.json").read_text())
        rows["teacher" if name == "teaching" else "oracle"]["seconds"] = phases[name]["seconds"]
    theirs = published(folder, teacher, arguments, seed)
    rows["published"] = {
        "iou": theirs["student_iou"],
        "seconds_per_epoch": theirs["epoch_seconds_median"],
        "epochs": theirs["epochs"],
        "seconds": theirs["epoch_seconds_median"] * theirs["epochs"],
        "teacher_iou": theirs["teacher_iou"],
    }
    return rows


def figures(audit: dict[str, Any], model: str) -> dict[str, Any]:
    scores = audit["models"][model]
    return {"iou": {name: scores[name]["iou"] for name in SUBSETS}, "auc": audit["membership"][model]["auc"]}


def table(seeds: dict[int, dict[str, Any]]) -> str:
    def cell(values: list[float | None]) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return "–"
        mean = f"{statistics.mean(known):.3f}"
        return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.3f}"

    lines = [
        "| | seeds | forget IoU | retain IoU | unseen IoU | attack AUC | s per epoch | s in all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in ("teacher", "oracle", "published", *ERASURES):
        rows = [of_seed[model] for of_seed in seeds.values() if model in of_seed]
        cells = [cell([row["iou"].get(name) for row in rows]) for name in ("forget", "retain", "unseen")]
        cells.append(cell([row.get("auc") for row in rows]))
        for key in ("seconds_per_epoch", "seconds"):
            known = [row[key] for row in rows if key in row]
            cells.append(f"{statistics.mean(known):.1f}" if known else "–")
        lines.append(f"| {model} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--published", required=True)
    parser.add_argument("--output", default="./unlearned/isic_quality")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-cases", type=int, default=800)
    arguments = parser.parse_args()
    seeds = {seed: measure(seed, arguments) for seed in arguments.seeds}
    folder = ROOT / "docs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"max_cases": arguments.max_cases, "seeds": seeds}
    (folder / "isic_quality.json").write_text(json.dumps(content, indent=2) + "\n")
    (folder / "isic_quality.md").write_text(table(seeds))
    print(table(seeds))


if __name__ == "__main__":
    main()
