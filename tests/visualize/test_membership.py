import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from monai_unlearn.visualize import draw_attack_curves, draw_loss_attack


def draw_losses(seed=0, forget=30, unseen=20):
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 0.1, forget).round(2), rng.gamma(2, 0.15, unseen).round(2)  # rounded: there are ties


def curve_of(figure, model):
    return next(line for line in figure.axes[-1].lines if line.get_label().startswith(model))


def test_the_curves_alone_have_the_diagonal_and_the_line_of_one_percent():
    axes = draw_attack_curves({"teacher": draw_losses(0), "student": draw_losses(1)}).axes[0]
    lines = {line.get_label().split(" 0.")[0]: line.get_xydata() for line in axes.lines}
    assert set(lines) == {"a coin toss", "teacher", "student", "1 % false alarms"}
    assert set(lines["1 % false alarms"][:, 0]) == {0.01}


def test_on_logarithmic_axes_no_line_leaves_the_panel():
    axes = draw_attack_curves({"teacher": draw_losses(0), "student": draw_losses(1)}, logarithmic=True).axes[0]
    lowest = axes.get_xlim()[0]
    assert 0 < lowest < 0.01
    for line in axes.lines[:-1]:
        assert line.get_xydata().min() >= lowest


def test_fewer_than_ten_cases_have_no_area():
    axes = draw_attack_curves({"teacher": draw_losses(forget=9)}).axes[0]
    assert "teacher" in [line.get_label() for line in axes.lines]


def test_each_model_has_a_histogram_and_all_a_curve_in_one_panel():
    figure = draw_loss_attack({"teacher": draw_losses(0), "student": draw_losses(1), "oracle": draw_losses(2)})
    assert [axes.get_title() for axes in figure.axes] == ["teacher", "student", "oracle", "ROC of the loss attack"]


def test_the_bars_of_a_histogram_sum_to_all_cases_of_each_subset():
    axes = draw_loss_attack({"teacher": draw_losses()}).axes[0]
    for bars in axes.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_curve_and_area_are_those_of_scikit_learn(seed):
    forget, unseen = draw_losses(seed)
    figure = draw_loss_attack({"student": (forget, unseen)})
    member = np.repeat([1, 0], [len(forget), len(unseen)])
    score = -np.concatenate([forget, unseen])
    false_rate, true_rate, _ = roc_curve(member, score, drop_intermediate=False)
    drawn = curve_of(figure, "student")
    np.testing.assert_allclose(drawn.get_xydata(), np.stack([false_rate, true_rate], axis=1))
    assert drawn.get_label() == f"student {roc_auc_score(member, score):.3f}"


def test_a_model_that_fails_on_the_forget_cases_lies_below_the_diagonal():
    figure = draw_loss_attack({"student": (np.linspace(5, 6, 10), np.linspace(0.1, 0.3, 10))})
    assert curve_of(figure, "student").get_label() == "student 0.000"


def test_models_of_any_name_get_colours_of_their_own():
    figure = draw_loss_attack({"merged": draw_losses(0), "purged": draw_losses(1)})
    assert curve_of(figure, "merged").get_color() != curve_of(figure, "purged").get_color()


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        (np.array([0.1, np.nan]), "teacher's losses on forget: 1 of 2 are not finite"),
        (np.array([]), "at least one case"),
        (np.ones((2, 2)), "shape"),
    ],
)
def test_losses_that_cannot_be_ranked_are_refused(forget, message):
    with pytest.raises(ValueError, match=message):
        draw_loss_attack({"teacher": (forget, np.ones(3))})


def test_no_model_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        draw_loss_attack({})
