from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from monai_unlearn.metrics import membership_auc, tpr_at_fpr

# few distinct values, so that ties are common
scores = st.lists(st.sampled_from([-2.5, -1.0, -0.1, 0.0, 0.1, 3.0, 1e6]), min_size=1, max_size=15)
quick = settings(derandomize=True, max_examples=80, deadline=None)


def labelled(members, others):
    return np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]


@quick
@given(members=scores, others=scores)
def test_auc_is_scikit_learns(members, others):
    assert membership_auc(members, others) == pytest.approx(roc_auc_score(*labelled(members, others)))


@quick
@given(members=scores, others=scores)
def test_auc_counts_the_pairs_in_order_and_half_of_the_ties(members, others):
    pairs = [1.0 if m > o else 0.5 if m == o else 0.0 for m in members for o in others]
    assert membership_auc(members, others) == pytest.approx(np.mean(pairs))


@quick
@given(members=scores, others=scores)
def test_swapping_members_and_others_mirrors_the_auc(members, others):
    assert membership_auc(members, others) == pytest.approx(1 - membership_auc(others, members))


def test_auc_tells_scores_apart_that_float32_cannot():
    assert membership_auc([1.0 + 1e-12], [1.0]) == 1.0


@quick
@given(members=scores, others=scores, fpr=st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.29, 0.5, 1.0]))
def test_tpr_is_the_highest_point_of_scikit_learns_curve_within_the_fpr(members, others, fpr):
    false_rates, true_rates, _ = roc_curve(*labelled(members, others), drop_intermediate=False)
    assert tpr_at_fpr(members, others, fpr) == pytest.approx(true_rates[false_rates <= fpr].max())


def test_a_quarter_of_four_non_members_may_be_called_members():
    members, others = [4.0, 2.0, 2.0, 0.0], [3.0, 1.0, 1.0, 1.0]
    assert tpr_at_fpr(members, others, fpr=0.24) == 0.25
    assert tpr_at_fpr(members, others, fpr=0.25) == 0.75


def test_rounding_does_not_cost_an_allowed_false_alarm():
    """0.29 · 100 is 28.999… in floating point, yet 29 of 100 are allowed."""
    others = np.arange(100.0)
    assert tpr_at_fpr([71.0], others, fpr=0.29) == 1.0
    assert tpr_at_fpr([70.0], others, fpr=0.29) == 0.0


def test_few_non_members_allow_no_false_alarm():
    assert tpr_at_fpr([5.0, 3.0, 1.0], [3.0, 0.0], fpr=0.01) == pytest.approx(1 / 3)


def test_all_scores_alike_tell_nothing():
    assert membership_auc([1.0] * 4, [1.0] * 3) == 0.5
    assert tpr_at_fpr([1.0] * 4, [1.0] * 3) == 0.0


@pytest.mark.parametrize("convert", [list, np.asarray, torch.tensor, tuple])
def test_scores_may_be_lists_arrays_or_tensors(convert):
    members, others = convert([0.9, 0.4]), convert([0.5, 0.1])
    assert membership_auc(members, others) == 0.75
    assert tpr_at_fpr(members, others) == 0.5


def test_figures_are_plain_numbers_for_json():
    assert type(membership_auc([1.0], [0.0])) is float
    assert type(tpr_at_fpr([1.0], [0.0])) is float


@pytest.mark.parametrize("figure", [membership_auc, tpr_at_fpr])
@pytest.mark.parametrize("name", ["member_scores", "non_member_scores"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least one"),
        ([[0.1], [0.2]], "one score per case"),
        ([0.1, float("nan")], r"not finite at positions \[1\]"),
        ([float("-inf"), 0.1], r"not finite at positions \[0\]"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(figure, name, values, message):
    sets = {"member_scores": [0.5], "non_member_scores": [0.5], name: values}
    with pytest.raises(ValueError, match=rf"^{name} .*{message}"):
        figure(**sets)


@pytest.mark.parametrize("fpr", [-0.01, 1.01, float("nan")])
def test_a_false_positive_rate_out_of_range_is_refused(fpr):
    with pytest.raises(ValueError, match="fpr is"):
        tpr_at_fpr([1.0], [0.0], fpr)
