from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss

from monai_unlearn.losses import (
    CalibratedErasureTerm,
    TermInputs,
    calibrated_loss,
    case_losses,
    match_reference_quantiles,
)

losses = st.lists(st.floats(0, 100), min_size=1, max_size=12)
quick = settings(derandomize=True, max_examples=60, deadline=None)


def reference_targets(forget, reference):
    """NumPy: Hazen quantiles at (rank + 0.5) / F, given back in the order of the forget cases."""
    ranks = np.argsort(np.argsort(forget, kind="stable"), kind="stable")
    return np.quantile(reference, (ranks + 0.5) / len(forget), method="hazen")


def fitted(distance="absolute", loss_function=None):
    term = CalibratedErasureTerm(loss_function=loss_function or DiceCELoss(sigmoid=True), distance=distance)
    term.fit(["a", "b", "c"], torch.tensor([0.3, 0.1, 0.2]), torch.tensor([0.9, 0.7, 0.8]))
    return term


@quick
@given(forget=losses, reference=losses)
def test_targets_are_numpys_hazen_quantiles(forget, reference):
    targets = match_reference_quantiles(torch.tensor(forget).double(), torch.tensor(reference).double())
    expected = reference_targets(np.float32(forget), np.float32(reference).astype(np.float64))
    np.testing.assert_allclose(targets, expected, rtol=1e-9, atol=1e-9)


@quick
@given(forget=losses, reference=losses)
def test_targets_keep_the_order_of_the_losses_and_stay_within_the_reference(forget, reference):
    forget, reference = torch.tensor(forget), torch.tensor(reference)
    targets = match_reference_quantiles(forget, reference)
    ranked = targets[forget.argsort(stable=True)]
    assert (ranked.diff() >= 0).all()
    assert targets.min() >= reference.min()
    assert targets.max() <= reference.max()


@quick
@given(forget=losses, peers=losses, reference=losses)
def test_among_peers_targets_are_numpys_quantiles_at_the_rank_among_all(forget, peers, reference):
    forget, peers, reference = (torch.tensor(values).double() for values in (forget, peers, reference))
    targets = match_reference_quantiles(forget, reference, peer_losses=peers)
    expected = reference_targets(torch.cat([forget, peers]).numpy(), reference.numpy())[: len(forget)]
    np.testing.assert_allclose(targets, expected, rtol=1e-9, atol=1e-9)


def test_a_single_hard_case_among_easy_peers_gets_a_hard_reference_case():
    reference = torch.tensor([0.1, 0.2, 0.3, 0.4, 5.0])
    targets = match_reference_quantiles(torch.tensor([2.0]), reference, peer_losses=torch.tensor([0.1, 0.2, 0.1, 0.3]))
    assert targets.item() == pytest.approx(5.0)


def test_equally_many_cases_are_matched_one_to_one():
    targets = match_reference_quantiles(torch.tensor([0.3, 0.1, 0.2]), torch.tensor([0.7, 0.9, 0.8]))
    torch.testing.assert_close(targets, torch.tensor([0.9, 0.7, 0.8]))


def test_ties_rank_in_the_order_given():
    targets = match_reference_quantiles(torch.tensor([0.2, 0.2, 0.1, 0.2]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert targets.tolist() == [2.0, 3.0, 1.0, 4.0]


def test_a_single_forget_case_is_pulled_to_the_median():
    assert match_reference_quantiles(torch.tensor([0.1]), torch.tensor([5.0, 1.0, 2.0])).tolist() == [2.0]


def test_a_single_reference_case_is_everyones_target():
    assert match_reference_quantiles(torch.tensor([0.1, 0.7]), torch.tensor([5.0])).tolist() == [5.0, 5.0]


@pytest.mark.parametrize("name", ["forget_losses", "reference_losses"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.empty(0), "must hold one loss per case"),
        (torch.ones(2, 2), "must hold one loss per case"),
        (torch.tensor([0.1, torch.nan]), r"is not finite at positions \[1\]"),
        (torch.tensor([torch.inf, 0.1]), r"is not finite at positions \[0\]"),
    ],
)
def test_losses_that_cannot_be_ranked_are_refused(name, values, message):
    sets = {"forget_losses": torch.ones(2), "reference_losses": torch.ones(2), name: values}
    with pytest.raises(ValueError, match=f"{name} {message}"):
        match_reference_quantiles(**sets)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("absolute", [0.5, 0.04, 0.0, 0.04, 0.5]),
        ("squared", [0.25, 0.0016, 0.0, 0.0016, 0.25]),
        ("smooth", [0.45, 0.008, 0.0, 0.008, 0.45]),
    ],
)
def test_the_distance_is_two_sided(distance, expected):
    student = torch.tensor([0.5, 0.96, 1.0, 1.04, 1.5], dtype=torch.float64)
    values = calibrated_loss(student, torch.ones(5, dtype=torch.float64), distance=distance)
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_targets_are_found_by_id_in_any_order():
    torch.testing.assert_close(fitted().target_of(["c", "a"]).float(), torch.tensor([0.8, 0.9]))


def test_the_term_is_the_distance_of_each_loss_from_its_own_target():
    generator = torch.Generator().manual_seed(0)
    logits, mask = torch.randn(2, 1, 4, 4, generator=generator), torch.ones(2, 1, 4, 4)
    values = fitted()(TermInputs(student=logits, teacher=None, label=mask, ids=("b", "c")))
    expected = (case_losses(DiceCELoss(sigmoid=True), logits, mask) - torch.tensor([0.7, 0.8])).abs()
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("distance", ["absolute", "squared", "smooth"])
@pytest.mark.parametrize("start", [-3.0, 4.0], ids=["from above", "from below"])
def test_descending_brings_each_case_to_its_target_from_either_side(distance, start):
    term = fitted(distance, torch.nn.BCEWithLogitsLoss())
    logits = torch.full((3, 1), start, requires_grad=True)
    label = torch.ones(3, 1)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        optimizer.zero_grad()
        term(TermInputs(student=logits, teacher=None, label=label, ids=("a", "b", "c"))).sum().backward()
        optimizer.step()
    reached = F.binary_cross_entropy_with_logits(logits, label, reduction="none")[:, 0].detach()
    torch.testing.assert_close(reached, torch.tensor([0.9, 0.7, 0.8]), atol=0.01, rtol=0)


def test_a_term_without_targets_says_what_to_call():
    term = CalibratedErasureTerm(loss_function=DiceCELoss(sigmoid=True))
    with pytest.raises(ValueError, match="no targets yet: call fit"):
        term(TermInputs(student=torch.zeros(1, 1, 2), teacher=None, label=torch.zeros(1, 1, 2), ids=("a",)))


def test_a_case_without_a_target_is_named():
    with pytest.raises(ValueError, match="no target for 'x', 'y'"):
        fitted().target_of(["a", "x", "y"])


def test_a_case_that_comes_twice_is_named():
    with pytest.raises(ValueError, match="forget_ids holds 'a' more than once"):
        fitted().fit(["a", "b", "a"], torch.ones(3), torch.ones(3))


def test_ids_and_losses_must_be_equally_many():
    with pytest.raises(ValueError, match="2 forget_ids but 3 forget_losses"):
        fitted().fit(["a", "b"], torch.ones(3), torch.ones(3))


def test_fitting_again_forgets_the_earlier_targets():
    term = fitted()
    term.fit(["z"], torch.tensor([0.1]), torch.tensor([0.4]))
    with pytest.raises(ValueError, match="no target for 'a'"):
        term.target_of(["a"])


def test_a_fit_that_fails_leaves_the_earlier_targets():
    term = fitted()
    with pytest.raises(ValueError, match="not finite"):
        term.fit(["z"], torch.tensor([torch.nan]), torch.tensor([0.4]))
    assert term.target_of(["a"]).item() == pytest.approx(0.9)


def test_the_state_holds_no_ids():
    assert not fitted().state_dict()


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="distance is 'huber'; allowed are 'absolute', 'squared', 'smooth'"):
        CalibratedErasureTerm(loss_function=DiceCELoss(sigmoid=True), distance="huber")
