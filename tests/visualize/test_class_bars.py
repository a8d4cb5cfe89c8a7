from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from monai_unlearn.visualize import draw_class_bars
from monai_unlearn.visualize.palette import MODEL_COLORS

F1 = {
    "teacher": {"retain": [0.9, 0.8, 1.0], "unseen": [0.5, None, 0.25]},
    "student": {"retain": [0.7, 0.6, 0.0], "unseen": [0.4, None, 0.5]},
}
NAMES = ["bkl", "mel", "nv"]


def test_each_subset_has_a_panel_with_one_bar_per_class_and_model() -> None:
    retain, unseen = draw_class_bars(F1, class_names=NAMES).axes
    assert [axes.get_title(loc="left") for axes in (retain, unseen)] == ["retain", "unseen"]
    heights = [[bar.get_height() for bar in bars] for bars in retain.containers]
    assert heights == [F1["teacher"]["retain"], F1["student"]["retain"]]
    assert [text.get_text() for text in unseen.get_xticklabels()] == NAMES


def test_the_bars_of_a_class_stand_side_by_side_at_its_name() -> None:
    teacher, student = draw_class_bars(F1, class_names=NAMES).axes[0].containers
    for place, (left, right) in enumerate(zip(teacher, student, strict=True)):
        assert left.get_x() + left.get_width() <= right.get_x()
        middle = (left.get_x() + right.get_x() + right.get_width()) / 2
        assert middle == pytest.approx(place)


def test_models_have_the_colours_of_the_house_and_a_legend() -> None:
    figure = draw_class_bars(F1, class_names=NAMES)
    colours = [to_hex(bars[0].get_facecolor()) for bars in figure.axes[0].containers]
    assert colours == [MODEL_COLORS[model].lower() for model in ("teacher", "student")]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["teacher", "student"]


def test_a_class_without_a_case_has_a_dash_and_no_bar() -> None:
    unseen = draw_class_bars(F1, class_names=NAMES).axes[1]
    assert [len(bars) for bars in unseen.containers] == [2, 2]
    assert [(text.get_text(), text.get_position()[0]) for text in unseen.texts] == [("—", 1)]


@pytest.mark.parametrize(
    ("f1", "message"),
    [
        ({}, "no bar to draw"),
        ({"teacher": {}}, "no bar to draw"),
        ({"teacher": {"retain": [0.5, 0.5, 0.5]}, "student": {"unseen": [0.5, 0.5, 0.5]}}, "student has the subsets"),
        ({"teacher": {"retain": [0.5, 0.5]}}, "teacher on retain: 2 values for 3 classes"),
        ({"teacher": {"retain": [0.5, 1.5, 0.5]}}, "1.5 lies outside"),
        ({"teacher": {"retain": [0.5, float("nan"), 0.5]}}, "nan lies outside"),
    ],
)
def test_what_cannot_be_drawn_is_refused(f1: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_class_bars(f1, class_names=NAMES)
