"""Every standard test runs on every kind of network and request, and what it says can be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn

from monai_unlearn.audit import (
    AuditCases,
    AuditConfig,
    FineTuning,
    Margins,
    judge,
    run_tests,
    standard_tests,
)
from tests.audit.planted import ids_of

COUNTS = {"forget": 11, "retain": 12, "reference": 11, "unseen": 11}


def segmenting(dimensions: int, channels: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layer = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    return nn.Sequential(layer(1, 4, 3, padding=1), nn.ReLU(), layer(4, channels, 1))


def classifying(dimensions: int, channels: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, channels))


def cross_entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, label[:, 0].long() if label.ndim == logits.ndim else label)


KINDS: dict[str, dict[str, Any]] = {
    "2-D, one label": {"dimensions": 2, "channels": 1},
    "2-D, labels that overlap": {"dimensions": 2, "channels": 3},
    "2-D, images of all sizes": {"dimensions": 2, "channels": 1, "sizes": (6, 9)},
    "3-D, exclusive classes": {"dimensions": 3, "channels": 3, "activation": "softmax"},
    "3-D, a class to unlearn": {"dimensions": 3, "channels": 3, "activation": "softmax", "classes": (2,)},
    "a classification": {"channels": 4, "activation": "softmax", "task": "classification"},
    "a classification, a class to unlearn": {
        "channels": 4,
        "activation": "softmax",
        "task": "classification",
        "classes": (1,),
    },
}


def items(kind: dict[str, Any]) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    dimensions, channels, sizes = kind.get("dimensions", 2), kind["channels"], kind.get("sizes", (6,))
    made = []
    for index, case in enumerate(case for ids in ids_of(COUNTS).values() for case in ids):
        shape = (sizes[index % len(sizes)],) * dimensions
        image = torch.randn(1, *shape)
        if kind.get("task") == "classification":
            label: Any = 1 if case.startswith("forget") and "classes" in kind else index % channels
        elif kind.get("activation") == "softmax":
            label = torch.randint(0, channels, (1, *shape))
        else:
            label = (torch.rand(channels, *shape) > 0.6).float()
        made.append({"image": image, "label": label, "id": case})
    return made


@pytest.mark.parametrize("with_oracle", [True, False], ids=["oracle", "no oracle"])
@pytest.mark.parametrize("name", KINDS)
def test_all_tests_run_and_their_figures_can_be_written(name, with_oracle):
    kind = KINDS[name]
    data, softmax = items(kind), kind.get("activation") == "softmax"
    make = classifying if kind.get("task") == "classification" else segmenting
    models = {
        role: make(kind.get("dimensions", 2), kind["channels"], seed).requires_grad_(False)
        for seed, role in enumerate(("teacher", "student", "oracle") if with_oracle else ("teacher", "student"))
    }
    one_by_one = len(kind.get("sizes", ())) > 1
    config = AuditConfig(
        loss_function=cross_entropy if softmax else nn.BCEWithLogitsLoss(),
        inferer=SimpleInferer(),
        training_inferer=SimpleInferer(),
        activation=kind.get("activation", "sigmoid"),
        task=kind.get("task", "segmentation"),
        device=torch.device("cpu"),
        seed=0,
        fine_tuning=FineTuning(
            optimizer=lambda values: torch.optim.SGD(values, lr=0.1), batch_size=1 if one_by_one else 6, epochs=1
        ),
        classes=kind.get("classes", ()),
    )
    ids = [item["id"] for item in data]
    arguments: dict[str, Any] = {
        "dataset": data,
        "ids": ids,
        "subsets": ids_of(COUNTS),
        "batch_size": 1 if one_by_one else 8,
        "training": data[:23],
        "training_ids": ids[:23],
    }
    bare = AuditCases(**arguments)
    cases = AuditCases(**arguments, scores={role: config.score(one, bare.loader(ids)) for role, one in models.items()})
    before = {role: {key: value.clone() for key, value in one.state_dict().items()} for role, one in models.items()}

    tests = run_tests(standard_tests(1 if with_oracle else 0), models, cases, config)
    verdict = judge(cases, config, Margins(), tests)

    content = json.loads(json.dumps({"tests": tests, "verdict": verdict}, allow_nan=False))
    for test, found in content["tests"].items():
        assert found["figures"], test
        for figure, finding in found["figures"].items():
            assert finding["value"] is not None or finding["reason"], (test, figure)
            assert finding["sentence"].endswith("."), (test, figure)
            assert finding["forgotten"], (test, figure)
    for role, weights in before.items():
        assert all(torch.equal(value, weights[key]) for key, value in models[role].state_dict().items()), role
