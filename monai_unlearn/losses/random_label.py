"""Random label: each forget case is taught one fixed wrong label."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from monai_unlearn.losses.outcomes import (
    Activation,
    case_mean,
    check_activation,
    label_outcomes,
    log_probabilities,
)
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["RandomLabelTerm", "random_label_loss", "wrong_outcomes"]


def wrong_outcomes(
    outcomes: torch.Tensor, ids: Sequence[str], *, activation: Activation, classes: int, seed: int
) -> torch.Tensor:
    """Draw each case's wrong label; the same id, seed and true label always give the same one.

    Softmax classification: one of the other classes, all alike. Sigmoid classification: random labels are flipped, at
    least one. Segmentation: the case's own mask, shifted round by a random part (a quarter to three quarters) of every
    axis. A shifted mask is as plausible as the true one and has its size; a random class per voxel would teach the mean
    of all classes, and the inverted mask would not be random. An empty mask stays empty: there is nothing to forget.

    Args:
        outcomes: true outcomes as ``label_outcomes`` gives them, shape ``(B, C, *spatial)`` or ``(B, C)`` for sigmoid,
            ``(B, *spatial)`` or ``(B,)`` for softmax.
        ids: the cases' ids, length ``B``.
        activation: ``"sigmoid"`` or ``"softmax"``.
        classes: number of logits ``C``.
        seed: of the draw.

    Returns:
        Wrong outcomes, the shape of ``outcomes``.
    """
    wrong = [
        _wrong_outcome(case, _generator_of(case_id, seed), activation=activation, classes=classes)
        for case, case_id in zip(outcomes, ids, strict=True)
    ]
    return torch.stack(wrong) if wrong else outcomes


def random_label_loss(
    student: torch.Tensor, label: torch.Tensor, ids: Sequence[str], *, activation: Activation, seed: int
) -> torch.Tensor:
    """Cross-entropy of the student with the wrong label of ``wrong_outcomes``, per case.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        label: the true label in any form that ``label_outcomes`` takes.
        ids: the cases' ids, length ``B``.
        activation: ``"sigmoid"`` or ``"softmax"``.
        seed: of the draw.

    Returns:
        One value per case, shape ``(B,)``.
    """
    learnt = log_probabilities(student, activation)
    truth = label_outcomes(label, student, activation)
    wrong = wrong_outcomes(truth, ids, activation=activation, classes=student.shape[1], seed=seed)
    return case_mean(-learnt.gather(1, wrong.unsqueeze(1)).squeeze(1))


class RandomLabelTerm(UnlearningTerm):
    """Erasure by relabelling (amnesiac unlearning: Graves et al., AAAI 2021).

    Args:
        activation: ``"sigmoid"`` for one or more labels, ``"softmax"`` for exclusive classes.
        seed: of the draw; with the case's id it fixes the wrong label for the whole run.
        weight: the paper's λ (weight of its forgetting term), there 3.

    Raises:
        ValueError: if ``activation`` is unknown.
    """

    def __init__(self, *, activation: Activation, seed: int = 0, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        self.activation = check_activation(activation)
        self.seed = seed

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the cross-entropy of every case with its wrong label, shape ``(B,)``."""
        return random_label_loss(cases.student, cases.label, cases.ids, activation=self.activation, seed=self.seed)


def _generator_of(case_id: str, seed: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{case_id}".encode()).digest()  # hash() differs from one process to the next
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _wrong_outcome(
    truth: torch.Tensor, generator: torch.Generator, *, activation: Activation, classes: int
) -> torch.Tensor:
    spatial = truth.shape[1:] if activation == "sigmoid" else truth.shape
    if spatial:
        parts = 0.25 + 0.5 * torch.rand(len(spatial), generator=generator)
        shifts = [round(part * size) for part, size in zip(parts.tolist(), spatial, strict=True)]
        return truth.roll(shifts, dims=list(range(-len(spatial), 0)))
    if activation == "softmax":
        return (truth + int(torch.randint(1, classes, (), generator=generator))) % classes
    flips = torch.rand(classes, generator=generator) < 0.5
    flips[torch.randint(classes, (), generator=generator)] |= not flips.any()
    return truth ^ flips.to(truth.device, truth.dtype)
