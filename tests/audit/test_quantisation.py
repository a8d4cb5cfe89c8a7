from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from monai_unlearn.audit import Quantisation, plain_copy, quantise_weights
from tests.audit.planted import audit_config, oracle, planted_cases, suppressed, teacher
from tests.engines.example import adapted_student

CONFIG = audit_config()


def rounded_by_hand(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Channel by channel, the output channels first."""
    top = 2 ** (bits - 1) - 1
    return torch.stack([torch.round(one / (one.abs().max() / top)) * (one.abs().max() / top) for one in weight])


LAYERS = {
    "linear": (nn.Linear(5, 7), 0),
    "2-D": (nn.Conv2d(3, 4, 3), 0),
    "3-D": (nn.Conv3d(2, 3, 3), 0),
    "transposed": (nn.ConvTranspose2d(3, 4, 3), 1),
}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("layer", "axis"), LAYERS.values(), ids=LAYERS)
def test_every_output_channel_is_rounded_by_its_own_scale(layer, axis, bits):
    found = quantise_weights(copy.deepcopy(layer), bits=bits)
    expected = rounded_by_hand(layer.weight.detach().transpose(0, axis), bits).transpose(0, axis)
    torch.testing.assert_close(found.weight.detach(), expected, rtol=0, atol=1e-6)
    assert torch.equal(found.bias, layer.bias)
    values = [one.unique().numel() for one in found.weight.detach().transpose(0, axis)]
    assert max(values) <= 2**bits - 1


def test_rounding_twice_is_rounding_once():
    layer = quantise_weights(nn.Conv2d(3, 4, 3))
    once = layer.weight.detach().clone()
    torch.testing.assert_close(quantise_weights(layer).weight.detach(), once, rtol=0, atol=1e-7)


def test_a_channel_of_zeros_stays_one():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight[0] = 0
    assert torch.equal(quantise_weights(layer).weight[0], torch.zeros(3))


@pytest.mark.parametrize("bits", [1, 9])
def test_other_widths_are_refused(bits):
    with pytest.raises(ValueError, match="2 to 8 bits"):
        quantise_weights(nn.Linear(2, 2), bits=bits)


def test_a_change_that_is_smaller_than_a_step_is_rounded_away_and_the_knowledge_returns():
    """What is known of language models: unlearning so gentle that the rounded network is the rounded teacher."""
    taught = nn.Linear(64, 64)
    student = copy.deepcopy(taught)
    with torch.no_grad():
        largest = taught.weight.abs().amax(dim=1, keepdim=True)
        step = largest / 7
        inner = taught.weight.abs() < 0.9 * largest  # the scale of a channel stays what it is
        centre = torch.round(taught.weight / step) * step
        taught.weight.copy_(torch.where(inner, centre, taught.weight))
        change = 0.4 * step * torch.randn_like(taught.weight).sign()
        student.weight.copy_(torch.where(inner, centre + change, taught.weight))
    assert not torch.equal(student.weight, taught.weight)
    rounded = [quantise_weights(copy.deepcopy(one), bits=4).weight.detach() for one in (student, taught)]
    torch.testing.assert_close(*rounded, rtol=0, atol=1e-5)


def test_the_figures_are_the_measure_before_and_after_and_no_network_is_touched():
    models = {"teacher": teacher(), "student": suppressed(), "oracle": oracle()}
    cases = planted_cases(models)
    weights = {name: copy.deepcopy(network.state_dict()) for name, network in models.items()}
    found = Quantisation(bits=3)(models, cases, CONFIG)
    for subset in ("forget", "unseen"):
        finding = found[f"{subset}_change"]
        ids = cases.subsets[subset]
        by_hand = quantise_weights(copy.deepcopy(models["student"]), bits=3)
        after = float(CONFIG.values(CONFIG.score(by_hand, cases.loader(ids)), ids).mean())
        before = float(cases.scores["student"].of(ids, "iou").mean())
        assert finding.series["student"] == pytest.approx([before, after])
        assert finding.value == pytest.approx(after - before)
        assert finding.value != 0, "three bits are felt"
    assert found["forget_change"].details["recovery"] is not None
    for name, network in models.items():
        assert all(torch.equal(value, weights[name][key]) for key, value in network.state_dict().items())


def test_eight_bits_are_not_felt_by_an_oracle():
    models = {"teacher": teacher(), "student": oracle()}
    found = Quantisation()(models, planted_cases(models), CONFIG)
    assert abs(found["forget_change"].value) < 0.01
    assert abs(found["unseen_change"].value) < 0.01


def test_without_unseen_cases_that_figure_has_a_reason():
    models = {"teacher": teacher(), "student": oracle()}
    cases = planted_cases(models)
    found = Quantisation()(models, replace(cases, subsets={**cases.subsets, "unseen": ()}), CONFIG)
    assert found["unseen_change"].reason == "there is no unseen case to measure"
    assert found["forget_change"].value is not None


def test_adapters_are_merged_before_they_are_rounded():
    """A recipient rounds the weights of the release, not those of base and adapter one by one."""
    student = adapted_student(learned=0.5)
    rounded = quantise_weights(plain_copy(student))
    first = rounded[0].weight.detach()
    expected = rounded_by_hand(plain_copy(student)[0].weight.detach(), 8)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-6)
