import base64
import copy
import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from monai_unlearn.visualize import encode_figure, render_report, save_figure, write_report

BANNER = "Synthetic phantom images: these figures say nothing about patients"


def scores(iou, **more):
    return {"iou": iou, "dice": iou + 0.05, "loss": 1 - iou, "n": 160, **more}


AUDIT = {
    "schema": 1,
    "bundle": "isic_unlearn",
    "seed": 7,
    "device": "cpu",
    "data": {
        "name": "isic2018",
        "synthetic": False,
        "forget": 160,
        "retain": 1440,
        "reference": 201,
        "unseen": 199,
        "excluded": 3,
    },
    "models": {
        "teacher": {"forget": scores(0.907), "unseen": scores(0.820)},
        "student": {"forget": scores(0.832), "unseen": scores(0.813)},
        "oracle": {"forget": scores(0.837), "unseen": scores(0.817)},
    },
    "membership": {
        "teacher": {"auc": 0.737, "tpr_at_1pct_fpr": 0.05},
        "student": {"auc": 0.571, "tpr_at_1pct_fpr": 0.0124},
        "oracle": {"auc": None, "tpr_at_1pct_fpr": None, "reason": "too few unseen cases"},
    },
    "relearning": {"student": {"before": 0.843, "after": 0.865, "recovery": 0.341}, "oracle": None},
    "grade": "reversible",
    "reversible": {"max_abs_difference": 0.0},
    "cost": {
        "teach_seconds": 283.0,
        "erase_seconds": 83.2,
        "restore_seconds": 12.34,
        "audit_seconds": None,
        "peak_rss_bytes": 3 * 2**29,
        "total_parameters": 1625420,
    },
    "versions": {"monai": "1.6.1"},
}
MINIMAL = {"schema": 1, "data": {"name": "isic2018", "synthetic": False}, "models": {}}


def audit_with(**changes):
    return copy.deepcopy(AUDIT) | changes


class Reader(HTMLParser):
    """Reads the page as a person does: headings, rows of tables and text; and checks that tags close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.rows, self.text = [], [], [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.strip()


def read(audit=AUDIT, figures=None, title="Audit"):
    return Reader(render_report(audit, figures or {}, title=title))


@pytest.fixture(scope="module")
def png():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return encode_figure(figure)


def test_before_and_after_stand_under_each_other_subset_by_subset():
    rows = read().rows
    start = rows.index(["Cases", "Network", "IoU", "Dice", "Loss", "Cases"])
    assert rows[start + 1 : start + 7] == [
        ["forget", "teacher", "0.907", "0.957", "0.093", "160"],
        ["student", "0.832", "0.882", "0.168", "160"],
        ["oracle", "0.837", "0.887", "0.163", "160"],
        ["unseen", "teacher", "0.820", "0.870", "0.180", "160"],
        ["student", "0.813", "0.863", "0.187", "160"],
        ["oracle", "0.817", "0.867", "0.183", "160"],
    ]


def test_the_counts_of_the_request_are_told():
    text = re.sub(r"\s", "", read().text)
    for part in ("forget160", "retain1,440", "reference201", "unseen199", "excluded3"):
        assert part in text


def test_a_null_membership_is_a_dash_with_its_reason():
    rows = read().rows
    assert ["teacher", "0.737", "0.050", ""] in rows
    assert ["student", "0.571", "0.012", ""] in rows
    assert ["oracle", "—", "—", "too few unseen cases"] in rows


def test_costs_are_told_in_units_a_person_reads_and_absent_ones_are_left_out():
    rows = read().rows
    for row in (
        ["Teach", "4 min 43 s"],
        ["Erase", "1 min 23 s"],
        ["Restore", "12.3 s"],
        ["Peak memory", "1,536 MiB"],
        ["Total parameters", "1,625,420"],
    ):
        assert row in rows
    assert "Audit" not in [row[0] for row in rows]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (3600, "1 h 0 min"),
        (5430, "1 h 30 min"),
    ],
)
def test_durations_carry_over_into_the_next_unit(seconds, told):
    assert ["Erase", told] in read(audit_with(cost={"erase_seconds": seconds})).rows


def test_only_synthetic_images_bring_the_banner():
    assert BANNER not in read().text
    synthetic = audit_with(data=AUDIT["data"] | {"synthetic": True})
    assert BANNER in read(synthetic).text
    assert ("role", "alert") in read(synthetic).attributes


def test_an_audit_that_does_not_say_whether_it_is_synthetic_is_refused():
    with pytest.raises(ValueError, match="synthetic must be true or false"):
        read(audit_with(data={"name": "isic2018"}))


def test_what_comes_from_outside_is_escaped():
    page = render_report(audit_with(device="<b>cpu</b>"), {}, title="<script>alert('x')</script>")
    assert "<script" not in page
    assert "<b>cpu" not in page
    assert "&lt;script&gt;" in page


def test_the_page_needs_no_network_no_script_and_no_other_file(png):
    page = render_report(AUDIT, {"comparison": png}, title="Audit")
    reader = Reader(page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert all(value.startswith("data:image/png") for name, value in reader.attributes if name in ("src", "href"))
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_the_figures_are_embedded_byte_by_byte_in_their_order(tmp_path, png):
    figure = Figure(figsize=(3, 1))
    other = save_figure(figure, tmp_path / "loss_curves.png")
    reader = read(figures={"comparison": png, "loss_curves": other, "site_shift": png})
    embedded = [base64.b64decode(value.split(",", 1)[1]) for name, value in reader.attributes if name == "src"]
    assert embedded == [png, other.read_bytes(), png]
    assert "Teacher and student on single cases" in reader.text
    assert "Site shift" in reader.text


def test_every_figure_has_a_text_for_those_who_cannot_see_it(png):
    assert [value for name, value in read(figures={"comparison": png}).attributes if name == "alt"] != [""]


def test_a_figure_that_is_no_png_is_refused():
    with pytest.raises(ValueError, match="'comparison' is no PNG"):
        read(figures={"comparison": b"GIF89a"})


def test_a_missing_figure_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        read(figures={"comparison": tmp_path / "gone.png"})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_with_its_place(bad):
    audit = audit_with(models={"student": {"forget": scores(0.8, dice_per_class=[0.5, bad])}})
    with pytest.raises(ValueError, match=r"audit\.models\.student\.forget\.dice_per_class\[1\]"):
        read(audit)


def test_an_audit_of_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema 1"):
        read(audit_with(schema=2))


def test_absent_parts_are_left_out():
    reader = read(MINIMAL)
    assert reader.rows == []
    for absent in ("Before and after", "Grade", "attacker", "come back", "cost", "Figures", "In short", "—"):
        assert absent.lower() not in reader.text.lower().replace("what that cost.", "")


@pytest.mark.parametrize("section", ["membership", "relearning", "reversible", "cost", "versions", "grade", "bundle"])
def test_a_null_section_is_as_good_as_an_absent_one(section):
    without = {key: value for key, value in AUDIT.items() if key != section}
    assert render_report(audit_with(**{section: None}), {}, title="a") == render_report(without, {}, title="a")


def test_without_an_oracle_the_page_does_not_speak_of_one():
    audit = audit_with(
        models=AUDIT["models"] | {"oracle": None}, membership=AUDIT["membership"] | {"oracle": None}, relearning=None
    )
    assert "oracle" not in read(audit).text


def test_a_reversible_grade_says_how_far_the_teacher_comes_back():
    assert "is the teacher, bit for bit" in read().text
    nearly = read(audit_with(reversible={"max_abs_difference": 2.5e-7})).text
    assert "2.5e−07" in nearly
    assert "bit for bit" not in nearly


def test_a_permanent_grade_speaks_of_no_adapter_to_take_off():
    text = read(audit_with(grade="permanent", reversible=None)).text
    assert "permanent" in text
    assert "bit for bit" not in text


def test_scores_of_each_class_have_a_table():
    named = {
        "student": {"forget": {"accuracy": 0.9, "f1_macro": 0.8, "n": 5, "f1_per_class": {"MEL": 0.7, "NV": 0.91}}}
    }
    rows = read(audit_with(models=named)).rows
    assert ["Cases", "Network", "Accuracy", "F1 (macro)", "Cases"] in rows
    assert rows[rows.index(["Cases", "Network", "MEL", "NV"]) + 1] == ["forget", "student", "0.700", "0.910"]


def test_segmentation_classes_without_names_are_counted_after_the_background():
    listed = {"student": {"forget": scores(0.8, dice_per_class=[0.7, 0.9])}}
    assert ["Cases", "Network", "class 1", "class 2"] in read(audit_with(models=listed)).rows


def test_the_report_is_written_whole_and_replaces_the_last_one(tmp_path):
    path = write_report(tmp_path / "out" / "report.html", AUDIT, {}, title="First")
    write_report(path, AUDIT, {}, title="Second")
    assert path.read_text(encoding="utf-8") == render_report(AUDIT, {}, title="Second")
    assert list(path.parent.iterdir()) == [path]
