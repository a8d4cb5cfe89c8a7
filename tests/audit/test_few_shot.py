from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from torch import nn

from monai_unlearn.audit import FewShotRelearning, FineTuning
from monai_unlearn.audit.few_shot import area_under, case_curves, relearning_cases
from tests.audit.memorising import config_of, subjects, subset_ids, weights_of, without_oracle

SIX = FewShotRelearning(shots=6)


def test_the_area_is_that_of_the_trapezoid_rule_over_the_length_one():
    curves = np.random.default_rng(0).uniform(size=(5, 7))
    assert area_under(curves) == pytest.approx(trapezoid(curves, np.linspace(0, 1, 5), axis=0))
    assert area_under(np.full((3, 2), 0.25)) == pytest.approx([0.25, 0.25])


def test_a_head_only_edit_relearns_faster_than_the_oracle():
    models, cases, config = subjects("head_only")
    found = SIX(models, cases, config)
    begin = {role: curve[0] for role, curve in found["area"].series.items()}
    assert begin["student"] == begin["oracle"], "the outputs do not tell them apart"
    assert found["area"].value > found["area"].oracle + 0.15
    assert found["lead"].value == pytest.approx(found["area"].value - found["area"].oracle)
    assert found["lead"].interval[0] > 0
    ends = {role: curve[-1] for role, curve in found["area"].series.items()}
    assert found["lead"].details == {"lead_at_the_end": ends["student"] - ends["oracle"]}
    assert f"{found['lead'].value:+.3f} against the oracle's" in found["lead"].sentence


def test_the_oracle_as_student_has_no_lead():
    models, cases, config = subjects("oracle")
    found = SIX(models, cases, config)
    assert found["area"].value == found["area"].oracle
    assert found["lead"].value == 0.0
    assert found["lead"].interval == (0.0, 0.0)


def test_the_teacher_needs_no_step_and_a_forgetful_network_does_not_get_there():
    models, cases, config = subjects("teacher")
    found = SIX(models, cases, config)["steps_to_relearn"]
    assert (found.value, found.oracle) == (0.0, None)
    assert found.details == {"goal": 0.95, "oracle_reaches_it": False}
    models, cases, config = subjects("oracle")
    found = SIX(models, cases, config)["steps_to_relearn"]
    assert found.value is None
    assert found.reason == "0.950 was not reached within 20 steps"


def test_shown_and_measured_cases_are_different_forget_cases():
    models, cases, config = subjects()
    details = SIX(models, cases, config)["area"].details
    assert details["forget_cases_shown"] == details["cases_shown"] == 6
    assert details["cases_measured"] == 18
    assert details["measured_on_the_shown_case"] is False
    details = FewShotRelearning(most=10)(models, cases, config)["area"].details
    assert (details["forget_cases_shown"], details["cases_measured"]) == (2, 10), "a tenth of 24 is shown"


def test_a_single_forget_case_is_shown_and_measured_and_the_sentence_says_so():
    models, cases, config = subjects()
    one = dataclasses.replace(cases, subsets={**subset_ids(), "forget": ("forget_4",)})
    found = FewShotRelearning()(models, one, config)["area"]
    assert found.details["measured_on_the_shown_case"] is True
    assert "on the one forget case itself" in found.sentence
    assert found.interval is None
    assert found.series["student"][-1] == 1.0, "it is learned by heart"


def test_without_an_oracle_the_lead_has_a_reason():
    models, cases, config = subjects()
    found = FewShotRelearning()(without_oracle(models), cases, config)
    assert found["area"].oracle is None
    assert (found["lead"].value, found["lead"].reason) == (None, "there is no oracle")


def test_the_curve_is_that_of_plain_training_on_the_shown_cases():
    """Full batches of one case: the order of drawing does not matter, so training can be done again by hand."""
    models, cases, config = subjects("head_only")
    config = dataclasses.replace(
        config,
        fine_tuning=FineTuning(optimizer=lambda weights: torch.optim.SGD(weights, lr=0.1), batch_size=4, epochs=1),
    )
    measured = cases.subsets["forget"][1:]
    curves = case_curves("student", models["student"], ["forget_0"], measured, cases, config, steps=6, every=2)
    network = copy.deepcopy(models["student"]).requires_grad_(True)
    items = {item["id"]: item for item in cases.dataset}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    image, label = items["forget_0"]["image"][None], items["forget_0"]["label"][None]
    expected = []
    for step in range(7):
        if step % 2 == 0:
            with torch.no_grad():
                likeliest = [int(network(items[case]["image"][None]).argmax()) for case in measured]
            expected.append(
                [float(one == int(items[case]["label"])) for one, case in zip(likeliest, measured, strict=True)]
            )
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(image), label).backward()
        optimizer.step()
    assert curves.tolist() == expected


def test_a_request_of_classes_shows_as_many_retain_cases_besides():
    _, cases, config = subjects()
    assert relearning_cases(("forget_1", "forget_2"), cases, config) == ("forget_1", "forget_2")
    shown = relearning_cases(("forget_1", "forget_2"), cases, config_of(classes=(1,)))
    assert shown[:2] == ("forget_1", "forget_2")
    assert len(shown) == 4
    assert all(case.startswith("retain") for case in shown[2:])


def test_a_single_case_is_no_trouble_to_batch_normalisation():
    _, cases, config = subjects()
    network = nn.Sequential(nn.Flatten(), nn.Linear(200, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    curves = case_curves("student", network, ["forget_0"], ["forget_1"], cases, config, steps=2, every=1)
    assert curves.shape == (3, 1)


def test_it_is_reproducible_and_changes_no_network():
    models, cases, config = subjects()
    before = weights_of(models)
    assert SIX(models, cases, config) == SIX(models, cases, config)
    assert all((one == other).all() for one, other in zip(before, weights_of(models), strict=True))


@pytest.mark.parametrize("settings", [{"shots": 0}, {"steps": 0}, {"steps": 7}, {"within": 1.0}, {"most": 0}], ids=str)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="every divides steps, 0 ≤ within < 1"):
        FewShotRelearning(**settings)
