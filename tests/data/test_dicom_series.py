from __future__ import annotations

import numpy as np
import pytest
from monai.data import PydicomReader

from monai_unlearn.data import DicomSeries
from monai_unlearn.data.dicom_header import DicomHeader, header_of, read_dicom_header
from tests.data.dicom_files import AXIAL, SAGITTAL, normal_of, slice_dataset, uid, write_series

OBLIQUE = (0.999679, 0.02533, 0.0, -0.0244148, 0.963561, -0.26637)


def headers_of(tmp_path, numbers=range(5), **values) -> list[DicomHeader]:
    return [header_of(slice_dataset(number=number, **values), tmp_path / f"{number}") for number in numbers]


def with_one(tmp_path, place=2, **values) -> DicomSeries:
    """A series of five slices of which one is different."""
    headers = headers_of(tmp_path)
    headers[place] = header_of(slice_dataset(number=place, **values), tmp_path / "other")
    return DicomSeries(files=tuple(headers))


def test_slices_are_put_in_the_order_of_their_positions_whatever_the_files(tmp_path):
    headers = headers_of(tmp_path)
    series = DicomSeries(files=tuple(headers[index] for index in (3, 0, 4, 2, 1)))
    assert series.problem is None
    assert series.slices == tuple(headers)
    assert series.shape == (5, 6, 5)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("downwards", [False, True])
def test_voxels_and_affine_are_those_of_monais_reader(tmp_path, orientation, downwards):
    for number in range(4):
        instance = 10 - number if downwards else 10 + number
        write_series(tmp_path, numbers=[number], ImageOrientationPatient=list(orientation), InstanceNumber=instance)
    reader = PydicomReader()
    volume, meta = reader.get_data(reader.read(str(tmp_path)))
    series = DicomSeries(files=tuple(read_dicom_header(path) for path in tmp_path.iterdir()))
    assert series.numbered
    assert series.shape == volume.shape
    np.testing.assert_allclose(series.affine, meta["affine"], atol=1e-12)


def test_the_affine_takes_a_voxel_to_its_place_in_the_patient(tmp_path):
    series = DicomSeries(files=tuple(headers_of(tmp_path, ImageOrientationPatient=list(OBLIQUE))))
    column, row, number = 3, 2, 4
    # PixelSpacing is the distance of the rows, then of the columns; DICOM points left and back, NIfTI right and forward
    place = np.array([-10.0, 5.0, 30.0]) + 2.0 * number * normal_of(OBLIQUE)
    place += 0.5 * column * np.array(OBLIQUE[:3]) + 0.8 * row * np.array(OBLIQUE[3:])
    np.testing.assert_allclose((series.affine @ [column, row, number, 1])[:3], place * [-1, -1, 1], atol=1e-9)


def test_a_single_slice_is_an_image_of_two_dimensions_without_a_position_too(tmp_path):
    (path,) = write_series(tmp_path, numbers=[0], ImagePositionPatient=None)
    series = DicomSeries(files=(read_dicom_header(path),))
    assert series.problem is None
    assert series.shape == (5, 6)
    reader = PydicomReader()
    dataset = reader.read(str(path))
    with pytest.warns(UserWarning, match="defaults to the identity"):
        _, meta = reader.get_data(dataset)
    np.testing.assert_array_equal(series.affine, meta["affine"])


def test_a_missing_slice_is_named_by_its_place(tmp_path):
    series = DicomSeries(files=tuple(headers_of(tmp_path, [0, 1, 2, 4, 5])))
    assert series.problem is not None
    assert "1 missing slice between 34.00 and 38.00 mm" in series.problem
    with pytest.raises(ValueError, match=rf"{uid('series A')} cannot be used: 1 missing slice between 34.00 and 38.00"):
        series.require_volume()


def test_two_missing_slices_next_to_an_end_are_counted(tmp_path):
    series = DicomSeries(files=tuple(headers_of(tmp_path, [0, 3, 4, 5])))
    assert "2 missing slices between 30.00 and 36.00 mm" in str(series.problem)


def test_three_slices_of_four_are_enough_to_miss_one(tmp_path):
    assert "1 missing slice between 32.00 and 36.00" in str(
        DicomSeries(files=tuple(headers_of(tmp_path, [0, 1, 3]))).problem
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"ImagePositionPatient": [-10.0, 5.0, 34.5]}, "uneven spacing: a step of 2.50 mm between 32.00 and 34.50 mm"),
        ({"ImagePositionPatient": [-9.0, 5.0, 34.0]}, "shifted sideways by 1.00 mm at 34.00 mm"),
        ({"ImagePositionPatient": [-10.0, 5.0, 32.0]}, "two slices at the same position, 32.00 mm"),
        ({"ImagePositionPatient": None}, "without ImagePositionPatient or ImageOrientationPatient .*InstanceNumber 3"),
        ({"ImageOrientationPatient": list(SAGITTAL)}, "mixed orientations: .* and .*InstanceNumber 3"),
        ({"PixelSpacing": [0.8, 0.6]}, r"mixed spacing: 0.8\\0.5 and 0.8\\0.6 mm"),
        ({"PixelSpacing": None}, r"mixed spacing: 0.8\\0.5 and none mm"),
        ({"Rows": 7}, "mixed sizes: 5×6 and 5×7 pixels"),
        ({"FrameOfReferenceUID": uid("elsewhere")}, "different FrameOfReferenceUIDs"),
        ({"PatientID": "P-002"}, "its files belong to 2 patients"),
        ({"StudyInstanceUID": uid("another study")}, "its files belong to 2 studies"),
    ],
)
def test_a_mixture_is_no_volume_and_the_reason_says_where(tmp_path, values, problem):
    series = with_one(tmp_path, **values)
    with pytest.raises(ValueError, match=problem):
        series.require_volume()
    assert "P-00" not in str(series.problem), "a reason is written down"


def test_a_file_of_several_frames_is_not_supported(tmp_path):
    dataset = slice_dataset()
    dataset.NumberOfFrames = 3
    series = DicomSeries(files=(header_of(dataset, tmp_path / "frames"),))
    assert "several frames" in str(series.problem)


def test_positions_rounded_by_the_scanner_are_even(tmp_path):
    headers = [
        header_of(slice_dataset(number=n, ImagePositionPatient=[0, 0, round(0.625 * n, 2)]), tmp_path / f"{n}")
        for n in range(20)
    ]
    assert DicomSeries(files=tuple(headers)).problem is None


def test_a_tilted_gantry_shears_the_volume_and_nothing_is_missing(tmp_path):
    for number in range(4):
        write_series(tmp_path, numbers=[number], ImagePositionPatient=[0.0, 0.5 * number, 2.0 * number])
    series = DicomSeries(files=tuple(read_dicom_header(path) for path in tmp_path.iterdir()))
    assert series.problem is None
    reader = PydicomReader()
    np.testing.assert_allclose(series.affine, reader.get_data(reader.read(str(tmp_path)))[1]["affine"], atol=1e-12)


def test_instance_numbers_that_do_not_follow_the_positions_are_found_out(tmp_path):
    headers = [
        header_of(slice_dataset(number=n, InstanceNumber=instance), tmp_path / f"{n}")
        for n, instance in enumerate((1, 3, 2, 4))
    ]
    series = DicomSeries(files=tuple(headers))
    assert series.slices == tuple(headers)
    assert not series.numbered
    assert not DicomSeries(files=tuple(headers_of(tmp_path, InstanceNumber=None))).numbered
