"""Quality on real images of every request that the bundles are made for, seed by seed, against the goals of each.

    python tests/benchmarks/request_quality.py chase --data ../shared/data/chase_db1
    python tests/benchmarks/request_quality.py isic_classification --data ../shared/data/ham10000
    python tests/benchmarks/request_quality.py hippocampus --data ../shared/data/hippocampus

Every row is one ``monai.bundle run``; all rows of a seed share the teacher, and the rows of one request the oracle.
``second`` rows start from the network that the row before released, and say how the cases that were forgotten first do
then. An oracle is one draw of its recipe: where a study asks for several, the others are retrained from other initial
weights on the very same cases, and stand in the table as their mean. Finished runs are not repeated; ``--collect`` runs
none and tables those that are there. Writes ``docs/benchmarks/requests_<bundle>.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset

from monai_unlearn.audit import score_cases
from monai_unlearn.data import TaggedDataset
from monai_unlearn.networks import load_weights

ROOT = Path(__file__).resolve().parents[2]
Audit = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure of an audit and the bound it has to keep: at most, or with ``least`` at least."""

    what: str
    figure: Callable[[Audit], float]
    bound: Callable[[Audit], float]
    least: bool = False

    def judge(self, audit: Audit) -> dict[str, Any]:
        value, bound = self.figure(audit), self.bound(audit)
        return {
            "what": self.what,
            "value": value,
            "bound": bound,
            "holds": value >= bound if self.least else value <= bound,
        }


@dataclass(frozen=True)
class Row:
    """One run: what is asked, from which network it starts, and its goals."""

    settings: dict[str, str]
    goals: list[Goal]
    teacher: str = ""
    oracle: str = ""


@dataclass(frozen=True)
class Study:
    """The rows of a bundle, and by how many oracles those with the shared one are judged."""

    bundle: str
    measure: str
    rows: dict[str, Row] = field(default_factory=dict)
    oracles: int = 1


def of(model: str, subset: str, measure: str) -> Callable[[Audit], float]:
    return lambda audit: float(audit["models"][model][subset][measure])


def kept(subset: str, measure: str, margin: float) -> Goal:
    teacher = of("first teacher", subset, measure)
    return Goal(
        f"{subset} ≥ first teacher − {margin}",
        of("student", subset, measure),
        lambda audit: teacher(audit) - margin,
        least=True,
    )


def near_oracle(measure: str, margin: float) -> Goal:
    student, oracle = of("student", "forget", measure), of("oracle", "forget", measure)
    return Goal(f"|forget − oracle| ≤ {margin}", lambda audit: abs(student(audit) - oracle(audit)), lambda _: margin)


def near_oracles(measure: str, margin: float, count: int) -> Goal:
    student, oracles = of("student", "forget", measure), of("oracles", "forget", measure)
    return Goal(
        f"|forget − mean of {count} oracles| ≤ {margin}",
        lambda audit: abs(student(audit) - oracles(audit)),
        lambda _: margin,
    )


def stays(measure: str, margin: float) -> Goal:
    before, after = of("teacher", "forgotten_before", measure), of("student", "forgotten_before", measure)
    return Goal(
        f"|forgotten first, now − then| ≤ {margin}", lambda audit: abs(after(audit) - before(audit)), lambda _: margin
    )


def at_most(measure: str, bound: float) -> Goal:
    return Goal(f"forget ≤ {bound:.3f}", of("student", "forget", measure), lambda _: bound)


def of_class(model: str, measure: str, place: int) -> Callable[[Audit], float]:
    return lambda audit: float(audit["models"][model]["unseen"][measure][place])


def class_recall(model: str, value: int) -> Callable[[Audit], float]:
    return lambda audit: float(audit["models"][model]["unseen"]["accuracy_per_class"][value])


def other_f1(model: str, value: int) -> Callable[[Audit], float]:
    def mean(audit: Audit) -> float:
        values = audit["models"][model]["unseen"]["f1_per_class"]
        return float(statistics.mean(one for place, one in enumerate(values) if place != value and one is not None))

    return mean


BKL = 2
"""Position of bkl among the seven diagnoses."""

CHASE = Study(
    "chase_unlearn",
    "iou",
    {
        "suppress": Row(
            {"erasure": "suppress"},
            [
                Goal(
                    "forget ≤ 0.5 × teacher",
                    of("student", "forget", "iou"),
                    lambda audit: 0.5 * of("teacher", "forget", "iou")(audit),
                ),
                kept("unseen", "iou", 0.03),
            ],
            oracle="shared",
        ),
        "calibrate": Row(
            {"erasure": "calibrate"}, [near_oracle("iou", 0.03), kept("unseen", "iou", 0.01)], oracle="shared"
        ),
        "second suppress": Row(
            {"erasure": "suppress"}, [stays("iou", 0.03), kept("unseen", "iou", 0.06)], teacher="suppress"
        ),
        "second calibrate": Row(
            {"erasure": "calibrate"}, [stays("iou", 0.03), kept("unseen", "iou", 0.02)], teacher="calibrate"
        ),
    },
)
CLASSIFICATION = Study(
    "isic_classification_unlearn",
    "accuracy",
    {
        "suppress": Row(
            {"erasure": "suppress"},
            [at_most("accuracy", 1 / 7 + 0.15), kept("retain", "accuracy", 0.02), kept("unseen", "accuracy", 0.03)],
            oracle="shared",
        ),
        "calibrate": Row(
            {"erasure": "calibrate"},
            [near_oracles("accuracy", 0.03, 3), near_oracle("accuracy", 0.03), kept("unseen", "accuracy", 0.015)],
            oracle="shared",
        ),
        "class bkl": Row(
            {"request": "{'classes': ['bkl']}"},
            [
                Goal("accuracy on bkl, unseen ≤ 0.05", class_recall("student", BKL), lambda _: 0.05),
                Goal(
                    "macro F1 of the others, unseen ≥ teacher − 0.03",
                    other_f1("student", BKL),
                    lambda audit: other_f1("teacher", BKL)(audit) - 0.03,
                    least=True,
                ),
            ],
            oracle="train",
        ),
        "second suppress": Row(
            {"erasure": "suppress"}, [stays("accuracy", 0.03), kept("unseen", "accuracy", 0.06)], teacher="suppress"
        ),
        "second calibrate": Row(
            {"erasure": "calibrate"}, [stays("accuracy", 0.03), kept("unseen", "accuracy", 0.03)], teacher="calibrate"
        ),
    },
    oracles=3,
)
HIPPOCAMPUS = Study(
    "hippocampus_unlearn",
    "dice",
    {
        "suppress": Row({"erasure": "suppress"}, [at_most("dice", 0.3), kept("unseen", "dice", 0.02)], oracle="shared"),
        "calibrate": Row(
            {"erasure": "calibrate"}, [near_oracle("dice", 0.015), kept("unseen", "dice", 0.01)], oracle="shared"
        ),
        "class posterior": Row(
            {"request": "{'classes': ['posterior']}"},
            [
                Goal("Dice of posterior, unseen ≤ 0.05", of_class("student", "dice_per_class", 1), lambda _: 0.05),
                Goal(
                    "Dice of anterior, unseen ≥ teacher − 0.02",
                    of_class("student", "dice_per_class", 0),
                    lambda audit: of_class("teacher", "dice_per_class", 0)(audit) - 0.02,
                    least=True,
                ),
            ],
        ),
        "second suppress": Row(
            {"erasure": "suppress"}, [stays("dice", 0.03), kept("unseen", "dice", 0.04)], teacher="suppress"
        ),
        "second calibrate": Row(
            {"erasure": "calibrate"}, [stays("dice", 0.03), kept("unseen", "dice", 0.02)], teacher="calibrate"
        ),
    },
)
STUDIES = {"chase": CHASE, "isic_classification": CLASSIFICATION, "hippocampus": HIPPOCAMPUS}


def run_bundle(run_id: str, bundle: str, output_dir: Path, **settings: object) -> None:
    """Run a bundle in a process of its own."""
    command = [sys.executable, "-m", "monai.bundle", "run", run_id]
    command += ["--config_file", str(ROOT / "bundles" / f"{bundle}.json")]
    command += ["--meta_file", str(ROOT / "bundles" / "metadata" / f"{bundle}.json")]
    for key, value in {**settings, "output_dir": output_dir}.items():
        command += [f"--{key}", str(value)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    log = output_dir.with_suffix(f".{run_id}.log")
    log.write_text(finished.stdout + finished.stderr)
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed; see {log}")


def leave(run_id: str, bundle: str, output_dir: Path, **settings: object) -> None:
    """Run nothing: for ``--collect``."""


def measure(study: Study, seed: int, names: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    folder = Path(arguments.output).resolve() / study.bundle / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    common: dict[str, object] = {"dataset_dir": Path(arguments.data).resolve(), "seed": seed}
    common["device"] = arguments.device
    common["tier"] = "none"  # the goals are read off the scores alone
    start_run = leave if arguments.collect else run_bundle
    first, second = folder / "teacher", folder / "oracle"
    start_run("teaching", study.bundle, first, **common)
    teacher = first / "teacher" / "model.pt"
    judged = any(study.rows[name].oracle == "shared" for name in names)
    if judged:
        start_run("retraining", study.bundle, second, **common)
    drawn = [
        other_oracle(study, seed, number, folder, common, start_run)
        for number in range(1, study.oracles if judged else 1)
    ]
    rows: dict[str, Any] = {}
    for name in names:
        row, out = study.rows[name], folder / name.replace(" ", "_")
        start = folder / row.teacher.replace(" ", "_") / "model.pt" if row.teacher else teacher
        settings: dict[str, object] = {**common, **row.settings, "teacher_checkpoint": start}
        if row.oracle:
            settings["oracle"] = second / "oracle" / "model.pt" if row.oracle == "shared" else row.oracle
        start_run("run", study.bundle, out, **settings)
        if arguments.collect and not (out / "audit.json").exists():
            print(f"seed {seed}: {name} has not been run")
            continue
        audit = json.loads((out / "audit.json").read_text())
        audit["models"]["first teacher"] = audit["models"]["teacher"]
        if row.teacher:  # another request halves the never-trained cases otherwise: measured on the same unseen ones
            parser = config_of(study, {**settings, "output_dir": out})
            audit["models"]["first teacher"] = {"unseen": figures_on(parser, "unseen", teacher)}
        if drawn and row.oracle == "shared":
            forgets = [audit["models"]["oracle"]["forget"], *drawn]
            audit["models"]["oracles"] = {
                "forget": {key: statistics.mean(one[key] for one in forgets) for key in (study.measure, "loss")},
                "each": [one[study.measure] for one in forgets],
            }
        rows[name] = summarise(audit, row)
    seconds = json.loads((first / "phases.json").read_text())
    return {"teach_seconds": seconds["teaching"]["seconds"], "rows": rows}


def other_oracle(
    study: Study, seed: int, number: int, folder: Path, common: dict[str, object], start_run: Callable[..., None]
) -> dict[str, Any]:
    """Retrain the oracle of a seed from other initial weights on the same cases; return its figures on forget cases."""
    out, request = folder / f"oracle_{number}", folder / "forget.csv"
    parser = config_of(study, {**common, "output_dir": out})
    ids = [case["id"] for case in parser.get_parsed_content("partition").forget]
    request.write_text("".join(f"{name}\n" for name in ("id", *ids)))
    start_run("retraining", study.bundle, out, **{**common, "seed": 1000 * number + seed, "request": request})
    return figures_on(parser, "forget", out / "oracle" / "model.pt")


def config_of(study: Study, settings: dict[str, object]) -> ConfigParser:
    parser = ConfigParser(ConfigParser.load_config_files(str(ROOT / "bundles" / f"{study.bundle}.json")))
    parser.update({key: str(value) if isinstance(value, Path) else value for key, value in settings.items()})
    return parser


def figures_on(parser: ConfigParser, subset: str, checkpoint: Path) -> dict[str, Any]:
    """Measure a network on a subset of the partition, as the audit does."""
    cases = list(parser.get_parsed_content("partition").subset(subset))
    ids = [case["id"] for case in cases]
    images = Dataset(cases, transform=parser.get_parsed_content("preprocessing"))
    scores = score_cases(
        load_weights(parser.get_parsed_content("audit#network"), checkpoint).to(parser["device"]),
        DataLoader(TaggedDataset(dataset=images, ids=ids, forget_ids=[]), batch_size=parser["audit#batch_size"]),
        loss_function=parser.get_parsed_content("audit#loss_function"),
        inferer=parser.get_parsed_content("audit#inferer"),
        activation=parser["audit#activation"],
        task=parser["audit#task"],
        device=parser["device"],
    )
    return scores.summary(ids)


def summarise(audit: Audit, row: Row) -> dict[str, Any]:
    models = {name: scores for name, scores in audit["models"].items() if scores}
    auc = {name: values["auc"] for name, values in audit["membership"].items() if values}
    extras = {key: audit[key] for key in ("class_request",) if audit.get(key)}
    cost = audit["cost"]["erase_seconds"] + audit["cost"]["restore_seconds"]
    goals = [goal.judge(audit) for goal in row.goals]
    return {"models": models, "auc": auc, "seconds": cost, "goals": goals, **extras}


def table(study: Study, seeds: dict[str, dict[str, Any]]) -> str:
    """Lay out mean ± standard deviation per row, and every goal with its value on each seed."""
    lines = [
        f"| request | network | forget {study.measure} | retain | unseen | attack AUC |",
        "|---|---|---|---|---|---|",
    ]
    names = [name for name in study.rows if any(name in one["rows"] for one in seeds.values())]
    for name in names:
        for model in ("teacher", "oracle", "oracles", "student"):
            found = [
                one["rows"][name] for one in seeds.values() if model in one["rows"].get(name, {}).get("models", ())
            ]
            if not found:
                continue
            cells = [
                spread([(one["models"][model].get(subset) or {}).get(study.measure) for one in found])
                for subset in ("forget", "retain", "unseen")
            ]
            cells.append(spread([one["auc"].get(model) for one in found]))
            shown = f"mean of {study.oracles} oracles" if model == "oracles" else model
            lines.append(f"| {name} | {shown} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| request | goal | {' | '.join(f'seed {seed}' for seed in seeds)} |",
        "|---|---|" + "---|" * len(seeds),
    ]
    for name in names:
        for index, goal in enumerate(study.rows[name].goals):
            judged = [one["rows"][name]["goals"][index] if name in one["rows"] else None for one in seeds.values()]
            cells = [
                f"{one['value']:.3f} {'✓' if one['holds'] else '✗'} ({one['bound']:.3f})" if one else "–"
                for one in judged
            ]
            lines.append(f"| {name} | {goal.what.replace('|', '&#124;')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{statistics.mean(known):.3f}" + (f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", default="./unlearned/request_quality")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=None)
    parser.add_argument("--collect", action="store_true", help="run nothing, table what has been run")
    parser.add_argument("--write", action="store_true", help="write the tables in docs/benchmarks")
    arguments = parser.parse_args()
    study = STUDIES[arguments.study]
    names = arguments.rows or list(study.rows)
    seeds = {str(seed): measure(study, seed, names, arguments) for seed in arguments.seeds}
    print(table(study, seeds))
    if arguments.write:
        folder = ROOT / "docs" / "benchmarks"
        content = {"bundle": study.bundle, "measure": study.measure, "seeds": seeds}
        (folder / f"requests_{arguments.study}.json").write_text(json.dumps(content, indent=2) + "\n")
        (folder / f"requests_{arguments.study}.md").write_text(table(study, seeds))


if __name__ == "__main__":
    main()
