from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_unlearn.data.hippocampus import hippocampus_datalists, task04_datalists
from monai_unlearn.data.phantom_volumes import draw_volume_phantom, write_volume_phantoms
from monai_unlearn.data.volumes import check_volumes, volume_label_values

from ..conftest import REAL_DATA

SIZE = (14, 18, 14)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten tiny phantoms as ``images/`` and ``labels/``."""
    return write_volume_phantoms(tmp_path_factory.mktemp("volumes") / "set", count=10, size=SIZE)


@pytest.fixture
def official(plain: Path, tmp_path: Path) -> Path:
    """The same volumes in the layout of the decathlon's archive; returns the folder that holds it."""
    task = tmp_path / "data" / "Task04_Hippocampus"
    shutil.copytree(plain / "images", task / "imagesTr")
    shutil.copytree(plain / "labels", task / "labelsTr")
    (task / "imagesTr" / "._PHANTOM_0000.nii.gz").write_bytes(b"what macOS leaves in the archive")
    names = sorted(path.name for path in (task / "labelsTr").iterdir())
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    listing = {"name": "Hippocampus", "training": training, "test": ["./imagesTs/hippocampus_002.nii.gz"]}
    (task / "dataset.json").write_text(json.dumps(listing))
    return tmp_path / "data"


def ids(cases) -> list[str]:
    return [case["id"] for case in cases]


def test_a_fifth_is_set_aside_and_every_volume_is_a_patient(plain):
    lists = task04_datalists(plain)
    assert (len(lists.training), len(lists.never_trained)) == (8, 2)
    assert sorted(ids(lists.training) + ids(lists.never_trained)) == [f"PHANTOM_{number:04d}" for number in range(10)]
    assert lists.split_drawn
    assert not lists.synthetic
    for case in (*lists.training, *lists.never_trained):
        assert case["patient"] == case["id"]
        assert Path(case["image"]).name == Path(case["label"]).name == f"{case['id']}.nii.gz"


def test_the_split_is_that_of_the_seed(plain):
    assert ids(task04_datalists(plain, seed=3).never_trained) == ids(task04_datalists(plain, seed=3).never_trained)
    drawn = {tuple(ids(task04_datalists(plain, seed=seed).never_trained)) for seed in range(6)}
    assert len(drawn) > 1


@pytest.mark.parametrize("inside", [False, True], ids=["the folder above", "the folder itself"])
def test_the_official_archive_gives_the_same_lists(plain, official, inside):
    listed = task04_datalists(official / "Task04_Hippocampus" if inside else official, seed=1)
    expected = task04_datalists(plain, seed=1)
    assert ids(listed.training) == ids(expected.training)
    assert ids(listed.never_trained) == ids(expected.never_trained)
    assert all(Path(case[key]).is_file() for case in listed.training for key in ("image", "label"))


def test_a_file_that_the_archive_lists_but_lacks_is_named(official):
    (official / "Task04_Hippocampus" / "labelsTr" / "PHANTOM_0004.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"dataset\.json lists files that are not there: .*PHANTOM_0004"):
        task04_datalists(official)


@pytest.mark.parametrize("content", ["{", "[]", '{"training": [{"image": 1}]}', '{"test": []}'])
def test_a_broken_dataset_json_is_one_clear_error(official, content):
    (official / "Task04_Hippocampus" / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=r"cannot read .*dataset\.json"):
        task04_datalists(official)


@pytest.mark.parametrize(("gone", "match"), [("labels", "has no mask for"), ("images", "has no volume for the masks")])
def test_a_volume_without_its_mask_or_a_mask_without_its_volume_is_named(plain, tmp_path, gone, match):
    folder = shutil.copytree(plain, tmp_path / "set")
    (folder / gone / "PHANTOM_0007.nii.gz").unlink()
    with pytest.raises(ValueError, match=rf"{match} 'PHANTOM_0007\.nii\.gz'"):
        task04_datalists(folder)


def test_volumes_without_a_folder_of_masks_are_an_error(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "set")
    shutil.rmtree(folder / "labels")
    with pytest.raises(FileNotFoundError, match="has no masks beside it"):
        task04_datalists(folder)


def test_too_few_volumes_are_an_error(tmp_path):
    folder = write_volume_phantoms(tmp_path / "set", count=4, size=SIZE)
    with pytest.raises(ValueError, match="holds 4 volumes with masks"):
        task04_datalists(folder)


@pytest.mark.parametrize("made", [False, True])
def test_another_folder_is_an_error_that_says_what_is_expected(tmp_path, made):
    if made:
        (tmp_path / "set" / "scans").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=rf"expected 'dataset\.json'.*{'scans' if made else 'no such folder'}"):
        task04_datalists(tmp_path / "set")


def test_without_dataset_dir_phantoms_are_made_once_and_announced(tmp_path, caplog):
    arguments = {"dataset_dir": None, "phantom_dir": tmp_path, "image_size": [14, 18, 14]}
    lists = hippocampus_datalists(**arguments)
    assert "SYNTHETIC PHANTOM" in caplog.text
    assert lists.synthetic
    assert (len(lists.training), len(lists.never_trained)) == (64, 16)
    assert all(volume_label_values(case) == {0, 1, 2} for case in lists.training)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")}
    assert hippocampus_datalists(**arguments) == lists
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nii.gz")}


def test_one_number_as_size_means_a_cube(tmp_path):
    lists = hippocampus_datalists(dataset_dir=None, phantom_dir=tmp_path, image_size=16)
    shapes = np.array([nib.load(case["image"]).shape for case in lists.training])
    assert shapes.max() == 16
    assert shapes.min() >= 14


def test_the_phantoms_pass_the_check_of_volumes(plain):
    lists = task04_datalists(plain)
    check_volumes([*lists.training, *lists.never_trained])


def test_a_phantom_is_that_of_its_index_and_seed():
    image, mask = draw_volume_phantom(3, size=SIZE, seed=1)
    again, mask_again = draw_volume_phantom(3, size=SIZE, seed=1)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(mask, mask_again)
    other, _ = draw_volume_phantom(4, size=SIZE, seed=1)
    assert other.shape != image.shape or not np.allclose(other, image)


def test_in_a_phantom_the_structure_is_brighter_and_its_anterior_part_lies_in_front():
    for index in range(8):
        image, mask = draw_volume_phantom(index)
        assert 0.02 < (mask > 0).mean() < 0.12
        assert image[mask > 0].mean() > np.percentile(image[mask == 0], 75)
        front, back = (np.argwhere(mask == value)[:, 1].mean() for value in (1, 2))
        assert front > back + 5  # axis 1 runs from posterior to anterior


def test_the_intensity_scales_of_phantoms_differ_widely():
    largest = [draw_volume_phantom(index, size=SIZE)[0].max() for index in range(20)]
    assert max(largest) > 100 * min(largest)


def test_a_set_of_other_parameters_is_never_reused_or_overwritten(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "set")
    assert write_volume_phantoms(folder, count=10, size=SIZE) == folder
    with pytest.raises(FileExistsError, match="other parameters"):
        write_volume_phantoms(folder, count=10, size=SIZE, seed=1)
    (folder / "labels" / "PHANTOM_0001.nii.gz").unlink()
    with pytest.raises(FileExistsError, match="lacks 1 of its files"):
        write_volume_phantoms(folder, count=10, size=SIZE)
    (folder / "phantoms.json").unlink()
    with pytest.raises(FileExistsError, match="is no set of phantoms"):
        write_volume_phantoms(folder, count=10, size=SIZE)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"count": 0}, "count"), ({"size": (8, 20, 20)}, "size"), ({"size": (20, 20)}, "size"), ({"seed": -1}, "seed")],
)
def test_a_parameter_out_of_range_is_refused(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=f"{match} must be"):
        write_volume_phantoms(tmp_path / "set", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.real_data
def test_the_real_set_has_160_training_and_40_never_trained_volumes_that_are_sound():
    folder = REAL_DATA / "hippocampus"
    if not folder.is_dir():
        pytest.skip(f"no hippocampus volumes at {folder}; set MONAI_UNLEARN_DATA to the folder that holds hippocampus/")
    lists = task04_datalists(folder)
    assert (len(lists.training), len(lists.never_trained)) == (160, 40)
    check_volumes([*lists.training, *lists.never_trained])
    assert volume_label_values(lists.training[0]) == {0, 1, 2}
