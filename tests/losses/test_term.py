from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest
import torch

from monai_unlearn.losses import GuardTerm, TermInputs, UnlearningTerm

LOGITS = torch.zeros(2, 1, 3)


def test_inputs_are_frozen():
    cases = TermInputs(student=LOGITS, teacher=None, label=LOGITS, ids=("a", "b"))
    with pytest.raises(FrozenInstanceError):
        cases.label = LOGITS


def test_inputs_keep_the_students_gradient():
    student = LOGITS.clone().requires_grad_()
    cases = TermInputs(student=student * 2, teacher=LOGITS, label=LOGITS, ids=("a", "b"))
    cases.student.sum().backward()
    assert student.grad.eq(2).all()


def test_a_teacher_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"teacher's logits have shape \(2, 1, 4\), student's \(2, 1, 3\)"):
        TermInputs(student=LOGITS, teacher=torch.zeros(2, 1, 4), label=LOGITS, ids=("a", "b"))


def test_a_teacher_with_a_gradient_is_refused():
    with pytest.raises(ValueError, match=r"under torch\.no_grad"):
        TermInputs(student=LOGITS, teacher=LOGITS.clone().requires_grad_(), label=LOGITS, ids=("a", "b"))


@pytest.mark.parametrize(("label", "ids"), [(LOGITS[:1], ("a", "b")), (LOGITS, ("a",))])
def test_numbers_of_cases_that_disagree_are_refused(label, ids):
    with pytest.raises(ValueError, match="student, label and ids hold"):
        TermInputs(student=LOGITS, teacher=None, label=label, ids=ids)


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_weight_that_is_negative_or_not_finite_is_refused(weight):
    with pytest.raises(ValueError, match="weight of GuardTerm"):
        GuardTerm(weight=weight)


def test_a_weight_of_zero_is_allowed_and_one_is_the_default():
    assert GuardTerm(weight=0).weight == 0
    assert GuardTerm().weight == 1


def test_arguments_are_keywords_only():
    with pytest.raises(TypeError):
        GuardTerm(0.05)


def test_the_base_term_computes_nothing_and_says_so():
    with pytest.raises(NotImplementedError, match="UnlearningTerm must implement forward"):
        UnlearningTerm()(TermInputs(student=LOGITS, teacher=None, label=LOGITS, ids=("a", "b")))
