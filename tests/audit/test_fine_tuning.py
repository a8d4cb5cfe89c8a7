from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from monai_unlearn.audit import FineTuning, fine_tune
from tests.audit.planted import LOSS, audit_config
from tests.engines.example import cases, plain_network

ITEMS = cases(6, forget=0)


def loader(batch_size: int = 3) -> DataLoader:
    return DataLoader(ITEMS, batch_size=batch_size)


def sgd(rate: float, epochs: int = 3) -> FineTuning:
    return FineTuning(optimizer=lambda values: torch.optim.SGD(values, lr=rate), batch_size=3, epochs=epochs)


def trainable() -> nn.Module:
    return plain_network().requires_grad_(True)


def test_it_is_plain_gradient_descent_on_the_loss_of_the_task():
    found = fine_tune(trainable(), loader(), config=audit_config(fine_tuning=sgd(0.1, epochs=2)))
    expected = trainable().train()
    for _ in range(2):
        for batch in loader():
            expected.zero_grad()
            LOSS(expected(batch["image"]), batch["label"]).backward()
            with torch.no_grad():
                for parameter in expected.parameters():
                    parameter.sub_(0.1 * parameter.grad)
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-5, atol=1e-7)


def test_normalisation_statistics_move_as_in_the_training_of_the_teacher():
    network = trainable()
    before = network[1].running_mean.clone()
    assert not torch.equal(
        fine_tune(network, loader(), config=audit_config(fine_tuning=sgd(0.0)))[1].running_mean, before
    )


def test_only_the_given_parameters_learn():
    network = trainable()
    before = copy.deepcopy(network.state_dict())
    fine_tune(network, loader(), config=audit_config(fine_tuning=sgd(0.1)), parameters=network[3].parameters())
    assert torch.equal(network[0].weight, before["0.weight"])
    assert not torch.equal(network[3].weight, before["3.weight"])


def test_every_epoch_is_reported_and_a_number_of_them_may_be_given():
    epochs: list[int] = []
    fine_tune(
        trainable(), loader(), config=audit_config(fine_tuning=sgd(0.1, epochs=3)), epochs=5, after_epoch=epochs.append
    )
    assert epochs == [1, 2, 3, 4, 5]


def test_the_same_seed_trains_the_same_network():
    first, second = (fine_tune(trainable(), loader(), config=audit_config(fine_tuning=sgd(0.1))) for _ in range(2))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_loss_that_is_not_finite_ends_it_with_the_key_to_turn():
    broken = audit_config(fine_tuning=sgd(0.1), loss_function=lambda logits, label: logits.mean() * torch.nan)
    with pytest.raises(ValueError, match=r"diverged at step 1.*lower the learning rate of 'audit#fine_tuning'"):
        fine_tune(trainable(), loader(), config=broken)
