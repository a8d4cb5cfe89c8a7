from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_unlearn.metrics import (
    class_accuracy,
    class_confusion,
    class_f1,
    class_recall,
    macro_mean,
    remaining_total_variation,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the independent reference")


@pytest.fixture(params=range(3))
def answers(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(request.param)
    truth = generator.integers(0, 5, 60)
    return np.where(generator.random(60) < 0.6, truth, generator.integers(0, 5, 60)), truth


def test_every_figure_is_that_of_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = answers
    confusion = class_confusion(predicted, truth, class_count=5)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(truth, predicted, labels=range(5)))
    assert class_accuracy(confusion) == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    f1 = sklearn_metrics.f1_score(truth, predicted, labels=range(5), average=None)
    assert class_f1(confusion) == pytest.approx(f1.tolist())
    recall = sklearn_metrics.recall_score(truth, predicted, labels=range(5), average=None)
    assert class_recall(confusion) == pytest.approx(recall.tolist())
    assert macro_mean(class_f1(confusion)) == pytest.approx(sklearn_metrics.f1_score(truth, predicted, average="macro"))


def test_a_class_without_a_case_has_no_figure_and_does_not_count_in_the_mean() -> None:
    confusion = class_confusion(torch.tensor([0, 2, 1, 1]), torch.tensor([0, 0, 1, 1]), class_count=4)
    assert class_f1(confusion) == [pytest.approx(2 / 3), 1.0, None, None], "class 2 was called once and never true"
    assert class_recall(confusion) == [0.5, 1.0, None, None]
    assert macro_mean(class_f1(confusion)) == pytest.approx(5 / 6)


def test_a_class_that_is_never_recognised_has_the_f1_zero() -> None:
    assert class_f1(class_confusion([1, 1], [0, 1], class_count=2)) == [0.0, pytest.approx(2 / 3)]


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        ([0, 1], [0], "their shapes are"),
        ([], [], "at least one"),
        ([0, 3], [0, 1], r"predicted holds the classes \[3\]"),
        ([0, 1], [0, -1], r"truth holds the classes \[-1\]"),
    ],
)
def test_answers_that_cannot_be_counted_are_refused(predicted: list[int], truth: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_confusion(predicted, truth, class_count=3)


def test_there_is_no_mean_of_no_class() -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        macro_mean([None, None])


def test_total_variation_compares_what_is_said_in_place_of_the_removed_class() -> None:
    student = [[0.90, 0.06, 0.04], [0.0, 0.5, 0.5]]
    oracle = [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]]
    # renormalised: (0.6, 0.4) against (0.5, 0.5), and (0.5, 0.5) against (1, 0)
    assert remaining_total_variation(student, oracle, removed=[0]) == pytest.approx([0.1, 0.5])


def test_total_variation_does_not_see_how_much_is_left_for_the_removed_class() -> None:
    rest = np.random.default_rng(0).dirichlet(np.ones(4), 8)
    shares = np.linspace(0.1, 0.9, 8)[:, None]
    first = np.concatenate([rest[:, :2] * shares, 1 - shares, rest[:, 2:] * shares], axis=1)
    second = np.concatenate([rest[:, :2], np.zeros((8, 1)), rest[:, 2:]], axis=1)
    assert remaining_total_variation(first, second, removed={2}) == pytest.approx(np.zeros(8), abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "removed", "message"),
    [
        ([[0.5, 0.5]], [[0.2, 0.3, 0.5]], [0], "need one shape"),
        ([[0.5, 0.5]], [[0.5, 0.5]], [0], "1 remain"),
        ([[0.2, 0.3, 0.5], [1, 0, 0]], [[0.2, 0.3, 0.5]] * 2, [0], "case 1 has no probability"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(first, second, removed, message) -> None:
    with pytest.raises(ValueError, match=message):
        remaining_total_variation(first, second, removed=removed)
