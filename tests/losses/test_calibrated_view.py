from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from monai_unlearn.losses import CalibratedViewTerm, TermInputs, answers_at_losses, choose_views


def inputs(student: torch.Tensor, *ids: str) -> TermInputs:
    return TermInputs(student=student, teacher=None, label=torch.zeros_like(student[:, :1]), ids=ids)


def test_each_case_gets_the_view_nearest_to_its_target() -> None:
    view_losses = torch.tensor([[0.9, 0.5, 0.7], [0.1, 0.3, 0.2]])
    assert choose_views(view_losses, torch.tensor([0.75, 0.12])).tolist() == [2, 0]


@pytest.mark.parametrize(("shape", "targets"), [((0, 3), 0), ((3, 0), 3), ((3,), 3), ((3, 2), 2)])
def test_missing_views_and_targets_are_refused(shape: tuple[int, ...], targets: int) -> None:
    with pytest.raises(ValueError, match="cases × views"):
        choose_views(torch.zeros(shape), torch.zeros(targets))


def test_a_moved_answer_has_the_target_loss_and_says_the_same_of_the_other_classes() -> None:
    torch.manual_seed(0)
    answers, label, targets = 4 * torch.randn(6, 5), torch.tensor([0, 4, 2, 2, 1, 3]), 0.7 + 3 * torch.rand(6)
    moved = answers_at_losses(answers, label, targets, loss_function=torch.nn.CrossEntropyLoss())
    torch.testing.assert_close(F.cross_entropy(moved, label, reduction="none"), targets, rtol=1e-5, atol=1e-5)
    others = F.one_hot(label, 5) == 0
    for row in range(6):
        torch.testing.assert_close(moved[row][others[row]], answers[row][others[row]])


def test_in_closed_form_the_true_class_has_the_probability_of_its_target() -> None:
    answers, targets = torch.tensor([[9.0, 1.0, 2.0]]), torch.tensor([1.5])
    moved = answers_at_losses(answers, torch.tensor([0]), targets, loss_function=torch.nn.CrossEntropyLoss())
    assert moved.softmax(1)[0, 0].item() == pytest.approx(np.exp(-1.5), rel=1e-5)


def test_labels_may_be_one_hot() -> None:
    answers, targets = torch.randn(3, 4), torch.tensor([0.5, 1.0, 2.0])
    label, loss = torch.tensor([3, 0, 1]), torch.nn.CrossEntropyLoss()
    by_index = answers_at_losses(answers, label, targets, loss_function=loss)
    by_vector = answers_at_losses(answers, F.one_hot(label, 4).float(), targets, loss_function=loss)
    torch.testing.assert_close(by_index, by_vector)


def test_a_target_out_of_reach_is_approached() -> None:
    moved = answers_at_losses(
        torch.zeros(1, 3), torch.tensor([1]), torch.tensor([0.0]), loss_function=torch.nn.CrossEntropyLoss()
    )
    assert moved.isfinite().all()
    assert F.cross_entropy(moved, torch.tensor([1])).item() < 1e-6


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_term_is_the_distance_from_the_answer(activation: str) -> None:
    torch.manual_seed(0)
    answers = [torch.randn(3, 4, 5) for _ in range(2)]
    term = CalibratedViewTerm(loss_function=F.binary_cross_entropy_with_logits, activation=activation)
    term.fit(["a", "b"], answers)
    student = torch.randn(2, 3, 4, 5)
    chosen = torch.stack([answers[1], answers[0]])
    if activation == "sigmoid":
        expected = F.binary_cross_entropy_with_logits(student, chosen.sigmoid(), reduction="none").flatten(1).mean(1)
    else:
        taught, learnt = chosen.softmax(1), student.log_softmax(1)
        expected = (taught * (taught.log() - learnt)).sum(1).flatten(1).mean(1)
    assert torch.allclose(term(inputs(student, "b", "a")), expected, atol=1e-6)


def test_a_student_that_gives_the_answer_is_pulled_nowhere() -> None:
    answer = torch.randn(1, 1, 4, 4)
    term = CalibratedViewTerm(loss_function=F.binary_cross_entropy_with_logits, activation="sigmoid")
    term.fit(["a"], [answer[0]])
    student = answer.clone().requires_grad_(True)
    term(inputs(student, "a")).sum().backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7


def test_a_case_without_an_answer_is_named() -> None:
    with pytest.raises(ValueError, match=r"'a'.*call fit"):
        CalibratedViewTerm(loss_function=F.binary_cross_entropy_with_logits, activation="sigmoid")(
            inputs(torch.zeros(1, 1, 2, 2), "a")
        )


def test_answers_that_do_not_belong_to_the_cases_are_refused() -> None:
    term = CalibratedViewTerm(loss_function=F.binary_cross_entropy_with_logits, activation="sigmoid")
    with pytest.raises(ValueError, match="2 ids, 1 answers"):
        term.fit(["a", "b"], [torch.zeros(1, 2, 2)])
