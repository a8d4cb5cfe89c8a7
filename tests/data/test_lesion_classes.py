from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.data import make_partition
from monai_unlearn.data.lesion_classes import LESION_CLASSES, class_of, lesion_class_datalists, list_lesion_classes

ROWS = [("nv", "lesion_a"), ("nv", "lesion_a"), ("mel", "lesion_b"), ("bkl", "lesion_c"), ("bkl", "lesion_d")] * 4


@pytest.fixture
def ham10000_dir() -> Path:
    folder = Path(os.environ.get("MONAI_UNLEARN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ham10000"
    if not folder.is_dir():
        pytest.skip(f"real images are not there: {folder}")
    return folder


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)


def write_table(path: Path, *, site: str = "source", split: bool = True) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "lesion_id", "dx", "age", site, *(["split"] if split else [])])
        for index, (dx, lesion) in enumerate(ROWS):
            row = [f"im_{index:02d}", f"{lesion}{index // 5}", dx, "35.0", "rosendahl" if index % 2 else "vienna_dias"]
            writer.writerow([*row, *(["val" if index >= 15 else "train"] if split else [])])


@pytest.fixture
def copy_layout(tmp_path: Path) -> Path:
    for index in range(len(ROWS)):
        write_image(tmp_path / "images" / f"im_{index:02d}.jpg")
    write_table(tmp_path / "labels.csv")
    return tmp_path


@pytest.mark.real_data
def test_the_real_set_is_listed_with_its_split_its_columns_and_seven_classes(ham10000_dir: Path) -> None:
    listed = list_lesion_classes(ham10000_dir)
    assert (len(listed.training), len(listed.never_trained)) == (1581, 526)
    assert listed.class_names == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    counted = Counter(case["label"] for case in [*listed.training, *listed.never_trained])
    assert counted == {0: 183, 1: 264, 2: 360, 3: 60, 4: 360, 5: 800, 6: 80}
    first = listed.training[0]
    assert (first["id"], first["dx"], first["label"]) == ("ISIC_0024311", "nv", 5)
    assert (first["source"], first["age"], first["lesion_id"]) == ("vidir_molemax", "75.0", "HAM_0000981")
    assert Path(first["image"]).is_file()
    assert not listed.split_drawn


def test_the_label_of_a_case_is_the_position_of_its_class(copy_layout: Path) -> None:
    listed = list_lesion_classes(copy_layout)
    assert listed.class_names == LESION_CLASSES
    for case in listed.training:
        assert listed.class_names[case["label"]] == case["dx"]
        assert class_of(case) == (case["label"],)
        assert case["age"] == "35.0", "columns stay text"
    assert [len(listed.training), len(listed.never_trained)] == [15, 5]


@pytest.mark.parametrize(
    "folders", [("HAM10000_images_part_1", "HAM10000_images_part_2"), ("HAM10000_images",), (".",)]
)
def test_the_layout_of_the_archive_is_read_and_split_by_lesion(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for index in range(len(ROWS)):
        write_image(tmp_path / folders[index % len(folders)] / f"im_{index:02d}.jpg")
    write_table(tmp_path / "HAM10000_metadata.csv", site="dataset", split=False)
    first, again, other = (list_lesion_classes(tmp_path, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.split_drawn
    assert first.never_trained != other.never_trained
    assert len(first.training) + len(first.never_trained) == len(ROWS)
    assert {case["source"] for case in first.training} == {"rosendahl", "vienna_dias"}
    lesions = [{case["lesion_id"] for case in side} for side in (first.training, first.never_trained)]
    assert lesions[0].isdisjoint(lesions[1])


def test_a_folder_per_class_is_read(tmp_path: Path) -> None:
    for name, count in (("actinic keratosis", 7), ("nevus", 8)):
        for index in range(count):
            write_image(tmp_path / name / f"{name[:2]}_{index}.jpg")
    (tmp_path / "nevus" / "licence.txt").write_text("CC BY")
    listed = list_lesion_classes(tmp_path)
    assert listed.class_names == ("actinic keratosis", "nevus")
    assert (len(listed.training), len(listed.never_trained)) == (12, 3)
    for case in [*listed.training, *listed.never_trained]:
        assert Path(case["image"]).parent.name == case["dx"] == listed.class_names[case["label"]]


def test_folders_of_the_seven_classes_are_numbered_as_in_ham10000_and_keep_their_split(tmp_path: Path) -> None:
    for half, classes in (("Train", ("NV", "MEL")), ("Test", ("NV",))):
        for dx in classes:
            write_image(tmp_path / half / dx / f"{half}_{dx}.jpg")
    listed = list_lesion_classes(tmp_path)
    assert listed.class_names == LESION_CLASSES
    assert [(case["id"], case["label"]) for case in listed.training] == [("Train_MEL", 4), ("Train_NV", 5)]
    assert [(case["id"], case["label"]) for case in listed.never_trained] == [("Test_NV", 5)]
    assert not listed.split_drawn


def test_without_a_set_phantoms_are_made_that_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = lesion_class_datalists(dataset_dir=None, phantom_dir=tmp_path, image_size=16)
    assert listed.synthetic
    assert "SYNTHETIC PHANTOM" in caplog.text
    assert listed.class_names == LESION_CLASSES
    assert {case["label"] for case in listed.training} == set(range(7))
    assert {case["source"] for case in listed.never_trained} == {"north", "east", "south"}


def test_the_partition_keeps_labels_and_columns_and_whole_lesions(copy_layout: Path) -> None:
    partition = make_partition(list_lesion_classes(copy_layout), ["im_00"], group_by="lesion_id")
    assert [case["id"] for case in partition.forget] == ["im_00", "im_01"]
    assert partition.forget[0]["label"] == LESION_CLASSES.index("nv")
    assert partition.forget[0]["source"] == "vienna_dias"


def spoil(folder: Path, kind: str) -> None:
    table = folder / "labels.csv"
    if kind == "image without a row":
        write_image(folder / "images" / "stranger.jpg")
    elif kind == "row without an image":
        (folder / "images" / "im_03.jpg").unlink()
    elif kind == "unknown class":
        table.write_text(table.read_text().replace("im_02,lesion_b0,mel", "im_02,lesion_b0,melanoma"))
    elif kind == "unknown split":
        table.write_text(table.read_text().replace("train", "training", 1))
    elif kind == "no id":
        table.write_text(table.read_text().replace("image_id", "name", 1))
    elif kind == "no image":
        shutil.rmtree(folder / "images")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("image without a row", r"labels\.csv has no row with the 'image_id' 'stranger'"),
        ("row without an image", r"has no image for the rows of 'labels\.csv' with the 'image_id' 'im_03'"),
        ("unknown class", r"'dx' is one of akiec, .*; it is 'melanoma' for 'im_02'"),
        ("unknown split", r"'split' is 'train' or 'val'; it is neither for 'im_00'"),
        ("no id", r"a row without 'image_id'; its columns are 'name'"),
        ("no image", r"holds 'labels\.csv' but no image"),
    ],
)
def test_a_set_that_does_not_fit_together_is_an_error_that_names_the_place(
    copy_layout: Path, kind: str, message: str
) -> None:
    spoil(copy_layout, kind)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_lesion_classes(copy_layout)


def test_a_folder_without_a_set_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(FileNotFoundError, match=r"expected 'labels.csv'.*found: 'holiday'"):
        list_lesion_classes(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list_lesion_classes(tmp_path / "nowhere")
