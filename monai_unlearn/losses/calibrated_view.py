"""Calibrated erasure by views: teach the student what the teacher says where it cannot recall the very image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from monai_unlearn.losses.distillation import distillation_loss
from monai_unlearn.losses.outcomes import Activation, check_activation, label_outcomes
from monai_unlearn.losses.supervised import LossFunction, case_losses
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = ["CalibratedViewTerm", "answers_at_losses", "choose_views"]

Answers = Literal["fixed", "on_the_fly"]
LOGIT_RANGE = 30.0  # beyond it a float32 cross-entropy is 0 or grows by the logit alone
BISECTIONS = 40


def choose_views(view_losses: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Choose, for each forget case, the view whose loss is nearest to the loss that the case is pulled to.

    Args:
        view_losses: the teacher's loss on ``V`` views of each forget case, shape ``(F, V)``.
        targets: target loss per forget case, shape ``(F,)``, as of
            :func:`~monai_unlearn.losses.match_reference_quantiles`.

    Returns:
        Index of the chosen view per case, shape ``(F,)``.

    Raises:
        ValueError: if there are no cases, no views, or not one target per case.
    """
    if view_losses.ndim != 2 or not view_losses.numel() or targets.shape != view_losses.shape[:1]:
        raise ValueError(
            "view_losses must hold cases × views, at least one each, and targets one loss per case; got "
            f"{tuple(view_losses.shape)} and {tuple(targets.shape)}."
        )
    return (view_losses - targets[:, None]).abs().argmin(dim=1)


def answers_at_losses(
    answers: torch.Tensor, label: torch.Tensor, targets: torch.Tensor, *, loss_function: LossFunction
) -> torch.Tensor:
    """Move the logit of each case's true class until the case's loss is its target.

    What the answers say of the other classes, relative to one another, stays. Found by bisection between an answer that
    all but excludes the true class and one that is all but certain of it; a target beyond either stays at that end.

    Args:
        answers: logits of exclusive classes, shape ``(B, C)``.
        label: the true classes, as ``loss_function`` takes them, first axis ``B``.
        targets: target losses, shape ``(B,)``.
        loss_function: the supervised loss; it falls as the logit of the true class rises.

    Returns:
        Logits of shape ``(B, C)``.
    """
    truth = F.one_hot(label_outcomes(label, answers, "softmax"), answers.shape[1]).to(answers)
    level = answers - truth * answers + truth * _others(answers, truth)  # the true class as likely as all others
    low, high = (answers.new_full((len(answers), 1), end) for end in (-LOGIT_RANGE, LOGIT_RANGE))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_hard = case_losses(loss_function, level + middle * truth, label) > targets.to(answers)
        low, high = torch.where(too_hard[:, None], middle, low), torch.where(too_hard[:, None], high, middle)
    return level + (low + high) / 2 * truth


class CalibratedViewTerm(UnlearningTerm):
    r"""Erasure by *calibrate*, dense: each forget case gets the teacher's own answer to another view of its image.

    A network recalls the image that it was trained on, not its mirror image: mirrored, a trained case does about as
    well as one that was never trained on. The teacher's answer :math:`t` to a mirrored view, mapped back, is therefore
    what a network that never saw the case would plausibly say. The term is ``BCE(s, σ(t))``, or
    ``KL(softmax(t) ‖ softmax(s))``, with the view that :func:`choose_views` chose, so that the losses of all forget
    cases together lie where those of the reference cases lie. Pulling at a whole answer disturbs other cases less than
    pulling at a single number (:class:`CalibratedErasureTerm`) does. Our own method.

    Where every item shows the whole image, always in the same way, the answers are ``"fixed"``: computed once. Where
    items are random crops, or randomly altered, the view is chosen once per case, and the engine asks the teacher for
    its answer to that view of the very crop at each step (``"on_the_fly"``, one forward pass more on the forget cases).
    The task has to be one in which mirrored images make sense. The answers are not part of ``state_dict``: call
    :meth:`fit` again in a new process.

    Args:
        loss_function: the task's supervised loss, by which views and reference cases are measured.
        activation: ``"sigmoid"`` or ``"softmax"``.
        weight: the term's factor in the objective (the paper's λ).
        answers: ``"fixed"`` or ``"on_the_fly"``.

    Raises:
        ValueError: if ``activation`` or ``answers`` is unknown.
    """

    def __init__(
        self,
        *,
        loss_function: LossFunction,
        activation: Activation,
        weight: float = 1.0,
        answers: Answers = "fixed",
    ) -> None:
        super().__init__(weight=weight)
        if answers not in get_args(Answers):
            raise ValueError(f"answers is {answers!r}; allowed are {', '.join(map(repr, get_args(Answers)))}.")
        self.uses_view = answers == "on_the_fly"
        self.loss_function = loss_function
        self.activation = check_activation(activation)
        self._answers: dict[str, torch.Tensor] = {}

    def fit(self, forget_ids: Sequence[str], answers: Sequence[torch.Tensor]) -> None:
        """Keep one answer per forget case, in place of any earlier ones.

        Args:
            forget_ids: ids of the forget cases, length ``F``.
            answers: per case the teacher's logits for the chosen view, mapped back onto the image, shape
                ``(C, *spatial)``.

        Raises:
            ValueError: if the numbers of ids and answers differ, or there are none.
        """
        if not forget_ids or len(forget_ids) != len(answers):
            raise ValueError(f"every forget case needs one answer; got {len(forget_ids)} ids, {len(answers)} answers.")
        self._answers = {case: answer.detach() for case, answer in zip(forget_ids, answers, strict=True)}

    def forward(self, cases: TermInputs) -> torch.Tensor:
        """Return the distance of every case's prediction from its answer, shape ``(B,)``.

        Raises:
            ValueError: if ``fit`` was not called or a case has no answer.
        """
        if self.uses_view:
            if cases.view is None:
                raise ValueError("the answers are made on the fly, but no view was given: add CalibrationTargets.")
            return distillation_loss(cases.student, cases.view, temperature=1.0, activation=self.activation)
        if missing := [case for case in cases.ids if case not in self._answers]:
            raise ValueError(f"no answer for {', '.join(map(repr, missing))}: call fit with these forget cases first.")
        answers = torch.stack([self._answers[case] for case in cases.ids]).to(cases.student)
        return distillation_loss(cases.student, answers, temperature=1.0, activation=self.activation)


def _others(answers: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return answers.masked_fill(truth.bool(), -torch.inf).logsumexp(dim=1, keepdim=True)
