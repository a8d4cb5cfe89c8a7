"""A student, a dataset and terms that are small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import DataLoader
from torch import nn

from monai_unlearn.engines import UnlearningTrainer, erase_parameters
from monai_unlearn.losses import TermInputs, UnlearningTerm
from monai_unlearn.networks import LoraInjection, lora_parameters

SIZE = 6


def plain_network(seed: int = 0) -> nn.Module:
    """A network with batch normalisation whose running statistics are not those of a fresh one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=1.0), nn.ReLU(), nn.Conv2d(4, 1, 1)
        )
        network(torch.randn(8, 1, SIZE, SIZE))
        network[1].momentum = 0.1
    # frozen: torch may round a product with weights that require gradients otherwise than one with frozen weights
    return network.eval().requires_grad_(False)


def adapted_student(*, learned: float = 0.0, seed: int = 0) -> nn.Module:
    """The plain network with adapters, by default of an untouched zero B, that learn."""
    injection = LoraInjection(rank=2, alpha=4, dropout=0.0, example_input=torch.zeros(1, 1, SIZE, SIZE), seed=1)
    student = injection(plain_network(seed))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for parameter in lora_parameters(student):
            parameter.add_(learned * torch.randn_like(parameter))
    return student


def cases(count: int, *, forget: int) -> list[dict[str, Any]]:
    """Cases of which the first ``forget`` are to be forgotten."""
    generator = torch.Generator().manual_seed(3)
    return [
        {
            "image": torch.randn(1, SIZE, SIZE, generator=generator),
            "label": (torch.rand(1, SIZE, SIZE, generator=generator) > 0.5).float(),
            "id": f"case_{index}",
            "forget": index < forget,
        }
        for index in range(count)
    ]


def trainer_of(student: nn.Module, items: list[dict[str, Any]], **arguments: Any) -> UnlearningTrainer:
    """One epoch over the items in their order, with a learning rate that moves things, unless told otherwise."""
    arguments.setdefault("retention", {"gap": SquaredGap(), "height": Height(weight=0.5)})
    arguments.setdefault("erasure", {"depth": Depth(weight=0.25)})
    if "optimizer" not in arguments:
        arguments["optimizer"] = torch.optim.SGD(erase_parameters(student), lr=0.1)
    return UnlearningTrainer(
        device="cpu",
        network=student,
        train_data_loader=DataLoader(items, batch_size=arguments.pop("batch_size", 4)),
        max_epochs=arguments.pop("max_epochs", 1),
        decollate=arguments.pop("decollate", False),
        **arguments,
    )


class Height(UnlearningTerm):
    """Mean logit."""

    def forward(self, cases: TermInputs) -> torch.Tensor:
        return cases.student.flatten(1).mean(1)


class Depth(UnlearningTerm):
    """Squared distance of every logit from -1."""

    def forward(self, cases: TermInputs) -> torch.Tensor:
        return (cases.student + 1).square().flatten(1).mean(1)


class SquaredGap(UnlearningTerm):
    """Squared distance of every logit from the teacher's logit less one, so that it pulls from the first step on."""

    uses_teacher = True

    def forward(self, cases: TermInputs) -> torch.Tensor:
        return (cases.student - cases.teacher_logits + 1).square().flatten(1).mean(1)


class Recorder(UnlearningTerm):
    """Keep what it is given; a term without effect, but with a gradient."""

    uses_teacher = True

    def __init__(self, *, uses_teacher: bool = True) -> None:
        super().__init__(weight=0.0)
        self.uses_teacher = uses_teacher
        self.seen: list[TermInputs] = []

    def forward(self, cases: TermInputs) -> torch.Tensor:
        self.seen.append(cases)
        return cases.student.flatten(1).mean(1)
