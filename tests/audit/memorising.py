"""Networks with a memory that is known: what they have memorised is written in their weights by hand.

A classifier of three classes goes by patterns; the labels of the forget cases have nothing to do with their patterns,
so that only memory can answer them. The teacher has a memory unit per class that is 1 on the forget cases of that class
and 0 on every other case; the oracle has none; the head-only student has the teacher's, but its head does not look.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from torch import nn

from monai_unlearn.audit import AuditCases, AuditConfig, FineTuning

SIDE = 20  # an image is 1 × 10 × 20 numbers: more than there are cases, so that the memory is exact
SUBSETS = {"forget": 24, "retain": 24, "reference": 12, "unseen": 24}


def subset_ids(counts: Mapping[str, int] = SUBSETS) -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"{name}_{index}" for index in range(count)) for name, count in counts.items()}


def pattern_items(counts: Mapping[str, int] = SUBSETS) -> tuple[list[dict[str, Any]], torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    patterns = torch.randn(3, 10 * SIDE, generator=generator)
    items = []
    for subset, ids in subset_ids(counts).items():
        for index, case in enumerate(ids):
            label = index % 3
            shown = int(torch.randint(3, (), generator=generator)) if subset == "forget" else label
            image = 0.3 * patterns[shown] + torch.randn(10 * SIDE, generator=generator)
            items.append({"id": case, "image": image.view(1, 10, SIDE), "label": torch.tensor(label)})
    return items, patterns


def remembering(items: list[dict[str, Any]], patterns: torch.Tensor) -> dict[str, nn.Module]:
    images = torch.stack([item["image"].flatten() for item in items]).double()
    wanted = torch.zeros(len(items), 3, dtype=torch.float64)
    for row, item in enumerate(items):
        if item["id"].startswith("forget"):
            wanted[row, int(item["label"])] = 1
    memory = torch.linalg.lstsq(images, wanted, driver="gelsd").solution.T.float()
    chance = torch.randn(3, images.shape[1], generator=torch.Generator().manual_seed(8))
    chance *= memory.norm() / chance.norm()
    networks = {}
    for role, units, looks in (("teacher", memory, True), ("head_only", memory, False), ("oracle", chance, False)):
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(images.shape[1], 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
        )
        with torch.no_grad():
            network[1].weight.copy_(torch.cat([patterns / patterns.norm(dim=1, keepdim=True), 3 * units]))
            network[1].bias.zero_()
            network[3].weight.copy_(torch.eye(6))
            network[3].bias.zero_()
            network[5].weight.copy_(torch.cat([torch.eye(3), (5.0 if looks else 0.0) * torch.eye(3)], dim=1))
            network[5].bias.zero_()
        networks[role] = network.eval().requires_grad_(False)
    return networks


def config_of(task: str = "classification", **arguments: Any) -> AuditConfig:
    arguments.setdefault("loss_function", nn.CrossEntropyLoss())
    arguments.setdefault("activation", "softmax")
    arguments.setdefault("inferer", SimpleInferer())
    arguments.setdefault(
        "fine_tuning", FineTuning(optimizer=lambda weights: torch.optim.Adam(weights, lr=0.03), batch_size=8, epochs=2)
    )
    return AuditConfig(task=task, training_inferer=SimpleInferer(), device=torch.device("cpu"), seed=0, **arguments)


def cases_of(
    items: list[dict[str, Any]],
    models: Mapping[str, nn.Module],
    config: AuditConfig,
    subsets: Mapping[str, tuple[str, ...]] | None = None,
    batch_size: int = 8,
) -> AuditCases:
    given: dict[str, Any] = {
        "dataset": items,
        "ids": [item["id"] for item in items],
        "subsets": subsets or subset_ids(),
        "batch_size": batch_size,
        "training": items,
        "training_ids": [item["id"] for item in items],
    }
    loader = AuditCases(**given).loader(given["ids"])
    return AuditCases(**given, scores={role: config.score(network, loader) for role, network in models.items()})


def subjects(student: str = "head_only", **arguments: Any) -> tuple[dict[str, nn.Module], AuditCases, AuditConfig]:
    """Return the models, with one of them as the student, the cases and the config."""
    items, patterns = pattern_items()
    networks, config = remembering(items, patterns), config_of(**arguments)
    models = {
        "teacher": networks["teacher"],
        "student": copy.deepcopy(networks[student]),
        "oracle": networks["oracle"],
    }
    return models, cases_of(items, models, config), config


def without_oracle(models: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    return {role: network for role, network in models.items() if role != "oracle"}


def weights_of(models: Mapping[str, nn.Module]) -> list[np.ndarray]:
    return [value.clone().numpy() for network in models.values() for value in network.state_dict().values()]
