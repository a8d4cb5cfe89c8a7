from __future__ import annotations

import sys

import nibabel
import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage

from monai_unlearn.data import DicomSeries, index_dicom, segmentation_labels
from monai_unlearn.data.dicom_header import header_of
from monai_unlearn.data.dicom_seg import write_labels
from tests.conftest import REAL_DATA
from tests.data.dicom_files import SAGITTAL, slice_dataset, write_segmentation

highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed: pip install monai_unlearn[dicom]")

REAL = REAL_DATA / "dicom_seg"


@pytest.fixture
def ct():
    if not REAL.is_dir():
        pytest.skip(f"no CT with segmentations at {REAL}; set MONAI_UNLEARN_DATA to the folder that holds dicom_seg/")
    return index_dicom(REAL).usable[0]


def series_of(tmp_path, images) -> DicomSeries:
    return DicomSeries(files=tuple(header_of(image, tmp_path / f"{n}") for n, image in enumerate(images)))


def drawn(*segments: tuple[int, slice, slice], slices: int = 4) -> np.ndarray:
    """Masks ``(slices, rows, columns, segments)``: each segment is a rectangle on one slice."""
    masks = np.zeros((slices, 6, 5, len(segments)), dtype=np.uint8)
    for number, (index, rows, columns) in enumerate(segments):
        masks[index, rows, columns, number] = 1
    return masks


def decoded_by_pydicom(path, number: int) -> dict[float, np.ndarray]:
    """Decode one segment with pydicom alone: mask ``(rows, columns)`` by the z of its frame."""
    dataset = pydicom.dcmread(path)
    frames = {}
    for group, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            frames[round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]), 3)] = pixels.astype(bool)
    return frames


@pytest.mark.real_data
def test_the_liver_lies_on_its_ct_voxel_by_voxel(ct, tmp_path):
    labels, names = segmentation_labels(REAL / "liver.dcm", ct)
    assert names == {1: "Liver"}
    write_labels(tmp_path / "liver.nii.gz", labels, ct.affine)
    image, mask = LoadImage()(str(REAL / "ct-3slice")), LoadImage()(str(tmp_path / "liver.nii.gz"))
    assert mask.shape == image.shape == (512, 512, 3)
    np.testing.assert_allclose(mask.affine.numpy(), image.affine.numpy(), atol=1e-5)
    frames = decoded_by_pydicom(REAL / "liver.dcm", 1)
    assert len(frames) == 3
    for path in (REAL / "ct-3slice").iterdir():
        raw = pydicom.dcmread(path)
        z = round(float(raw.ImagePositionPatient[2]), 3)
        (index,) = [
            k for k in range(3) if np.array_equal(image.numpy()[..., k].T, raw.pixel_array.astype(np.float32) - 1024)
        ]
        np.testing.assert_array_equal(mask.numpy()[..., index].T > 0, frames[z])
    hounsfield = image.numpy()[mask.numpy() > 0]
    assert 0 < np.median(hounsfield) < 120, "liver tissue"


@pytest.mark.real_data
def test_overlapping_segments_are_refused_or_the_highest_value_wins(ct, caplog):
    path = REAL / "partial_overlaps.dcm"
    with pytest.raises(ValueError, match=r"'GREEN' \(1\) and 'ORANGE' \(2\) in 3017 voxels"):
        segmentation_labels(path, ct)
    labels, names = segmentation_labels(path, ct, overlaps="highest")
    assert "the higher label value is taken" in caplog.text
    expected = np.zeros((512, 512, 3), dtype=int)
    heights = [round(header.position[2], 3) for header in ct.slices]
    for number in names:
        for z, mask in decoded_by_pydicom(path, number).items():
            plane = expected[..., heights.index(z)]
            plane[mask.T] = np.maximum(plane[mask.T], number)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.real_data
def test_segments_that_are_named_get_values_in_the_order_of_their_names(ct):
    labels, names = segmentation_labels(REAL / "partial_overlaps.dcm", ct, segments=["DARK_BLUE", "GREEN"])
    assert names == {1: "DARK_BLUE", 2: "GREEN"}
    counts = [sum(mask.sum() for mask in decoded_by_pydicom(REAL / "partial_overlaps.dcm", n).values()) for n in (5, 1)]
    assert [(labels == 1).sum(), (labels == 2).sum()] == counts
    with pytest.raises(ValueError, match=r"has none of the segments \['Liver'\]; it has \['DARK_BLUE', 'GREEN'"):
        segmentation_labels(REAL / "partial_overlaps.dcm", ct, segments=["Liver"])


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("orientation", [None, SAGITTAL])
def test_slices_without_a_frame_are_background_and_the_order_is_that_of_the_image(tmp_path, orientation, downwards):
    values = {} if orientation is None else {"ImageOrientationPatient": list(orientation)}
    images = [slice_dataset(number=n, **{**values, "InstanceNumber": 9 - n if downwards else n}) for n in range(4)]
    masks = drawn((1, slice(0, 2), slice(0, 3)), (3, slice(4, 6), slice(2, 5)))
    write_segmentation(tmp_path / "seg", images, masks, ["Liver", "Tumour"])
    labels, _ = segmentation_labels(tmp_path / "seg", series_of(tmp_path, images))
    expected = (masks * [1, 2]).max(axis=3).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, expected[..., ::-1] if downwards else expected)


def test_a_single_slice_has_a_mask_of_two_dimensions(tmp_path):
    image = slice_dataset(ImageOrientationPatient=list(SAGITTAL))
    write_segmentation(tmp_path / "seg", [image], drawn((0, slice(0, 2), slice(0, 3)), slices=1), ["Liver"])
    series = series_of(tmp_path, [image])
    labels, _ = segmentation_labels(tmp_path / "seg", series)
    assert labels.shape == (5, 6)
    assert labels.sum() == 6
    write_labels(tmp_path / "mask.nii.gz", labels, series.affine)
    assert LoadImage()(str(tmp_path / "mask.nii.gz")).shape == (5, 6)


def test_a_label_map_gives_its_own_values(tmp_path):
    images = [slice_dataset(number=n) for n in range(4)]
    masks = drawn((1, slice(0, 2), slice(0, 3)), (1, slice(4, 6), slice(2, 5)))
    kind = highdicom.seg.SegmentationTypeValues.LABELMAP
    labelled = (masks * np.array([1, 2], dtype=np.uint8)).max(axis=3)
    write_segmentation(tmp_path / "seg", images, labelled, ["Liver", "Tumour"], kind=kind)
    labels, names = segmentation_labels(tmp_path / "seg", series_of(tmp_path, images))
    np.testing.assert_array_equal(labels, labelled.transpose(2, 1, 0))
    assert names == {1: "Liver", 2: "Tumour"}


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_fractions_are_refused_unless_all_are_nought_or_one(tmp_path, share):
    images = [slice_dataset(number=n) for n in range(4)]
    masks = drawn((1, slice(0, 2), slice(0, 3)))
    kind = highdicom.seg.SegmentationTypeValues.FRACTIONAL
    write_segmentation(tmp_path / "seg", images, masks * share, ["Liver"], kind=kind)
    if share == 1.0:
        labels, _ = segmentation_labels(tmp_path / "seg", series_of(tmp_path, images))
        np.testing.assert_array_equal(labels, masks[..., 0].transpose(2, 1, 0))
    else:
        with pytest.raises(ValueError, match=r"holds fractions \(segment 1\); threshold it"):
            segmentation_labels(tmp_path / "seg", series_of(tmp_path, images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ImagePositionPatient": [-9.0, 5.0, 32.0]}, "does not lie on the grid .* its frame 1 is at -10.000 5.000 32"),
        ({"PixelSpacing": [0.8, 0.6]}, "does not lie on the grid"),
        ({"Rows": 7}, "does not lie on the grid"),
        ({"ImageOrientationPatient": list(SAGITTAL)}, "does not lie on the grid"),
        ({"ImagePositionPatient": None}, "have no position"),
    ],
)
def test_a_mask_beside_its_image_is_refused(tmp_path, change, message):
    write_segmentation(
        tmp_path / "seg", [slice_dataset(number=1)], drawn((0, slice(0, 2), slice(0, 3)), slices=1), ["Liver"]
    )
    with pytest.raises(ValueError, match=message):
        segmentation_labels(tmp_path / "seg", series_of(tmp_path, [slice_dataset(number=1, **change)]))


def test_a_frame_beyond_the_slices_is_refused(tmp_path):
    images = [slice_dataset(number=n) for n in range(4)]
    write_segmentation(tmp_path / "seg", images, drawn((3, slice(0, 2), slice(0, 3))), ["Liver"])
    with pytest.raises(ValueError, match="goes beyond the 3 slices of the series"):
        segmentation_labels(tmp_path / "seg", series_of(tmp_path, images[:3]))


def test_without_highdicom_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    monkeypatch.setitem(sys.modules, "highdicom.seg", None)
    with pytest.raises(ValueError, match=r"needs highdicom; install it with: pip install monai_unlearn\[dicom\]"):
        segmentation_labels(tmp_path / "seg", series_of(tmp_path, [slice_dataset()]))


def test_a_file_that_is_no_segmentation_and_an_unknown_rule_are_errors(tmp_path):
    image = slice_dataset()
    image.save_as(tmp_path / "image", enforce_file_format=True)
    with pytest.raises(ValueError, match="cannot be read as a DICOM SEG object"):
        segmentation_labels(tmp_path / "image", series_of(tmp_path, [image]))
    with pytest.raises(ValueError, match="'overlaps' is one of refuse, highest; got 'lowest'"):
        segmentation_labels(tmp_path / "image", series_of(tmp_path, [image]), overlaps="lowest")


def test_label_values_beyond_a_byte_keep_their_value(tmp_path):
    labels = np.array([[[0, 300]]], dtype=np.uint16)
    path = write_labels(tmp_path / "mask.nii.gz", labels, np.eye(4))
    np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj), labels)
    assert path.read_bytes() == write_labels(tmp_path / "again.nii.gz", labels, np.eye(4)).read_bytes()
