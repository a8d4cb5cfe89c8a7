"""Every figure of the audit on real images: teacher, published procedure, suppress, calibrate, cycle, oracle.

    python tests/benchmarks/audit_table.py isic --data ../shared/data/isic2018 --write
    python tests/benchmarks/audit_table.py hippocampus --data ../shared/data/hippocampus --write

Every row is one ``monai.bundle run`` on the same teacher and oracle of its seed. The teacher and the oracle are audited
as if they were the student: the audit has to say *not forgotten* of the one and *forgotten* of the other. ``published``
has the terms and values of the published procedure (``bundles/profiles/paper.json`` without its network and size).
Finished runs are not repeated. Writes ``docs/benchmarks/audit_<study>.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "isic": ("isic_unlearn", {"max_cases": 800}),
    "hippocampus": ("hippocampus_unlearn", {}),
}
"""Bundle and settings of each study."""
ROWS = ("teacher", "published", "suppress", "calibrate", "cycle", "oracle")
NETWORK = ("image_size", "network_def")
"""What the profile of the paper says of the network, which is the bundle's own here."""


def run(run_id: str, output_dir: Path, arguments: argparse.Namespace, **settings: Any) -> None:
    """Run a bundle in a process of its own; further settings come from a second config file, so that null counts."""
    bundle, common = STUDIES[arguments.study]
    output_dir.mkdir(parents=True, exist_ok=True)
    overlay = output_dir / "settings.json"
    overlay.write_text(
        json.dumps({**common, "dataset_dir": str(arguments.data), "output_dir": str(output_dir), **settings}, indent=2)
    )
    files = [str(ROOT / "bundles" / f"{bundle}.json"), str(overlay)]
    metadata = ROOT / "bundles" / "metadata" / f"{bundle}.json"
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(files)]
    command += ["--meta_file", str(metadata if metadata.exists() else ROOT / "bundles" / "metadata.json")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    (output_dir / "terminal.log").write_text(finished.stdout + finished.stderr)
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed; see {output_dir / 'terminal.log'}")


def published_values() -> dict[str, Any]:
    """Return the values of the published procedure, whatever the network."""
    profile = json.loads((ROOT / "bundles" / "profiles" / "paper.json").read_text())
    return {key: value for key, value in profile.items() if key not in NETWORK}


def settings_of(row: str, teacher: Path, oracle: Path) -> tuple[str, dict[str, Any]]:
    """Return the run id and the settings of a row."""
    if row in ("teacher", "oracle"):
        return "auditing", {"student_checkpoint": str(teacher if row == "teacher" else oracle)}
    if row == "published":
        return "run", published_values()
    return "run", {"erasure": row, **({"scope": "weights"} if row == "cycle" else {})}


def measure(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing of a seed and return the audit of every row, and the seconds of the oracle."""
    folder = Path(arguments.output) / f"seed{seed}"
    teacher, oracle = (folder / name / name / "model.pt" for name in ("teacher", "oracle"))
    for run_id, path in (("teaching", teacher), ("retraining", oracle)):
        if not path.exists():
            run(run_id, path.parents[1], arguments, seed=seed)
    audits = {}
    for row in arguments.rows:
        out = folder / f"audit_{row}"
        if not (out / "audit.json").exists():
            run_id, settings = settings_of(row, teacher, oracle)
            settings |= {"teacher_checkpoint": str(teacher), "oracle": str(oracle)}
            run(run_id, out, arguments, seed=seed, tier=arguments.tier, **settings)
        audits[row] = json.loads((out / "audit.json").read_text())
    phases = folder / "oracle" / "phases.json"
    retraining = json.loads(phases.read_text()).get("retraining", {}) if phases.exists() else {}
    return {"audits": audits, "retrain_seconds": retraining.get("seconds")}


def figures(audit: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield every figure of the student, by a name that a reader of the table understands."""
    for subset in ("forget", "retain", "unseen"):
        for name in ("iou", "dice", "accuracy"):
            if name in audit["models"]["student"][subset]:
                yield f"{name} on {subset}", audit["models"]["student"][subset][name]
    yield "attack AUC", audit["membership"]["student"]["auc"]
    for test, result in audit["tests"].items():
        for name, found in result["figures"].items():
            yield f"{test}: {name}", found["value"]
    cost = audit["cost"]
    if cost["erase_seconds"] is not None:
        yield "seconds of erasing and restoring", cost["erase_seconds"] + cost["restore_seconds"]


def table(seeds: dict[int, dict[str, Any]], rows: list[str]) -> str:
    """Lay out the means over the seeds, with their standard deviations, one figure a line."""
    by_row = {row: [dict(figures(seed["audits"][row])) for seed in seeds.values()] for row in rows}
    names = list(dict.fromkeys(name for found in by_row.values() for one in found for name in one))
    lines = ["| figure | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    verdicts = {
        row: ", ".join(dict.fromkeys(_verdict(seed["audits"][row]["verdict"]) for seed in seeds.values()))
        for row in rows
    }
    lines.append("| verdict | " + " | ".join(verdicts[row] for row in rows) + " |")
    for name in names:
        lines.append(f"| {name} | " + " | ".join(_cell([one.get(name) for one in by_row[row]]) for row in rows) + " |")
    return "\n".join(lines) + "\n"


def _verdict(verdict: dict[str, Any]) -> str:
    return verdict["outcome"] + (" (hidden)" if verdict["hidden"] else "")


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean = f"{statistics.mean(known):.3f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.3f}"


def main() -> None:
    """Measure, print and with ``--write`` keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", default=None, help="where the runs go (default ./unlearned/audit_<study>)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--tier", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/audit_<study>.{json,md}")
    arguments = parser.parse_args()
    arguments.output = arguments.output or f"./unlearned/audit_{arguments.study}"
    seeds = {seed: measure(seed, arguments) for seed in arguments.seeds}
    print(text := table(seeds, arguments.rows))
    if arguments.write:
        folder = ROOT / "docs" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"audit_{arguments.study}.json").write_text(json.dumps(seeds, indent=1) + "\n")
        (folder / f"audit_{arguments.study}.md").write_text(text)


if __name__ == "__main__":
    main()
