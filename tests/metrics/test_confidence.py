from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric

from monai_unlearn.metrics import PooledCalibrationError, case_confidence


def error_by_numpy(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return sum(
        (index == one).mean() * abs(confidence[index == one].mean() - right[index == one].mean())
        for one in range(bins)
        if (index == one).any()
    )


def test_confidence_and_entropy_of_one_logit_are_those_of_its_two_outcomes():
    logits = torch.randn(3, 1, 5, 4, dtype=torch.float64) * 3
    label = (torch.rand(3, 1, 5, 4) > 0.5).float()
    p = 1 / (1 + np.exp(-logits.numpy()))
    sure, entropy = np.maximum(p, 1 - p), -(p * np.log(p) + (1 - p) * np.log(1 - p))
    found = case_confidence(logits, label, activation="sigmoid")
    assert found["confidence"].numpy() == pytest.approx(sure.mean(axis=(1, 2, 3)))
    assert found["entropy"].numpy() == pytest.approx(entropy.mean(axis=(1, 2, 3)))
    for case in range(3):
        inside = label[case].numpy() > 0.5
        assert found["foreground_confidence"][case].item() == pytest.approx(sure[case][inside].mean())
        assert found["foreground_entropy"][case].item() == pytest.approx(entropy[case][inside].mean())
        assert found["foreground"][case] == inside.sum()


def test_the_foreground_of_exclusive_classes_is_all_but_the_first():
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 1, 4, 4))
    p = logits.softmax(1)
    found = case_confidence(logits, label, activation="softmax")
    for case in range(2):
        inside = label[case, 0] > 0
        assert found["foreground_confidence"][case] == pytest.approx(p[case].max(0).values[inside].mean().item())
        assert found["entropy"][case] == pytest.approx(-(p[case] * p[case].log()).sum(0).mean().item(), rel=1e-5)


def test_a_case_without_foreground_has_no_figure_of_it():
    found = case_confidence(torch.randn(2, 1, 4, 4), torch.zeros(2, 1, 4, 4), activation="sigmoid")
    assert found["foreground_confidence"].isnan().all()
    assert found["foreground"].tolist() == [0, 0]
    assert found["confidence"].isfinite().all()


def test_a_class_has_no_foreground():
    assert set(case_confidence(torch.randn(4, 3), activation="softmax")) == {"confidence", "entropy"}


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_error_is_that_of_all_voxels_together_however_they_come(batch_size):
    logits, label = torch.randn(5, 1, 6, 6) * 2, (torch.rand(5, 1, 6, 6) > 0.4).float()
    pooled = PooledCalibrationError(activation="sigmoid")
    for one, truth in zip(logits.split(batch_size), label.split(batch_size), strict=True):
        pooled.update(one, truth)
    p = torch.sigmoid(logits).numpy().ravel()
    right = (p > 0.5) == (label.numpy().ravel() > 0.5)
    assert pooled.value() == pytest.approx(error_by_numpy(np.maximum(p, 1 - p), right), abs=1e-6)


def test_of_one_image_it_is_the_error_of_monai():
    confidence, right = torch.rand(1, 200) / 2 + 0.5, torch.rand(1, 200) > 0.3
    pooled = PooledCalibrationError(activation="sigmoid")
    pooled.add(confidence, right)
    metric = CalibrationErrorMetric(num_bins=15)
    metric(y_pred=confidence[None], y=right.float()[None])
    assert pooled.value() == pytest.approx(metric.aggregate().item(), abs=1e-6)


def test_classes_are_elements_too():
    logits, truth = torch.randn(50, 4) * 2, torch.randint(0, 4, (50,))
    pooled = PooledCalibrationError(activation="softmax")
    pooled.update(logits, truth)
    p = logits.softmax(1).numpy()
    assert pooled.value() == pytest.approx(error_by_numpy(p.max(1), p.argmax(1) == truth.numpy()), abs=1e-6)


def test_a_network_that_is_sure_and_wrong_is_as_far_off_as_can_be():
    pooled = PooledCalibrationError(activation="sigmoid")
    pooled.update(torch.full((2, 1, 4, 4), 50.0), torch.zeros(2, 1, 4, 4))
    assert pooled.value() == pytest.approx(1)


def test_without_a_voxel_there_is_no_error():
    with pytest.raises(ValueError, match="no element"):
        PooledCalibrationError(activation="sigmoid").value()
