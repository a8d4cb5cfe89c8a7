import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from monai_unlearn.visualize import inline_svg
from monai_unlearn.visualize.palette import MODEL_COLORS, SUBSET_COLORS


def figure_of(count=5, *, title="Title", color=SUBSET_COLORS["forget"]):
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot(range(count), range(count), "o", color=color)
    axes.plot(range(count), range(count), color=MODEL_COLORS["teacher"])
    axes.set_title(title)
    return figure


def test_every_case_is_a_mark_and_text_stays_text():
    root = ElementTree.fromstring(inline_svg(figure_of(7), name="dots", label="seven dots"))
    texts = [element.text for element in root.iter("text")]
    assert "Title" in texts
    marks = [element for element in root.iter("use") if element.attrib["href"] == root_of_most(root)]
    assert len(marks) == 7
    assert root.attrib["aria-label"] == "seven dots"
    assert root.attrib["role"] == "img"


def root_of_most(root):
    hrefs = [element.attrib["href"] for element in root.iter("use")]
    return max(hrefs, key=hrefs.count)


def test_the_colours_are_variables_of_the_page():
    svg = inline_svg(figure_of(), name="dots", label="dots")
    assert "var(--forget)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#(000000|222222|d55e00)", svg, re.IGNORECASE)


def test_no_address_no_style_for_the_whole_page_and_no_font_of_its_own():
    svg = inline_svg(figure_of(), name="dots", label="dots")
    assert not re.search(r"https?:|url\(|<style|<metadata|xmlns|xlink|DejaVu|clip", svg)


def test_identifiers_are_used_and_start_with_the_name():
    svg = inline_svg(figure_of(), name="dots", label="dots")
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert len(ids) == len(set(ids))
    assert all(name.startswith("dots-") and f'href="#{name}"' in svg for name in ids)


def test_what_is_drawn_as_text_is_escaped():
    svg = inline_svg(figure_of(title="<script>&"), name="dots", label='"<b>')
    assert "<script" not in svg
    assert "&lt;script&gt;&amp;" in svg
    assert "<b>" not in svg


def test_a_mark_more_costs_few_characters():
    short, long = (len(inline_svg(figure_of(count), name="dots", label="dots")) for count in (100, 1100))
    assert (long - short) / 1000 < 70


def test_the_same_figure_gives_the_same_text():
    assert inline_svg(figure_of(), name="a", label="b") == inline_svg(figure_of(), name="a", label="b")


@pytest.mark.parametrize("name", ["", "1a", 'a"b', "a b"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="name of a figure in a page"):
        inline_svg(figure_of(), name=name, label="dots")
