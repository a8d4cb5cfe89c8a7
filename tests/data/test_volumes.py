from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_unlearn.data.volumes import check_volumes, volume_label_values

SHAPE = (6, 7, 5)


def write(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> str:
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return str(path)


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, str]]:
    """Three sound cases, each a volume and a mask with the labels 0, 1, 2."""
    generator = np.random.default_rng(0)
    written = []
    for number in range(3):
        mask = np.zeros(SHAPE, np.uint8)
        mask[2, 2], mask[3, 2] = 1, 2
        image = write(tmp_path / f"image_{number}.nii.gz", generator.normal(size=SHAPE).astype(np.float32))
        written.append({"image": image, "label": write(tmp_path / f"mask_{number}.nii.gz", mask)})
    return written


def test_sound_volumes_pass(cases):
    check_volumes(cases)


def test_no_case_is_no_problem():
    check_volumes([])


def test_label_values_are_those_in_the_mask(cases):
    assert volume_label_values(cases[0]) == frozenset({0, 1, 2})


def test_masks_stored_as_floats_of_whole_numbers_pass(cases):
    write(Path(cases[1]["label"]), nib.load(cases[1]["label"]).get_fdata().astype(np.float32))
    check_volumes(cases)
    assert volume_label_values(cases[1]) == frozenset({0, 1, 2})


def test_the_channels_of_a_volume_need_no_mask_of_their_own(cases):
    write(Path(cases[0]["image"]), np.zeros((*SHAPE, 4), np.float32))
    check_volumes(cases)


@pytest.mark.parametrize("key", ["image", "label"])
def test_a_missing_file_is_named(cases, key):
    Path(cases[1][key]).unlink()
    with pytest.raises(ValueError, match=rf"cannot find the (volume|mask) .*{Path(cases[1][key]).name}"):
        check_volumes(cases)


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_archive_is_named(cases, key, share):
    path = Path(cases[2][key])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=rf"{path.name} .*replace the file"):
        check_volumes(cases)


def test_a_truncated_volume_that_is_not_compressed_is_named(cases, tmp_path):
    plain = tmp_path / "plain.nii"
    plain.write_bytes(gzip.decompress(Path(cases[0]["image"]).read_bytes())[:-40])
    with pytest.raises(ValueError, match=r"plain\.nii is truncated or damaged"):
        check_volumes([cases[1], {**cases[0], "image": str(plain)}])


def test_a_flipped_byte_in_an_archive_is_found(cases):
    path = Path(cases[0]["image"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"image_0\.nii\.gz .*replace the file"):
        check_volumes(cases)


def test_what_is_no_volume_is_named(cases, tmp_path):
    (tmp_path / "notes.nii.gz").write_bytes(b"no volume at all")
    with pytest.raises(ValueError, match=r"notes\.nii\.gz"):
        check_volumes([{**cases[0], "image": str(tmp_path / "notes.nii.gz")}])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_is_found(cases, value):
    voxels = np.zeros(SHAPE, np.float32)
    voxels[0, 0, :2] = value
    write(Path(cases[1]["image"]), voxels)
    with pytest.raises(ValueError, match=r"image_1\.nii\.gz has 2 voxels that are not finite"):
        check_volumes(cases)


def test_a_mask_of_another_shape_is_named_with_both_shapes(cases):
    write(Path(cases[1]["label"]), np.ones((6, 7, 6), np.uint8))
    with pytest.raises(ValueError, match=r"mask_1\.nii\.gz has the shape 6×7×6, its volume .*image_1\.nii\.gz 6×7×5"):
        check_volumes(cases)


def test_a_mask_that_lies_elsewhere_is_named(cases):
    shifted = np.eye(4)
    shifted[0, 3] = 2.5
    write(Path(cases[1]["label"]), np.ones(SHAPE, np.uint8), shifted)
    with pytest.raises(ValueError, match=r"mask_1\.nii\.gz lies elsewhere .*image_1\.nii\.gz.* 2\.5 mm"):
        check_volumes(cases)


def test_an_empty_mask_is_named(cases):
    write(Path(cases[2]["label"]), np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError, match=r"mask_2\.nii\.gz is empty"):
        check_volumes(cases)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan])
def test_a_mask_that_is_not_of_whole_numbers_is_named(cases, value):
    voxels = np.ones(SHAPE, np.float32)
    voxels[1, 1, 1] = value
    write(Path(cases[0]["label"]), voxels)
    with pytest.raises(ValueError, match=r"mask_0\.nii\.gz holds the value .*whole numbers"):
        check_volumes(cases)
    with pytest.raises(ValueError, match=r"mask_0\.nii\.gz holds the value .*whole numbers"):
        volume_label_values(cases[0])


def test_mixed_orientations_name_both_files(cases):
    for key, voxels in (("image", np.zeros(SHAPE, np.float32)), ("label", np.ones(SHAPE, np.uint8))):
        write(Path(cases[2][key]), voxels, np.diag([-1.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"mixed orientations: .*image_0\.nii\.gz is RAS, .*image_2\.nii\.gz is LAS"):
        check_volumes(cases)


def test_mixed_spacing_names_both_files(cases):
    for key, voxels in (("image", np.zeros(SHAPE, np.float32)), ("label", np.ones(SHAPE, np.uint8))):
        write(Path(cases[1][key]), voxels, np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match=r"spacing: .*image_0\.nii\.gz has 1×1×1 mm, .*image_1\.nii\.gz has 1×1×2 mm"):
        check_volumes(cases)


def test_the_first_bad_case_in_their_order_is_the_one_that_is_named(cases):
    for number in (1, 2):
        write(Path(cases[number]["label"]), np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError, match=r"mask_1\.nii\.gz"):
        check_volumes(cases)


def test_the_label_values_of_a_missing_mask_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"cannot find the mask .*gone\.nii\.gz"):
        volume_label_values({"label": str(tmp_path / "gone.nii.gz")})
