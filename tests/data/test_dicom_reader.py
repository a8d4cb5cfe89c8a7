from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from monai.data import PydicomReader
from monai.transforms import LoadImage, LoadImaged

from monai_unlearn.data import DicomSeriesReader, index_dicom
from tests.conftest import REAL_DATA
from tests.data.dicom_files import SAGITTAL, write_series, write_slice

BRAIN, CT = REAL_DATA / "dicom_brain_mr", REAL_DATA / "dicom_seg"
FOLDERS = sorted(path.parent for root in (BRAIN, CT) for path in root.glob("**/*1.dcm"))
FOLDERS = sorted({*FOLDERS}) or [pytest.param(None, marks=pytest.mark.skip(reason=f"no DICOM series at {BRAIN}"))]

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # NumPy 2 on MONAI's MetaTensor


def stacked_by_hand(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Stack a series with pydicom alone, from the lowest slice to the highest; return voxels and affine in RAS."""
    datasets = [pydicom.dcmread(path) for path in paths]
    across, down = np.array(datasets[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    datasets.sort(key=lambda dataset: float(np.dot(np.cross(across, down), dataset.ImagePositionPatient)))
    volume = np.stack(
        [
            dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
            for dataset in datasets
        ]
    ).transpose(2, 1, 0)
    first, last = (np.array(datasets[index].ImagePositionPatient, dtype=float) for index in (0, -1))
    rows_apart, columns_apart = map(float, datasets[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack(
        [across * columns_apart, down * rows_apart, (last - first) / (len(datasets) - 1), first], axis=1
    )
    return volume, np.diag([-1, -1, 1, 1]) @ affine


def images(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix == ".dcm"]


@pytest.mark.real_data
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder and f"{folder.parent.name}-{folder.name}")
def test_a_list_a_folder_and_monais_own_reader_agree_with_a_stack_made_by_hand(folder):
    paths = images(folder)
    volume, affine = stacked_by_hand(paths)
    by_list = LoadImage(reader=DicomSeriesReader)([str(path) for path in reversed(paths)])
    by_folder = LoadImage(reader=DicomSeriesReader)(str(folder))
    by_monai = LoadImage()(str(folder))
    if (by_list.affine[:3, 2].numpy() @ affine[:3, 2]) < 0:  # numbered downwards: the same volume, upside down
        volume = volume[..., ::-1]
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, volume.shape[2] - 1], [0, 0, 0, 1]])
    for loaded in (by_list, by_folder, by_monai):
        np.testing.assert_array_equal(loaded.numpy(), volume.astype(np.float32))
        np.testing.assert_allclose(loaded.affine.numpy(), affine, atol=2e-3)  # positions waver by 0.0007 mm
    np.testing.assert_array_equal(by_list.affine.numpy(), by_monai.affine.numpy())


def test_a_list_of_files_is_a_volume_which_monais_own_reader_refuses(tmp_path):
    paths = [str(path) for path in write_series(tmp_path)]
    assert LoadImage(reader=DicomSeriesReader)(paths).shape == (5, 6, 4)
    with pytest.raises(RuntimeError, match="channel-wise concatenation"):
        LoadImage()(paths)


def test_a_bundle_names_the_reader_by_its_dotted_path(tmp_path):
    paths = [str(path) for path in write_series(tmp_path)]
    load = LoadImaged(keys="image", reader="monai_unlearn.data.DicomSeriesReader", ensure_channel_first=True)
    loaded = load({"image": paths})["image"]
    assert loaded.shape == (1, 5, 6, 4)
    assert loaded.meta["filename_or_obj"] == paths[0]


def test_slices_are_stacked_by_position_where_their_numbers_are_wrong(tmp_path):
    paths = [
        write_slice(tmp_path / str(number), number=number, InstanceNumber=instance, RescaleSlope=slope)
        for number, (instance, slope) in enumerate([(3, 1.0), (3, 2.0), (1, 3.0), (2, 4.0)])
    ]
    volume, affine = stacked_by_hand(paths)
    loaded = LoadImage(reader=DicomSeriesReader)(str(tmp_path))
    np.testing.assert_array_equal(loaded.numpy(), volume.astype(np.float32))
    np.testing.assert_allclose(loaded.affine.numpy(), affine, atol=1e-9)
    assert not np.array_equal(LoadImage(reader=PydicomReader)(str(tmp_path)).numpy(), loaded.numpy())


def test_a_single_file_is_a_picture(tmp_path):
    (path,) = write_series(tmp_path, numbers=[0])
    expected = pydicom.dcmread(path).pixel_array.T * 2.0 - 100.0
    for source in (str(path), [str(path)], str(tmp_path)):
        np.testing.assert_array_equal(LoadImage(reader=DicomSeriesReader)(source).numpy(), expected)


def test_a_missing_slice_is_an_error_and_no_other_reader_takes_over(tmp_path):
    paths = write_series(tmp_path, numbers=[0, 1, 3, 4])
    with pytest.raises(ValueError, match=r"1 missing slice between 32\.00 and 36.00 mm"):
        LoadImage(reader=DicomSeriesReader)([str(path) for path in paths])


def test_files_of_two_series_are_an_error(tmp_path):
    paths = write_series(tmp_path) + write_series(tmp_path, series="B", ImageOrientationPatient=list(SAGITTAL))
    with pytest.raises(ValueError, match="the files belong to 2 series"):
        LoadImage(reader=DicomSeriesReader)([str(path) for path in paths])


def test_threads_share_a_reader(tmp_path):
    """As those of CacheDataset do: MONAI's readers keep the names of what was read last."""
    for number in range(6):
        write_series(tmp_path / str(number), series=str(number), numbers=range(3 + number))
    cases = [[str(header.path) for header in series.slices] for series in index_dicom(tmp_path).usable]
    load = LoadImage(reader=DicomSeriesReader)
    with ThreadPoolExecutor(6) as pool:
        shapes = [loaded.shape for loaded in pool.map(load, cases * 10)]
    assert shapes == [(5, 6, len(case)) for case in cases] * 10
