"""Networks of which it is known what they remember, and figures that are drawn as one likes.

Labels are discs with a fixed random part of their pixels flipped: nobody can predict the flips, so a network that has
them right has seen the case. A small fully connected network learns them by heart in a second.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from torch import nn

from monai_unlearn.audit import AuditCases, AuditConfig, CaseScores, FineTuning, score_cases

SIZE = 8
COUNTS = {"forget": 24, "retain": 68, "reference": 24, "unseen": 24}
LOSS = nn.BCEWithLogitsLoss()


def audit_config(**changes: Any) -> AuditConfig:
    return AuditConfig(
        **{
            "loss_function": LOSS,
            "inferer": SimpleInferer(),
            "training_inferer": SimpleInferer(),
            "activation": "sigmoid",
            "task": "segmentation",
            "device": torch.device("cpu"),
            "seed": 0,
            "fine_tuning": FineTuning(
                optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
                batch_size=COUNTS["retain"] // 4,
                epochs=5,
            ),
            **changes,
        }
    )


def ids_of(counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"{name}_{index}" for index in range(count)) for name, count in counts.items()}


def drawn_cases(
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]], *, signals: tuple[str, ...] = (), **arguments: Any
) -> AuditCases:
    """Cases of which only figures are known: by model, subset and name of the figure, one value per case."""
    any_model = next(iter(figures.values()))
    subsets = ids_of({name: len(next(iter(values.values()))) for name, values in any_model.items()})
    subsets = {name: subsets.get(name, ()) for name in COUNTS}
    ids = [case for of_subset in subsets.values() for case in of_subset]
    scores = {}
    for model, of_model in figures.items():
        names = list(next(iter(of_model.values())))
        joined = {
            name: np.concatenate([np.asarray(of_model[one][name], float) for one in subsets if one in of_model])
            for name in names
        }
        scores[model] = CaseScores(
            ids=tuple(ids),
            figures={name: values for name, values in joined.items() if name not in signals},
            per_class={},
            signals={name: values for name, values in joined.items() if name in signals},
        )
    return AuditCases(
        **{
            "dataset": [],
            "ids": ids,
            "subsets": subsets,
            "batch_size": 4,
            "training": [],
            "training_ids": [],
            "scores": scores,
            **arguments,
        }
    )


def roles(cases: AuditCases) -> dict[str, nn.Module]:
    """Stand-ins for the networks of cases whose figures are drawn: their names are all that is read."""
    return {name: nn.Identity() for name in cases.scores}


@cache
def items() -> tuple[dict[str, Any], ...]:
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    made = []
    for ids in ids_of(COUNTS).values():
        for case in ids:
            centre, radius = torch.rand(2, generator=generator) * 3 + 2, torch.rand(1, generator=generator) + 1.8
            disc = (torch.hypot(y - centre[0], x - centre[1]) < radius).float()[None]
            noise = torch.randn(1, SIZE, SIZE, generator=generator)
            flipped = (torch.rand(1, SIZE, SIZE, generator=generator) < 0.15).float()
            made.append({"image": disc * 2 - 1 + 0.7 * noise, "label": (disc + flipped) % 2, "id": case})
    return tuple(made)


def batch_of(*subsets: str) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = [item for item in items() if item["id"].rsplit("_", 1)[0] in subsets]
    return tuple(torch.stack([item[key] for item in chosen]) for key in ("image", "label"))


def untrained(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pixels = SIZE * SIZE
        return nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, 192), nn.ReLU(), nn.Linear(192, pixels), nn.Unflatten(1, (1, SIZE, SIZE))
        )


def trained(network: nn.Module, image: torch.Tensor, label: torch.Tensor, *, steps: int = 120) -> nn.Module:
    optimizer = torch.optim.Adam([value for value in network.parameters() if value.requires_grad], lr=4e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        LOSS(network(image), label).backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


@cache
def teacher() -> nn.Module:
    return trained(untrained(0), *batch_of("forget", "retain"))


@cache
def oracle(seed: int = 1) -> nn.Module:
    return trained(untrained(seed), *batch_of("retain"))


@cache
def suppressed() -> nn.Module:
    """The teacher with another head: it says nothing on the forget cases and is as before on the others."""
    student = copy.deepcopy(teacher())
    student[3].requires_grad_(True)
    (forget, label), (retain, kept) = batch_of("forget"), batch_of("retain")
    return trained(student, torch.cat([forget, retain]), torch.cat([torch.zeros_like(label), kept]), steps=60)


class Noisy(nn.Module):
    """A network whose output is blurred by noise, as if that were forgetting."""

    def __init__(self, network: nn.Module, strength: float) -> None:
        super().__init__()
        self.network, self.strength = network, strength

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.network(image)
        generator = torch.Generator().manual_seed(0)
        return logits + self.strength * torch.randn(logits.shape, generator=generator)


def planted_cases(models: Mapping[str, nn.Module], counts: Mapping[str, int] = COUNTS) -> AuditCases:
    """The cases with the scores of some networks, on as many cases of every subset as one likes."""
    config, everything = audit_config(), list(items())
    loader = torch.utils.data.DataLoader(everything, batch_size=70)
    scores = {
        name: score_cases(
            network, loader, loss_function=LOSS, inferer=config.inferer, activation="sigmoid", device="cpu"
        )
        for name, network in models.items()
    }
    ids = [item["id"] for item in everything]
    training = [item for item in everything if item["id"].startswith(("forget", "retain"))]
    return AuditCases(
        dataset=everything,
        ids=ids,
        subsets=ids_of(counts),
        batch_size=70,
        training=training,
        training_ids=[item["id"] for item in training],
        scores=scores,
    )
