from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monai_unlearn.audit.distance import Distance, attack_distance, measure_distance
from tests.audit.planted import audit_config, drawn_cases

CONFIG = audit_config()


def distance(value: float, interval: tuple[float, float] | None, narrow: tuple[float, float] | None = None) -> Distance:
    return Distance(value=value, interval=interval, narrow=narrow, start=0.1, against="oracle")


@pytest.mark.parametrize(
    ("value", "interval", "beyond", "clearly"),
    [
        (0.04, (0.03, 0.05), True, True),
        (0.04, (0.01, 0.07), True, False),
        (0.04, (-0.01, 0.09), False, False),
        (0.01, (0.005, 0.015), False, False),
        (-0.04, (-0.05, -0.03), True, True),
        (-0.04, (-0.07, -0.01), True, False),
        (0.04, None, True, False),
    ],
)
def test_beyond_margin_and_chance_and_beyond_the_margin_as_a_whole_are_two_things(value, interval, beyond, clearly):
    found = distance(value, interval)
    assert found.beyond(0.02) is beyond
    assert found.clearly_beyond(0.02) is clearly


def test_within_is_shown_by_the_narrow_interval_alone():
    assert distance(0.0, (-0.03, 0.03), (-0.019, 0.019)).within(0.02)
    assert not distance(0.0, (-0.03, 0.03), (-0.01, 0.021)).within(0.02)
    assert not distance(0.0, None).within(0.02)


def drawn(with_oracle: bool):
    generator = np.random.default_rng(0)
    models = ("teacher", "student", "oracle") if with_oracle else ("teacher", "student")
    return drawn_cases(
        {
            model: {
                subset: {"iou": generator.uniform(0.5, 0.9, 15), "loss": generator.normal(size=15)}
                for subset in ("forget", "reference", "unseen")
            }
            for model in models
        }
    )


def test_with_an_oracle_it_is_the_paired_difference_with_students_interval():
    cases = drawn(True)
    student, oracle, teacher = (
        cases.scores[name].of(cases.subsets["forget"], "iou") for name in ("student", "oracle", "teacher")
    )
    found = measure_distance(cases, CONFIG, confidence=0.95)
    half = {level: stats.t.ppf(level, 14) * stats.sem(student - oracle) for level in (0.975, 0.95)}
    assert found.value == pytest.approx((student - oracle).mean())
    assert found.interval == pytest.approx((found.value - half[0.975], found.value + half[0.975]))
    assert found.narrow == pytest.approx((found.value - half[0.95], found.value + half[0.95]))
    assert found.start == pytest.approx((teacher - oracle).mean())


def test_without_one_it_is_the_difference_from_the_reference_cases_with_welchs_interval():
    cases = drawn(False)
    forget, reference = (cases.scores["student"].of(cases.subsets[name], "iou") for name in ("forget", "reference"))
    found = measure_distance(cases, CONFIG, confidence=0.9)
    spread = [values.var(ddof=1) / 15 for values in (forget, reference)]
    freedom = sum(spread) ** 2 / sum(one**2 / 14 for one in spread)
    half = stats.t.ppf(0.95, freedom) * np.sqrt(sum(spread))
    assert found.value == pytest.approx(forget.mean() - reference.mean())
    assert found.interval == pytest.approx((found.value - half, found.value + half))
    assert found.against == "reference cases"
    assert attack_distance(cases, CONFIG, confidence=0.9) is None
