from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from monai_unlearn.engines import ViewTargets, shift_views
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm, TermInputs
from tests.engines.example import adapted_student, cases, plain_network, trainer_of

VIEWS = shift_views(2, distances=(1, 2))
LOSS = nn.BCEWithLogitsLoss()


def run_with(*terms, items, **arguments):
    """Train for an epoch on items of which the first five are forgotten; the adapters have learned already."""
    handler = ViewTargets(terms=terms, forget=items[:5], views=VIEWS, batch_size=2)
    trainer = trainer_of(
        adapted_student(learned=0.5),
        items,
        erasure={f"term{number}": term for number, term in enumerate(terms)},
        train_handlers=[handler],
        **arguments,
    )
    trainer.run()
    return trainer


def answers_of_the_teacher(item):
    teacher = plain_network().eval()
    with torch.no_grad():
        return [
            torch.roll(
                teacher(torch.roll(item["image"][None], view.shift, (2, 3))), [-voxels for voxels in view.shift], (2, 3)
            )
            for view in VIEWS
        ]


def losses_of_the_teacher(item) -> list[float]:
    return [LOSS(answer, item["label"][None]).item() for answer in answers_of_the_teacher(item)]


def test_each_case_is_pulled_to_the_mean_of_the_teachers_losses_on_its_own_shifted_images():
    items = cases(8, forget=5)
    term = CalibratedErasureTerm(loss_function=LOSS)
    run_with(term, items=items)
    expected = [np.mean(losses_of_the_teacher(item)) for item in items[:5]]
    np.testing.assert_allclose(term.target_of([item["id"] for item in items[:5]]), expected, rtol=1e-5)


def test_the_answer_taught_is_the_one_whose_loss_is_nearest_to_that_mean():
    items = cases(8, forget=5)
    term = CalibratedViewTerm(loss_function=LOSS, activation="sigmoid")
    run_with(term, items=items)
    for item in items[:5]:
        losses = np.array(losses_of_the_teacher(item))
        nearest = answers_of_the_teacher(item)[np.abs(losses - losses.mean()).argmin()]
        kept = term(TermInputs(student=nearest, teacher=None, label=item["label"][None], ids=(item["id"],)))
        expected = nn.functional.binary_cross_entropy_with_logits(nearest, nearest.sigmoid())
        assert kept.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_single_forget_case_has_a_target_too():
    items = cases(6, forget=1)
    term = CalibratedErasureTerm(loss_function=LOSS)
    handler = ViewTargets(terms=[term], forget=items[:1], views=VIEWS)
    trainer_of(adapted_student(), items, erasure={"c": term}, train_handlers=[handler]).run()
    assert term.target_of(["case_0"]).item() == pytest.approx(np.mean(losses_of_the_teacher(items[0])), rel=1e-5)


def test_answers_on_the_fly_are_left_to_the_engine_which_learns_the_view():
    items = cases(8, forget=5)
    term = CalibratedViewTerm(loss_function=LOSS, activation="sigmoid", answers="on_the_fly")
    trainer = run_with(term, items=items)
    for item in items[:5]:
        losses = np.array(losses_of_the_teacher(item))
        assert trainer.case_views[item["id"]] == VIEWS[np.abs(losses - losses.mean()).argmin()]


def test_without_views_there_is_nothing_to_read_targets_off():
    with pytest.raises(ValueError, match="read off 'views'"):
        ViewTargets(terms=[CalibratedErasureTerm(loss_function=LOSS)], forget=[], views=[])
