from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import trapezoid

from monai_unlearn.audit import RelearningArea, savings
from monai_unlearn.audit.draws import draw_cases, draw_sides, few_shots
from monai_unlearn.metrics import bootstrap_interval
from tests.audit.memorising import subjects, subset_ids


def test_savings_are_the_share_of_the_originals_lead():
    retrained, original = np.array([0.2, 0.4]), np.array([0.8, 0.8])
    assert savings(retrained, retrained, original) == 0.0
    assert savings(original, retrained, original) == 1.0
    assert savings(np.array([0.35, 0.5]), retrained, original) == pytest.approx((0.425 - 0.3) / (0.8 - 0.3))
    assert savings(np.array([0.0, 0.2]), retrained, original) == pytest.approx(-0.4), "damaged"


def test_without_a_lead_there_are_no_savings():
    assert np.isnan(savings(np.array([0.5]), np.array([0.4]), np.array([0.405])))
    assert np.isnan(savings(np.array([0.5]), np.array([0.4]), np.array([0.3]))), "the teacher is worse than the oracle"


@pytest.mark.parametrize(("student", "share"), [("teacher", 1.0), ("oracle", 0.0)])
def test_the_teacher_saves_all_and_the_oracle_nothing(student, share):
    models, cases, config = subjects(student)
    found = RelearningArea()(models, cases, config)
    assert found["savings"].value == share
    assert found["savings"].interval == pytest.approx((share, share))
    assert (found["savings"].oracle, found["savings"].teacher) == (0.0, 1.0)
    assert found["area"].value == (found["area"].teacher if share else found["area"].oracle)


def test_a_head_only_edit_saves_something_though_its_outputs_are_the_oracles():
    models, cases, config = subjects("head_only")
    found = RelearningArea()(models, cases, config)
    curves = found["area"].series
    assert curves["student"][0] == curves["oracle"][0], "nothing is shown yet"
    assert 0.05 < found["savings"].value < 1
    assert found["savings"].interval[0] > 0
    assert found["area"].axis == "forget cases shown: 0, 1, 2, 5, 10"
    assert len(curves["student"]) == 5
    assert found["area"].details["cases_measured"] == 14


def test_the_area_is_the_mean_under_the_curve_of_the_rungs():
    models, cases, config = subjects("head_only")
    found = RelearningArea(shots=(0, 2, 6), steps=5)(models, cases, config)["area"]
    for role, value in (("student", found.value), ("oracle", found.oracle), ("teacher", found.teacher)):
        assert value == pytest.approx(trapezoid(found.series[role], [0, 0.5, 1]))


def test_no_lead_of_the_teacher_gives_a_reason():
    models, cases, config = subjects("oracle")
    models["teacher"] = models["oracle"]
    scores = {**cases.scores, "teacher": cases.scores["oracle"]}
    found = RelearningArea(shots=(0, 2))(models, dataclasses.replace(cases, scores=scores), config)["savings"]
    assert found.value is None
    assert found.reason == "a lead below 0.01 leaves nothing to take a share of"


@pytest.mark.parametrize(("forget", "rungs"), [(1, [0, 1]), (2, [0, 1]), (5, [0, 1, 2]), (20, [0, 1, 2, 5, 10])])
def test_the_ladder_ends_at_half_of_the_forget_cases(forget, rungs):
    models, cases, config = subjects()
    few = dataclasses.replace(cases, subsets={**subset_ids(), "forget": subset_ids()["forget"][:forget]})
    found = RelearningArea(steps=1)(models, few, config)["area"]
    assert found.details["shots"] == rungs
    assert found.details["cases_measured"] == max(1, forget - rungs[-1])
    assert found.details["measured_on_the_shown_case"] is (forget == 1)


def test_the_interval_of_savings_draws_the_same_cases_of_all_networks():
    retrained = np.random.default_rng(1).normal(size=30)
    found = bootstrap_interval(savings, retrained + 0.3, retrained, retrained + 1.0, seed=0)
    assert found == pytest.approx((0.3, 0.3)), "what the cases have in common cancels"


def test_an_interval_that_a_draw_leaves_undefined_is_none():
    retrained, original = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.2])
    with np.errstate(invalid="ignore"):
        assert bootstrap_interval(savings, retrained, retrained, original, seed=0) is None


def test_a_smaller_draw_is_the_beginning_of_a_larger_one():
    ids = [str(index) for index in range(20)]
    assert draw_cases(ids, 5, seed=3) == draw_cases(ids, 12, seed=3)[:5]
    assert draw_cases(ids, 20, seed=3) != tuple(ids)
    assert sorted(draw_cases(ids, 99, seed=3)) == sorted(ids)
    assert draw_cases(ids, 5, seed=3) != draw_cases(ids, 5, seed=4)


def test_sides_are_of_one_size_and_forget_cases_come_first():
    drawn = draw_sides(["f1", "f2", "f3"], ["u1", "u2"], 64, seed=0)
    assert len(drawn) == 4
    assert {case[0] for case in drawn[:2]} == {"f"}
    assert set(drawn[2:]) == {"u1", "u2"}


def test_few_shots_leave_half_to_measure():
    assert few_shots(["a"], 5, most=64, seed=0) == (("a",), ("a",))
    shown, measured = few_shots(["a", "b", "c"], 5, most=64, seed=0)
    assert (len(shown), len(measured)) == (1, 2)
    assert {*shown, *measured} == {"a", "b", "c"}


@pytest.mark.parametrize("settings", [{"shots": (1, 2)}, {"shots": (0,)}, {"shots": (0, 5, 2)}, {"steps": 0}], ids=str)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="shots rise from 0"):
        RelearningArea(**settings)
