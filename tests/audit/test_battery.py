from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from monai_unlearn.audit import STANDARD, Finding, refuse_missing_oracle, run_tests, standard_tests
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()
CASES = drawn_cases({"teacher": {"forget": {"loss": [1.0]}}, "student": {"forget": {"loss": [1.0]}}})


@dataclass(frozen=True, kw_only=True)
class Drawing:
    name: ClassVar[str] = "drawing"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False

    def __call__(self, models, cases, config):
        value = random.random() + torch.rand(()).item()
        return {"draw": Finding(value=value, forgotten="anything", sentence="It was drawn.")}


@dataclass(frozen=True, kw_only=True)
class Needy(Drawing):
    name: ClassVar[str] = "needy"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True


def test_every_test_has_a_name_of_its_own_and_a_tier():
    names = [test.name for test in STANDARD]
    assert len(set(names)) == len(names)
    assert {test.tier for test in STANDARD} <= {0, 1, 2, 3}
    assert all(not test.needs_oracle for test in STANDARD if test.tier == 0), "tier 0 trains no oracle"


@pytest.mark.parametrize("tier", [0, 1, 2, 3])
def test_a_tier_stands_for_its_tests_and_those_below_it_in_their_order(tier):
    assert list(standard_tests(tier)) == [test.name for test in STANDARD if test.tier <= tier]


def test_no_tier_is_no_test_and_a_name_runs_alone_whatever_its_tier():
    assert standard_tests(None) == {}
    assert list(standard_tests(0, only="oracle_gap")) == ["oracle_gap"]
    assert list(standard_tests(None, only=["tail_test", "loss_attack"])) == ["tail_test", "loss_attack"]


def test_options_reach_their_test():
    assert standard_tests(0, options={"retain_relearning": {"epochs": 7}})["retain_relearning"].epochs == 7
    with pytest.raises(TypeError, match="epoch"):
        standard_tests(0, options={"retain_relearning": {"epoch": 7}})


@pytest.mark.parametrize(
    "arguments", [{"only": "los_attack"}, {"only": ["los_attack"]}, {"options": {"los_attack": {}}}]
)
def test_a_name_that_there_is_not_is_refused_with_the_nearest_one(arguments):
    with pytest.raises(ValueError, match=r"no test of forgetting called 'los_attack'; did you mean 'loss_attack'\?"):
        standard_tests(0, **arguments)


def test_a_name_like_no_other_is_refused_with_all_of_them():
    with pytest.raises(ValueError, match="there are utility, loss_attack"):
        standard_tests(0, only="xyzzy")


def test_tests_that_need_an_oracle_are_refused_before_any_has_run():
    with pytest.raises(
        ValueError, match="the tests needy compare with the oracle and there is none; add '--oracle train'"
    ):
        run_tests({"drawing": Drawing(), "needy": Needy()}, roles(CASES), CASES, CONFIG)
    refuse_missing_oracle({"needy": Needy()}, ["teacher", "student", "oracle"])


def test_what_is_written_has_tier_time_and_figures_and_does_not_depend_on_what_ran_before():
    first, second = (
        run_tests(tests, roles(CASES), CASES, CONFIG)
        for tests in ({"drawing": Drawing()}, {"other": Drawing(), "drawing": Drawing()})
    )
    assert set(first["drawing"]) == {"tier", "seconds", "figures"}
    assert first["drawing"]["tier"] == 0
    assert first["drawing"]["seconds"] >= 0
    assert first["drawing"]["figures"] == second["drawing"]["figures"]
    assert first["drawing"]["figures"]["draw"]["sentence"] == "It was drawn."


def test_the_names_can_be_watched_as_they_are_gone_through():
    seen: list[str] = []

    def announce(names):
        for name in names:
            seen.append(name)
            yield name

    run_tests({"a": Drawing(), "b": Drawing()}, roles(CASES), CASES, CONFIG, announce=announce)
    assert seen == ["a", "b"]
