from __future__ import annotations

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from monai_unlearn.audit.features import one_by_one, stage_features
from monai_unlearn.audit.stages import Stage, find_stages
from tests.audit.memorising import config_of
from tests.networks.cases import CASES

NETWORKS = {
    name: case
    for name, case in CASES.items()
    if not case.timesteps and ("2-D" in name or name in ("UNet 3-D", "ViT 3-D"))
}
CONFIG = config_of("segmentation")


def batch_of(*images: torch.Tensor) -> dict:
    return {
        "id": [f"case_{index}" for index in range(len(images))],
        "image": torch.stack(images),
        "label": torch.zeros(len(images), 1),
    }


def network_with_a_logit(network: nn.Module) -> nn.Module:
    """Some networks return a tuple; the logits come first."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            output = self.inner(image)
            return output if isinstance(output, torch.Tensor) else output[0]

    return First()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_one_row_per_case_at_every_stage(name):
    case = NETWORKS[name]
    network = network_with_a_logit(case.network())
    image = torch.randn(2, *case.shape)
    stages = find_stages(network, image)
    found = stage_features(network, [batch_of(*image)], stages, config=CONFIG)
    assert list(found) == [stage.name for stage in stages]
    assert all(rows.shape[0] == 2 and rows.shape[1] > 1 for rows in found.values())
    assert any(abs(rows[0] - rows[1]).max() > 0 for rows in found.values())


def test_a_feature_is_the_mean_over_the_positions():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1))
    images = torch.randn(4, 1, 9, 7)
    found = stage_features(network, [batch_of(*images)], [Stage("0", 1)], config=CONFIG)["0"]
    with torch.no_grad():
        expected = network[0](images).mean(dim=(2, 3))
    assert found == pytest.approx(expected.numpy(), abs=1e-6), "read before the activation works in place"


def test_windows_of_a_case_are_averaged():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1))
    images = torch.randn(3, 1, 8, 8)
    config = config_of("segmentation", inferer=SlidingWindowInferer(roi_size=(4, 4), sw_batch_size=3, overlap=0))
    found = stage_features(network, [batch_of(*images)], [Stage("0", 1)], config=config)["0"]
    with torch.no_grad():
        expected = network[0](images).mean(dim=(2, 3))
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


def test_cells_are_samples_of_their_own():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1))
    images = torch.randn(2, 1, 8, 8)
    found = stage_features(network, [batch_of(*images)], [Stage("0", 1)], config=CONFIG, cells=2)["0"]
    with torch.no_grad():
        expected = network[0](images).unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5)).flatten(2).transpose(1, 2)
    assert found == pytest.approx(expected.reshape(-1, 3).numpy(), abs=1e-6)


def test_of_many_windows_evenly_spaced_samples_remain():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1))
    config = config_of("segmentation", inferer=SlidingWindowInferer(roi_size=(2, 2), sw_batch_size=5, overlap=0))
    images = torch.randn(2, 1, 8, 8)
    found = stage_features(network, [batch_of(*images)], [Stage("0", 1)], config=config, cells=2)["0"]
    assert found.shape == (16, 3), "two cases, eight samples of each"
    with torch.no_grad():
        corners = network[0](images)[:, :, [0, -1], [0, -1]].transpose(1, 2).reshape(4, 3)
    assert found[[0, 7, 8, 15]] == pytest.approx(corners.numpy(), abs=1e-6), "the first and the last among them"


def test_images_may_have_different_sizes():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1))
    batches = [batch_of(torch.randn(1, 8, 8)), batch_of(torch.randn(1, 5, 11))]
    for cells, rows in ((1, 2), (4, 32)):
        assert stage_features(network, batches, [Stage("0", 1)], config=CONFIG, cells=cells)["0"].shape == (rows, 3)


def test_tokens_are_averaged_over_their_axis():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = nn.Linear(6, 5), nn.Linear(5, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.head(self.block(image.flatten(2).transpose(1, 2)).mean(1))

    network, images = Tokens(), torch.randn(3, 6, 4, 4)
    stages = find_stages(network, images)
    assert stages == (Stage("block", -1),)
    found = stage_features(network, [batch_of(*images)], stages, config=CONFIG)["block"]
    with torch.no_grad():
        expected = network.block(images.flatten(2).transpose(1, 2)).mean(1)
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


def test_a_batch_is_taken_apart_into_cases():
    parts = list(one_by_one([batch_of(*torch.randn(3, 1, 2, 2)), batch_of(torch.randn(1, 5, 5))]))
    assert [part["id"] for part in parts] == [["case_0"], ["case_1"], ["case_2"], ["case_0"]]
    assert parts[3]["image"].shape == (1, 1, 5, 5)


def test_a_stage_that_is_not_finite_or_does_not_run_is_named():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Hardtanh(), nn.Conv2d(3, 1, 1))
    with torch.no_grad():
        network[0].weight.fill_(float("inf"))
    with pytest.raises(ValueError, match=r"features of '0' for the case 'case_0' are not finite"):
        stage_features(network, [batch_of(torch.ones(1, 4, 4))], [Stage("0", 1)], config=CONFIG)
    network.add_module("idle", nn.Conv2d(1, 1, 1))
    network.forward = lambda image: network[2](network[1](network[0](image)))
    with pytest.raises(ValueError, match="the stage 'idle' of the network did not run on the case 'case_0'"):
        stage_features(network, [batch_of(torch.ones(1, 4, 4))], [Stage("idle", 1)], config=CONFIG)
    assert not any(module._forward_hooks for module in network.modules())
