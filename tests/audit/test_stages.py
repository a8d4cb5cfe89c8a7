from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.networks.nets import UNet
from torch import nn

from monai_unlearn.audit.stages import MOST_STAGES, find_rich_head, find_stages, network_input
from monai_unlearn.networks import find_head, trace_layers
from tests.networks.cases import CASES

NETWORKS = {name: case for name, case in CASES.items() if not case.timesteps}


def names_of(network: nn.Module, *shape: int, **arguments: int) -> list[str]:
    return [stage.name for stage in find_stages(network, torch.zeros(shape), **arguments)]


def widths_of(network: nn.Module) -> set[int]:
    """All widths of layers, and their sums, which blocks that concatenate have."""
    keys = ("out_channels", "out_features", "num_features", "num_channels")
    widths = {
        value
        for module in network.modules()
        for key in keys
        if isinstance(value := getattr(module, key, None), int) and value > 1
    }
    return widths | {one + other for one in widths for other in widths}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_stages_in_the_order_in_which_they_run(name):
    case = NETWORKS[name]
    network = case.network()
    window = case.inputs()[0]
    stages = find_stages(network, window)
    assert 3 <= len(stages) <= MOST_STAGES
    seen: list[str] = []
    shapes = {}

    def note(stage):
        def hook(_module, _inputs, output):
            seen.append(stage.name)
            shapes[stage.name] = output.movedim(stage.channel_axis, 1).shape

        return hook

    for stage in stages:
        network.get_submodule(stage.name).register_forward_hook(note(stage))
    with torch.no_grad():
        network(window)
    assert seen == [stage.name for stage in stages], "each runs once, one after the other"
    head = find_head(trace_layers(network, window))
    assert not any(f"{head}.".startswith(f"{stage.name}.") for stage in stages), "the head is not part of a stage"
    assert all(shape[0] == len(window) and shape[1] in widths_of(network) for shape in shapes.values())


def test_a_unet_is_divided_into_its_levels_down_and_up():
    network = UNet(2, 3, 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2)
    assert names_of(network, 1, 3, 32, 32) == [
        "model.0",
        "model.1.submodule.0",
        "model.1.submodule.1.submodule.0",
        "model.1.submodule.1.submodule.1.submodule",
        "model.1.submodule.1.submodule.2",
        "model.1.submodule.2",
    ]


def test_a_resnet_is_divided_into_its_stem_and_layers():
    assert names_of(CASES["ResNet18 2-D"].network(), 1, 1, 64, 64) == ["act", "layer1", "layer2", "layer3", "layer4"]


def test_activation_and_normalisation_belong_to_the_layer_before():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(5, 2, 1),
    )
    assert names_of(network, 2, 1, 16, 16) == ["2", "4"]


def test_a_network_in_a_wrapper_has_the_same_stages():
    class Wrapper(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.inner(image)

    for name in ("UNet 2-D", "ResNet18 2-D", "ViT 2-D", "DenseNet121 2-D"):
        case = CASES[name]
        network = case.network()
        if name == "ViT 2-D":
            network.forward = lambda image, network=network: type(network).forward(network, image)[0]
        plain = names_of(network, 1, *case.shape)
        assert names_of(Wrapper(network), 1, *case.shape) == [f"inner.{stage}" for stage in plain]


def test_many_stages_are_thinned_out_evenly_up_to_the_last():
    network = nn.Sequential(*(nn.Linear(8, 8) for _ in range(9)), nn.Linear(8, 2))
    assert names_of(network, 1, 8, most=5) == ["0", "2", "4", "6", "8"]
    assert names_of(network, 1, 8, most=1) == ["8"]


def test_side_heads_are_no_stages():
    network = CASES["DynUNet 2-D"].network()
    assert not any("supervision" in stage for stage in names_of(network, 1, 1, 16, 16))


def test_a_block_that_runs_twice_is_opened_or_left_out():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.again, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.head(self.again(self.again(self.first(image))))

    assert names_of(Twice(), 1, 4) == ["first"]


def test_the_rich_head_of_a_unet_lies_before_the_layer_that_refines_its_logits():
    network = CASES["UNet 2-D"].network()
    window = torch.zeros(1, 1, 16, 16)
    assert find_rich_head(network, window) == "model.2.0.conv"
    assert find_head(trace_layers(network, window)).startswith("model.2.1.")


def test_looking_changes_neither_the_network_nor_its_mode():
    network = CASES["UNet 2-D"].network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    find_stages(network, torch.randn(2, 1, 16, 16))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_network_that_is_nothing_but_a_head_is_refused():
    with pytest.raises(ValueError, match="Sequential has no block before its head '1'"):
        find_stages(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match="'most' counts stages and is 1 or more; got 0"):
        find_stages(nn.Linear(4, 2), torch.zeros(1, 4), most=0)


def test_the_input_of_a_network_is_what_its_inferer_calls_it_with():
    network, image = nn.Conv2d(1, 2, 3, padding=1), torch.randn(1, 1, 10, 14)
    assert torch.equal(network_input(network, image, SimpleInferer()), image)
    window = network_input(network, image, SlidingWindowInferer(roi_size=(8, 8), sw_batch_size=2))
    assert torch.equal(window[:1], image[:, :, :8, :8])
