"""The one shape of every loss term: what it is given, and one value per case that it gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["TermInputs", "UnlearningTerm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TermInputs:
    """The cases that one term judges: all of the batch's retain cases or all of its forget cases.

    MONAI's metadata is dropped on the way in, since terms need values only.

    Args:
        student: logits of the network that learns, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits of the network as delivered, same shape, without gradient; None if no term uses them.
        label: ground truth as the bundle's own loss takes it, first axis ``B``.
        ids: the cases' ids, length ``B``.
        view: the teacher's answer to another view of each image, mapped back, same shape as ``student``; None if no
            term uses it.

    Raises:
        ValueError: if shapes or lengths disagree, or the teacher's logits carry a gradient.
    """

    student: torch.Tensor
    teacher: torch.Tensor | None
    label: torch.Tensor
    ids: tuple[str, ...]
    view: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("student", "teacher", "label", "view"):
            if isinstance(value := getattr(self, name), torch.Tensor):
                object.__setattr__(self, name, value.as_subclass(torch.Tensor))  # frozen for everyone else
        if self.teacher is not None and self.teacher.shape != self.student.shape:
            raise ValueError(
                f"teacher's logits have shape {tuple(self.teacher.shape)}, student's {tuple(self.student.shape)}."
            )
        if self.teacher is not None and self.teacher.requires_grad:
            raise ValueError("the teacher's logits carry a gradient: run the teacher under torch.no_grad().")
        if not len(self.student) == len(self.label) == len(self.ids):
            raise ValueError(
                f"student, label and ids hold {len(self.student)}, {len(self.label)} and {len(self.ids)} cases."
            )

    @property
    def teacher_logits(self) -> torch.Tensor:
        """The teacher's logits, for a term that cannot do without; a ``ValueError`` if they are missing."""
        if self.teacher is None:
            raise ValueError("this term compares with the teacher, but no teacher logits were given.")
        return self.teacher


class UnlearningTerm(nn.Module):
    """One term of the objective. A subclass gives one *unweighted* value per case; the engine weighs and averages.

    Attributes:
        uses_teacher: whether ``forward`` reads the teacher's logits; if no term does, the teacher need not run.
        uses_view: whether ``forward`` reads the teacher's answer to another view.

    Args:
        weight: the term's factor in the objective, finite and not negative.

    Raises:
        ValueError: if ``weight`` is negative or not finite.
    """

    uses_teacher: bool = False
    uses_view: bool = False

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight of {type(self).__name__} is {weight}; it must be finite and not negative.")
        self.weight = float(weight)

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the term's value for every case, shape ``(B,)``, unweighted."""
        raise NotImplementedError(f"{type(self).__name__} must implement forward(cases) -> Tensor of shape (B,).")
