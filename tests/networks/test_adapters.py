from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_unlearn.networks import (
    adapter_deltas,
    adapters_off,
    head_parameters,
    inject_lora,
    lora_parameters,
    merge_adapters,
    scale_adapter,
)
from tests.networks.cases import CASES

IMAGE = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)


def student() -> nn.Module:
    """A student that has learned something, in A, B and the head."""
    network = inject_lora(CASES["UNet 2-D"].network(), rank=2, example_input=IMAGE).eval()
    with torch.no_grad():
        for parameter in (*lora_parameters(network), *head_parameters(network)):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def test_adapters_are_back_on_after_the_block():
    network = student()
    before = network(IMAGE)
    with adapters_off(network) as teacher:
        assert teacher is network
        assert not torch.equal(network(IMAGE), before)
    assert torch.equal(network(IMAGE), before)


@torch.no_grad()
def test_adapters_are_back_on_after_an_exception():
    network = student()
    before = network(IMAGE)
    with pytest.raises(KeyError), adapters_off(network):
        raise KeyError
    assert torch.equal(network(IMAGE), before)


@torch.no_grad()
def test_blocks_nest():
    network = student()
    with adapters_off(network):
        teacher = network(IMAGE)
        with adapters_off(network):
            assert torch.equal(network(IMAGE), teacher)
        assert torch.equal(network(IMAGE), teacher)


def test_no_requires_grad_is_touched():
    network = student()
    for parameter in head_parameters(network):
        parameter.requires_grad_(False)
    before = [parameter.requires_grad for parameter in network.parameters()]
    with adapters_off(network):
        assert [parameter.requires_grad for parameter in network.parameters()] == before
    assert [parameter.requires_grad for parameter in network.parameters()] == before


def test_a_network_without_adapters_is_not_taken_for_its_own_teacher():
    with (
        pytest.raises(ValueError, match="Linear has no adapters: call inject_lora first"),
        adapters_off(nn.Linear(1, 1)),
    ):
        pass


def test_deltas_are_merged_weights_minus_plain_ones():
    network = student()
    merged = merge_adapters(network)
    deltas = {name: (base, delta) for name, base, delta in adapter_deltas(network)}
    assert len(deltas) == sum(isinstance(module, nn.modules.conv._ConvNd) for module in merged.modules())
    for name, (base, delta) in deltas.items():
        layer = merged.get_submodule(name)
        weight = layer.weight.detach()
        if base.dim() == 1:  # the head: all its parameters
            weight = torch.cat([parameter.detach().flatten() for parameter in layer.parameters()])
        assert base.shape == delta.shape
        assert delta.any()
        assert not delta.requires_grad
        torch.testing.assert_close(base + delta, weight)


@pytest.mark.parametrize("factor", [0.0, 0.25, 1.0])
def test_scaling_multiplies_the_delta_of_that_layer_alone(factor):
    network = student()
    before = {name: delta.clone() for name, _, delta in adapter_deltas(network)}
    for chosen in (next(iter(before)), "model.2.1.conv.unit0.conv"):
        scale_adapter(network, chosen, factor)
        before[chosen] *= factor
    for name, _, delta in adapter_deltas(network):
        torch.testing.assert_close(delta, before[name])


def test_scaling_all_to_zero_gives_the_teacher():
    network = student()
    for name in [name for name, _, _ in adapter_deltas(network)]:
        scale_adapter(network, name, 0.0)
    with torch.no_grad(), adapters_off(network):
        teacher = network(IMAGE)
    with torch.no_grad():
        assert torch.equal(network(IMAGE), teacher)


def test_scaling_an_unknown_layer_names_it():
    with pytest.raises(ValueError, match="Layer 'nowhere' has no adapter"):
        scale_adapter(student(), "nowhere", 0.5)
