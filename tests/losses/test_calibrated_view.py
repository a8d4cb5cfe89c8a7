from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from monai_unlearn.losses import CalibratedViewTerm, TermInputs, choose_views


def inputs(student: torch.Tensor, *ids: str) -> TermInputs:
    return TermInputs(student=student, teacher=None, label=torch.zeros_like(student[:, :1]), ids=ids)


def test_each_case_gets_the_view_nearest_to_the_reference_loss_of_its_rank() -> None:
    view_losses = torch.tensor([[0.9, 0.5, 0.7], [0.1, 0.3, 0.2]])  # the second case is the easier one
    reference = torch.tensor([0.75, 0.12])
    assert choose_views(view_losses, reference).tolist() == [2, 0]


def test_the_chosen_losses_are_nearest_to_numpys_hazen_quantiles() -> None:
    generator = np.random.default_rng(0)
    view_losses, reference = generator.uniform(0, 1, (9, 7)), generator.uniform(0, 1, 23)
    ranks = view_losses.mean(axis=1).argsort().argsort()
    targets = np.quantile(reference, (ranks + 0.5) / 9, method="hazen")
    expected = np.abs(view_losses - targets[:, None]).argmin(axis=1)
    assert choose_views(torch.tensor(view_losses), torch.tensor(reference)).tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_missing_views_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cases × views"):
        choose_views(torch.zeros(shape), torch.zeros(2))


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
