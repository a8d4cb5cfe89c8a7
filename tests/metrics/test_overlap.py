from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.metrics import DiceMetric

from monai_unlearn.metrics import CaseOverlapMetric, case_overlap


def reference_overlap(predicted, truth):
    """NumPy, with the published (overlap + ε) / (union + ε)."""
    axes = tuple(range(2, predicted.ndim))
    both, either = (predicted & truth).sum(axis=axes), (predicted | truth).sum(axis=axes)
    return {
        "iou": (both + 1e-7) / (either + 1e-7),
        "dice": (2 * both + 1e-7) / (predicted.sum(axis=axes) + truth.sum(axis=axes) + 1e-7),
    }


def draw(shape, *, labels):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, generator=generator)
    return logits, torch.randint(labels, (shape[0], *shape[2:]), generator=generator)


@pytest.mark.parametrize("shape", [(3, 1, 6, 5), (3, 1, 4, 5, 3), (3, 2, 6, 5)], ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_sigmoid_overlap_is_that_of_the_thresholded_logits(shape, threshold):
    logits, _ = draw(shape, labels=2)
    label = torch.randint(2, shape, generator=torch.Generator().manual_seed(2)).float()
    values = case_overlap(logits, label, activation="sigmoid", threshold=threshold)
    expected = reference_overlap(logits.numpy() > threshold, label.numpy() > 0.5)
    for measure in ("iou", "dice"):
        assert values[measure].shape == shape[:2]
        np.testing.assert_allclose(values[measure], expected[measure], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 6, 5), (3, 3, 4, 5, 3), (2, 2, 8, 8)], ids=str)
def test_softmax_overlap_leaves_the_background_out(shape):
    logits, classes = draw(shape, labels=shape[1])
    values = case_overlap(logits, classes.unsqueeze(1), activation="softmax")
    foreground = np.arange(1, shape[1]).reshape(1, -1, *(1 for _ in shape[2:]))
    expected = reference_overlap(
        logits.numpy().argmax(axis=1)[:, None] == foreground, classes.numpy()[:, None] == foreground
    )
    for measure in ("iou", "dice"):
        assert values[measure].shape == (shape[0], shape[1] - 1)
        np.testing.assert_allclose(values[measure], expected[measure], rtol=1e-5, atol=1e-6)


def test_one_hot_labels_say_the_same_as_class_indices():
    logits, classes = draw((3, 4, 6, 5), labels=4)
    one_hot = F.one_hot(classes, 4).movedim(-1, 1)
    by_index = case_overlap(logits, classes, activation="softmax")
    by_channel = case_overlap(logits, one_hot, activation="softmax")
    assert by_index["iou"].equal(by_channel["iou"])
    assert by_index["dice"].equal(by_channel["dice"])


@pytest.mark.parametrize(
    ("predicted", "true", "expected"), [(False, False, 1.0), (True, False, 0.0), (False, True, 0.0), (True, True, 1.0)]
)
def test_agreement_on_an_empty_mask_counts_as_full_overlap(predicted, true, expected):
    logits = torch.full((1, 1, 4, 4), 5.0 if predicted else -5.0)
    values = case_overlap(logits, torch.full((1, 1, 4, 4), float(true)), activation="sigmoid")
    assert values["iou"].item() == values["dice"].item() == expected


def test_a_logit_at_the_threshold_is_background():
    values = case_overlap(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), activation="sigmoid")
    assert values["iou"].item() == 1.0


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_nan_logits_never_pass_for_an_empty_prediction(activation):
    logits = torch.zeros(3, 2, 4, 4)
    logits[1, 0, 2, 2] = torch.nan
    with pytest.raises(ValueError, match=r"NaN in the cases at positions \[1\]"):
        case_overlap(logits, torch.zeros(3, 2, 4, 4), activation=activation)


def test_classification_logits_are_refused():
    with pytest.raises(ValueError, match=r"overlap needs logits of shape \(B, C, \*spatial\)"):
        case_overlap(torch.zeros(3, 2), torch.zeros(3, 2), activation="sigmoid")


def test_the_metric_is_the_mean_over_cases_not_over_batches():
    logits, _ = draw((5, 1, 6, 5), labels=2)
    label = torch.randint(2, logits.shape, generator=torch.Generator().manual_seed(2))
    metric = CaseOverlapMetric(activation="sigmoid", measure="iou")
    for batch in (slice(0, 4), slice(4, 5)):
        metric(y_pred=logits[batch], y=label[batch])
    expected = reference_overlap(logits.numpy() > 0, label.numpy() > 0.5)["iou"].mean()
    assert metric.aggregate().item() == pytest.approx(expected, rel=1e-5)


def test_the_metric_takes_decollated_meta_tensors_and_agrees_with_monais_dice():
    logits, classes = draw((3, 4, 6, 5), labels=4)
    metric, monai_metric = CaseOverlapMetric(activation="softmax", measure="dice"), DiceMetric(include_background=False)
    metric(y_pred=[MetaTensor(case) for case in logits], y=[MetaTensor(case) for case in classes.unsqueeze(1)])
    monai_metric(y_pred=F.one_hot(logits.argmax(dim=1), 4).movedim(-1, 1), y=F.one_hot(classes, 4).movedim(-1, 1))
    assert metric.aggregate().item() == pytest.approx(monai_metric.aggregate().item(), rel=1e-6)


def test_a_reset_metric_has_seen_no_case():
    metric = CaseOverlapMetric(activation="sigmoid", measure="dice")
    metric(y_pred=torch.ones(1, 1, 2, 2), y=torch.ones(1, 1, 2, 2))
    metric.reset()
    with pytest.raises(ValueError, match="no case was measured"):
        metric.aggregate()


@pytest.mark.parametrize("arguments", [{"measure": "jaccard"}, {"activation": "argmax"}])
def test_an_unknown_choice_is_refused_at_construction(arguments):
    with pytest.raises(ValueError, match=r"is '(jaccard|argmax)'; allowed are"):
        CaseOverlapMetric(**{"activation": "sigmoid", "measure": "iou", **arguments})
