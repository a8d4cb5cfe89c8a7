from __future__ import annotations

import pytest

from monai_unlearn.handlers import next_steps


@pytest.mark.parametrize(
    ("gap_after", "expected"),
    [
        (0.05, 10),  # half of it closed: as many steps again
        (0.02, 5),  # 2.5 steps would do by the same rate; never less than half
        (0.06, 15),  # 15 steps at a rate of 0.004 a step
        (0.09, 20),  # would take 90 at the same rate; never more than twice
        (0.10, 20),  # nothing closed, no rate
        (0.12, 20),  # the wrong way
    ],
)
def test_after_progress_the_rest_is_closed_at_the_same_rate(gap_after, expected):
    assert next_steps(steps=10, gap_before=0.1, gap_after=gap_after) == expected


@pytest.mark.parametrize(
    ("gap_after", "expected"),
    [
        (-0.1, 5),  # the line crosses zero half-way
        (-0.01, 8),  # it crosses at 9.1; never more than three quarters
        (-1.9, 2),  # it crosses at 0.5; never less than a quarter
    ],
)
def test_after_an_overshoot_fewer_steps_are_tried(gap_after, expected):
    assert next_steps(steps=10, gap_before=0.1, gap_after=gap_after) == expected


def test_overshoots_end_when_a_single_step_is_one_too_many():
    steps, tries = 64, []
    while steps:
        tries.append(steps)
        steps = next_steps(steps=steps, gap_before=0.1, gap_after=-0.1)
    assert tries == [64, 32, 16, 8, 4, 2, 1]
