from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from monai_unlearn.audit import RetainRelearning, recovery
from tests.audit.planted import audit_config, oracle, planted_cases, suppressed, teacher

CONFIG = audit_config()


@pytest.mark.parametrize(
    ("before", "after", "taught", "share"),
    [
        (0.2, 0.2, 0.9, 0.0),
        (0.2, 0.9, 0.9, 1.0),
        (0.3, 0.6, 0.9, 0.5),
        (0.4, 0.3, 0.9, -0.2),
        (0.843, 0.865, 0.907, 0.34375),
    ],
)
def test_recovery_is_the_share_of_what_was_lost_that_comes_back(before, after, taught, share):
    assert recovery(before, after, taught) == pytest.approx(share)


def test_where_nothing_was_lost_there_is_no_share():
    assert recovery(0.9, 0.95, 0.905) is None


@pytest.fixture(scope="module")
def relearned():
    models = {"teacher": teacher(), "student": suppressed(), "oracle": oracle()}
    cases = planted_cases(models)
    weights = {name: copy.deepcopy(network.state_dict()) for name, network in models.items()}
    finding = RetainRelearning()(models, cases, CONFIG)["recovery"]
    for name, network in models.items():
        assert all(torch.equal(value, weights[name][key]) for key, value in network.state_dict().items()), name
    return finding


def test_a_network_whose_head_alone_was_changed_gets_back_what_it_hid(relearned):
    assert relearned.value > 0.3
    assert relearned.series["student"][-1] > relearned.series["student"][0] + 0.2


def test_an_oracle_gets_nothing_back_for_it_never_had_it(relearned):
    assert abs(relearned.oracle) < 0.05
    assert relearned.series["oracle"][-1] == pytest.approx(relearned.series["oracle"][0], abs=0.03)


def test_the_curve_starts_before_and_has_a_point_after_every_epoch(relearned):
    assert {len(curve) for curve in relearned.series.values()} == {CONFIG.fine_tuning.epochs + 1}
    taught = relearned.details["teacher_measure"]
    curve = relearned.series["student"]
    assert relearned.value == pytest.approx((curve[-1] - curve[0]) / (taught - curve[0]))


def test_the_teacher_itself_lost_nothing_that_could_come_back():
    models = {"teacher": teacher(), "student": teacher()}
    finding = RetainRelearning(epochs=1)(models, planted_cases(models), CONFIG)["recovery"]
    assert finding.value is None
    assert "lost less than 0.01" in finding.reason


def test_without_retain_cases_there_is_a_reason():
    models = {"teacher": teacher(), "student": suppressed()}
    cases = planted_cases(models)
    finding = RetainRelearning()(models, replace(cases, subsets={**cases.subsets, "retain": ()}), CONFIG)["recovery"]
    assert finding.reason == "there is no retain case to train on"
