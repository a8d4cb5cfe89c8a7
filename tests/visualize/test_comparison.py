import numpy as np
import pytest
from matplotlib.colors import to_hex

from monai_unlearn.visualize import ComparisonRow, draw_comparison
from monai_unlearn.visualize.palette import SUBSET_COLORS


def make_row(seed=0, *, subset="forget", name="a1b2c3", **parts):
    rng = np.random.default_rng(seed)
    truth = np.zeros((12, 10), dtype=bool)
    truth[3:8, 2:7] = True
    defaults = {
        "image": rng.random((12, 10, 3)),
        "truth": truth,
        "teacher": rng.random((12, 10)),
        "student": rng.random((12, 10)),
    }
    return ComparisonRow(subset=subset, name=name, **(defaults | parts))


def panels(figure):
    """All panels but the colour bar's."""
    return [axes for axes in figure.axes if axes.images]


def written(axes):
    return [text.get_text() for text in axes.texts]


def test_each_case_has_five_panels_and_all_share_one_colour_bar():
    figure = draw_comparison([make_row(0), make_row(1), make_row(2)])
    assert len(panels(figure)) == 15
    assert len(figure.axes) == 15 + 1


def test_the_written_number_is_the_mean_probability_inside_the_true_mask():
    row = make_row(4)
    _, _, teacher, student, _ = panels(draw_comparison([row]))
    inside = [(y, x) for y in range(12) for x in range(10) if row.truth[y, x]]
    for axes, probability in ((teacher, row.teacher), (student, row.student)):
        mean = sum(probability[place] for place in inside) / len(inside)
        assert written(axes) == [f"mean {mean:.3f}"]


def test_the_last_panel_is_the_absolute_difference_on_a_scale_shared_by_all_cases():
    calm, stirred = make_row(1), make_row(2)
    calm = make_row(1, student=calm.teacher)
    figure = draw_comparison([calm, stirred])
    first, second = panels(figure)[4].images[0], panels(figure)[9].images[0]
    np.testing.assert_allclose(first.get_array(), 0)
    np.testing.assert_allclose(second.get_array(), abs(stirred.teacher - stirred.student))
    assert first.get_clim() == second.get_clim() == (0, abs(stirred.teacher - stirred.student).max())


def test_noise_is_not_stretched_to_look_like_forgetting():
    row = make_row(student=make_row().teacher)
    assert panels(draw_comparison([row]))[4].images[0].get_clim() == (0, 0.1)


def test_retain_comes_before_forget_and_each_keeps_its_order():
    order = [("forget", "f1"), ("retain", "r1"), ("forget", "f2"), ("retain", "r2")]
    figure = draw_comparison([make_row(subset=subset, name=name) for subset, name in order])
    labels = [axes.get_ylabel() for axes in panels(figure)[::5]]
    assert labels == ["retain\nr1", "retain\nr2", "forget\nf1", "forget\nf2"]


def test_a_row_is_labelled_in_the_colour_of_its_subset():
    axes = panels(draw_comparison([make_row(subset="unseen")]))[0]
    assert to_hex(axes.yaxis.label.get_color()) == SUBSET_COLORS["unseen"].lower()


def test_only_synthetic_images_carry_the_banner():
    assert draw_comparison([make_row()]).get_suptitle() == ""
    assert draw_comparison([make_row()], synthetic=True).get_suptitle() == "SYNTHETIC PHANTOM IMAGES"


def test_an_empty_mask_has_a_dash_for_a_mean_and_a_full_one_its_mean():
    empty = make_row(truth=np.zeros((12, 10), dtype=bool))
    assert written(panels(draw_comparison([empty]))[2]) == ["mean —"]
    full = make_row(truth=np.ones((12, 10), dtype=bool))
    assert written(panels(draw_comparison([full]))[2]) == [f"mean {full.teacher.mean():.3f}"]


def test_a_grey_image_is_drawn_in_grey():
    row = make_row(image=np.full((12, 10), 0.5))
    assert panels(draw_comparison([row]))[0].images[0].get_cmap().name == "gray"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"teacher": np.full((12, 10), np.nan)}, "teacher must hold finite"),
        ({"student": np.full((12, 10), 1.5)}, "student must hold finite values in"),
        ({"image": np.full((12, 10, 3), 255.0)}, "image must hold"),
        ({"student": np.zeros((10, 12))}, "student has shape"),
        ({"truth": np.zeros((12, 10))}, "bool mask"),
        ({"truth": np.zeros((4, 12, 10), dtype=bool)}, "pick one slice"),
        ({"subset": "validation"}, "retain, forget, reference, unseen"),
    ],
)
def test_what_cannot_be_drawn_truthfully_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        make_row(**parts)


def test_no_case_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        draw_comparison([])
