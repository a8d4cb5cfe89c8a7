from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from monai_unlearn.audit import ConfidenceAttack, LossAttack, loss_attack
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()


def bell(mean: float, count: int) -> np.ndarray:
    """A sample that is a normal distribution as exactly as so many points can be."""
    return stats.norm.ppf((np.arange(count) + 0.5) / count) + mean


def losses(**shifts: float):
    return drawn_cases(
        {
            model: {"forget": {"loss": bell(shift, 200)}, "unseen": {"loss": bell(0, 200)}}
            for model, shift in shifts.items()
        }
    )


def attack(cases, test=LossAttack):
    return test()(roles(cases), cases, CONFIG)


@pytest.mark.parametrize("shift", [-1.5, -0.5, 0.0, 0.8])
def test_the_auc_of_shifted_bells_is_the_closed_form(shift):
    found = attack(losses(student=shift, teacher=-2.0))["auc"]
    assert found.value == pytest.approx(stats.norm.cdf(-shift / np.sqrt(2)), abs=2e-3)
    assert found.teacher == pytest.approx(stats.norm.cdf(2 / np.sqrt(2)), abs=2e-3)
    assert found.interval[0] < found.value < found.interval[1]
    assert found.details["two_sided"]["student"] == pytest.approx(max(found.value, 1 - found.value))


def test_auc_rates_and_curve_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    forget, unseen = generator.normal(-0.7, 1, 30), generator.normal(0, 1, 50)
    cases = drawn_cases({"student": {"forget": {"loss": forget}, "unseen": {"loss": unseen}}})
    found = attack(cases)
    member, score = [1] * 30 + [0] * 50, -np.concatenate([forget, unseen])
    assert found["auc"].value == pytest.approx(roc_auc_score(member, score))

    def rate(sign: int, limit: float) -> float:
        false_positives, true_positives, _ = roc_curve(member, sign * score, drop_intermediate=False)
        return true_positives[false_positives <= limit].max()

    assert found["tpr_at_1pct_fpr"].value == pytest.approx(max(rate(1, 0.01), rate(-1, 0.01)))
    curve = found["auc"].series["student"]
    assert len(curve) == 101
    assert [curve[0], curve[20], curve[100]] == pytest.approx([rate(1, 0), rate(1, 0.2), 1])


def test_the_figure_is_the_one_that_stands_under_membership_in_the_audit():
    cases = losses(student=-0.4)
    contract = loss_attack(cases.scores["student"], forget=cases.subsets["forget"], unseen=cases.subsets["unseen"])
    assert attack(cases)["auc"].value == contract["auc"]
    assert attack(cases)["tpr_at_1pct_fpr"].details["as_members"]["student"] == contract["tpr_at_1pct_fpr"]


def test_cases_that_stick_out_by_high_losses_are_found_too():
    rate = attack(losses(student=4.0))["tpr_at_1pct_fpr"]
    assert rate.details["as_members"]["student"] == 0
    assert rate.value == rate.details["as_conspicuous"]["student"] > 0.9


def test_the_distance_from_the_oracle_comes_with_its_interval():
    found = attack(losses(student=-1.0, oracle=-0.2))["auc"]
    apart = found.details["minus_oracle"]
    assert apart["value"] == pytest.approx(found.value - found.oracle)
    assert 0 < apart["interval"][0] < apart["value"] < apart["interval"][1]
    same = attack(losses(student=-0.2, oracle=-0.2))["auc"].details["minus_oracle"]
    assert same == {"value": 0.0, "interval": [0.0, 0.0]}


def test_without_an_oracle_the_sentence_says_what_is_missing():
    assert "without an oracle" in attack(losses(student=-1.0))["auc"].sentence
    assert "without an oracle" not in attack(losses(student=-1.0, oracle=0.0))["auc"].sentence


def test_with_nine_cases_there_is_a_reason_instead_of_a_figure():
    cases = drawn_cases({"student": {"forget": {"loss": np.zeros(9)}, "unseen": {"loss": np.ones(30)}}})
    for finding in attack(cases).values():
        assert finding.value is None
        assert "needs 10 forget and 10 unseen cases; one of them has 9" in finding.reason


SIGNALS = ("confidence", "entropy", "foreground_confidence", "foreground_entropy")


def signalling(forget: dict, unseen: dict):
    figures = {"forget": {"loss": np.zeros(len(forget["confidence"])), **forget}}
    figures["unseen"] = {"loss": np.zeros(len(unseen["confidence"])), **unseen}
    return drawn_cases({"student": figures}, signals=SIGNALS)


def test_members_are_those_on_which_the_network_is_sure():
    sure, unsure = bell(3, 100), bell(2, 100)
    cases = signalling(
        {"confidence": sure, "entropy": unsure, "foreground_confidence": sure, "foreground_entropy": unsure},
        {"confidence": unsure, "entropy": sure, "foreground_confidence": unsure, "foreground_entropy": sure},
    )
    found = attack(cases, ConfidenceAttack)
    expected = stats.norm.cdf(1 / np.sqrt(2))
    assert {name: finding.value for name, finding in found.items() if name.endswith("_auc")} == {
        f"{signal}_auc": pytest.approx(expected, abs=3e-3) for signal in SIGNALS
    }


def test_cases_without_foreground_are_left_out_of_its_figures_alone():
    nan = np.full(3, np.nan)
    both = {name: bell(0, 14) for name in ("confidence", "entropy")}
    inside = {name: np.concatenate([bell(1, 11), nan]) for name in ("foreground_confidence", "foreground_entropy")}
    outside = {name: np.concatenate([bell(0, 11), nan]) for name in inside}
    found = attack(signalling({**both, **inside}, {**both, **outside}), ConfidenceAttack)
    assert found["confidence_auc"].value == pytest.approx(0.5)
    assert found["foreground_confidence_auc"].value == pytest.approx(
        roc_auc_score([1] * 11 + [0] * 11, np.concatenate([bell(1, 11), bell(0, 11)]))
    )
    assert found["foreground_entropy_auc"].value == pytest.approx(1 - found["foreground_confidence_auc"].value)
    fewer = {name: np.concatenate([values[:9], np.full(5, np.nan)]) for name, values in inside.items()}
    reason = attack(signalling({**both, **fewer}, {**both, **outside}), ConfidenceAttack)["foreground_entropy_auc"]
    assert reason.value is None
    assert "cases with foreground; one of them has 9" in reason.reason


def test_a_classification_has_no_foreground_to_attack():
    figures = {"loss": bell(0, 12), "confidence": bell(0, 12), "entropy": bell(0, 12)}
    cases = drawn_cases({"student": {"forget": figures, "unseen": figures}}, signals=SIGNALS)
    assert {name.rsplit("_auc")[0] for name in attack(cases, ConfidenceAttack) if name.endswith("_auc")} == {
        "confidence",
        "entropy",
    }
