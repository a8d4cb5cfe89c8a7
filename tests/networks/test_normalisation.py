from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_unlearn.networks import freeze_normalisation, normalisation_layers

MOVING = [
    nn.BatchNorm1d(2),
    nn.BatchNorm2d(2, affine=False),
    nn.BatchNorm3d(2),
    nn.SyncBatchNorm(2),
    nn.InstanceNorm2d(2, track_running_stats=True),
]
STILL = [nn.InstanceNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False), nn.GroupNorm(1, 2), nn.Dropout()]


@pytest.mark.parametrize("layer", MOVING, ids=str)
def test_layers_with_running_statistics_are_found(layer):
    assert normalisation_layers(nn.Sequential(nn.Conv2d(1, 2, 1), layer)) == [("1", layer)]


@pytest.mark.parametrize("layer", STILL, ids=str)
def test_layers_without_are_not(layer):
    assert normalisation_layers(nn.Sequential(layer)) == []


def test_frozen_statistics_stay_where_they_are_while_the_rest_trains():
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2)).train()
    freeze_normalisation(network)
    network(torch.randn(4, 2, 3, 3))
    assert network[0].training
    assert torch.equal(network[1].running_mean, torch.zeros(2))
    network.train()
    network(torch.randn(4, 2, 3, 3))
    assert network[1].running_mean.any()
