from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.data import SUBSETS, Datalists, Partition, Request, make_partition


def case(name: str, patient: str = "") -> dict[str, Any]:
    return {"id": name, "image": f"{name}.png", "label": f"{name}_mask.png", "patient": patient}


def lists(training: int = 10, never_trained: int = 6) -> Datalists:
    return Datalists(
        name="test",
        training=[case(f"t{index}", f"p{index // 2}") for index in range(training)],
        never_trained=[case(f"n{index}", f"q{index // 2}") for index in range(never_trained)],
    )


def ids(partition: Partition, subset: str) -> set[str]:
    return {item["id"] for item in partition.subset(subset)}


def test_the_four_subsets_are_disjoint_and_complete() -> None:
    partition = make_partition(lists(), ["t3", "t4"])
    subsets = [ids(partition, name) for name in SUBSETS]
    assert ids(partition, "forget") == {"t3", "t4"}
    assert sum(map(len, subsets)) == len(set.union(*subsets)) == 16
    assert abs(len(partition.reference) - len(partition.unseen)) <= 1


def test_a_request_for_one_image_takes_the_whole_group() -> None:
    partition = make_partition(lists(), ["t3"], group_by="patient")
    assert ids(partition, "forget") == {"t2", "t3"}


def test_reference_and_unseen_never_share_a_group() -> None:
    partition = make_partition(lists(), ["t0"], group_by="patient")
    groups = [{item["patient"] for item in half} for half in (partition.reference, partition.unseen)]
    assert not groups[0] & groups[1]


def test_a_group_across_train_and_val_loses_its_val_images() -> None:
    whole = lists()
    crossing = Datalists(name="test", training=whole.training, never_trained=[*whole.never_trained, case("n9", "p4")])
    partition = make_partition(crossing, ["t0"], group_by="patient")
    assert partition.excluded == 1
    assert "n9" not in ids(partition, "reference") | ids(partition, "unseen")


def test_cases_without_a_group_are_groups_of_their_own() -> None:
    ungrouped = Datalists(
        name="test", training=[case(f"t{i}") for i in range(4)], never_trained=[case("n0"), case("n1")]
    )
    assert make_partition(ungrouped, ["t1"], group_by="patient").counts()["forget"] == 1


def test_a_requested_case_that_was_never_trained_on_is_left_out_with_its_group() -> None:
    partition = make_partition(lists(), ["t0", "n0"], group_by="patient")
    assert ids(partition, "forget") == {"t0", "t1"}
    assert partition.excluded == 2


@settings(max_examples=40, deadline=None, derandomize=True)
@given(fraction=st.floats(0.05, 0.7), seed=st.integers(0, 99))
def test_a_random_request_takes_whole_groups_and_about_its_share(fraction: float, seed: int) -> None:
    partition = make_partition(lists(40, 8), fraction, group_by="patient", seed=seed)
    forgotten, kept = ({item["patient"] for item in side} for side in (partition.forget, partition.retain))
    assert not forgotten & kept
    assert round(fraction * 40) <= len(partition.forget) <= round(fraction * 40) + 1


def test_the_same_seed_gives_the_same_partition_and_another_seed_another() -> None:
    first, again, other = (make_partition(lists(40, 8), 0.2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.forget_ids != other.forget_ids


def test_max_cases_keeps_the_ratio_and_what_the_request_names() -> None:
    partition = make_partition(lists(80, 20), ["t79"], max_cases=50)
    assert (len(partition.training), len(partition.never_trained)) == (40, 10)
    assert ids(partition, "forget") == {"t79"}


def test_a_table_joined_on_id_brings_the_group(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    names = [f"t{i}" for i in range(10)] + [f"n{i}" for i in range(6)]
    table.write_text("id,site\n" + "".join(f"{name},{'x' if name in ('t0', 't9') else name}\n" for name in names))
    assert ids(make_partition(lists(), ["t0"], group_by="site", table=table), "forget") == {"t0", "t9"}


def test_ids_are_file_names_where_the_datalist_has_none() -> None:
    unnamed = Datalists(
        name="test",
        training=[{"image": f"a/spleen_{i}.nii.gz", "label": ""} for i in range(3)],
        never_trained=[{"image": f"a/spleen_{i}.nii.gz", "label": ""} for i in (7, 8)],
    )
    assert ids(make_partition(unnamed, ["spleen_1"]), "forget") == {"spleen_1"}


@pytest.mark.parametrize(
    ("request_", "options", "message"),
    [
        (["t99"], {}, "'t99'.*did you mean 't9'"),
        (["n0", "n1"], {}, "never trained on"),
        ([f"t{i}" for i in range(10)], {}, "forget all 10"),
        (["t0"], {"group_by": "site"}, "'site'.*lacks.*'patient'"),
        (["t0"], {"max_cases": 3}, "max_cases"),
        ([f"t{i}" for i in range(8)], {"max_cases": 6}, "the request names 8"),
    ],
)
def test_an_impossible_request_is_an_error_that_names_the_cases(
    request_: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_partition(lists(), request_, **options)


def test_an_id_that_fits_two_cases_is_an_error_that_lists_both() -> None:
    doubled = Datalists(name="test", training=[{"image": "a/x.png"}, {"image": "b/x.png"}], never_trained=[])
    with pytest.raises(ValueError, match=r"'x': a/x\.png and b/x\.png"):
        make_partition(doubled, ["x"])


def test_never_trained_cases_of_one_group_cannot_be_halved() -> None:
    few = Datalists(name="test", training=lists().training, never_trained=[case("n0", "q"), case("n1", "q")])
    with pytest.raises(ValueError, match="need one group each"):
        make_partition(few, ["t0"], group_by="patient")


def clinic() -> Datalists:
    """Five patients of two images each (eye L and R, age and site by patient), four never-trained ones."""
    ages = {"p0": "10", "p1": "17", "p2": "", "p3": "40", "p4": "50", "q0": "12", "q1": "60", "q2": "61", "q3": ""}
    sites = {"p0": "a", "p1": "b", "p2": "a", "p3": "a", "p4": "b", "q0": "a", "q1": "b", "q2": "b", "q3": "a"}

    def pictures(patients: list[str]) -> list[dict[str, Any]]:
        return [
            {
                **case(f"{patient}{eye}", patient),
                **{"age": ages[patient], "site": sites[patient], "eye": eye, "rater": rater},
            }
            for patient in patients
            for eye, rater in (("L", "1stHO"), ("R", "2ndHO"))
        ]

    return Datalists(
        name="clinic",
        training=pictures(["p0", "p1", "p2", "p3", "p4"]),
        never_trained=pictures(["q0", "q1", "q2", "q3"]),
    )


def forgotten(request_: Any, **options: Any) -> set[str]:
    return ids(make_partition(clinic(), request_, **{"group_by": "patient", **options}), "forget")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"patients": ["p1", "p3"]}, "p1L p1R p3L p3R"),
        ({"where": "age < 18"}, "p0L p0R p1L p1R"),
        ({"where": 'age < 18 and site == "a"'}, "p0L p0R"),
        ({"where": "not age < 18"}, "p3L p3R p4L p4R"),
        ({"where": 'age == ""'}, "p2L p2R"),
        ({"ids": ["p1R"], "where": "age < 18"}, "p1L p1R"),
        ({"any_of": [{"ids": ["p3L"]}, {"where": "age < 12"}]}, "p0L p0R p3L p3R"),
        ({"any_of": [{"patients": ["p3"]}, {"ids": ["p0L"]}]}, "p0L p0R p3L p3R"),
        ({"all_of": [{"patients": ["p0", "p1"]}, {"where": 'site == "b"'}]}, "p1L p1R"),
        ({"raters": ["2ndHO"]}, "p0R p1R p2R p3R p4R"),
        ({"patients": ["p1", "p2"], "raters": ["2ndHO"]}, "p1R p2R"),
        ({"any_of": [{"ids": ["p1L"]}, {"patients": ["p2"], "raters": ["2ndHO"]}]}, "p1L p1R p2R"),
        ({"where": 'eye == "L" and age < 18', "whole_patients": True}, "p0L p0R p1L p1R"),
        ({"where": 'eye == "L" and age < 18', "whole_patients": False}, "p0L p1L"),
        ({"ids": ["p1L"], "whole_patients": False}, "p1L"),
        ({"raters": ["2ndHO"], "patients": ["p1"], "whole_patients": True}, "p1L p1R"),
    ],
)
def test_a_request_forgets_what_it_says_and_whole_patients_where_it_names_them(
    request_: dict[str, Any], expected: str
) -> None:
    assert forgotten(request_) == set(expected.split())


def test_a_condition_that_divides_patients_is_an_error_that_counts_them_and_says_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"2 of the 3 groups by 'patient'.*: 2 of .*true .*whole_patients: false"):
        forgotten({"where": 'eye == "L" and age < 18'})
    assert forgotten({"where": 'eye == "L" and age < 18'}, group_by=None) == {"p0L", "p1L"}


def test_never_trained_cases_that_the_request_means_are_used_for_nothing_else() -> None:
    partition = make_partition(clinic(), {"where": "age < 18"}, group_by="patient")
    assert {item["patient"] for item in partition.never_trained} == {"q1", "q2", "q3"}
    assert (partition.named, partition.never_trained_named, partition.undecided) == (6, 2, 2)
    assert partition.excluded == 2
    assert partition.spent == {"q0L", "q0R"}
    assert partition.random is False


def test_never_trained_cases_of_an_earlier_request_stay_out() -> None:
    partition = make_partition(clinic(), ["p3L"], group_by="patient", forgotten_before=["p0L", "p0R", "q0L", "q0R"])
    assert partition.forgotten_before == {"p0L", "p0R"}
    assert {item["patient"] for item in partition.never_trained} == {"q1", "q2", "q3"}
    assert partition.excluded == 2


def test_a_patient_divided_on_purpose_stays_divided_and_is_counted() -> None:
    partition = make_partition(clinic(), {"ids": ["p1L"], "whole_patients": False}, group_by="patient")
    assert "p1R" in ids(partition, "retain")
    assert partition.divided == 1


def test_the_partition_keeps_what_was_asked() -> None:
    partition = make_partition(clinic(), {"patients": ["p1"], "reference": "17"}, group_by="patient")
    assert partition.request == Request(patients=("p1",), reference="17")


def test_a_patient_whose_name_is_the_number_nought_is_a_patient() -> None:
    numbered = clinic()
    for item in [*numbered.training, *numbered.never_trained]:
        item["patient"] = {"p0": 0}.get(item["patient"], item["patient"])
    assert ids(make_partition(numbered, {"patients": ["0"]}, group_by="patient"), "forget") == {"p0L", "p0R"}


def test_max_cases_keeps_named_patients_and_draws_from_those_that_a_property_singles_out() -> None:
    many = lists(80, 20)
    for index, item in enumerate(many.training):
        item["site"] = "a" if index < 60 else "b"
    partition = make_partition(many, {"where": 'site == "a"'}, max_cases=50)
    assert 20 < len(partition.forget) < 40 == len(partition.training)
    named = make_partition(many, {"patients": ["p39"]}, group_by="patient", max_cases=50)
    assert ids(named, "forget") == {"t78", "t79"}


@pytest.mark.parametrize(
    ("request_", "options", "message"),
    [
        ({"patients": ["p11"]}, {}, "'p11', which no case has in the column 'patient'; did you mean 'p1'"),
        ({"patients": ["p1"]}, {"group_by": None}, "no column names the patient.*group_by"),
        ({"ids": ["p1L"], "whole_patients": True}, {"group_by": None}, "give 'group_by'"),
        ({"raters": ["2HO"]}, {}, "'2HO'.*column 'rater'; did you mean '2ndHO'"),
        ({"where": "agee < 18"}, {}, "character 1, reads the column 'agee'.*did you mean 'age'.*'site'"),
        ({"where": "ag < 18"}, {}, "did you mean 'age'"),
        ({"where": "patient == 7"}, {}, "compares 'patient' with a number; it names cases, and 007 is not 7"),
        ({"where": "age > 100"}, {}, "no case fits the 'where' 'age > 100'; 4 of 18"),
        ({"where": 'patient == "q0"'}, {}, "never trained on"),
        ({"patients": ["q0"]}, {}, "never trained on"),
        ({"patients": ["p0"], "where": "age > 18"}, {}, "hits no case: none fulfils all"),
        ({"any_of": [{"where": "age < 100"}, {"where": 'age == ""'}]}, {}, "forget all 10"),
        ({"where": "age < 18"}, {"max_cases": 4, "seed": 1}, "'max_cases' leaves none"),
        ({"classes": [1]}, {}, "class requests need a network of several classes"),
    ],
)
def test_a_request_that_cannot_be_answered_is_an_error_that_says_why(
    request_: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        forgotten(request_, **options)


def test_raters_need_a_column() -> None:
    with pytest.raises(ValueError, match="no column 'rater'"):
        make_partition(lists(), {"raters": ["1stHO"]})


NAMES = ["background", "anterior", "posterior", "3"]
VALUES = {f"t{index}": {0, 1} if index % 2 else {0, 1, 2} for index in range(10)}


def class_partition(classes: list[Any], **options: Any) -> Partition:
    return make_partition(
        lists(),
        {"classes": classes},
        **{
            **{"label_values": lambda item: VALUES[item["id"]], "class_names": NAMES, "group_by": "patient"},
            **options,
        },
    )


@pytest.mark.parametrize("classes", [[2], ["2"], ["posterior"]])
def test_a_class_request_takes_the_cases_that_have_the_class_whatever_their_group(classes: list[Any]) -> None:
    partition = class_partition(classes)
    assert partition.classes == (2,)
    assert ids(partition, "forget") == {"t0", "t2", "t4", "t6", "t8"}
    assert len(partition.never_trained) == 6
    assert not partition.random


def test_a_class_that_every_case_has_leaves_nothing_to_retain_and_is_no_error() -> None:
    partition = class_partition([1])
    assert len(partition.forget) == 10
    assert partition.retain == ()


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        (["posteror"], {}, "'posteror', which there is not; did you mean 'posterior'"),
        ([4], {}, "class 4, which there is not. The classes are 0 'background', 1 'anterior'"),
        ([-1], {}, "class -1, which there is not"),
        ([3], {}, "class '3', which none of the 10 training cases has"),
        (["posterior", 2], {}, "a class more than once"),
        ([0, 1, 2, 3], {}, "all classes"),
        (["posterior"], {"class_names": None}, "have no names; give its label value"),
        ([1], {"label_values": None}, "class requests need a network of several classes"),
    ],
)
def test_a_class_that_is_not_there_is_an_error_that_lists_the_classes(
    classes: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        class_partition(classes, **options)


def test_what_was_forgotten_before_is_in_training_and_in_no_subset() -> None:
    partition = make_partition(
        clinic(), {"patients": ["p1"]}, group_by="patient", forgotten_before={"p0L", "p0R", "gone"}
    )
    assert partition.forgotten_before == {"p0L", "p0R"}
    assert [item["id"] for item in partition.held] == ["p0L", "p0R"]
    assert len(partition.training) == 10
    assert not {"p0L", "p0R"} & set.union(*(ids(partition, name) for name in SUBSETS))
    assert partition.counts()["forgotten_before"] == 2
    assert "forgotten_before" not in make_partition(clinic(), ["p1L"]).counts()


def test_of_a_patient_half_forgotten_the_other_half_goes_and_a_condition_does_not_mind() -> None:
    partition = make_partition(clinic(), {"where": "age < 18"}, group_by="patient", forgotten_before=["p0L", "p1L"])
    assert ids(partition, "forget") == {"p0R", "p1R"}
    assert (partition.forgotten_again, partition.divided) == (2, 0)
    assert forgotten({"patients": ["p0"]}, forgotten_before=["p0L"]) == {"p0R"}
    assert forgotten({"where": 'eye == "R" and age < 12'}, forgotten_before=["p0L"]) == {"p0R"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (["p0L", "p1L"], "names 'p0L' that an earlier request had forgotten already.*leave them out"),
        ({"patients": ["p0"]}, "names 'p0' that an earlier"),
        ({"where": "age < 12"}, "names only cases that an earlier.*nothing to do"),
        ({"any_of": [{"ids": ["p0R"]}, {"where": "age < 18"}]}, "names 'p0R'"),
    ],
)
def test_asking_again_for_what_is_forgotten_is_an_error(request_: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forgotten(request_, forgotten_before=["p0L", "p0R"])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99))
def test_a_random_request_never_draws_what_is_forgotten(seed: int) -> None:
    assert not forgotten(0.4, forgotten_before=["p0L", "p0R"], seed=seed) & {"p0L", "p0R"}


def test_class_requests_take_the_class_from_cases_forgotten_before_too() -> None:
    partition = class_partition([2], forgotten_before=["t0", "t1"])
    assert ids(partition, "forget") == {"t0", "t2", "t4", "t6", "t8"}
    assert ids(partition, "retain") == {"t3", "t5", "t7", "t9"}
    assert [case["id"] for case in partition.held] == ["t1"]
