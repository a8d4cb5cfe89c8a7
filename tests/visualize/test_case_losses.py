import numpy as np
import pytest

from monai_unlearn.visualize import draw_case_losses


def draw_losses(seed=0, forget=30, unseen=20):
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 0.1, forget).round(2), rng.gamma(2, 0.15, unseen).round(2)  # rounded: there are ties


def dots_of(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines if line.get_linestyle() == "None"}


def test_each_case_is_one_dot_at_its_two_losses():
    teacher, student = draw_losses(0), draw_losses(1)
    dots = dots_of(draw_case_losses({"teacher": teacher, "student": student}).axes[0])
    np.testing.assert_array_equal(dots["forget (30)"], np.stack([teacher[0], student[0]], axis=1))
    np.testing.assert_array_equal(dots["unseen (20)"], np.stack([teacher[1], student[1]], axis=1))


def test_the_oracle_stands_beside_the_student_on_the_same_axes():
    losses = {"teacher": draw_losses(0), "student": draw_losses(1), "oracle": draw_losses(2)}
    figure = draw_case_losses(losses)
    assert [axes.get_ylabel() for axes in figure.axes] == ["student's loss", "oracle's loss"]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    alone = draw_case_losses(losses, models=["oracle"])
    assert [axes.get_ylabel() for axes in alone.axes] == ["oracle's loss"]
    assert alone.axes[0].get_xlim() == figure.axes[0].get_xlim()


def test_every_dot_lies_within_the_panel_and_both_axes_are_alike():
    losses = np.array([0.001, 0.5, 2.0])
    axes = draw_case_losses({"teacher": (losses, losses), "student": (losses, losses)}).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[0] < 0.001 < 2.0 < axes.get_xlim()[1]
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_identical_losses_are_drawn_too():
    same = np.full(3, 0.2)
    axes = draw_case_losses({"teacher": (same, same), "student": (same, same)}).axes[0]
    assert axes.get_xlim()[0] < 0.2 < axes.get_xlim()[1]


def test_of_very_many_cases_two_thousand_are_drawn_and_that_is_said():
    many = draw_losses(0, forget=2001, unseen=5000)
    dots = dots_of(draw_case_losses({"teacher": many, "student": many}).axes[0])
    assert {label: len(values) for label, values in dots.items()} == {
        "forget (2000 of 2001)": 2000,
        "unseen (2000 of 5000)": 2000,
    }


def test_the_two_models_must_have_the_same_cases():
    with pytest.raises(ValueError, match="forget: 3 losses of the teacher, 2 of the student"):
        draw_case_losses({"teacher": (np.ones(3), np.ones(2)), "student": (np.ones(2), np.ones(2))})


@pytest.mark.parametrize(
    "losses", [{}, {"teacher": draw_losses()}, {"student": draw_losses(), "oracle": draw_losses()}]
)
def test_a_scatter_needs_the_teacher_and_another_model(losses):
    with pytest.raises(ValueError, match="the losses of the teacher and of another model"):
        draw_case_losses(losses)
