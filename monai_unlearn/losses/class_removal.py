"""Class removal: the student says what a network that never knew some classes would say."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F

from monai_unlearn.losses.outcomes import (
    Activation,
    case_mean,
    check_activation,
    label_outcomes,
    log_probabilities,
    plain_float,
)
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["ClassRemovalTerm", "class_removal_loss"]


def class_removal_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    label: torch.Tensor,
    *,
    classes: Collection[int],
    activation: Activation,
    heir: int | None = None,
    class_weight: float = 1.0,
) -> torch.Tensor:
    r"""Divergence ``KL(target ‖ student)`` from the teacher without the removed classes, per case.

    With the removed classes :math:`F` and the teacher's logits :math:`t`, the target is

    * softmax: :math:`q = \operatorname{softmax}(t_c : c \notin F)`, 0 for the removed ones: the teacher's probabilities
      renormalised over what is left (Zhou et al., "Decoupled Distillation to Erase", CVPR 2025). It is worked out from
      the logits, so that it says something where the teacher is sure of a removed class, too;
    * softmax with an heir: what the removed classes had goes to that class alone. In a label map the heir is the
      background: a network whose training masks never held a structure calls it background, and not its neighbour;
    * sigmoid: removed channels absent, the others as the teacher has them; the divergences of the channels add up.

    The elements (voxels; in classification the case itself) are averaged apart by what they show, so that a small
    structure weighs as much as a large background: those where teacher or label has a removed class, and of the others
    those of each class that the teacher sees there (sigmoid: those with any label, and those with none). The value is
    the mean over the kinds that a case has, in which the removed classes weigh ``class_weight``.

    Args:
        student: logits, shape ``(B, C, *spatial)`` or ``(B, C)``.
        teacher: logits, same shape.
        label: any form that :func:`~monai_unlearn.losses.label_outcomes` takes.
        classes: channels to remove: label values for softmax.
        activation: ``"sigmoid"`` or ``"softmax"``.
        heir: class that inherits the probability of the removed ones; ``None``: all that are left, in the teacher's
            ratio. Softmax only.
        class_weight: weight of the elements with a removed class against 1 for each other kind, positive.

    Returns:
        One value per case in nats, shape ``(B,)``.

    Raises:
        ValueError: if the network has no such channel or heir, or softmax would have no class left.
    """
    channels = student.shape[1]
    if foreign := sorted(set(classes) - set(range(channels))):
        raise ValueError(f"the classes {foreign} are to be removed, but the network's channels are 0 … {channels - 1}.")
    removed, kept = sorted(set(classes)), sorted(set(range(channels)) - set(classes))
    learnt, taught = log_probabilities(student, activation), plain_float(teacher)
    outcomes = label_outcomes(label, student, activation)
    if activation == "softmax":
        if not kept:
            raise ValueError(f"all {channels} classes are to be removed; softmax needs one that is left.")
        if heir is not None and heir not in kept:
            raise ValueError(f"the heir is the class {heir}, but the classes that are left are {kept}.")
        target = F.log_softmax(_inherited(taught, kept, removed, heir), dim=1)
        divergence = F.kl_div(learnt[:, kept], target, reduction="none", log_target=True).sum(dim=1)
        gone = torch.tensor(removed, device=taught.device)
        has_class = torch.isin(taught.argmax(dim=1), gone) | torch.isin(outcomes, gone)
        shown, others = taught.argmax(dim=1), kept
    else:
        target = log_probabilities(taught[:, kept], activation)
        remaining = F.kl_div(learnt[:, :, kept], target, reduction="none", log_target=True).sum(dim=1)
        divergence = remaining.sum(dim=1) - learnt[:, 0, removed].sum(dim=1)
        has_class = ((taught[:, removed] > 0) | (outcomes[:, removed] == 1)).any(dim=1)
        shown, others = (taught[:, kept] > 0).any(dim=1), [False, True]
    kinds = [(class_weight, has_class), *((1.0, ~has_class & (shown == kind)) for kind in others)]
    # a kind that a case does not show has the mean 0 there, and must not weigh
    weights = torch.stack([weight * part.unsqueeze(-1).flatten(1).any(dim=1).to(divergence) for weight, part in kinds])
    means = torch.stack([case_mean(divergence, part) for _, part in kinds])
    return (weights * means).sum(dim=0) / weights.sum(dim=0)


def _inherited(logits: torch.Tensor, kept: list[int], removed: list[int], heir: int | None) -> torch.Tensor:
    if heir is None:
        return logits[:, kept]
    together = logits[:, [heir, *removed]].logsumexp(dim=1)
    return torch.stack([together if channel == heir else logits[:, channel] for channel in kept], dim=1)


class ClassRemovalTerm(UnlearningTerm):
    """Erasure of classes: their channel falls silent, the rest stays as the teacher has it.

    The term holds the rest of the same image as well, so it needs no retain case: where every case has the class there
    is none. It serves segmentation and classification.

    Args:
        classes: channels to remove, at least one; label values for softmax, label numbers for sigmoid.
        activation: ``"softmax"`` for exclusive classes, ``"sigmoid"`` for one or more labels.
        heir: class that inherits what the removed ones had, for softmax: the background of a label map. ``None``: all
            that are left, in the teacher's ratio, as fits a classification.
        class_weight: weight of the elements that have a removed class, against 1 for each other kind of elements.
        weight: the term's factor in the objective.

    Raises:
        ValueError: if an argument is outside the range given here.
    """

    uses_teacher = True

    def __init__(
        self,
        *,
        classes: Collection[int],
        activation: Activation,
        heir: int | None = None,
        class_weight: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        if not classes or any(isinstance(value, bool) or not isinstance(value, int) or value < 0 for value in classes):
            raise ValueError(f"'classes' are numbers of channels, 0 or more, at least one of them; got {classes!r}.")
        if heir is not None and (activation != "softmax" or heir in classes):
            raise ValueError(f"heir is {heir}; it must be a softmax class that is not removed itself, or None.")
        if not (math.isfinite(class_weight) and class_weight > 0):
            raise ValueError(f"class_weight is {class_weight}; it must be finite and positive.")
        self.classes = tuple(sorted(set(classes)))
        self.activation = check_activation(activation)
        self.heir = heir
        self.class_weight = class_weight

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the divergence of every case from the teacher without the classes, shape ``(B,)``."""
        return class_removal_loss(
            cases.student,
            cases.teacher_logits,
            cases.label,
            classes=self.classes,
            activation=self.activation,
            heir=self.heir,
            class_weight=self.class_weight,
        )
