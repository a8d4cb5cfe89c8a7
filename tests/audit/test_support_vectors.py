from __future__ import annotations

import sys

import numpy as np
import pytest

from monai_unlearn.audit import SupportVectorAttack
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()


def figures(generator: np.random.Generator, count: int, *, member: bool) -> dict[str, np.ndarray]:
    shift = 2.0 if member else 0.0
    return {
        "loss": generator.normal(2 - shift, 0.4, count),
        "confidence": generator.normal(shift, 0.4, count),
        "entropy": generator.normal(-shift, 0.4, count),
    }


def attacked(*, forget_members: float, counts=(200, 40, 50), **arguments):
    generator = np.random.default_rng(0)
    retain, reference, forget = counts
    known = round(forget * forget_members)
    halves = [figures(generator, known, member=True), figures(generator, forget - known, member=False)]
    of_model = {
        "forget": {name: np.concatenate([half[name] for half in halves]) for name in halves[0]},
        "retain": figures(generator, retain, member=True),
        "reference": figures(generator, reference, member=False),
    }
    cases = drawn_cases({"student": of_model, "teacher": of_model}, signals=("confidence", "entropy"))
    return SupportVectorAttack(**arguments)(roles(cases), cases, CONFIG)["called_member"]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("use_loss", [True, False])
def test_the_share_of_forget_cases_that_look_like_retain_cases_is_found(share, use_loss):
    found = attacked(forget_members=share, use_loss=use_loss)
    assert found.value == pytest.approx(share, abs=0.05)
    assert found.teacher == found.value


def test_many_retain_cases_do_not_make_a_member_of_everyone():
    """As many members as others are learned from: where nothing tells them apart, about half are called members."""
    generator = np.random.default_rng(1)
    alike = {
        name: {key: generator.normal(0, 1, count) for key in ("loss", "confidence", "entropy")}
        for name, count in {"forget": 300, "retain": 900, "reference": 90}.items()
    }
    cases = drawn_cases({"student": alike}, signals=("confidence", "entropy"))
    found = SupportVectorAttack()(roles(cases), cases, CONFIG)["called_member"]
    assert found.value == pytest.approx(0.5, abs=0.15)


def test_a_single_forget_case_is_asked_about_all_the_same():
    assert attacked(forget_members=1.0, counts=(40, 40, 1)).value == 1.0


@pytest.mark.parametrize("counts", [(9, 40, 5), (40, 9, 5)])
def test_with_too_few_cases_to_learn_from_there_is_a_reason(counts):
    found = attacked(forget_members=1.0, counts=counts)
    assert found.value is None
    assert "one of them has 9" in found.reason


def test_without_scikit_learn_the_reason_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    found = attacked(forget_members=0.5)
    assert found.value is None
    assert 'pip install "monai-unlearn[audit]"' in found.reason
