from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.losses import RandomLabelTerm, TermInputs, random_label_loss, wrong_outcomes

IDS = tuple(f"p{i:03d}" for i in range(300))


def classification(classes, seed=0):
    truth = torch.arange(len(IDS)) % classes
    return truth, wrong_outcomes(truth, IDS, activation="softmax", classes=classes, seed=seed)


@settings(derandomize=True, max_examples=10, deadline=None)
@given(classes=st.integers(2, 9), seed=st.integers(0, 1000))
def test_a_wrong_class_is_never_the_true_one_and_always_a_class(classes, seed):
    truth, wrong = classification(classes, seed)
    assert (wrong != truth).all()
    assert ((wrong >= 0) & (wrong < classes)).all()


def test_every_wrong_class_is_as_likely():
    truth, wrong = classification(4)
    shifts = np.bincount(((wrong - truth) % 4).numpy(), minlength=4)
    assert shifts[0] == 0
    assert (abs(shifts[1:] - 100) < 30).all()  # binomial(300, 1/3): standard deviation 8


@settings(derandomize=True, max_examples=10, deadline=None)
@given(labels=st.integers(1, 6), seed=st.integers(0, 1000))
def test_wrong_labels_differ_from_the_true_ones_in_at_least_one(labels, seed):
    truth = torch.randint(2, (len(IDS), labels), generator=torch.Generator().manual_seed(seed))
    wrong = wrong_outcomes(truth, IDS, activation="sigmoid", classes=labels, seed=seed)
    assert (wrong != truth).any(dim=1).all()
    assert ((wrong == 0) | (wrong == 1)).all()


def test_a_case_keeps_its_wrong_label_whatever_the_batch():
    truth, wrong = classification(7)
    order = torch.randperm(len(IDS), generator=torch.Generator().manual_seed(0))
    shuffled = wrong_outcomes(truth[order], [IDS[i] for i in order], activation="softmax", classes=7, seed=0)
    assert shuffled.equal(wrong[order])


def test_another_seed_draws_other_labels():
    assert (classification(7, seed=0)[1] != classification(7, seed=1)[1]).any()


def test_the_draw_is_the_same_in_every_process():
    """Written down once: Python's own hash of an id differs from one process to the next."""
    truth = torch.zeros(8, dtype=torch.long)
    wrong = wrong_outcomes(truth, "abcdefgh", activation="softmax", classes=9, seed=3)
    assert wrong.tolist() == [2, 2, 5, 5, 4, 1, 7, 3]


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    classification(3)
    assert torch.rand(1).equal(expected)


@pytest.mark.parametrize("shape", [(1, 16, 12), (2, 8, 10, 6)], ids=["2-D", "3-D"])
def test_a_wrong_mask_is_the_true_one_elsewhere(shape):
    truth = torch.zeros(20, *shape, dtype=torch.long)
    truth[(..., *(slice(0, size // 4) for size in shape[1:]))] = 1  # an object of a quarter of each axis
    wrong = wrong_outcomes(truth, IDS[:20], activation="sigmoid", classes=shape[0], seed=0)
    assert wrong.flatten(1).sum(dim=1).equal(truth.flatten(1).sum(dim=1))
    assert not (wrong & truth).any()
    assert len({tuple(case.flatten().tolist()) for case in wrong}) > 10


def test_the_channels_and_classes_of_a_mask_move_together():
    truth = torch.randint(4, (6, 9, 7), generator=torch.Generator().manual_seed(2))
    wrong = wrong_outcomes(truth, IDS[:6], activation="softmax", classes=4, seed=0)
    one_hot = F.one_hot(truth, 4).movedim(-1, 1)
    moved = wrong_outcomes(one_hot, IDS[:6], activation="sigmoid", classes=4, seed=0)
    assert moved.argmax(dim=1).equal(wrong)
    assert wrong.flatten(1).sort(dim=1).values.equal(truth.flatten(1).sort(dim=1).values)


@pytest.mark.parametrize("spatial", [(), (5, 4)], ids=["classification", "segmentation"])
def test_the_loss_is_the_cross_entropy_with_the_wrong_label(spatial):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(6, 3, *spatial, generator=generator, dtype=torch.float64)
    label = torch.randint(3, (6, *spatial), generator=generator)
    wrong = wrong_outcomes(label, IDS[:6], activation="softmax", classes=3, seed=9)
    expected = F.cross_entropy(logits, wrong, reduction="none").reshape(6, -1).mean(dim=1)
    torch.testing.assert_close(random_label_loss(logits, label, IDS[:6], activation="softmax", seed=9), expected)


def test_the_term_takes_one_hot_labels_as_well():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(6, 3, 5, 4, generator=generator)
    label = torch.randint(3, (6, 1, 5, 4), generator=generator)
    one_hot = F.one_hot(label[:, 0], 3).movedim(-1, 1)
    term = RandomLabelTerm(activation="softmax", seed=2)
    values = [term(TermInputs(student=logits, teacher=None, label=form, ids=IDS[:6])) for form in (label, one_hot)]
    torch.testing.assert_close(*values, rtol=0, atol=0)


def test_the_binary_loss_is_the_cross_entropy_with_the_other_answer():
    logits, label = torch.tensor([[2.0], [-1.0]]), torch.tensor([[1.0], [1.0]])
    expected = F.binary_cross_entropy_with_logits(logits, 1 - label, reduction="none")[:, 0]
    torch.testing.assert_close(random_label_loss(logits, label, "ab", activation="sigmoid", seed=0), expected)
