from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from monai_unlearn.losses import case_mean, label_outcomes, log_probabilities


def test_sigmoid_outcomes_are_absent_and_present():
    logits = torch.tensor([[[-2.0, 0.5]]])
    present = 1 / (1 + np.exp([2.0, -0.5]))
    expected = np.log(np.stack([1 - present, present]))
    np.testing.assert_allclose(log_probabilities(logits, "sigmoid")[0, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "shape"), [("sigmoid", (2, 3, 4)), ("softmax", (2, 3, 4, 2)), ("softmax", (2, 5))]
)
def test_probabilities_of_an_element_add_up_to_one(activation, shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = log_probabilities(logits, activation).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_huge_logits_lose_nothing():
    values = log_probabilities(torch.tensor([[[1e4, -1e4]]]), "sigmoid")
    assert values[0, :, 0].tolist() == [[-1e4, 0.0], [0.0, -1e4]]


def test_softmax_of_a_single_logit_is_refused():
    with pytest.raises(ValueError, match="use activation='sigmoid'"):
        log_probabilities(torch.zeros(2, 1, 4), "softmax")


@pytest.mark.parametrize("function", [lambda x: log_probabilities(x, "tanh"), lambda x: label_outcomes(x, x, "tanh")])
def test_an_unknown_activation_is_never_taken_for_softmax(function):
    with pytest.raises(ValueError, match="activation is 'tanh'"):
        function(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("spatial", [(), (4,), (4, 5), (2, 3, 4)], ids=str)
def test_every_form_of_class_label_names_the_same_outcomes(spatial):
    logits = torch.zeros(2, 3, *spatial)
    classes = torch.randint(3, (2, *spatial), generator=torch.Generator().manual_seed(1))
    one_hot = F.one_hot(classes, 3).movedim(-1, 1)
    for label in (classes, classes.unsqueeze(1), classes.unsqueeze(1).float(), one_hot, one_hot.float()):
        assert label_outcomes(label, logits, "softmax").equal(classes)


@pytest.mark.parametrize("label", [torch.tensor([1.0, 0.0]), torch.tensor([[1], [0]])], ids=["(B,)", "(B, 1)"])
def test_a_binary_label_may_lack_its_channel(label):
    assert label_outcomes(label, torch.zeros(2, 1), "sigmoid").tolist() == [[1], [0]]


def test_a_mask_of_0_and_255_is_present_above_a_half():
    mask = torch.tensor([[[0, 255, 0]]], dtype=torch.uint8)
    assert label_outcomes(mask, torch.zeros(1, 1, 3), "sigmoid").tolist() == [[[0, 1, 0]]]


@pytest.mark.parametrize("value", [3, 255, -1])
def test_a_class_that_the_network_lacks_is_named(value):
    label = torch.tensor([[[0, value, 1]]])
    with pytest.raises(ValueError, match=rf"holds the classes \[{value}\].* 0 … 2"):
        label_outcomes(label, torch.zeros(1, 3, 3), "softmax")


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_a_label_of_another_shape_is_refused(activation):
    with pytest.raises(ValueError, match=rf"shape \(1, 2, 4\) fits no {activation} logits of shape \(1, 3, 4\)"):
        label_outcomes(torch.zeros(1, 2, 4), torch.zeros(1, 3, 4), activation)


def test_the_mean_of_a_case_runs_over_all_but_the_first_axis():
    values = torch.arange(12.0).reshape(2, 3, 2)
    assert case_mean(values).tolist() == [2.5, 8.5]
    assert case_mean(values[:, 0, 0]).tolist() == [0.0, 6.0]


def test_weights_shift_the_mean_and_none_at_all_gives_zero():
    values = torch.tensor([[1.0, 4.0], [2.0, 3.0]])
    assert case_mean(values, torch.tensor([[2, 1], [0, 0]])).tolist() == [2.0, 0.0]
