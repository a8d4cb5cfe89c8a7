from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.data import write_class_phantoms
from monai_unlearn.data.phantom_classes import LESION_CLASSES, draw_class_phantom


def read_table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=70, size=16)


def test_each_row_of_the_table_has_an_image_and_a_class(written: Path) -> None:
    table = read_table(written)
    assert [row["image_id"] for row in table] == [f"PHANTOM_{index:04d}" for index in range(70)]
    assert {row["dx"] for row in table} == set(LESION_CLASSES)
    for row in table:
        with Image.open(written / "images" / f"{row['image_id']}.jpg") as image:
            assert (image.mode, image.size) == ("RGB", (16, 16))


def test_the_table_has_the_columns_of_the_copy_of_ham10000(written: Path) -> None:
    header = (written / "labels.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "image_id,lesion_id,dx,dx_type,age,sex,localization,source,split"


def test_images_of_one_lesion_share_its_class_its_site_and_its_split(written: Path) -> None:
    lesions: dict[str, list[dict[str, str]]] = {}
    for row in read_table(written):
        lesions.setdefault(row["lesion_id"], []).append(row)
    twice = [rows for rows in lesions.values() if len(rows) == 2]
    assert twice
    for rows in twice:
        assert len({(row["dx"], row["source"], row["split"]) for row in rows}) == 1


def test_the_validation_share_is_kept(written: Path) -> None:
    assert abs(np.mean([row["split"] == "val" for row in read_table(written)]) - 0.25) < 0.05


def test_the_same_seed_writes_the_same_bytes_and_another_draws_others(tmp_path: Path) -> None:
    once, again, other = (
        write_class_phantoms(tmp_path / name, count=3, size=16, seed=seed)
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    assert read_bytes(once) == read_bytes(again)
    assert read_bytes(once) != read_bytes(other)


def test_more_images_change_no_earlier_one(tmp_path: Path) -> None:
    few, many = (write_class_phantoms(tmp_path / str(count), count=count, size=16) for count in (4, 9))
    drawn = {name: content for name, content in read_bytes(few).items() if name.endswith("jpg")}
    assert drawn.items() <= read_bytes(many).items()
    assert read_table(many)[:4] == read_table(few)


def test_colours_tell_most_classes_but_not_all_of_them() -> None:
    """A nearest-neighbour rule on the lesion's mean colours is right more often than not, and not always."""
    features, labels = [], []
    for index in range(150):
        image, diagnosis, phantom = draw_class_phantom(index, size=32)
        tone = np.median(image[~phantom.mask], axis=0) / 255
        y, x = np.nonzero(phantom.mask)
        near = np.hypot(y - y.mean(), x - x.mean()) < np.sqrt(phantom.mask.sum() / np.pi) / 2
        inside = image[phantom.mask] / 255 / tone
        features.append(np.concatenate([inside[near].mean(axis=0), inside[~near].mean(axis=0)]))
        labels.append(diagnosis)
    stacked = np.log(np.array(features))
    distances = np.linalg.norm(stacked[:, None] - stacked[None], axis=-1) + np.diag(np.full(150, np.inf))
    right = np.mean([labels[nearest] == label for nearest, label in zip(distances.argmin(axis=1), labels, strict=True)])
    assert 0.45 < right < 0.9


def test_a_written_set_is_used_again(written: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    assert write_class_phantoms(written, count=70, size=16) == written
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == stamps


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("other parameters", "holds phantoms with other parameters: remove it or name another folder"),
        ("something else", "exists and is no set of phantoms: name another folder"),
        ("a file lost", r"lacks 1 of its files \(images/PHANTOM_0001.jpg first\): remove it"),
    ],
)
def test_a_folder_that_is_not_this_set_is_refused_and_left_alone(tmp_path: Path, kind: str, message: str) -> None:
    folder = tmp_path / "set"
    if kind == "something else":
        folder.mkdir()
        (folder / "thesis.txt").write_text("do not touch")
    else:
        write_class_phantoms(folder, count=3 if kind == "other parameters" else 2, size=16)
        if kind == "a file lost":
            (folder / "images" / "PHANTOM_0001.jpg").unlink()
    before = read_bytes(folder)
    with pytest.raises(FileExistsError, match=message):
        write_class_phantoms(folder, count=2, size=16)
    assert read_bytes(folder) == before


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("monai_unlearn.data.phantom_classes.csv.DictWriter", fail)
    with pytest.raises(OSError, match="disk full"):
        write_class_phantoms(tmp_path / "set", count=2, size=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parameters", [{"count": 1}, {"size": 8}, {"seed": -1}, {"validation_share": 1.0}])
def test_a_parameter_out_of_range_is_refused(tmp_path: Path, parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="phantoms need a count of"):
        write_class_phantoms(tmp_path / "set", **parameters)
    assert not (tmp_path / "set").exists()
