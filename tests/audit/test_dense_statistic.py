from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_unlearn.audit import DenseStatistic


def disc(shape: tuple[int, ...], radius: float) -> torch.Tensor:
    grid = np.indices(shape) - np.array(shape).reshape(-1, *[1] * len(shape)) / 2
    return torch.tensor((grid**2).sum(axis=0) < radius**2)


def logit(probability: torch.Tensor) -> torch.Tensor:
    return torch.log(probability) - torch.log1p(-probability)


@pytest.mark.parametrize("shape", [(20, 24), (12, 14, 10)])
@pytest.mark.parametrize("band", [1, 2])
def test_of_one_logit_it_is_that_logit_over_foreground_band_and_hardest_share(shape, band):
    truth, logits = disc(shape, 4), torch.randn(1, 1, *shape, dtype=torch.float64)
    margin = torch.where(truth, logits[0, 0], -logits[0, 0]).numpy()
    box = np.ones([2 * band + 1] * len(shape))
    mask = truth.numpy()
    edge = ndimage.binary_dilation(mask, box) & ~ndimage.binary_erosion(mask, box, border_value=1)
    lowest = np.sort(margin.ravel())[: int(np.ceil(0.2 * margin.size))]
    found = DenseStatistic(activation="sigmoid", band=band, hardest=0.2)(logits, truth[None, None].float())
    assert found[0].numpy() == pytest.approx([margin[mask].mean(), margin[edge].mean(), lowest.mean()])


def test_of_a_softmax_it_is_the_logit_of_the_true_class_probability():
    truth = disc((16, 16), 6).long() + disc((16, 16), 3).long()
    logits = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    probability = logits.softmax(dim=1).gather(1, truth[None, None])[0, 0]
    margin = logit(probability).numpy()
    labels, box = truth.numpy(), np.ones((3, 3))
    edge = np.zeros((16, 16), dtype=bool)
    for value in (1, 2):
        edge |= ndimage.binary_dilation(labels == value, box) & ~ndimage.binary_erosion(
            labels == value, box, border_value=1
        )
    found = DenseStatistic(activation="softmax")(logits, truth[None, None])[0]
    assert found[:2].numpy() == pytest.approx([margin[labels > 0].mean(), margin[edge].mean()])
    of_class = DenseStatistic(activation="softmax", classes=(2,))(logits, truth[None, None])[0]
    assert of_class[0].item() == pytest.approx(margin[labels == 2].mean())


def test_of_a_classifier_it_is_the_logit_of_the_true_class_probability():
    logits, truth = torch.randn(5, 4), torch.tensor([0, 3, 1, 2, 2])
    statistic = DenseStatistic(activation="softmax", task="classification")
    expected = logit(logits.double().softmax(dim=1)[torch.arange(5), truth])
    assert statistic(logits, truth)[:, 0].numpy() == pytest.approx(expected.numpy())
    assert statistic.parts == ("case",)


def test_of_independent_labels_the_classes_of_a_request_alone_count():
    truth = torch.stack([disc((16, 16), 5), disc((16, 16), 3)])[None].float()
    logits = torch.randn(1, 2, 16, 16)
    found = DenseStatistic(activation="sigmoid", classes=(1,))(logits, truth)
    assert found[0, 0].item() == pytest.approx(logits[0, 1][truth[0, 1] > 0].mean().item())


def test_a_case_without_a_structure_has_its_hardest_voxels_alone():
    found = DenseStatistic(activation="sigmoid")(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert found[0].isnan().tolist() == [True, True, False]


def test_it_stays_finite_where_the_network_is_wrong_beyond_doubt():
    truth = torch.ones(1, 1, 4, 4)
    assert DenseStatistic(activation="sigmoid")(-1e4 * truth, truth).isfinite()[0, [0, 2]].all()


@pytest.mark.parametrize("settings", [{"band": 0}, {"hardest": 0.0}, {"hardest": 1.5}])
def test_impossible_parts_are_refused(settings):
    with pytest.raises(ValueError, match="boundary band"):
        DenseStatistic(activation="sigmoid", **settings)
