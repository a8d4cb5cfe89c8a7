from __future__ import annotations

import copy

import pytest

from monai_unlearn.phases.run_folder import RunFolder
from monai_unlearn.phases.summary import format_summary, print_summary

SUBSETS = ("forget", "retain", "reference", "unseen")


def figures(first: float, measure: str = "iou") -> dict:
    return {subset: {measure: first + 0.01 * index, "loss": 1.0, "n": 3} for index, subset in enumerate(SUBSETS)}


@pytest.fixture
def audit() -> dict:
    return {
        "bundle": "isic_unlearn",
        "settings": {"erasure": "calibrate"},
        "grade": "reversible",
        "request": {"classes": [], "named": 0, "random": True},
        "data": {
            **{"synthetic": False, "task": "segmentation", "softmax": True, "class_names": ["nothing", "head", "tail"]},
            **{"forget": 60, "retain": 540, "reference": 75, "unseen": 74, "excluded": 1},
        },
        "models": {"teacher": figures(0.9), "student": figures(0.8), "oracle": None},
        "membership": {"teacher": {"auc": 0.7371}, "student": {"auc": 0.5}, "oracle": None},
        "cost": {"erase_seconds": 61.4, "restore_seconds": 2.0},
    }


def table(text: str) -> dict[str, list[str]]:
    rows = [line.split() for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if row and row[0] in ("teacher", "student", "oracle")}


def test_every_model_has_a_row_of_the_four_subsets_and_the_attack(audit):
    assert table(format_summary(audit)) == {
        "teacher": ["0.900", "0.910", "0.920", "0.930", "0.737"],
        "student": ["0.800", "0.810", "0.820", "0.830", "0.500"],
    }


def test_an_oracle_has_a_row_of_its_own(audit):
    audit["models"]["oracle"], audit["membership"]["oracle"] = figures(0.85), {"auc": 0.6}
    assert table(format_summary(audit))["oracle"] == ["0.850", "0.860", "0.870", "0.880", "0.600"]


def test_an_attack_without_a_figure_is_a_dash(audit):
    for model in ("teacher", "student"):
        audit["membership"][model] = {"auc": None, "reason": "too few"}
    assert [row[-1] for row in table(format_summary(audit)).values()] == ["–", "–"]


def test_the_columns_stand_under_their_heads_with_the_counts(audit):
    lines = format_summary(audit).splitlines()
    head = next(line for line in lines if line.startswith("mean iou"))
    row = next(line for line in lines if line.startswith("teacher"))
    assert len(head) == len(row)
    for subset, count in (("forget", 60), ("retain", 540), ("reference", 75), ("unseen", 74)):
        column = head.index(f"{subset} ({count})") + len(f"{subset} ({count})")
        assert row[column - 5 : column] == f"{audit['models']['teacher'][subset]['iou']:.3f}"


def test_what_was_done_is_said(audit):
    text = format_summary(audit)
    assert "isic_unlearn: calibrate, reversible" in text
    assert "erasing 61 s, restoring 2 s" in text
    assert "SYNTHETIC" not in text


VERDICT = {"outcome": "forgotten", "conclusive": True, "hidden": True, "utility_kept": True, "against": "oracle"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "verdict: forgotten, conclusive, HIDDEN, not erased (against the oracle)"),
        ({"hidden": False}, "verdict: forgotten, conclusive, not hidden (against the oracle)"),
        (
            {"hidden": None, "conclusive": False, "against": "reference cases"},
            "verdict: forgotten, not conclusive: too few cases, not tested whether it is hidden (against the reference "
            "cases)",
        ),
        (
            {"outcome": "over-forgotten", "hidden": False, "utility_kept": False},
            "verdict: over-forgotten, conclusive, not hidden, WORSE on what it was to keep (against the oracle)",
        ),
    ],
)
def test_the_verdict_stands_on_top_in_one_line(audit, changes, said):
    audit["verdict"] = VERDICT | changes
    lines = format_summary(audit).splitlines()
    assert lines.index(said) == 2
    assert lines.index(said) < next(place for place, line in enumerate(lines) if line.startswith("mean iou"))


def test_what_comes_back_is_told(audit):
    audit["relearning"] = {"student": {"before": 0.843, "after": 0.865, "recovery": 0.341}, "oracle": None}
    assert "  recovery after training on with retain: student 0.341 (0.843 to 0.865)\n" in format_summary(audit)
    audit["relearning"]["oracle"] = {"before": 0.837, "after": 0.835, "recovery": None}
    assert "(0.843 to 0.865), oracle – (0.837 to 0.835)\n" in format_summary(audit)


def test_without_relearning_there_is_no_line_of_it(audit):
    for absent in (None, {"student": None, "oracle": None}):
        audit["relearning"] = absent
        assert "recovery" not in format_summary(audit)


def test_a_student_from_elsewhere_has_no_times_and_an_unknown_grade(audit):
    audit["grade"], audit["cost"] = None, {"erase_seconds": None, "restore_seconds": None}
    text = format_summary(audit)
    assert "isic_unlearn: calibrate, unknown grade" in text
    assert "erasing" not in text


def test_phantoms_are_called_by_their_name(audit):
    audit["data"]["synthetic"] = True
    assert "SYNTHETIC PHANTOM IMAGES" in format_summary(audit)


def test_classification_is_summed_up_by_accuracy(audit):
    audit = copy.deepcopy(audit)
    audit["models"] = {"teacher": figures(0.9, "accuracy"), "student": figures(0.8, "accuracy"), "oracle": None}
    text = format_summary(audit)
    assert "mean accuracy" in text
    assert table(text)["student"][0] == "0.800"


def test_the_paths_of_what_is_there_are_printed(audit, tmp_path, capsys):
    folder = RunFolder(tmp_path)
    folder.write_json("audit.json", audit)
    (tmp_path / "model.pt").write_text("weights")
    print_summary(folder)
    printed = capsys.readouterr().out
    assert str(tmp_path / "audit.json") in printed
    assert str(tmp_path / "model.pt") in printed
    assert "report.html" not in printed
    assert "adapter" not in printed


def test_cases_that_an_earlier_request_had_forgotten_have_a_column(audit):
    audit["data"]["forgotten_before"] = 7
    for name in ("teacher", "student"):
        audit["models"][name]["forgotten_before"] = {"iou": 0.123, "loss": 1.0, "n": 7}
    text = format_summary(audit)
    assert "forgotten_before (7)" in text
    assert table(text)["student"][4] == "0.123"


def test_a_class_request_shows_every_class_on_unseen_cases(audit):
    audit["request"]["classes"] = [2]
    audit["models"]["teacher"]["unseen"]["dice_per_class"] = [0.9, 0.8]
    audit["models"]["student"]["unseen"]["dice_per_class"] = [0.89, 0.01]
    lines = [line.split() for line in format_summary(audit).splitlines()]
    assert ["head", "teacher", "0.900", "student", "0.890"] in lines
    assert ["tail", "teacher", "0.800", "student", "0.010", "to", "be", "unlearned"] in lines


def test_a_class_that_no_unseen_case_has_is_a_dash(audit):
    audit["request"]["classes"], audit["data"]["class_names"] = [0], None
    for name in ("teacher", "student"):
        audit["models"][name]["unseen"]["f1_per_class"] = [None, 0.5]
    lines = [line.split() for line in format_summary(audit).splitlines()]
    assert ["class", "0", "teacher", "–", "student", "–", "to", "be", "unlearned"] in lines
