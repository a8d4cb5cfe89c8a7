"""One case of a classification, as the report shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_unlearn.visualize.palette import SUBSET_COLORS

__all__ = ["ClassifiedCase"]


@dataclass(frozen=True, kw_only=True)
class ClassifiedCase:
    """A picture and what teacher and student make of it.

    Attributes:
        subset: ``retain``, ``forget``, ``reference`` or ``unseen``.
        name: what may be shown of the case: a short hash, never an identifier.
        image: shape ``(H, W)`` or ``(H, W, 3)``, in ``[0, 1]``.
        truth: index of the true class.
        teacher: the teacher's probability of every class, shape ``(C,)``.
        student: the student's, shape ``(C,)``.

    Raises:
        ValueError: if a shape, a range or the subset is wrong, or a value is not finite.
    """

    subset: str
    name: str
    image: np.ndarray
    truth: int
    teacher: np.ndarray
    student: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn truthfully."""
        if self.subset not in SUBSET_COLORS:
            raise ValueError(f"case {self.name}: subset must be one of {', '.join(SUBSET_COLORS)}, not {self.subset!r}")
        if self.image.ndim != 2 and self.image.shape[2:] != (3,):
            raise ValueError(f"case {self.name}: image must have shape (H, W) or (H, W, 3), not {self.image.shape}")
        if self.teacher.ndim != 1 or self.teacher.shape != self.student.shape:
            raise ValueError(
                f"case {self.name}: the probabilities of teacher and student must have one shape (C,), not "
                f"{self.teacher.shape} and {self.student.shape}"
            )
        if not 0 <= self.truth < len(self.teacher):
            raise ValueError(f"case {self.name}: the class {self.truth} is none of {len(self.teacher)}")
        for part in ("image", "teacher", "student"):
            values = getattr(self, part)
            if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
                raise ValueError(f"case {self.name}: {part} must hold finite values in [0, 1]")
