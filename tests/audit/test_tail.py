from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from monai_unlearn.audit import TailTest
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()


def tail(forget, unseen, retain=None, **arguments):
    subsets = {"forget": forget, "retain": forget if retain is None else retain, "unseen": unseen}
    cases = drawn_cases({"student": {name: {"loss": values} for name, values in subsets.items()}})
    return TailTest(**arguments)(roles(cases), cases, CONFIG)


@pytest.mark.parametrize("limit", [0.01, 0.1])
def test_it_is_the_true_negative_rate_of_the_loss_attack_at_few_false_negatives(limit):
    generator = np.random.default_rng(0)
    forget, unseen = generator.exponential(0.5, 80), generator.exponential(1.0, 120)
    others, losses = [0] * 80 + [1] * 120, np.concatenate([forget, unseen])
    false_negatives, true_negatives, _ = roc_curve(others, losses, drop_intermediate=False)
    expected = true_negatives[false_negatives <= limit].max()
    assert tail(forget, unseen, false_negatives=limit)["forget"].value == pytest.approx(expected)


def test_cases_that_lost_their_high_losses_are_seen_though_the_means_are_equal():
    unseen = np.array([0.2] * 60 + [3.0] * 40)
    forget = np.full(50, unseen.mean())
    assert tail(forget, unseen)["forget"].value == pytest.approx(0.4)
    assert tail(np.tile(unseen, 2), unseen)["forget"].value == 0


def test_the_exposure_of_retain_cases_is_a_figure_of_its_own():
    unseen = np.linspace(0, 1, 50)
    found = tail(unseen, unseen, retain=unseen * 0.5)
    assert found["forget"].value == 0
    assert found["retain"].value == pytest.approx(0.5, abs=0.02)


def test_with_nine_cases_there_is_a_reason_instead_of_a_figure():
    found = tail(np.zeros(9), np.ones(40), retain=np.zeros(20))
    assert found["forget"].value is None
    assert "needs 10 forget and 10 unseen cases; one of them has 9" in found["forget"].reason
    assert found["retain"].value == 1
