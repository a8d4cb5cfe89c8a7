from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from monai_unlearn.audit import MINIMUM_CASES, CaseScores, loss_attack
from monai_unlearn.audit.membership import too_few
from monai_unlearn.visualize.membership import FEWEST_CASES


def scores_of(forget_losses: np.ndarray, unseen_losses: np.ndarray) -> tuple[CaseScores, dict[str, list[str]]]:
    names = {
        "forget": [f"f{index}" for index in range(len(forget_losses))],
        "unseen": [f"u{index}" for index in range(len(unseen_losses))],
    }
    ids = (*names["unseen"], *names["forget"])  # another order than that of the attack
    losses = np.concatenate([unseen_losses, forget_losses])
    return CaseScores(ids=ids, figures={"loss": losses}, per_class={}), names


def test_the_attack_scores_members_by_minus_their_loss():
    generator = np.random.default_rng(0)
    forget, unseen = generator.normal(0.4, 0.2, 40), generator.normal(0.6, 0.2, 30)
    scores, names = scores_of(forget, unseen)
    attack = loss_attack(scores, **names)

    member = np.array([1] * 40 + [0] * 30)
    score = -np.concatenate([forget, unseen])
    false_positives, true_positives, _ = roc_curve(member, score, drop_intermediate=False)
    assert attack["auc"] == pytest.approx(roc_auc_score(member, score))
    assert attack["auc"] > 0.6
    assert attack["tpr_at_1pct_fpr"] == pytest.approx(true_positives[false_positives <= 0.01].max())
    assert "reason" not in attack


@pytest.mark.parametrize(("forget_loss", "auc"), [(0.0, 1.0), (2.0, 0.0)])
def test_both_too_little_and_too_much_forgetting_give_members_away(forget_loss, auc):
    scores, names = scores_of(np.full(10, forget_loss), np.full(10, 1.0))
    assert loss_attack(scores, **names)["auc"] == auc


@pytest.mark.parametrize("few", ["forget", "unseen"])
def test_with_fewer_than_ten_cases_on_a_side_there_is_no_figure_but_a_reason(few):
    counts = {"forget": MINIMUM_CASES, "unseen": MINIMUM_CASES, few: MINIMUM_CASES - 1}
    scores, names = scores_of(np.zeros(counts["forget"]), np.ones(counts["unseen"]))
    attack = loss_attack(scores, **names)
    assert (attack["auc"], attack["tpr_at_1pct_fpr"]) == (None, None)
    assert "needs 10 forget and 10 unseen cases" in attack["reason"]
    assert "9" in attack["reason"]


def test_ten_cases_on_either_side_are_enough():
    scores, names = scores_of(np.zeros(MINIMUM_CASES), np.ones(MINIMUM_CASES))
    assert loss_attack(scores, **names)["auc"] == 1.0


def test_the_reason_names_every_kind_that_is_counted():
    assert too_few({"forget": 10, "unseen": 10}) == ""
    assert too_few({"forget": 12, "unseen": 9}) == "needs 10 forget and 10 unseen cases; one of them has 9"
    assert too_few({"forget": 19}, needed=20) == "needs 20 forget cases; there are 19"
    assert too_few({"planted": 4}, noun="canaries") == "needs 10 planted canaries; there are 4"


def test_the_curves_of_the_report_ask_for_as_many_cases_as_the_attack():
    assert MINIMUM_CASES == FEWEST_CASES
