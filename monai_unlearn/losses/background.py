"""Background erasure: forget cases are pushed to background, most where the teacher sees foreground."""

from __future__ import annotations

import math

import torch

from monai_unlearn.losses.outcomes import Activation, case_mean, check_activation, log_probabilities
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["BackgroundTerm", "background_loss"]


def background_loss(
    student: torch.Tensor,
    teacher: torch.Tensor | None = None,
    *,
    activation: Activation,
    tau: float = 0.5,
    boost: float = 1.0,
    background: int = 0,
) -> torch.Tensor:
    """Weighted cross-entropy towards background, per case: ``Σ w · (-log p(background)) / Σ w``.

    ``w = boost`` where the teacher's foreground probability exceeds ``tau``, else 1. With sigmoid, background is the
    absence of each label; with softmax it is the class ``background`` and the foreground probability is that of all
    others together. Dividing by ``Σ w`` keeps the scale: ``boost`` moves the weight from background to foreground.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits, same shape; needed only if ``boost`` is not 1.
        activation: ``"sigmoid"`` or ``"softmax"``.
        tau: confidence above which the teacher's foreground is boosted, in ``[0, 1)``.
        boost: weight of these elements, at least 0.
        background: the background class of softmax logits.

    Returns:
        One value per case, shape ``(B,)``.

    Raises:
        ValueError: if ``boost`` is not 1 and there is no teacher, or the network has no class ``background``.
    """
    learnt = log_probabilities(student, activation)
    if not 0 <= background < learnt.shape[1]:
        raise ValueError(f"background is class {background}, but the network gives {learnt.shape[1]} classes.")
    loss = -learnt[:, background]
    if boost == 1:
        return case_mean(loss)
    if teacher is None:
        raise ValueError(f"boost is {boost}: weighting by the teacher's confidence needs the teacher's logits.")
    foreground = 1 - log_probabilities(teacher, activation)[:, background].exp()
    return case_mean(loss, torch.where(foreground > tau, boost, 1.0))


class BackgroundTerm(UnlearningTerm):
    """Erasure by *suppress*: the forget cases' foreground disappears.

    With ``boost`` 1 this is the published procedure (binary cross-entropy towards an empty mask), and no teacher is
    needed: ``uses_teacher`` is then False.

    Args:
        activation: ``"sigmoid"`` for one or more labels, ``"softmax"`` for exclusive classes.
        tau: confidence above which an element counts as the teacher's foreground, in ``[0, 1)``.
        boost: how many times as much such an element weighs, at least 1.
        background: the background class of a softmax network; must stay 0 with sigmoid.
        weight: the paper's λ, there 3.

    Raises:
        ValueError: if an argument is outside the range given here.
    """

    def __init__(
        self,
        *,
        activation: Activation,
        tau: float = 0.5,
        boost: float = 1.0,
        background: int = 0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        self.activation = check_activation(activation)
        if not 0 <= tau < 1:
            raise ValueError(f"tau is {tau}; it must be a probability in [0, 1).")
        if not (math.isfinite(boost) and boost >= 1):
            raise ValueError(f"boost is {boost}; it must be finite and at least 1.")
        if background < 0 or (activation == "sigmoid" and background != 0):
            raise ValueError(f"background is {background}; it must be a class of the network, and 0 with sigmoid.")
        self.tau, self.boost, self.background = tau, boost, background
        self.uses_teacher = boost != 1

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the background loss of every case, shape ``(B,)``."""
        return background_loss(
            cases.student,
            cases.teacher_logits if self.uses_teacher else None,
            activation=self.activation,
            tau=self.tau,
            boost=self.boost,
            background=self.background,
        )
