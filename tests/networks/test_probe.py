"""Where the decoder begins, against boundaries read off the networks' source by hand."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from monai_unlearn.networks import find_decoder, find_head, trace_layers
from tests.networks.cases import CASES

# the last layer at the coarsest level, the first layer of the decoder, the head
BOUNDARIES = {
    "UNet 2-D": (
        "model.1.submodule.1.submodule.conv.unit1.conv",
        "model.1.submodule.2.0.conv",
        "model.2.1.conv.unit0.conv",
    ),
    "UNet 3-D": (
        "model.1.submodule.1.submodule.conv.unit1.conv",
        "model.1.submodule.2.0.conv",
        "model.2.1.conv.unit0.conv",
    ),
    "BasicUNet 2-D": ("down_4.convs.conv_1.conv", "upcat_4.upsample.deconv", "final_conv"),
    "BasicUNet 3-D": ("down_4.convs.conv_1.conv", "upcat_4.upsample.deconv", "final_conv"),
    # the decoder's first convolution runs before its upsampling, on the coarsest map
    "FlexibleUNet resnet34": (
        "decoder.blocks.0.upsample.preconv",
        "decoder.blocks.0.convs.conv_0.conv",
        "segmentation_head.0",
    ),
    "FlexibleUNet efficientnet-b0": (
        "decoder.blocks.0.upsample.preconv",
        "decoder.blocks.0.convs.conv_0.conv",
        "segmentation_head.0",
    ),
    "SegResNet 2-D": ("up_samples.0.0.conv", "up_layers.0.0.conv1.conv", "conv_final.2.conv"),
    "SegResNet 3-D": ("up_samples.0.0.conv", "up_layers.0.0.conv1.conv", "conv_final.2.conv"),
    "DynUNet 2-D": ("bottleneck.conv2.conv", "upsamples.0.transp_conv.conv", "output_block.conv.conv"),
    "DynUNet 3-D": ("bottleneck.conv2.conv", "upsamples.0.transp_conv.conv", "output_block.conv.conv"),
    "SwinUNETR 2-D": ("encoder10.layer.conv2.conv", "decoder5.transp_conv.conv", "out.conv.conv"),
    "SwinUNETR 3-D": ("encoder10.layer.conv2.conv", "decoder5.transp_conv.conv", "out.conv.conv"),
    "UNETR 2-D": ("vit.blocks.11.mlp.linear2", "encoder1.layer.conv1.conv", "out.conv.conv"),
    "UNETR 3-D": ("vit.blocks.11.mlp.linear2", "encoder1.layer.conv1.conv", "out.conv.conv"),
    "AttentionUnet 2-D": (
        "model.1.submodule.1.submodule.conv.1.conv",
        "model.1.submodule.1.upconv.up.conv",
        "model.2.conv",
    ),
    "AttentionUnet 3-D": (
        "model.1.submodule.1.submodule.conv.1.conv",
        "model.1.submodule.1.upconv.up.conv",
        "model.2.conv",
    ),
}
CLASSIFIERS = [name for name in CASES if name.startswith(("DenseNet121", "ResNet18", "ViT"))]
HEADS = {"DenseNet121": "class_layers.out", "ResNet18": "fc", "ViT": "classification_head.0"}


@pytest.mark.parametrize(("name", "boundary"), BOUNDARIES.items(), ids=BOUNDARIES.keys())
def test_decoder_begins_after_the_coarsest_feature_map(name, boundary):
    last, first, head = boundary
    case = CASES[name]
    runs = trace_layers(case.build(), case.inputs())
    order = list(dict.fromkeys(run.name for run in runs))
    assert order[order.index(last) + 1] == first
    assert find_decoder(runs) == order[order.index(first) :]
    assert find_head(runs) == head


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_has_a_head_but_no_decoder(name):
    case = CASES[name]
    runs = trace_layers(case.build(), case.inputs())
    assert find_head(runs) == HEADS[name.split()[0]]
    with pytest.raises(ValueError, match=r'has no decoder.*Use targets="all" or a pattern'):
        find_decoder(runs)


def test_a_bottleneck_of_one_position_is_a_level():
    network = BasicUNet(2, 1, 2, features=(4, 4, 8, 8, 16, 4), norm="batch")
    runs = trace_layers(network, torch.zeros(1, 1, 16, 16))
    assert min(run.positions for run in runs) == 1
    assert find_decoder(runs)[0] == "upcat_4.upsample.deconv"


def test_positions_are_those_of_one_case():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Flatten(2), nn.Linear(16, 3))
    for batch in (1, 3):
        runs = trace_layers(network, torch.zeros(batch, 1, 8, 8))
        assert [(run.name, run.positions) for run in runs] == [("0", 16), ("2", 4)]


def test_probing_changes_neither_buffers_nor_modes_nor_hooks():
    network = CASES["UNet 2-D"].build().train()
    network.model[0].eval()
    modes = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    trace_layers(network, torch.randn(2, 1, 16, 16))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(network.state_dict()[key], value) for key, value in state.items())
    assert not any(module._forward_hooks for module in network.modules())


def test_layers_that_do_not_run_are_not_listed():
    case = CASES["FlexibleUNet efficientnet-b0"]
    network = case.build()
    reached = {run.name for run in trace_layers(network, case.inputs())}
    assert {"encoder._conv_head", "encoder._fc"} <= {name for name, _ in network.named_modules()}
    assert not {"encoder._conv_head", "encoder._fc"} & reached


def test_an_input_the_network_cannot_take_is_named():
    with pytest.raises(ValueError, match=r"UNet fails on an example_input of shape \(1, 3, 16, 16\)"):
        trace_layers(CASES["UNet 2-D"].build(), torch.zeros(1, 3, 16, 16))


def test_a_network_without_convolutions_or_linear_layers_is_refused():
    with pytest.raises(ValueError, match="No convolution or linear layer of ReLU runs"):
        trace_layers(nn.ReLU(), torch.zeros(1, 1))
