from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import Dataset

from monai_unlearn.data import case_id, item_datalists, item_list


def listed(*images: str, **columns: Any) -> list[dict[str, Any]]:
    return [{"image": image, "label": image.replace("image", "label"), **columns} for image in images]


def test_the_items_are_read_off_a_dataset_or_are_the_list_itself() -> None:
    items = listed("image_0.nii.gz", "image_1.nii.gz")
    assert item_list(items, "train") == items
    assert item_list(Dataset(items), "train") == items


def test_the_items_are_copies() -> None:
    items = listed("image_0.nii.gz")
    item_list(items, "train")[0]["id"] = "other"
    assert "id" not in items[0]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (torch.utils.data.TensorDataset(torch.zeros(2)), r"'train#dataset' \(TensorDataset\) has no list"),
        ([("image.png", 1)], r"'train#dataset' \(list\) has no list of dictionaries"),
        ([], "'train#dataset' has no cases"),
    ],
)
def test_what_is_no_list_of_dictionaries_is_refused(dataset: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        item_list(dataset, "train")


@pytest.mark.parametrize(("id_from", "name"), [("file", "t2"), ("folder", "020"), ("folder/file", "020/t2")])
def test_a_case_is_named_by_its_file_its_folder_or_both(id_from: str, name: str) -> None:
    lists = item_datalists(listed("/data/020/t2.nii.gz"), listed("/data/021/t1.nii.gz"), name="set", id_from=id_from)
    assert case_id(lists.training[0]) == name


def test_an_id_in_the_datalist_is_kept() -> None:
    lists = item_datalists(listed("a/t2.nii", id=7), listed("b/t2.nii"), name="set", id_from="folder")
    assert [case["id"] for case in (*lists.training, *lists.never_trained)] == ["7", "b"]


def test_an_image_of_several_files_is_all_of_them_and_named_by_the_first() -> None:
    item = {"t1": "p0/t1.nii", "t2": Path("p0/t2.nii"), "label": "p0/seg.nii", "fold": 0}
    case = item_datalists([item], listed("p1/t1.nii"), name="set", id_from="folder").training[0]
    assert (case["id"], case["image"]) == ("p0", ["p0/t1.nii", Path("p0/t2.nii")])
    assert "image" not in item


@pytest.mark.parametrize(
    ("training", "never_trained", "words"),
    [
        (("a/t2.nii", "b/t2.nii"), ("c.nii",), r"the id 't2': a/t2.nii and b/t2.nii\. .*--id_from folder"),
        (("a/t2.nii",), ("b/t2.nii",), "the id 't2': a/t2.nii and b/t2.nii"),
        (("a.nii", "a.nii"), ("c.nii",), "a.nii is twice in 'train#dataset'"),
        (("a.nii",), ("a.nii",), "a.nii is in 'train#dataset' and in 'validate#dataset'"),
    ],
)
def test_two_cases_of_one_name_are_refused(training: Any, never_trained: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        item_datalists(listed(*training), listed(*never_trained), name="set")
