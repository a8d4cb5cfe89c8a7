from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.data import write_vessel_phantoms
from monai_unlearn.data.vessel_drawing import VesselPhantom, draw_vessel_phantom

CHILDREN = range(6)


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture(scope="module")
def eyes() -> dict[tuple[int, str], VesselPhantom]:
    return {(child, eye): draw_vessel_phantom(child, eye, size=96) for child in CHILDREN for eye in "LR"}


def test_a_set_has_both_eyes_of_every_child_marked_by_two_observers(tmp_path: Path) -> None:
    folder = write_vessel_phantoms(tmp_path / "set", children=2, size=32)
    eyes = ("01L", "01R", "02L", "02R")
    expected = {f"images/PHANTOM_{eye}.jpg" for eye in eyes} | {
        f"masks_{who}/PHANTOM_{eye}_{who}.png" for eye in eyes for who in ("1stHO", "2ndHO")
    }
    assert set(read_bytes(folder)) == expected | {"phantoms.json"}
    for name in expected:
        with Image.open(folder / name) as picture:
            assert picture.size == (32, 32)
            assert picture.mode == ("RGB" if name.startswith("images") else "L")
            if picture.mode == "L":
                assert set(np.unique(picture)) == {0, 255}


def test_the_same_seed_writes_the_same_bytes_and_more_children_change_no_earlier_one(tmp_path: Path) -> None:
    once, again, more = (
        read_bytes(write_vessel_phantoms(tmp_path / name, children=count, size=32, seed=5))
        for name, count in (("once", 2), ("again", 2), ("more", 3))
    )
    assert once == again
    once.pop("phantoms.json")
    assert all(more[name] == content for name, content in once.items())


def test_another_seed_draws_another_eye() -> None:
    one, other = (draw_vessel_phantom(1, "L", size=32, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.image, other.image)


def test_vessels_are_a_small_part_of_the_round_field_and_nothing_lies_outside_it(
    eyes: dict[tuple[int, str], VesselPhantom],
) -> None:
    y, x = (np.mgrid[0:96, 0:96] + 0.5) / 48 - 1
    outside = np.hypot(x, y) > 1
    for phantom in eyes.values():
        assert phantom.image[outside].max() < 20
        for mask in phantom.masks:
            assert 0.02 < mask.mean() < 0.3
            assert not mask[outside].any()


def test_vessels_are_darker_than_the_ground_beside_them(eyes: dict[tuple[int, str], VesselPhantom]) -> None:
    y, x = (np.mgrid[0:96, 0:96] + 0.5) / 48 - 1
    inside = np.hypot(x, y) < 0.9
    for phantom in eyes.values():
        green, mask = phantom.image[..., 1].astype(float), phantom.masks[0]
        assert green[mask & inside].mean() < green[~mask & inside].mean() - 5


def test_the_observers_agree_on_most_vessels_but_not_on_all(eyes: dict[tuple[int, str], VesselPhantom]) -> None:
    agreement = [overlap(*phantom.masks) for phantom in eyes.values()]
    assert min(agreement) > 0.4
    assert 0.6 < np.mean(agreement) < 0.95


def test_two_eyes_of_a_child_have_one_colour_but_each_its_own_vessels(
    eyes: dict[tuple[int, str], VesselPhantom],
) -> None:
    def colour(child: int, eye: str) -> np.ndarray:
        return np.median(eyes[child, eye].image[30:66, 30:66].reshape(-1, 3).astype(float), axis=0)

    own = [np.abs(colour(child, "L") - colour(child, "R")).mean() for child in CHILDREN]
    others = [
        np.abs(colour(child, "L") - colour(other, "R")).mean()
        for child in CHILDREN
        for other in CHILDREN
        if other != child
    ]
    assert np.mean(own) < 0.8 * np.mean(others)
    for child in CHILDREN:
        left, right = (eyes[child, eye].masks[0] for eye in "LR")
        assert overlap(left, right) < 0.4
        assert overlap(left, right[:, ::-1]) < 0.4  # else a mirrored view would show the network a trained image


def test_the_optic_disc_lies_to_the_right_in_a_left_eye(eyes: dict[tuple[int, str], VesselPhantom]) -> None:
    for (_, eye), phantom in eyes.items():
        brightest = np.argwhere(phantom.image[..., 2] >= np.quantile(phantom.image[..., 2], 0.995))
        assert (np.median(brightest[:, 1]) > 48) == (eye == "L")


def test_a_written_set_is_used_again(tmp_path: Path) -> None:
    folder = write_vessel_phantoms(tmp_path / "set", children=2, size=32)
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_vessel_phantoms(folder, children=2, size=32) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps


def test_a_set_with_other_parameters_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = write_vessel_phantoms(tmp_path / "set", children=2, size=32)
    before = read_bytes(folder)
    with pytest.raises(FileExistsError, match="other parameters"):
        write_vessel_phantoms(folder, children=3, size=32)
    assert read_bytes(folder) == before


def test_a_folder_with_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(FileExistsError, match="no set of phantoms"):
        write_vessel_phantoms(tmp_path, children=2, size=32)
    assert read_bytes(tmp_path) == {"thesis.txt": b"do not touch"}


def test_a_set_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    folder = write_vessel_phantoms(tmp_path / "set", children=2, size=32)
    (folder / "masks_2ndHO" / "PHANTOM_02R_2ndHO.png").unlink()
    with pytest.raises(FileExistsError, match="PHANTOM_02R_2ndHO"):
        write_vessel_phantoms(folder, children=2, size=32)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = write_vessel_phantoms(tmp_path, children=2, size=32)
    assert json.loads((folder / "phantoms.json").read_text())["children"] == 2


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_settings: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("monai_unlearn.data.phantom_vessels.Image.Image.save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_vessel_phantoms(tmp_path / "set", children=2, size=32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "named"), [({"children": 1}, "children"), ({"size": 31}, "size"), ({"seed": -1}, "seed")]
)
def test_a_parameter_out_of_range_is_named(tmp_path: Path, parameters: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        write_vessel_phantoms(tmp_path / "set", **parameters)
    assert not (tmp_path / "set").exists()


def test_an_eye_is_left_or_right() -> None:
    with pytest.raises(ValueError, match="'L' or 'R'"):
        draw_vessel_phantom(1, "left", size=32)
