from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from monai_unlearn.metrics import case_score, compare_samples, difference_interval, membership_auc


def sides(shift: float = 0.0, count: int = 20) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=count), generator.normal(size=count + 3)
    return {"losses": first + shift, "other_losses": second, "scores": -first - shift, "other_scores": -second}


def test_the_p_value_is_that_of_all_relabellings():
    """The Mann-Whitney test by hand: the share of all relabellings whose AUC is as far from 0.5."""
    losses, others = np.array([0.1, 0.5, 0.35, 0.9]), np.array([0.4, 0.8, 1.1, 0.7, 1.5])
    together = np.concatenate([losses, others])

    def distance(rows):
        first, second = together[list(rows)], np.delete(together, list(rows))
        return abs(membership_auc(-torch.tensor(first), -torch.tensor(second)) - 0.5)

    seen = distance(range(4))
    of_all = [distance(rows) >= seen - 1e-12 for rows in combinations(range(9), 4)]
    found = compare_samples(losses=losses, other_losses=others, scores=losses, other_scores=others, minimum=4)
    assert found.p_value == pytest.approx(np.mean(of_all))


def test_equal_sides_are_not_told_apart_and_shifted_ones_are():
    assert not compare_samples(**sides()).told_apart(0.05)
    assert compare_samples(**sides(2.0)).told_apart(0.05)


def test_the_gap_is_how_much_better_the_first_side_scores():
    found = compare_samples(**sides(2.0))
    values = sides(2.0)
    assert found.gap == pytest.approx(values["scores"].mean() - values["other_scores"].mean())
    assert found.gap < 0 < found.loss - found.other_loss


def test_few_cases_have_no_test_and_say_why():
    found = compare_samples(**sides(5.0, count=5))
    assert found.p_value is None
    assert found.reason == "5 cases on a side are too few for a test; it needs 10"
    assert found.told_apart(0.05), "the interval alone tells them apart"


def test_the_interval_is_about_that_of_the_normal_distribution():
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=400), generator.normal(size=300)
    low, high = difference_interval(first, second, resamples=20000)
    error = np.sqrt(first.var() / 400 + second.var() / 300)
    middle = first.mean() - second.mean()
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.1 * error)


def test_the_interval_is_the_same_every_time():
    assert difference_interval([1.0, 2.0, 4.0], [0.0, 1.0], seed=3) == difference_interval(
        [1.0, 2.0, 4.0], [0.0, 1.0], seed=3
    )


def test_a_single_case_on_a_side_is_drawn_every_time():
    assert difference_interval([1.0], [0.0]) == (1.0, 1.0)
    low, high = difference_interval([1.0], [0.0, 0.5, 1.0])
    assert 0 <= low < 0.5 < high <= 1


@pytest.mark.parametrize("broken", [[], [float("nan"), 1.0], [[1.0, 2.0]]])
def test_values_that_cannot_be_compared_are_refused(broken):
    with pytest.raises(ValueError, match="'losses' holds one finite value per case"):
        compare_samples(**{**sides(), "losses": broken})


def test_the_score_of_a_segmentation_is_the_mean_iou_of_its_classes():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0] = 5.0  # the upper row is class 1, the lower one background
    label = torch.tensor([[[[1, 2], [0, 0]]]])
    assert case_score(logits, label, task="segmentation", activation="softmax").tolist() == [0.25]  # 1/2 and 0


def test_the_score_of_a_classification_is_a_hit():
    logits, label = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    assert case_score(logits, label, task="classification", activation="softmax").tolist() == [1.0, 0.0]


def test_another_task_is_refused():
    with pytest.raises(ValueError, match="'segmentation' and 'classification'"):
        case_score(torch.zeros(1, 2), torch.zeros(1), task="detection", activation="softmax")
