"""Why calibrate compares a classifier's cases by class, among all training cases, and moves the answers it teaches.

    python tests/benchmarks/class_views.py --data ../shared/data/ham10000

reads the teachers and oracles that ``request_quality.py isic_classification`` left (by default in
``./unlearned/request_quality``) and writes ``docs/benchmarks/class_views.json`` and ``.md``. Accuracies, all of them:
of the teacher on reference, training and forget cases, of the oracles on forget cases, and of the answers that the
student is taught on these.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.engines import MirrorView, mirror_views, predict_cases
from monai_unlearn.engines.view_losses import ViewLosses, match_views
from monai_unlearn.losses import answers_at_losses, choose_views
from monai_unlearn.networks import load_weights

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = "isic_classification_unlearn"
ITSELF = MirrorView(axes=())
VIEWS = mirror_views(2)
LOSS = nn.CrossEntropyLoss()


@dataclass(frozen=True)
class Answers:
    """Logits of shape ``(N, V, C)`` and the true classes, shape ``(N,)``."""

    logits: torch.Tensor
    truth: torch.Tensor

    @property
    def accuracy(self) -> float:
        return float((self.logits.argmax(-1) == self.truth[:, None]).float().mean())

    @property
    def losses(self) -> torch.Tensor:
        return nn.functional.cross_entropy(
            self.logits.transpose(1, 2), self.truth[:, None].expand(self.logits.shape[:2]), reduction="none"
        )

    def views(self, *, by_class: bool) -> ViewLosses:
        names = tuple(map(str, range(len(self.truth))))
        return ViewLosses(ids=names, losses=self.losses, classes=self.truth if by_class else self.truth * 0)


def ask(network: nn.Module, dataset: Dataset[Any], *views: MirrorView) -> Answers:
    """Ask a network about some views of all cases."""
    columns = []
    for view in views:
        batches = predict_cases(
            network,
            DataLoader(dataset, batch_size=64),
            inferer=lambda images, network, view=view: network(view.apply(images)),
            device="cpu",
        )
        logits, truth = zip(*((batch.logits, batch.label) for batch in batches), strict=True)
        columns.append(torch.cat(logits))
    return Answers(torch.stack(columns, dim=1), torch.cat(truth).flatten().long())


def compare(arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    parser = ConfigParser()
    parser.read_config(ROOT / "bundles" / f"{BUNDLE}.json")
    folder = Path(arguments.runs).resolve() / BUNDLE / f"seed{seed}"
    parser.update({"dataset_dir": arguments.data, "seed": seed, "device": "cpu", "output_dir": str(folder / "views")})
    forget_set, retain_set, reference_set = (
        parser.get_parsed_content(f"{name}_dataset") for name in ("forget", "retain", "reference")
    )
    teacher = load_weights(parser.get_parsed_content("audit#network"), folder / "teacher/teacher/model.pt")
    never, itself = ask(teacher, reference_set, *VIEWS), ask(teacher, reference_set, ITSELF)
    forget, retain = ask(teacher, forget_set, *VIEWS), ask(teacher, retain_set, *VIEWS)
    oracle = parser.get_parsed_content("audit#oracle_network")
    paths = sorted(folder.glob("oracle*/oracle/model.pt"))
    oracles = [ask(load_weights(oracle, path), forget_set, ITSELF).accuracy for path in paths]

    own = match_views(forget.views(by_class=False), itself.views(by_class=False))
    both = Answers(torch.cat([itself.logits, never.logits], dim=1), never.truth)
    among = match_views(forget.views(by_class=True), both.views(by_class=True), retain.views(by_class=True))
    rows = torch.arange(len(forget.truth))
    as_it_is = forget.logits[rows, choose_views(forget.losses, own)]
    chosen = forget.logits[rows, choose_views(forget.losses, among)]
    moved = answers_at_losses(chosen, forget.truth, among, loss_function=LOSS)
    trained = Answers(torch.cat([forget.logits, retain.logits]), torch.cat([forget.truth, retain.truth]))
    return {
        "teacher, reference image itself": itself.accuracy,
        "teacher, one view of it": never.accuracy,
        "teacher, mean of its views": Answers(never.logits.mean(dim=1, keepdim=True), never.truth).accuracy,
        "teacher, one view of a training image": trained.accuracy,
        "teacher, one view of a forget image": forget.accuracy,
        f"mean of {len(oracles)} oracles, forget image itself": sum(oracles) / len(oracles),
        "taught: ranks among forget cases": Answers(as_it_is[:, None], forget.truth).accuracy,
        "taught: ranks among all of the class": Answers(chosen[:, None], forget.truth).accuracy,
        "taught: the same, moved to the target": Answers(moved[:, None], forget.truth).accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", default="./unlearned/request_quality")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    seeds = {seed: compare(arguments, seed) for seed in arguments.seeds}
    names = list(seeds[arguments.seeds[0]])
    lines = [f"| accuracy | {' | '.join(f'seed {seed}' for seed in seeds)} |", "|---|" + "---|" * len(seeds)]
    lines += [f"| {name} | {' | '.join(f'{row[name]:.3f}' for row in seeds.values())} |" for name in names]
    folder = ROOT / "docs" / "benchmarks"
    (folder / "class_views.json").write_text(json.dumps(seeds, indent=2) + "\n")
    (folder / "class_views.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
