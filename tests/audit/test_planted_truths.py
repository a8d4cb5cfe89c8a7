"""The audit is itself audited: networks of which it is known what they remember, from the battery to the verdict."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from monai_unlearn.audit import Margins, judge, run_tests, standard_tests
from tests.audit.planted import Noisy, audit_config, oracle, planted_cases, suppressed, teacher

CONFIG = audit_config()


@cache
def audited(student: str, *, with_oracle: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    networks = {
        "teacher": teacher,
        "oracle": oracle,
        "second oracle": lambda: oracle(2),
        "suppressed": suppressed,
    }
    models = {"teacher": teacher(), "student": networks[student](), "oracle": oracle()}
    if not with_oracle:
        del models["oracle"]
    cases = planted_cases(models)
    tests = run_tests(standard_tests(1 if with_oracle else 0), models, cases, CONFIG)
    return judge(cases, CONFIG, Margins(), tests), {name: test["figures"] for name, test in tests.items()}


def test_the_teacher_itself_has_forgotten_nothing():
    verdict, figures = audited("teacher")
    assert (verdict["outcome"], verdict["conclusive"], verdict["passed"]) == ("not forgotten", True, False)
    assert figures["utility"]["forget"]["value"] > 0.95 > 0.6 > figures["utility"]["forget"]["oracle"]
    assert figures["loss_attack"]["auc"]["value"] > 0.99
    assert 0.3 < figures["loss_attack"]["auc"]["oracle"] < 0.7
    assert figures["tail_test"]["forget"]["value"] > 0.9
    assert figures["support_vector_attack"]["called_member"]["value"] > 0.9
    assert figures["oracle_gap"]["forget"]["details"]["equivalent"] is False
    assert figures["score_distribution"]["ks_p_value"]["value"] < 1e-6
    assert figures["score_distribution"]["mmd_p_value"]["value"] < 0.01


@pytest.mark.parametrize("which", ["oracle", "second oracle"])
def test_an_oracle_has_forgotten(which):
    verdict, figures = audited(which)
    assert verdict["outcome"] == "forgotten"
    assert (verdict["hidden"], verdict["utility_kept"], verdict["passed"]) == (False, True, True)
    assert figures["support_vector_attack"]["called_member"]["value"] < 0.2
    assert figures["oracle_gap"]["tow"]["value"] > 0.95 > figures["oracle_gap"]["tow"]["teacher"]
    assert figures["score_distribution"]["ks_p_value"]["value"] > 0.05
    assert abs(figures["quantisation"]["forget_change"]["value"]) < 0.02


def test_plain_suppression_forgets_too_much_and_hides_it():
    verdict, figures = audited("suppressed")
    assert (verdict["outcome"], verdict["hidden"], verdict["passed"]) == ("over-forgotten", True, False)
    assert figures["retain_relearning"]["recovery"]["value"] > 0.3
    assert abs(figures["retain_relearning"]["recovery"]["oracle"]) < 0.1
    assert abs(figures["loss_attack"]["auc"]["details"]["minus_oracle"]["value"]) > 0.3
    assert "which betrays the cases" in verdict["sentences"][0]
    assert any("hidden, not erased" in sentence for sentence in verdict["sentences"])


def test_without_an_oracle_suppression_is_seen_all_the_same():
    verdict, figures = audited("suppressed", with_oracle=False)
    assert (verdict["outcome"], verdict["hidden"]) == ("over-forgotten", True)
    assert "oracle_gap" not in figures


def test_a_teacher_that_never_saw_the_cases_leaves_nothing_to_forget():
    models = {"teacher": oracle(2), "student": oracle(2), "oracle": oracle()}
    relearned = {"retain_relearning": {"figures": {"recovery": {"value": 0.5, "oracle": None, "reason": None}}}}
    verdict = judge(planted_cases(models), CONFIG, Margins(), relearned)
    assert verdict["outcome"] == "nothing to forget"
    assert verdict["hidden"] is None


@pytest.mark.parametrize("strength", [0.5, 2.0, 4.0, 8.0, 20.0, 60.0])
def test_noise_on_the_output_never_passes_for_forgetting(strength):
    """Whatever its strength: little of it leaves the forget cases known, and much of it ruins the rest."""
    models = {"teacher": teacher(), "student": Noisy(teacher(), strength), "oracle": oracle()}
    verdict = judge(planted_cases(models), CONFIG, Margins(), {})
    assert verdict["passed"] is False
    assert verdict["outcome"] == "not forgotten" or verdict["utility_kept"] is False


def test_a_second_oracle_passes_in_nine_of_ten_resamplings_of_the_cases():
    models = {"teacher": teacher(), "student": oracle(2), "oracle": oracle()}
    cases = planted_cases(models)
    outcomes = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        subsets = {
            name: tuple(ids[i] for i in torch.randint(len(ids), (len(ids),), generator=generator).tolist())
            for name, ids in cases.subsets.items()
        }
        drawn = copy.copy(cases)
        object.__setattr__(drawn, "subsets", subsets)
        outcomes.append(judge(drawn, CONFIG, Margins(), {})["outcome"])
    assert outcomes.count("forgotten") >= 18


def test_few_forget_cases_leave_the_attacks_without_figures_and_the_rest_as_it_is():
    models = {"teacher": teacher(), "student": suppressed(), "oracle": oracle()}
    cases = planted_cases(models, {"forget": 3, "retain": 68, "reference": 24, "unseen": 24})
    tests = run_tests(standard_tests(1, options={"retain_relearning": {"epochs": 1}}), models, cases, CONFIG)
    figures = {name: test["figures"] for name, test in tests.items()}
    for test, name in (
        ("loss_attack", "auc"),
        ("loss_attack", "tpr_at_1pct_fpr"),
        ("score_distribution", "ks_p_value"),
    ):
        assert figures[test][name]["value"] is None
        assert "has 3" in figures[test][name]["reason"] or "are 3" in figures[test][name]["reason"]
    assert figures["oracle_gap"]["tow_mia"]["value"] is None
    assert figures["oracle_gap"]["forget"]["details"]["count"] == 3
    assert figures["utility"]["forget"]["interval"] is not None
    verdict = judge(cases, CONFIG, Margins(), tests)
    assert verdict["gap"] < -0.1
    assert verdict["conclusive"] is (verdict["outcome"] == "over-forgotten")


def test_logits_that_are_not_a_number_are_an_error_that_names_the_case():
    class Broken(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * torch.nan

    with pytest.raises(ValueError, match="the case 'forget_0' is not finite"):
        planted_cases({"teacher": teacher(), "student": Broken()})


def test_a_tier_that_compares_with_the_oracle_is_refused_without_one():
    models = {"teacher": teacher(), "student": suppressed()}
    with pytest.raises(ValueError, match=r"oracle_gap, score_distribution, .* compare with the oracle"):
        run_tests(standard_tests(1), models, planted_cases(models), CONFIG)
