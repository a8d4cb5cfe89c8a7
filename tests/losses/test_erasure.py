"""Background, contradiction and entropy against the published procedure, NumPy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.losses import (
    BackgroundTerm,
    ContradictionTerm,
    EntropyTerm,
    TermInputs,
    background_loss,
    contradiction_loss,
    entropy_loss,
)

GENERATOR = torch.Generator().manual_seed(11)
STUDENT, TEACHER = 2 * torch.randn(2, 4, 3, 5, 2, generator=GENERATOR, dtype=torch.float64)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.numpy()))


def softmax(logits):
    exponents = np.exp(logits.numpy())
    return exponents / exponents.sum(axis=1, keepdims=True)


def descended(loss, start, *, steps=400, rate=0.5):
    """Logits after plain gradient descent on the loss."""
    logits = start.clone().requires_grad_()
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(loss(logits).sum(), logits)
        logits = (logits - rate * gradient).detach().requires_grad_()
    return logits.detach()


def test_without_boost_background_is_the_published_forgetting_term():
    cases = TermInputs(student=STUDENT[:, :1], teacher=None, label=STUDENT, ids=("a", "b", "c", "d"))
    published = F.binary_cross_entropy_with_logits(cases.student, torch.zeros_like(cases.student))
    torch.testing.assert_close(BackgroundTerm(activation="sigmoid")(cases).mean(), published)


@pytest.mark.parametrize(("tau", "boost"), [(0.5, 4.0), (0.9, 10.0), (0.0, 3.0)])
def test_sigmoid_background_weighs_the_teachers_foreground(tau, boost):
    weights = np.where(sigmoid(TEACHER) > tau, boost, 1.0)
    losses = -np.log(1 - sigmoid(STUDENT))
    expected = (weights * losses).sum(axis=(1, 2, 3)) / weights.sum(axis=(1, 2, 3))
    values = background_loss(STUDENT, TEACHER, activation="sigmoid", tau=tau, boost=boost)
    np.testing.assert_allclose(values, expected, rtol=1e-10)


@pytest.mark.parametrize("background", [0, 2])
def test_softmax_background_weighs_all_other_classes_together(background):
    weights = np.where(1 - softmax(TEACHER)[:, background] > 0.7, 6.0, 1.0)
    losses = -np.log(softmax(STUDENT)[:, background])
    expected = (weights * losses).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
    values = background_loss(STUDENT, TEACHER, activation="softmax", tau=0.7, boost=6.0, background=background)
    np.testing.assert_allclose(values, expected, rtol=1e-10)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_descending_background_leaves_an_empty_prediction(activation):
    after = descended(
        lambda logits: background_loss(logits, TEACHER, activation=activation, boost=5.0), STUDENT, rate=5.0
    )
    empty = after < 0 if activation == "sigmoid" else after.argmax(dim=1) == 0
    assert empty.all()


def test_only_a_boosted_background_runs_the_teacher():
    assert not BackgroundTerm(activation="sigmoid", boost=1.0).uses_teacher
    assert BackgroundTerm(activation="sigmoid", boost=2.0).uses_teacher
    with pytest.raises(ValueError, match=r"boost is 2\.0: .* needs the teacher"):
        background_loss(STUDENT, activation="sigmoid", boost=2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 1.0}, "tau is 1.0"),
        ({"tau": -0.1}, "tau is -0.1"),
        ({"boost": 0.5}, "boost is 0.5"),
        ({"boost": math.inf}, "boost is inf"),
        ({"background": -1}, "background is -1"),
        ({"background": 1}, "background is 1"),
    ],
)
def test_a_background_argument_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BackgroundTerm(activation="sigmoid", **arguments)


def test_a_background_class_that_the_network_lacks_is_refused():
    with pytest.raises(ValueError, match="background is class 3, but the network gives 3 classes"):
        background_loss(STUDENT, activation="softmax", background=3)


def test_contradiction_of_one_logit_is_the_cross_entropy_to_the_inverted_mask():
    student, teacher = STUDENT[:, :1], TEACHER[:, :1]
    inverted = (teacher <= 0).double()
    expected = F.binary_cross_entropy_with_logits(student, inverted, reduction="none").flatten(1).mean(dim=1)
    torch.testing.assert_close(contradiction_loss(student, teacher, activation="sigmoid", tau=0.0), expected)


def test_softmax_contradiction_runs_over_the_confident_voxels_alone():
    taught, learnt = softmax(TEACHER), softmax(STUDENT)
    believed = np.take_along_axis(learnt, taught.argmax(axis=1)[:, None], axis=1)[:, 0]
    sure = taught.max(axis=1) > 0.8
    expected = [-np.log(1 - case[mask]).mean() for case, mask in zip(believed, sure, strict=True)]
    values = contradiction_loss(STUDENT, TEACHER, activation="softmax", tau=0.8)
    np.testing.assert_allclose(values, expected, rtol=1e-10)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_contradiction_pulls_only_where_the_teacher_is_confident(activation):
    student = STUDENT.clone().requires_grad_()
    contradiction_loss(student, TEACHER, activation=activation, tau=0.8).sum().backward()
    probability = torch.sigmoid(TEACHER.abs()) if activation == "sigmoid" else TEACHER.softmax(dim=1)
    sure = probability > 0.8 if activation == "sigmoid" else (probability.amax(dim=1, keepdim=True) > 0.8)
    assert (student.grad != 0).equal(sure.expand_as(STUDENT))


def test_a_case_without_a_confident_voxel_is_left_alone():
    student = STUDENT.clone().requires_grad_()
    values = contradiction_loss(student, torch.zeros_like(STUDENT), activation="softmax", tau=0.9)
    values.sum().backward()
    assert values.tolist() == [0.0] * 4
    assert not student.grad.any()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_descending_contradiction_changes_every_confident_prediction(activation):
    teacher = 4 * TEACHER.sign() * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    after = descended(
        lambda logits: contradiction_loss(logits, teacher, activation=activation, tau=0.9), teacher, rate=5.0
    )
    if activation == "sigmoid":
        assert (after.sign() == -teacher.sign()).all()
    else:
        sure = teacher.softmax(dim=1).amax(dim=1) > 0.9
        assert sure.any()
        assert (after.argmax(dim=1) != teacher.argmax(dim=1))[sure].all()


@pytest.mark.parametrize("tau", [1.0, -0.5])
def test_a_contradiction_threshold_out_of_range_is_refused(tau):
    with pytest.raises(ValueError, match="tau is"):
        ContradictionTerm(activation="sigmoid", tau=tau)


@pytest.mark.parametrize(("activation", "outcomes"), [("sigmoid", 2), ("softmax", 3)])
def test_entropy_is_the_divergence_from_the_uniform_prediction(activation, outcomes):
    if activation == "sigmoid":
        probabilities = np.stack([1 - sigmoid(STUDENT), sigmoid(STUDENT)], axis=1)
    else:
        probabilities = softmax(STUDENT)
    divergence = (np.log(1 / outcomes / probabilities) / outcomes).sum(axis=1)
    expected = divergence.reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(entropy_loss(STUDENT, activation=activation), expected, rtol=1e-10)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(classes=st.integers(2, 12), offset=st.floats(-1e4, 1e4))
def test_equal_logits_of_a_classifier_have_entropy_loss_zero(classes, offset):
    logits = torch.full((2, classes), offset, dtype=torch.float64, requires_grad=True)
    values = EntropyTerm(activation="softmax")(
        TermInputs(student=logits, teacher=None, label=torch.zeros(2), ids=("a", "b"))
    )
    values.sum().backward()
    assert values.abs().max() < 1e-9
    assert logits.grad.abs().max() < 1e-9


def test_sigmoid_logits_of_zero_have_entropy_loss_zero():
    assert entropy_loss(torch.zeros(2, 3, 4), activation="sigmoid").abs().max() < 1e-6


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_entropy_gradient_lives_on_saturated_logits(activation):
    """It is (p - u) divided by the number of elements, however large the logits."""
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    entropy_loss(logits, activation=activation).sum().backward()
    expected = [[0.25, -0.25]] if activation == "sigmoid" else [[0.5, -0.5]]
    assert logits.grad.tolist() == expected
