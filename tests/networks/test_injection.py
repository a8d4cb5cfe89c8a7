from __future__ import annotations

import re

import pytest
import torch
from monai.bundle import ConfigParser
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from monai_unlearn.networks import (
    LoraInjection,
    find_decoder,
    head_parameters,
    inject_lora,
    lora_parameters,
    merge_adapters,
    trace_layers,
)
from tests.networks.cases import CASES

IMAGE = torch.zeros(1, 1, 16, 16)


def unet() -> nn.Module:
    return CASES["UNet 2-D"].build()


def adapted(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, LoraLayer)]


def head_of(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, ModulesToSaveWrapper)]


def test_all_is_every_convolution_and_linear_layer_but_the_head():
    network = unet()
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.modules.conv._ConvNd)]
    inject_lora(network, example_input=IMAGE)
    assert head_of(network) == ["model.2.1.conv.unit0.conv"]
    assert sorted(adapted(network) + head_of(network)) == sorted(layers)


def test_decoder_is_what_runs_after_the_coarsest_map_but_the_head():
    network = unet()
    *decoder, head = find_decoder(trace_layers(network, IMAGE))
    inject_lora(network, targets="decoder", example_input=IMAGE)
    assert sorted(adapted(network)) == sorted(decoder)
    assert head_of(network) == [head]


def test_a_pattern_has_to_match_the_full_name():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.Conv2d(2, 2, 1)), nn.Conv2d(2, 2, 1))
    inject_lora(network, targets="0", head=None)
    assert adapted(network) == ["0"]


def test_a_pattern_may_hit_containers_and_activations_in_passing():
    network = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), nn.Conv2d(2, 2, 1))
    inject_lora(network, targets="0.*", head=None)
    assert adapted(network) == ["0.0"]


def test_the_head_is_found_by_its_full_name_only():
    network = nn.ModuleDict({"fc": nn.Linear(2, 2), "body_fc": nn.Linear(2, 2), "other": nn.Linear(2, 2)})
    inject_lora(network, head="fc")
    assert head_of(network) == ["fc"]
    assert adapted(network) == ["body_fc", "other"]


def test_a_head_may_be_a_container():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)))
    inject_lora(network, head="1")
    assert adapted(network) == ["0"]
    assert len(head_parameters(network)) == 4


def test_without_head_every_layer_gets_an_adapter():
    network = inject_lora(unet(), head=None)
    assert not head_parameters(network)
    assert len(adapted(network)) == sum(isinstance(m, nn.modules.conv._ConvNd) for m in unet().modules())


def test_the_head_copy_starts_equal_to_the_head():
    network = inject_lora(unet(), example_input=IMAGE)
    wrapper = network.get_submodule(head_of(network)[0])
    assert all(
        torch.equal(a, b) for a, b in zip(wrapper.original_module.parameters(), head_parameters(network), strict=True)
    )


def test_the_two_groups_are_all_that_is_trainable():
    network = inject_lora(unet(), example_input=IMAGE)
    groups = {id(parameter) for parameter in (*lora_parameters(network), *head_parameters(network))}
    assert groups == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert len(lora_parameters(network)) == 2 * len(adapted(network))


def test_network_stays_the_same_object_in_the_same_mode():
    network = unet().eval()
    network.model[0].train()
    assert inject_lora(network, example_input=IMAGE) is network
    in_train = {name for name, module in network.named_modules() if module.training}
    assert in_train
    assert all(name.startswith("model.0") for name in in_train)


def test_rank_alpha_and_dropout_reach_the_layers():
    network = inject_lora(unet(), rank=3, alpha=6.0, dropout=0.25, example_input=IMAGE)
    layer = network.get_submodule(adapted(network)[0])
    assert layer.lora_A["default"].weight.shape[0] == 3
    assert layer.scaling["default"] == 2.0
    assert layer.lora_dropout["default"].p == 0.25


def test_a_seed_repeats_the_draw_and_leaves_torchs_own_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    networks = [unet(), unet()]
    torch.manual_seed(5)
    first, second = (inject_lora(network, example_input=IMAGE, seed=1) for network in networks)
    assert torch.equal(torch.rand(3), expected)
    for a, b in zip(lora_parameters(first), lora_parameters(second), strict=True):
        assert torch.equal(a, b)


def test_a_bundle_can_name_it():
    parser = ConfigParser(
        {
            "lora": {
                "_target_": "monai_unlearn.networks.LoraInjection",
                "rank": 2,
                "targets": "decoder",
                "example_input": "$torch.zeros(1, 1, 16, 16)",
            },
            "network_def": {
                "_target_": "UNet",
                "spatial_dims": 2,
                "in_channels": 1,
                "out_channels": 2,
                "channels": [4, 8, 16],
                "strides": [2, 2],
            },
            "network": "$@lora(@network_def)",
        }
    )
    network = parser.get_parsed_content("network")
    assert network is parser.get_parsed_content("network_def")
    assert adapted(network) == ["model.1.submodule.2.conv"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be an integer of at least 1, got 0"),
        ({"rank": 2.5}, "rank must be an integer of at least 1, got 2.5"),
        ({"rank": True}, "rank must be an integer of at least 1, got True"),
        ({"alpha": 0.0}, "alpha must be positive, got 0.0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1, got 1.0"),
        ({"targets": ""}, 'targets must be "all", "decoder" or a pattern'),
        ({"targets": "("}, re.escape("targets='(' is not a regular expression")),
        ({"targets": "decoder", "head": None}, 'targets="decoder" is found by a forward pass: give an example_input'),
        ({}, 'head="auto" is found by a forward pass: give an example_input'),
    ],
)
def test_a_wrong_setting_fails_at_construction(settings, message):
    with pytest.raises(ValueError, match=message):
        LoraInjection(**settings)


def shared_layer() -> nn.Module:
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied_weight() -> nn.Module:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    return network


def parametrised() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))


def attention() -> nn.Module:
    return nn.Sequential(nn.MultiheadAttention(2, 1))


@pytest.mark.parametrize(
    ("network", "targets", "message"),
    [
        (nn.Sequential(nn.BatchNorm2d(2)), "0", r"'0' \(BatchNorm2d\) cannot be adapted: only convolutions"),
        (nn.Sequential(nn.Embedding(2, 2)), "0", r"'0' \(Embedding\) cannot be adapted: only convolutions"),
        (shared_layer(), "0", r"'0' \(Linear\) cannot be adapted: its weight is shared"),
        (tied_weight(), "1", r"'1' \(Linear\) cannot be adapted: its weight is shared"),
        (parametrised(), "0", r"'0' \(ParametrizedLinear\) cannot be adapted: its weight is parametrised"),
        (attention(), "0", r"'0' \(MultiheadAttention\) cannot be adapted: only convolutions"),
        (attention(), ".*out_proj", r"'0.out_proj' .* cannot be adapted: nn.MultiheadAttention uses its weight"),
        (nn.Sequential(nn.LazyLinear(2)), "0", r"'0' \(LazyLinear\) cannot be adapted: .* not initialised"),
        (nn.Sequential(nn.Linear(2, 2)), "decoder.*", r"'decoder.\*' hits no layer of Sequential.* such as '0'"),
    ],
)
def test_an_illegal_target_is_named(network, targets, message):
    with pytest.raises(ValueError, match=message):
        inject_lora(network, targets=targets, head=None)


def test_all_passes_over_what_cannot_be_adapted():
    network = nn.Sequential(nn.Linear(2, 2), *tied_weight(), *attention(), *parametrised())
    inject_lora(network, head=None)
    assert adapted(network) == ["0"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("no.such", "head='no.such': Sequential has no such module"),
        ("", "head='': Sequential has no such module"),
        ("1", r"head='1' \(ReLU\) has no parameters"),
        ("2", "head='2' is a ModuleList, which never runs"),
    ],
)
def test_an_illegal_head_is_named(head, message):
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.ModuleList([nn.Linear(2, 2)]))
    with pytest.raises(ValueError, match=message):
        inject_lora(network, head=head)
    assert not adapted(network)


def test_a_target_that_is_the_head_leaves_nothing():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="targets='1' leaves no layer of Sequential to adapt besides the head '1'"):
        inject_lora(network, targets="1", head="1")


def test_a_network_takes_one_adapter():
    network = inject_lora(unet(), example_input=IMAGE)
    with pytest.raises(ValueError, match="UNet has adapters already, the first at 'model"):
        inject_lora(network, example_input=IMAGE)
    inject_lora(merge_adapters(network), example_input=IMAGE)


def test_a_classifier_has_no_decoder():
    with pytest.raises(ValueError, match='targets="decoder": the network has no decoder'):
        inject_lora(CASES["ResNet18 2-D"].build(), targets="decoder", example_input=torch.zeros(1, 1, 64, 64))
