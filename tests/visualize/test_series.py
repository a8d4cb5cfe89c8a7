import pytest

from monai_unlearn.visualize import draw_series


def lines_of(figure):
    return {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}


def test_each_network_has_a_line_from_the_state_before_the_first_step():
    figure = draw_series({"student": [0.1, 0.3, 0.4], "oracle": [0.1, 0.1, 0.2]}, axis="epochs on retain")
    assert lines_of(figure) == {
        "student": [[0, 0.1], [1, 0.3], [2, 0.4]],
        "oracle": [[0, 0.1], [1, 0.1], [2, 0.2]],
    }
    assert figure.axes[0].get_xlabel() == "epochs on retain"


def test_stages_are_counted_from_one():
    assert lines_of(draw_series({"student": [1.0, 0.5]}, axis="stage"))["student"] == [[1, 1.0], [2, 0.5]]


def test_a_rate_runs_from_zero_to_one():
    axes = draw_series({"student": [0.0, 0.4, 1.0]}, axis="false-positive rate, 0 to 1 in 3 steps").axes[0]
    assert axes.lines[1].get_xdata().tolist() == [0, 0.5, 1]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]], "the diagonal"
    assert axes.get_xlabel() == "false-positive rate"


@pytest.mark.parametrize(
    ("axis", "label"), [("forget cases shown: 0, 2, 8", "forget cases shown"), ("0, 2, 8", "step")]
)
def test_steps_that_have_names_stand_by_them(axis, label):
    axes = draw_series({"student": [0.1, 0.4, 0.5]}, axis=axis).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "2", "8"]
    assert axes.get_xlabel() == label


def test_the_teachers_level_runs_across():
    figure = draw_series({"student": [0.1, 0.3]}, axis="step", taught=0.9)
    assert [y for _, y in lines_of(figure)["teacher"]] == [0.9, 0.9]


def test_networks_of_any_name_and_number_get_a_line_each():
    series = {f"shadow {number}": [0.0, 1.0] for number in range(20)}
    assert set(lines_of(draw_series(series, axis="step"))) == set(series)


@pytest.mark.parametrize("series", [{}, {"student": []}])
def test_no_value_is_an_error(series):
    with pytest.raises(ValueError, match="no curve to draw"):
        draw_series(series, axis="step")


def test_curves_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"differ in length: \[1, 2\]"):
        draw_series({"student": [1.0], "oracle": [1.0, 2.0]}, axis="step")
