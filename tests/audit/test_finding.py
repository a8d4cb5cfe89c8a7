from __future__ import annotations

import json

import pytest

from monai_unlearn.audit import Finding
from monai_unlearn.audit.finding import said_beside

WORDS = {"forgotten": "0", "sentence": "The figure is 1."}


def test_a_figure_is_written_with_everything_that_is_needed_to_read_it():
    finding = Finding(
        value=1.0,
        oracle=0.5,
        interval=(0.9, 1.1),
        series={"student": (0.0, 1.0)},
        axis="epochs",
        details={"n": 3},
        **WORDS,
    )
    content = finding.content()
    assert json.loads(json.dumps(content)) == content
    assert content == {
        "value": 1.0,
        "oracle": 0.5,
        "teacher": None,
        "interval": [0.9, 1.1],
        "forgotten": "0",
        "sentence": "The figure is 1.",
        "reason": None,
        "series": {"student": [0.0, 1.0]},
        "axis": "epochs",
        "details": {"n": 3},
    }


@pytest.mark.parametrize(
    "numbers",
    [
        {"value": float("nan")},
        {"value": 1.0, "oracle": float("inf")},
        {"value": 1.0, "teacher": float("nan")},
        {"value": 1.0, "interval": (0.0, float("inf"))},
        {"value": 1.0, "series": {"student": [0.0, float("nan")]}},
        {"value": 1.0, "details": {"p_value": float("nan")}},
        {"value": 1.0, "details": {"by": {"teacher": [0.5, (1, float("-inf"))]}}},
    ],
)
def test_a_number_that_is_none_is_refused_wherever_it_stands(numbers):
    with pytest.raises(ValueError, match=r"not finite: 'The figure is 1\.'"):
        Finding(**numbers, **WORDS)


def test_a_figure_without_a_value_needs_a_reason():
    with pytest.raises(ValueError, match="needs a reason"):
        Finding(value=None, **WORDS)
    assert Finding(value=None, reason="too few cases", **WORDS).content()["reason"] == "too few cases"


def test_oracle_and_teacher_are_said_beside_the_student_as_far_as_they_are_there():
    values = {"student": 0.5, "teacher": 0.90712, "oracle": 0.831}
    assert said_beside(values) == " (oracle 0.831, teacher 0.907)"
    assert said_beside({"teacher": 0.907}, form=".0%") == " (teacher 91%)"
    assert said_beside({"student": 0.5}) == ""
