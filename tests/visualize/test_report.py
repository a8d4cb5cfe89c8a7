"""What the report says, section by section."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.visualize import ComparisonRow, render_report, write_report
from tests.visualize.report_material import (
    AUDIT,
    HISTORY,
    MINIMAL,
    audit_with,
    audit_with_curves,
    figure,
    make_classified,
    make_losses,
    make_rows,
    read,
    scores,
)

BANNER = "Synthetic phantom images: these figures say nothing about patients"


@pytest.fixture(scope="module")
def attacked():
    return read(losses=make_losses())


def verdict_with(**changes):
    return audit_with(verdict=AUDIT["verdict"] | changes)


def pictures(reader):
    """Every embedded picture, decoded."""
    sources = [attributes["src"] for tag, attributes in reader.elements if tag == "img"]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))) for source in sources]


def test_the_verdict_comes_first_in_words():
    words = read().words
    start = words.index("Hidden, not erased: the outputs show nothing, yet it comes back")
    assert start < words.index("In its outputs the student has forgotten.") < words.index("Before and after")
    for answer in ("Are there enough cases to say so? Yes", "trained on? Yes: it is hidden", "on all else? Yes"):
        assert answer in words


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"hidden": False}, "Forgotten, as far as its outputs show In its"),
        ({"hidden": False, "conclusive": False}, "as far as its outputs show, on too few cases to be sure"),
        ({"outcome": "not forgotten"}, "Not forgotten"),
        ({"outcome": "partly forgotten"}, "Partly forgotten: less than retraining forgets"),
        ({"outcome": "nothing to forget"}, "Nothing to forget: the teacher stood already"),
        ({"outcome": "undecided", "conclusive": False, "utility_kept": None}, "Undecided: the figures do not say"),
        ({"outcome": "over-forgotten"}, "Over-forgotten: the cases stand out"),
    ],
)
def test_every_outcome_has_a_headline(changes, headline):
    assert headline in read(verdict_with(**changes)).words


def test_green_is_only_what_is_forgotten_surely_unhidden_and_without_harm():
    def tone(**changes):
        reader = read(verdict_with(**changes))
        return next(value for value in reader.attributes("class") if value.startswith("verdict")).split()[1]

    assert tone(hidden=False) == "good"
    assert tone(hidden=False, passed=False) == "mixed", "the audit's own word, where it has one"
    for doubt in ({"hidden": None}, {"hidden": True}, {"hidden": False, "conclusive": False}):
        assert tone(**doubt) == "mixed"
    assert tone(hidden=False, utility_kept=False) == "mixed"
    assert tone(outcome="over-forgotten", hidden=False) == tone(outcome="not forgotten") == "bad"


def test_what_was_not_tested_is_said_to_be_so():
    assert "when the network is trained on? Not tested" in read(verdict_with(hidden=None)).words
    unforgotten = read(verdict_with(outcome="not forgotten", hidden=False)).words
    assert "when the network is trained on? It was not forgotten in the first place" in unforgotten


def test_the_checks_stand_with_their_bounds():
    rows = read().rows
    assert ["forget against the oracle", "−0.005", "within ±0.020", "yes"] in rows
    assert ["retain against the teacher", "0.001", "at least −0.020", "yes"] in rows
    assert ["recovery after retain-only relearning", "0.341", "at most 0.200", "no"] in rows
    assert "−0.005 from the oracle (95 % interval −0.012 to 0.002)" in read().words


def test_a_check_has_its_interval_below_and_stands_for_both_sides():
    check = {"name": "AUC of the loss attack against the oracle", "value": -0.05, "bound": 0.03, "holds": False}
    rows = read(verdict_with(checks=[{**check, "interval": [-0.07, -0.02]}])).rows
    assert [check["name"], "−0.050−0.070 to −0.020", "within ±0.030", "no"] in rows
    rows = read(verdict_with(checks=[{**check, "holds": True, "interval": [-0.1, 0.0]}])).rows
    assert [check["name"], "−0.050−0.100 to 0.000", "not surely beyond ±0.030", "yes"] in rows


@pytest.mark.parametrize(
    ("request_of", "said"),
    [
        ({"classes": [], "named": 155, "random": False}, "The request names 155 cases"),
        ({"classes": [], "named": 0, "random": True}, "Nobody was named"),
        ({"classes": [1], "named": 0, "random": False}, "To be unlearned: the class bkl"),
        ({"classes": [0, 5], "named": 0, "random": False}, "the classes nv, class 5"),
    ],
)
def test_what_was_asked_is_told(request_of, said):
    data = AUDIT["data"] | {"class_names": ["nv", "bkl"]}
    words = read(audit_with(request=request_of, data=data)).words
    assert said in words


def test_the_counts_of_the_request_are_told():
    words = read().words
    for part in ("Forget 160", "Retain 1,440", "Reference 201", "Unseen 199", "Excluded 3"):
        assert part in words


def test_what_is_not_claimed_is_told():
    words = read().words
    for part in ("No mathematical guarantee, such as (ε, δ)", "hand on the merged model.pt alone", "the teacher's own"):
        assert part in words
    assert "This run did not train both" in read(audit_with(oracle_recipe="assumed to be the teacher's")).words
    assert "never trained on is a guess" in read(audit_with(data=AUDIT["data"] | {"split_drawn": True})).words


def test_a_student_from_elsewhere_has_an_unknown_grade():
    words = read(audit_with(grade=None, reversible=None)).words
    assert "Unknown: it is not known how the student was made" in words
    assert "The student was not made by this run" in words
    assert "Erasure calibrate" not in words, "which is what this run would have done, had it made one"


def test_before_and_after_stand_under_each_other_subset_by_subset_with_intervals():
    rows = read().rows
    start = rows.index(["Cases", "Network", "IoU", "Dice", "Loss", "Number"])
    assert rows[start + 1 : start + 7] == [
        ["Forget", "teacher", "0.907", "0.957", "0.093", "160"],
        ["student", "0.8320.810 to 0.850", "0.882", "0.168", "160"],
        ["oracle", "0.837", "0.887", "0.163", "160"],
        ["Unseen", "teacher", "0.820", "0.870", "0.180", "160"],
        ["student", "0.813", "0.863", "0.187", "160"],
        ["oracle", "0.817", "0.867", "0.183", "160"],
    ]


def test_an_interval_stands_only_beside_the_mean_that_it_belongs_to():
    figures = {
        "unseen": figure(0.813, interval=[0.8, 0.82], details={"intervals": {"teacher": [0.81, 0.83]}}),
        "forget": figure(0.5, interval=[0.4, 0.6]),  # of one class, say
        "auc": figure(0.832, interval=[0.7, 0.9]),
    }
    rows = read(audit_with(tests={"utility": {"tier": 0, "seconds": 1.0, "figures": figures}})).rows
    assert ["student", "0.8130.800 to 0.820", "0.863", "0.187", "160"] in rows
    assert ["Unseen", "teacher", "0.8200.810 to 0.830", "0.870", "0.180", "160"] in rows
    assert ["student", "0.832", "0.882", "0.168", "160"] in rows


def test_the_attack_has_a_table_and_curves(attacked):
    assert ["student", "0.571", "0.012"] in attacked.rows
    labels = attacked.attributes("aria-label")
    assert len([label for label in labels if label.startswith("ROC curves of the loss attack")]) == 2


def test_with_fewer_than_ten_cases_the_reason_stands_in_place_of_the_curves():
    reason = "needs 10 forget and 10 unseen cases; one of them has 5"
    few = {"auc": None, "tpr_at_1pct_fpr": None, "reason": reason}
    audit = audit_with(membership={"teacher": few, "student": few, "oracle": None})
    reader = read(audit, losses=make_losses(forget=5))
    assert ["student", "—", "—"] in reader.rows
    assert f"No figure of the attack, and no curve: {reason}." in reader.words
    assert not any("ROC" in label for label in reader.attributes("aria-label"))
    assert any("Scatter: the loss of the student" in label for label in reader.attributes("aria-label"))


def test_every_network_but_the_teacher_has_a_scatter(attacked):
    scatters = [label for label in attacked.attributes("aria-label") if label.startswith("Scatter")]
    assert [label.split()[5] for label in scatters] == ["student", "oracle"]


def test_curves_of_relearning_and_of_the_stages_lead_and_every_curve_is_drawn_once():
    reader = read(audit_with_curves())
    words, labels = reader.words, reader.attributes("aria-label")
    assert words.index("Retain relearning, Recovery.") < words.index("Linear CKA, Forget.")
    assert words.index("Linear CKA, Forget.") < words.index("Every test of the audit")
    assert words.count("Its curve stands above") == 2
    for value in (0.341, 0.97, 0.2):
        assert labels.count(f"It was found to be {value}.") == 1


def test_a_list_longer_than_ten_is_counted_and_not_shown():
    figures = {"worst": figure(0.5, details={"long": [0.123] * 11, "short": [0.321] * 10})}
    words = read(audit_with(tests={"shadow": {"tier": 2, "seconds": 1.0, "figures": figures}})).words
    assert "11 values" in words
    assert "0.123" not in words
    assert ", ".join(["0.321"] * 10) in words


def test_every_test_is_told_by_tier_whatever_it_is_called():
    words = read().words
    tests = words[words.index("Every test of the audit") :]
    assert tests.index("Tier 0: minutes, no retraining") < tests.index("Something new 0.5 s") < tests.index("Tier 1:")
    assert tests.index("Tier 1: against the oracle") < tests.index("Oracle gap 2.0 s") < tests.index("TOST p")
    for part in (
        "It was found to be 0.832. Forgotten would be: as for the oracle. Student 0.832 (0.810 to 0.850) Oracle 0.837 "
        "Teacher 0.907",
        "No figure: needs 10 forget and 10 unseen cases; one of them has 5. Forgotten would be",
        "Further figures Parts 1, 2.500 A b",
    ):
        assert part in tests


def test_names_of_figures_are_put_in_plain_words():
    audit = audit_with(tests={"mia_nn": {"tier": 0, "seconds": 1.0, "figures": {"tpr_at_1pct_fpr": figure(1.0)}}})
    assert "MIA NN 1.0 s TPR at 1 % FPR It was found" in read(audit).words


def test_a_tier_that_has_no_name_yet_is_told_by_its_number():
    audit = audit_with(tests={"later": {"tier": 4, "seconds": 1.0, "figures": {"a": figure(1.0)}}})
    assert "Tier 4 Later 1.0 s" in read(audit).words


def test_an_audit_without_tests_says_so():
    assert "No test was run: the tier of this audit is none" in read(audit_with(tests={}, tier=None)).words


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


def test_settings_versions_files_and_the_way_to_verify_are_told():
    words = read(history=HISTORY).words
    for part in ("Seed 7", "Erasure calibrate", "monai 1.6.1", "adapter/ what was learned", "Losses of the phases"):
        assert part in words
    assert "python -m monai_unlearn verify certificate.json --model model.pt" in words


def test_only_synthetic_images_bring_the_banner():
    assert BANNER not in read().words
    synthetic = read(audit_with(data=AUDIT["data"] | {"synthetic": True})).words
    assert synthetic.startswith(f"Audit {BANNER}")
    assert "The images are drawn by a program." in synthetic


def test_an_audit_that_does_not_say_whether_it_is_synthetic_is_refused():
    with pytest.raises(ValueError, match="synthetic must be true or false"):
        read(audit_with(data={"name": "isic2018"}))


def test_the_tint_of_a_picture_is_what_the_network_sees():
    """The first case of retain comes first, and after its image the teacher's view and the student's."""
    reader = read(cases=make_rows())
    image, teacher, student = (picture.astype(float) for picture in pictures(reader)[:3])
    row = next(row for row in make_rows() if row.subset == "retain")
    assert np.abs(image - row.image * 255).max() <= 8, "up to what JPEG takes"
    for view, color in ((teacher, (0x56, 0xB4, 0xE9)), (student, (0xE6, 0x9F, 0x00))):
        strength = 0.65 * 0.9
        tinted = row.image[row.truth].mean(0) * 255 * (1 - strength) + np.array(color) * strength
        np.testing.assert_allclose(view[row.truth].mean(0), tinted, atol=4)
        np.testing.assert_allclose(view[~row.truth].mean(0), row.image[~row.truth].mean(0) * 255, atol=4)


def test_every_case_has_a_slider_its_hash_and_the_mean_inside_the_mask():
    reader = read(cases=make_rows())
    sliders = [attributes for tag, attributes in reader.elements if tag == "input"]
    assert [slider["aria-label"].split(":")[0] for slider in sliders] == [
        "Case re000000, retain",
        "Case re000001, retain",
        "Case fo000000, forget",
        "Case fo000001, forget",
    ]
    assert reader.words.count("inside the true mask: teacher 0.900, student 0.100") == 2


def test_the_outline_goes_round_the_true_mask():
    paths = [part for part in read(cases=make_rows(1)).attributes("d") if part.startswith("M") and part.endswith("Z")]
    numbers = np.array(re.findall(r"-?[\d.]+", paths[0]), dtype=float).reshape(-1, 2)
    assert (numbers.min(0) == [10, 10]).all()
    assert (numbers.max(0) == [30, 20]).all()


def test_a_mask_without_foreground_has_no_outline_and_no_mean():
    row = make_rows(1)[0]
    empty = ComparisonRow(
        **{part: getattr(row, part) for part in ("subset", "name", "image", "teacher", "student")},
        truth=np.zeros_like(row.truth),
    )
    reader = read(cases=[empty])
    assert "teacher —, student —" in reader.words
    assert "" in reader.attributes("d")


def test_a_large_picture_is_shrunk():
    assert {picture.shape for picture in pictures(read(cases=make_rows(1, size=600)))} == {(320, 320, 3)}


def test_cases_of_a_classification_have_the_probability_of_every_class():
    audit = audit_with(data=AUDIT["data"] | {"class_names": ["mel", "nv", "bkl"]})
    reader = read(audit, cases=make_classified())
    start = reader.rows.index(["Class", "Teacher", "Student"])
    assert reader.rows[start + 1 : start + 4] == [
        ["bkl(true)", "70.0 %", "25.0 %"],
        ["mel", "10.0 %", "50.0 %"],
        ["nv", "20.0 %", "25.0 %"],
    ]
    assert "Case fo00, truly bkl" in reader.words


def test_no_case_to_show_is_said():
    assert "No case is shown here: the settings of this run keep images out" in read().words
    assert "No case is shown" not in read(cases=make_rows(1)).words


def test_a_classification_has_bars_and_a_table_by_class():
    values = {"accuracy": 0.9, "f1_macro": 0.8, "n": 5, "f1_per_class": [0.7, 0.91], "loss": 0.1}
    audit = audit_with(
        models={model: {"forget": values} for model in ("teacher", "student")},
        data=AUDIT["data"] | {"class_names": ["MEL", "$NV$"]},
        tests={},
    )
    reader = read(audit)
    assert ["Cases", "Network", "Accuracy", "F1 (macro)", "Loss", "Number"] in reader.rows
    rows = reader.rows
    assert rows[rows.index(["Cases", "Network", "MEL", "$NV$"]) + 2] == ["student", "0.700", "0.910"]
    assert any(label.startswith("Bars: F1") for label in reader.attributes("aria-label"))


def test_segmentation_classes_without_names_are_counted_after_the_background():
    data = AUDIT["data"] | {"softmax": True}
    listed = {"student": {"forget": scores(0.8, dice_per_class=[0.7, 0.9])}}
    assert ["Cases", "Network", "class 1", "class 2"] in read(audit_with(models=listed, data=data)).rows


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
    for absent in ("Before and after", "attacker", "come back?", "What it cost", "Every test", "Reversible", "AUC"):
        assert absent not in reader.words
    assert "No verdict" in reader.words


@pytest.mark.parametrize(
    "section",
    ["membership", "relearning", "reversible", "cost", "versions", "bundle", "verdict", "settings", "request"],
)
def test_a_null_section_is_as_good_as_an_absent_one(section):
    without = {key: value for key, value in AUDIT.items() if key != section}
    assert render_report(audit_with(**{section: None}), title="a") == render_report(without, title="a")


def test_without_an_oracle_the_page_says_that_there_was_none():
    audit = audit_with(
        models=AUDIT["models"] | {"oracle": None},
        membership=AUDIT["membership"] | {"oracle": None},
        relearning=None,
        tests={},
        verdict=AUDIT["verdict"] | {"against": "reference cases", "checks": []},
        oracle_recipe=None,
    )
    words = read(audit).words
    assert "There was no network retrained without the forget cases to compare with" in words
    assert "oracle" not in words.lower()


def test_a_reversible_grade_says_how_far_the_teacher_comes_back():
    assert "is the teacher, bit for bit" in read().words
    nearly = read(audit_with(reversible={"max_abs_difference": 2.5e-7})).words
    assert "2.5e−07" in nearly
    assert "bit for bit" not in nearly


def test_a_permanent_grade_speaks_of_no_adapter_to_take_off():
    words = read(audit_with(grade="permanent", reversible=None)).words
    assert "There is no adapter to take off" in words
    assert "bit for bit" not in words
    assert "adapter/" not in words


def test_the_report_is_written_whole_and_replaces_the_last_one(tmp_path):
    path = write_report(tmp_path / "out" / "report.html", AUDIT, title="First")
    write_report(path, AUDIT, title="Second")
    assert path.read_text(encoding="utf-8") == render_report(AUDIT, title="Second")
    assert list(path.parent.iterdir()) == [path]
