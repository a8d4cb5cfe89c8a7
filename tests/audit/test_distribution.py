from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monai_unlearn.audit import ScoreDistribution
from monai_unlearn.metrics import mmd_test
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()


def found(student: np.ndarray, teacher: np.ndarray, oracle: np.ndarray):
    losses = {"student": student, "teacher": teacher, "oracle": oracle}
    cases = drawn_cases({name: {"forget": {"loss": values}} for name, values in losses.items()})
    return ScoreDistribution()(roles(cases), cases, CONFIG)


def test_the_p_values_are_those_of_scipy_and_of_the_permutations():
    generator = np.random.default_rng(0)
    student, teacher, oracle = generator.normal([[0.4], [-2], [0]], 1, (3, 30))
    figures = found(student, teacher, oracle)
    reference = stats.ks_2samp(student, oracle)
    assert figures["ks_p_value"].value == pytest.approx(reference.pvalue)
    assert figures["ks_p_value"].details["statistic"]["student"] == pytest.approx(reference.statistic)
    assert figures["mmd_p_value"].value == mmd_test(student, oracle, seed=0)[1]
    assert figures["ks_p_value"].teacher == pytest.approx(stats.ks_2samp(teacher, oracle).pvalue)
    assert figures["mmd_p_value"].teacher < 0.01


def test_the_oracle_is_not_told_apart_from_itself():
    values = np.random.default_rng(1).normal(size=25)
    figures = found(values, values + 3, values)
    assert figures["ks_p_value"].value == 1
    assert figures["mmd_p_value"].value == 1
    assert "does not tell them apart" in figures["ks_p_value"].sentence


def test_with_nineteen_cases_there_is_a_reason_instead_of_a_figure():
    for finding in found(*np.zeros((3, 19))).values():
        assert finding.value is None
        assert finding.reason == "needs 20 forget cases; there are 19"
