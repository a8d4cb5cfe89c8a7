"""Calibrated erasure: pull each forget case to the loss of the reference case of equal rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from monai_unlearn.losses.supervised import LossFunction, SupervisedTerm
from monai_unlearn.losses.term import TermInputs

__all__ = ["CalibratedErasureTerm", "calibrated_loss", "match_reference_quantiles"]

Distance = Literal["absolute", "squared", "smooth"]
SMOOTH_WITHIN = 0.1  # supervised losses are of order 1: smooth L1's usual bend at 1 would make all of it quadratic


def match_reference_quantiles(
    forget_losses: torch.Tensor, reference_losses: torch.Tensor, *, peer_losses: torch.Tensor | None = None
) -> torch.Tensor:
    """Give each forget case the reference loss of the same rank.

    The forget case of rank i (0 is the smallest loss; ties rank in the order given) gets the reference losses' quantile
    at ``(i + 0.5) / F``. The reference case of rank j stands at ``(j + 0.5) / U``, and between two of them the quantile
    is interpolated (Hyndman and Fan 1996, definition 5; NumPy's ``hazen``): with ``F = U`` each target is one
    reference case's loss.

    Ranked among themselves, the forget cases are taken to be as hard, together, as the reference cases are. With
    ``peer_losses`` they are ranked among all that the teacher was trained on, at ``(i + 0.5) / (F + P)``: forget cases
    that are harder than other training cases then get the losses of the harder reference cases.

    Args:
        forget_losses: teacher's loss per forget case, shape ``(F,)``.
        reference_losses: teacher's loss per reference case, shape ``(U,)``, on the same scale.
        peer_losses: the teacher's loss per other training case, shape ``(P,)``, measured as ``forget_losses`` are.

    Returns:
        Targets of shape ``(F,)``; the order of the forget cases is kept.

    Raises:
        ValueError: if a set is empty (``peer_losses`` may be) or holds a value that is not finite.
    """
    peers = forget_losses.new_empty(0) if peer_losses is None else peer_losses
    sets = {"forget_losses": forget_losses, "reference_losses": reference_losses, "peer_losses": peers}
    for name, losses in sets.items():
        if losses.ndim != 1 or (not len(losses) and name != "peer_losses"):
            raise ValueError(f"{name} must hold one loss per case, at least one; its shape is {tuple(losses.shape)}.")
        if not losses.isfinite().all():
            broken = (~losses.isfinite()).nonzero().flatten().tolist()
            raise ValueError(f"{name} is not finite at positions {broken}: check these cases' images and labels.")
    trained = torch.cat([forget_losses.detach(), peers.detach().to(forget_losses)])
    count, last = len(trained), len(reference_losses) - 1
    ranked = reference_losses.detach().double().sort().values
    levels = (torch.arange(count, dtype=torch.float64, device=ranked.device) + 0.5) / count
    places = (levels * len(ranked) - 0.5).clamp(0, last)
    below = places.floor().long()
    quantiles = torch.lerp(ranked[below], ranked[(below + 1).clamp(max=last)], places - below)
    targets = torch.empty_like(quantiles)
    targets[trained.argsort(stable=True).to(ranked.device)] = quantiles
    return targets[: len(forget_losses)].to(forget_losses)


def calibrated_loss(losses: torch.Tensor, targets: torch.Tensor, *, distance: Distance) -> torch.Tensor:
    """Two-sided distance of each case's loss l from its target t.

    ``"absolute"``: ``|l - t|``; ``"squared"``: ``(l - t)²``; ``"smooth"``: ``(l - t)² / 0.2`` within 0.1 of the target,
    ``|l - t| - 0.05`` beyond.

    Args:
        losses: the student's loss per case, shape ``(B,)``.
        targets: shape ``(B,)``.
        distance: one of the three.

    Returns:
        One value per case, shape ``(B,)``.

    Raises:
        ValueError: if ``distance`` is unknown.
    """
    if _check_distance(distance) == "absolute":
        return F.l1_loss(losses, targets, reduction="none")
    if distance == "squared":
        return F.mse_loss(losses, targets, reduction="none")
    return F.smooth_l1_loss(losses, targets, reduction="none", beta=SMOOTH_WITHIN)


class CalibratedErasureTerm(SupervisedTerm):
    """Erasure by *calibrate*: each forget case ends where a never-trained case of equal rank lies, not beyond.

    The targets are set once by `fit`, from losses under the teacher. They are not part of ``state_dict``, because what
    is written to disk may not hold ids: call `fit` again in a new process.

    Args:
        loss_function: the loss of (logits, label) that targets and students are measured by.
        distance: ``"absolute"``, ``"squared"`` or ``"smooth"``; see `calibrated_loss`.
        weight: the paper's λ (weight of its forgetting term), there 3.

    Raises:
        ValueError: if ``distance`` is unknown.
    """

    def __init__(
        self,
        *,
        loss_function: LossFunction,
        distance: Distance = "absolute",
        weight: float = 1.0,
    ) -> None:
        super().__init__(loss_function=loss_function, weight=weight)
        self.distance = _check_distance(distance)
        self._targets: dict[str, float] = {}

    def fit(self, forget_ids: Sequence[str], forget_losses: torch.Tensor, reference_losses: torch.Tensor) -> None:
        """Set every forget case's target by `match_reference_quantiles`, in place of any earlier ones.

        Args:
            forget_ids: ids of the forget cases, each once, length ``F``.
            forget_losses: teacher's loss per forget case, shape ``(F,)``.
            reference_losses: teacher's loss per reference case, shape ``(U,)``.

        Raises:
            ValueError: if ids and losses differ in number, an id comes twice, or losses are empty or not finite.
        """
        if len(forget_ids) != len(forget_losses):
            raise ValueError(f"{len(forget_ids)} forget_ids but {len(forget_losses)} forget_losses.")
        if twice := [case_id for case_id, count in Counter(forget_ids).items() if count > 1]:
            raise ValueError(f"forget_ids holds {', '.join(map(repr, twice))} more than once.")
        targets = match_reference_quantiles(forget_losses, reference_losses)
        self._targets = dict(zip(forget_ids, targets.tolist(), strict=True))

    def target_of(self, ids: Sequence[str]) -> torch.Tensor:
        """Return the targets of these cases, shape ``(B,)``, float64 on the CPU.

        Raises:
            ValueError: if `fit` was not called or a case has no target.
        """
        if not self._targets:
            raise ValueError("CalibratedErasureTerm has no targets yet: call fit(forget_ids, …) before training.")
        if missing := [case_id for case_id in ids if case_id not in self._targets]:
            raise ValueError(f"no target for {', '.join(map(repr, missing))}: fit was given other forget cases.")
        return torch.tensor([self._targets[case_id] for case_id in ids], dtype=torch.float64)

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the distance of every case's loss from its target, shape ``(B,)``."""
        losses = super().forward(cases)
        return calibrated_loss(losses, self.target_of(cases.ids).to(losses), distance=self.distance)


def _check_distance(distance: Distance) -> Distance:
    if distance not in get_args(Distance):
        raise ValueError(f"distance is {distance!r}; allowed are {', '.join(map(repr, get_args(Distance)))}.")
    return distance
