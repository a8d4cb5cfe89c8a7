"""Distillation and guard against the published procedure and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.losses import DistillationTerm, GuardTerm, TermInputs, distillation_loss, guard_loss

GENERATOR = torch.Generator().manual_seed(5)
STUDENT, TEACHER = 3 * torch.randn(2, 4, 3, 5, 2, generator=GENERATOR, dtype=torch.float64)


def test_the_terms_are_the_published_ones():
    """The batch mean of equally sized cases is what published_procedure.py computes."""
    student, teacher = STUDENT[:, :1], TEACHER[:, :1]
    cases = TermInputs(student=student, teacher=teacher, label=student, ids=("a", "b", "c", "d"))
    distilled = 2.0**2 * F.binary_cross_entropy_with_logits(student / 2.0, torch.sigmoid(teacher / 2.0))
    torch.testing.assert_close(DistillationTerm(activation="sigmoid")(cases).mean(), distilled)
    torch.testing.assert_close(GuardTerm()(cases).mean(), F.mse_loss(student, teacher))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 5.0])
def test_softmax_distillation_is_the_scaled_divergence(temperature):
    def softmax(logits):
        exponents = np.exp(logits / temperature)
        return exponents / exponents.sum(axis=1, keepdims=True)

    learnt, taught = softmax(STUDENT.numpy()), softmax(TEACHER.numpy())
    divergence = (taught * np.log(taught / learnt)).sum(axis=1).mean(axis=(1, 2))
    values = distillation_loss(STUDENT, TEACHER, temperature=temperature, activation="softmax")
    np.testing.assert_allclose(values, temperature**2 * divergence, rtol=1e-10)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    logits=st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    temperature=st.floats(0.5, 10),
)
def test_the_gradient_is_zero_where_student_and_teacher_agree(activation, logits, temperature):
    teacher = torch.tensor([logits], dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    distillation_loss(student, teacher, temperature=temperature, activation=activation).sum().backward()
    assert student.grad.abs().max() < 1e-12


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_agreement_is_the_minimum(activation):
    agreed = distillation_loss(TEACHER, TEACHER, temperature=2.0, activation=activation)
    assert (distillation_loss(STUDENT, TEACHER, temperature=2.0, activation=activation) > agreed).all()
    if activation == "softmax":
        assert agreed.abs().max() < 1e-12


def test_the_squared_temperature_keeps_the_gradient_of_small_logits():
    """For small logits the sigmoid is linear, so the gradient (s - t) / 4 does not depend on T."""
    for temperature in (1.0, 2.0, 8.0):
        student = torch.tensor([[0.02]], dtype=torch.float64, requires_grad=True)
        teacher = torch.zeros(1, 1, dtype=torch.float64)
        distillation_loss(student, teacher, temperature=temperature, activation="sigmoid").sum().backward()
        assert student.grad.item() == pytest.approx(0.02 / 4, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature is"):
        DistillationTerm(activation="sigmoid", temperature=temperature)


def test_the_guard_is_the_mean_squared_logit_distance():
    expected = ((STUDENT.numpy() - TEACHER.numpy()) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(guard_loss(STUDENT, TEACHER), expected, rtol=1e-12)


def test_the_guard_still_holds_logits_whose_probability_is_saturated():
    student = torch.tensor([[60.0]], requires_grad=True)
    guard_loss(student, torch.tensor([[40.0]])).sum().backward()
    assert student.grad.item() == 40.0
