from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from monai_unlearn.metrics import case_kl_divergence, case_total_variation

SHAPES = [("sigmoid", (3, 1, 4, 5)), ("sigmoid", (3, 2, 2, 3, 4)), ("softmax", (3, 4, 4, 5)), ("softmax", (3, 5))]
both = pytest.mark.parametrize("divergence", [case_kl_divergence, case_total_variation])


def draw(shape):
    return 3 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def outcome_probabilities(logits, activation):
    """SciPy: probabilities with the outcomes on axis 1; a sigmoid is a softmax of (0, logit)."""
    logits = logits.numpy()
    return softmax(np.stack([np.zeros_like(logits), logits], axis=1) if activation == "sigmoid" else logits, axis=1)


@pytest.mark.parametrize(("activation", "shape"), SHAPES)
def test_the_divergence_is_scipys_relative_entropy(activation, shape):
    student, teacher = draw(shape)
    learnt, taught = (outcome_probabilities(logits, activation) for logits in (student, teacher))
    expected = entropy(taught, learnt, axis=1).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(case_kl_divergence(student, teacher, activation=activation), expected, rtol=1e-9)


@pytest.mark.parametrize(("activation", "shape"), SHAPES)
def test_the_total_variation_is_half_the_absolute_difference(activation, shape):
    student, teacher = draw(shape)
    learnt, taught = (outcome_probabilities(logits, activation) for logits in (student, teacher))
    expected = (abs(learnt - taught).sum(axis=1) / 2).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(case_total_variation(student, teacher, activation=activation), expected, rtol=1e-9)


@both
@pytest.mark.parametrize(("activation", "shape"), SHAPES)
def test_equal_predictions_do_not_diverge(divergence, activation, shape):
    student, _ = draw(shape)
    assert divergence(student, student.clone(), activation=activation).tolist() == [0.0] * 3


def test_one_logit_varies_by_the_difference_of_its_probability():
    student, teacher = draw((3, 1, 4, 4))
    expected = (student.sigmoid() - teacher.sigmoid()).abs().flatten(1).mean(dim=1)
    torch.testing.assert_close(case_total_variation(student, teacher, activation="sigmoid"), expected)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_huge_logits_that_disagree_give_finite_figures(activation):
    student = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    teacher = student * torch.tensor([[-1.0], [1.0]])
    kl = case_kl_divergence(student, teacher, activation=activation)
    assert kl.tolist() == [1e4 if activation == "sigmoid" else 2e4, 0.0]
    assert case_total_variation(student, teacher, activation=activation).tolist() == [1.0, 0.0]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(pair=st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=2, max_size=2))
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_pinskers_inequality_holds(activation, pair):
    """TV ≤ √(KL / 2) for every distribution, and so for the means (the root is concave)."""
    student, teacher = torch.tensor(pair, dtype=torch.float64).unsqueeze(1)
    kl = case_kl_divergence(student, teacher, activation=activation)
    variation = case_total_variation(student, teacher, activation=activation)
    assert kl.item() >= -1e-12
    assert 0 <= variation.item() <= 1
    assert variation.item() <= np.sqrt(max(kl.item(), 0) / 2) + 1e-9


@both
def test_shapes_that_differ_are_refused(divergence):
    with pytest.raises(ValueError, match=r"student's logits have shape \(2, 1, 3\), teacher's \(2, 1, 4\)"):
        divergence(torch.zeros(2, 1, 3), torch.zeros(2, 1, 4), activation="sigmoid")


@both
def test_an_unknown_activation_is_refused(divergence):
    with pytest.raises(ValueError, match="activation is 'logit'"):
        divergence(torch.zeros(2, 3), torch.zeros(2, 3), activation="logit")
