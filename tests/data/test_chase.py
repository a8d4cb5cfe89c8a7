from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from monai_unlearn.data import case_id, chase_datalists, check_pictures, vessel_datalists, write_vessel_phantoms

from ..conftest import REAL_DATA

OBSERVERS = ("1stHO", "2ndHO")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vessel_phantoms(tmp_path_factory.mktemp("eyes") / "set", children=12, size=32)


@pytest.fixture
def copied(eyes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(eyes, tmp_path / "set")


@pytest.fixture
def official(eyes: Path, tmp_path: Path) -> Path:
    """The layout of the official archive: all files in one folder."""
    folder = tmp_path / "official"
    folder.mkdir()
    for path in (*eyes.glob("images/*"), *eyes.glob("masks_*/*")):
        shutil.copy(path, folder / path.name.replace("PHANTOM", "Image"))
    return folder


@pytest.mark.real_data
@pytest.mark.parametrize("observer", OBSERVERS)
def test_the_real_set_is_listed_by_child_and_every_file_is_whole(observer: str) -> None:
    folder = REAL_DATA / "chase_db1"
    if not folder.is_dir():
        pytest.skip(f"no CHASE_DB1 images at {folder}; set MONAI_UNLEARN_DATA to the folder that holds chase_db1/")
    listed = chase_datalists(folder, observer=observer)
    assert [case["patient"] for case in listed.training] == [f"{child:02d}" for child in range(1, 11) for _ in "LR"]
    assert {case["patient"] for case in listed.never_trained} == {"11", "12", "13", "14"}
    assert listed.training[0] == {
        "id": "Image_01L",
        "image": str(folder / "images/Image_01L.jpg"),
        "label": str(folder / f"masks_{observer}/Image_01L_{observer}.png"),
        "patient": "01",
        "eye": "L",
        "rater": observer,
    }
    assert (listed.synthetic, listed.split_drawn) == (False, False)
    check_pictures([*listed.training, *listed.never_trained])


def test_children_one_to_ten_train_and_later_ones_never_do(eyes: Path) -> None:
    listed = chase_datalists(eyes)
    assert [len(listed.training), len(listed.never_trained)] == [20, 4]
    assert {case["patient"] for case in listed.never_trained} == {"11", "12"}
    assert [case["eye"] for case in listed.training] == ["L", "R"] * 10


def test_the_flat_layout_of_the_archive_lists_the_same_cases(eyes: Path, official: Path) -> None:
    for observer in (*OBSERVERS, "both"):
        nested, flat = chase_datalists(eyes, observer=observer), chase_datalists(official, observer=observer)
        assert [case["id"] for case in flat.training] == [
            case["id"].replace("PHANTOM", "Image") for case in nested.training
        ]
        assert all(Path(case["label"]).is_file() for case in (*flat.training, *flat.never_trained))


def test_with_both_observers_every_image_is_listed_twice_under_ids_of_its_own(eyes: Path) -> None:
    listed = chase_datalists(eyes, observer="both")
    assert [case_id(case) for case in listed.training[:3]] == [
        "PHANTOM_01L-1stHO",
        "PHANTOM_01L-2ndHO",
        "PHANTOM_01R-1stHO",
    ]
    assert len(listed.training) == 40
    assert len({case["image"] for case in listed.training}) == 20
    for case in listed.training:
        assert case["label"].endswith(f"_{case['rater']}.png")


def test_an_unknown_observer_is_refused(eyes: Path) -> None:
    with pytest.raises(ValueError, match=r"'observer' is one of 1stHO, 2ndHO, both; got 'third'"):
        chase_datalists(eyes, observer="third")


@pytest.mark.parametrize("present", [False, True])
def test_a_folder_without_the_set_says_what_was_expected_and_found(tmp_path: Path, present: bool) -> None:
    folder = tmp_path / "set"
    if present:
        folder.mkdir()
        (folder / "holiday.jpg").touch()
    with pytest.raises(
        FileNotFoundError, match=r"'masks_1stHO/'.*Image_01L.jpg.*" + ("holiday" if present else "no such")
    ):
        chase_datalists(folder)


def test_an_image_without_a_mask_is_named(copied: Path) -> None:
    (copied / "masks_2ndHO/PHANTOM_05L_2ndHO.png").unlink()
    assert len(chase_datalists(copied).training) == 20
    for observer in ("2ndHO", "both"):
        with pytest.raises(ValueError, match=r"no mask '.*_2ndHO.png' for 'PHANTOM_05L"):
            chase_datalists(copied, observer=observer)


@pytest.mark.parametrize("layout", ["copied", "official"])
def test_a_mask_without_an_image_is_named(layout: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(layout)
    next(folder.rglob("*_05L.jpg")).unlink()
    with pytest.raises(ValueError, match=r"masks without an image: '\w+_05L_1stHO.png'"):
        chase_datalists(folder)


def test_a_set_without_children_on_both_sides_is_refused(copied: Path) -> None:
    for path in [*copied.rglob("*_11*"), *copied.rglob("*_12*")]:
        path.unlink()
    with pytest.raises(ValueError, match="none of the children 11 to 14"):
        chase_datalists(copied)


def test_without_a_folder_phantoms_are_made_once_and_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first, again = (
            vessel_datalists(dataset_dir=None, phantom_dir=tmp_path, observer="both", image_size=16) for _ in range(2)
        )
    assert "SYNTHETIC PHANTOM" in caplog.text
    assert first == again
    assert (first.synthetic, first.name) == (True, "phantom vessels")
    assert (len(first.training), len(first.never_trained)) == (40, 16)


def test_with_a_folder_no_phantoms_are_made(eyes: Path, tmp_path: Path) -> None:
    listed = vessel_datalists(dataset_dir=eyes, phantom_dir=tmp_path / "phantom")
    assert listed == chase_datalists(eyes)
    assert not (tmp_path / "phantom").exists()
