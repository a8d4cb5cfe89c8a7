from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.data import SUBSETS, Datalists, Partition, make_partition


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
