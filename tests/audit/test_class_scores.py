from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.inferers import SimpleInferer
from torch import nn

from monai_unlearn.audit import CaseScores, ClassScores, score_cases

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the independent reference")

CLASSES = 4


def classified(count: int) -> list[dict[str, Any]]:
    """Logits as images, so that the network may be the identity; the labels are plain numbers, as in a datalist."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(count, CLASSES, generator=generator) * 2
    labels = torch.randint(0, CLASSES - 1, (count,), generator=generator)  # the last class has no case
    return [{"image": logits[i], "label": int(labels[i]), "id": f"case_{i}"} for i in range(count)]


def score(items: list[dict[str, Any]], **arguments: Any) -> CaseScores:
    arguments = {"activation": "softmax", "task": "classification", "batch_size": 4, **arguments}
    return score_cases(
        nn.Identity(),
        DataLoader(items, batch_size=arguments.pop("batch_size")),
        loss_function=nn.CrossEntropyLoss(),
        inferer=SimpleInferer(),
        device="cpu",
        **arguments,
    )


def test_every_case_has_its_loss_its_class_and_its_probabilities() -> None:
    items = classified(9)
    scores = score(items)
    assert isinstance(scores, ClassScores)
    assert scores.ids == tuple(item["id"] for item in items)
    for position, item in enumerate(items):
        logits = item["image"].double().numpy()
        probabilities = np.exp(logits) / np.exp(logits).sum()
        assert scores.probabilities[position] == pytest.approx(probabilities)
        assert scores.figures["loss"][position] == pytest.approx(-np.log(probabilities[item["label"]]), rel=1e-5)
        assert scores.predicted[position] == logits.argmax()
        assert scores.figures["correct"][position] == float(logits.argmax() == item["label"])


def test_a_summary_is_that_of_scikit_learn_over_the_named_cases() -> None:
    items = classified(30)
    scores = score(items)
    summary = scores.summary([item["id"] for item in items[5:25]])
    predicted = [int(item["image"].argmax()) for item in items[5:25]]
    truth = [item["label"] for item in items[5:25]]
    present = sorted(set(truth))
    f1 = sklearn_metrics.f1_score(truth, predicted, labels=present, average=None)
    recall = sklearn_metrics.recall_score(truth, predicted, labels=present, average=None)
    assert summary["n"] == 20
    assert summary["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    assert summary["f1_macro"] == pytest.approx(f1.mean())
    assert summary["f1_per_class"] == [*map(pytest.approx, f1), None]
    assert summary["accuracy_per_class"] == [*map(pytest.approx, recall), None]
    assert summary["loss"] == pytest.approx(np.mean(scores.of([item["id"] for item in items[5:25]], "loss")))


def test_classes_that_were_to_go_can_be_left_out_of_the_mean() -> None:
    items = classified(30)
    scores = score(items)
    f1 = scores.summary(scores.ids)["f1_per_class"]
    assert scores.summary(scores.ids, without=[1])["f1_macro"] == pytest.approx((f1[0] + f1[2]) / 2)
    only = [item["id"] for item in items if item["label"] == 1]
    assert scores.summary(only, without=[1])["f1_macro"] is None


def test_the_size_of_the_batches_does_not_count() -> None:
    items = classified(11)
    first, *others = (score(items, batch_size=size) for size in (1, 4, 11))
    for other in others:
        assert other.summary(other.ids)["loss"] == pytest.approx(first.summary(first.ids)["loss"])
        np.testing.assert_array_equal(other.figures["correct"], first.figures["correct"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"task": "regression"}, "'task' is one of"), ({"activation": "sigmoid"}, "exclusive classes")],
)
def test_a_task_that_is_not_known_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(classified(2), **arguments)
