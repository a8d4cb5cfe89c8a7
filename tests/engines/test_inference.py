from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader
from monai.inferers import SimpleInferer, SlidingWindowInferer
from torch import nn

from monai_unlearn.engines import predict_cases
from tests.engines.example import cases, plain_network


def predict(network: nn.Module, items: list[dict], *, batch_size: int = 2, inferer=None):
    loader = DataLoader(items, batch_size=batch_size)
    return predict_cases(network, loader, inferer=inferer or SimpleInferer(), device="cpu")


def test_every_case_comes_once_with_the_networks_output_in_evaluation_mode():
    items = cases(5, forget=0)
    batches = list(predict(plain_network().train(), items))
    with torch.no_grad():
        expected = plain_network()(torch.stack([item["image"] for item in items]))
    assert [batch.ids for batch in batches] == [("case_0", "case_1"), ("case_2", "case_3"), ("case_4",)]
    torch.testing.assert_close(torch.cat([batch.logits for batch in batches]), expected)
    assert torch.equal(torch.cat([batch.image for batch in batches]), torch.stack([item["image"] for item in items]))
    assert torch.equal(torch.cat([batch.label for batch in batches]), torch.stack([item["label"] for item in items]))


def test_the_inferer_is_used():
    items = cases(2, forget=0)
    (batch,) = predict(nn.Identity(), items, inferer=SlidingWindowInferer((4, 4), overlap=0.5))
    torch.testing.assert_close(batch.logits, batch.image)


def test_outputs_carry_no_gradient():
    (batch,) = predict(plain_network().requires_grad_(True), cases(2, forget=0))
    assert not batch.logits.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_statistics_of_the_network_are_restored(training):
    network = plain_network().train(training)
    before = network[1].running_mean.clone()
    list(predict(network, cases(4, forget=0)))
    assert network.training is training
    assert torch.equal(network[1].running_mean, before)


def test_the_callers_code_between_two_batches_runs_with_gradients_as_before():
    network = plain_network().train()
    for _ in predict(network, cases(4, forget=0)):
        assert torch.is_grad_enabled()
        assert network.training
    generator = predict(network, cases(4, forget=0))
    next(generator)  # and is left alone half-way
    assert torch.is_grad_enabled()
    assert network.training


def test_two_networks_side_by_side_leave_gradients_on():
    items = cases(4, forget=0)
    for _ in zip(predict(plain_network(), items), predict(plain_network(), items), strict=True):
        pass
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_output_that_is_not_finite_names_its_case(value):
    items = cases(4, forget=0)
    items[2]["image"][0, 3, 3] = value
    network = plain_network().train()
    batches = predict(network, items)
    assert next(batches).ids == ("case_0", "case_1")
    with pytest.raises(ValueError, match="'case_2' is not finite"):
        next(batches)
    assert network.training
