import pytest

from monai_unlearn.visualize import draw_loss_curves


def values(phase, name, *losses):
    return [
        {"phase": phase, "epoch": epoch, "name": name, "value": value} for epoch, value in enumerate(losses, start=1)
    ]


def test_each_phase_has_a_panel_and_each_term_a_line_with_its_values():
    history = (
        values("erase", "supervised", 0.3, 0.2) + values("erase", "guard", 0.1, 0.1) + values("restore", "guard", 1)
    )
    erase, restore = draw_loss_curves(history).axes
    assert [axes.get_title() for axes in (erase, restore)] == ["erase", "restore"]
    assert [line.get_label() for line in erase.lines] == ["supervised", "guard"]
    assert erase.lines[0].get_xydata().tolist() == [[1, 0.3], [2, 0.2]]
    assert [text.get_text() for text in erase.get_legend().get_texts()] == ["supervised", "guard"]


def test_epochs_are_put_in_order():
    axes = draw_loss_curves(values("teach", "supervised", 3, 2, 1)[::-1]).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]


def test_a_term_has_the_same_colour_in_every_panel():
    history = values("erase", "guard", 1) + values("erase", "supervised", 1) + values("restore", "supervised", 1)
    erase, restore = draw_loss_curves(history).axes
    assert erase.lines[1].get_color() == restore.lines[0].get_color() != erase.lines[0].get_color()


def test_lines_stay_apart_when_there_are_more_terms_than_colours():
    history = [entry for number in range(16) for entry in values("erase", f"term {number}", 1)]
    looks = {(line.get_color(), line.get_linestyle()) for line in draw_loss_curves(history).axes[0].lines}
    assert len(looks) == 16


@pytest.mark.parametrize(
    ("losses", "scale"),
    [((1.0, 0.01), "log"), ((1.0, 0.02), "linear"), ((1.0, 0.0), "linear"), ((1, -0.001), "linear")],
)
def test_the_scale_is_logarithmic_only_over_two_decades_of_positive_values(losses, scale):
    assert draw_loss_curves(values("erase", "guard", *losses)).axes[0].get_yscale() == scale


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="erase, epoch 2: the term guard"):
        draw_loss_curves(values("erase", "guard", 0.1, bad))


def test_two_values_of_one_term_in_one_epoch_are_refused():
    with pytest.raises(ValueError, match="two values"):
        draw_loss_curves(values("erase", "guard", 0.1) * 2)


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="empty"):
        draw_loss_curves([])
