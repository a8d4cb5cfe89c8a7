from __future__ import annotations

import os
import shutil
from collections import Counter

import numpy as np
import pydicom
import pytest
from pydicom.uid import BasicTextSRStorage, DeflatedExplicitVRLittleEndian, RLELossless

from monai_unlearn.data import index_dicom, summarise_index
from tests.conftest import REAL_DATA
from tests.data.dicom_files import slice_dataset, uid, write_segmentation, write_series, write_slice

BRAIN = REAL_DATA / "dicom_brain_mr"
real_data = pytest.mark.skipif(not BRAIN.is_dir(), reason=f"no DICOM series at {BRAIN}; set MONAI_UNLEARN_DATA")


def problems_of(index) -> Counter[str]:
    return Counter(problem.kind for problem in index.problems)


@pytest.mark.real_data
@real_data
def test_the_brain_series_are_found_as_pydicom_counts_them():
    index = index_dicom(BRAIN)
    counted: Counter[tuple[str, str, str]] = Counter()
    for path in BRAIN.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        counted[str(header.PatientID), str(header.StudyInstanceUID), str(header.SeriesInstanceUID)] += 1
    assert {(each.first.patient, each.first.study, each.uid): len(each.slices) for each in index.series} == counted
    assert (len({each.first.patient for each in index.series}), len(counted), counted.total()) == (3, 7, 197)
    assert index.problems == ()
    assert index.usable == index.series
    assert "all                           3        3       7     197         0" in summarise_index(index)


def test_two_series_in_one_folder_are_told_apart_by_their_headers_alone(tmp_path):
    write_series(tmp_path, series="A", numbers=range(4))
    write_series(tmp_path, series="B", numbers=range(3))
    index = index_dicom(tmp_path)
    assert {series.uid: len(series.slices) for series in index.series} == {uid("series A"): 4, uid("series B"): 3}


def test_one_thread_finds_what_many_find(tmp_path):
    for number in range(3):
        write_series(tmp_path / str(number), series=f"S{number}", PatientID=f"P-{9 - number}")
    assert index_dicom(tmp_path, workers=1) == index_dicom(tmp_path, workers=5)
    assert [series.first.patient for series in index_dicom(tmp_path).series] == ["P-7", "P-8", "P-9"]


def test_files_that_are_no_images_are_listed_and_never_fatal(tmp_path):
    paths = write_series(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "damaged.dcm").write_bytes(paths[0].read_bytes()[:300])
    (tmp_path / "truncated.dcm").write_bytes(write_slice(tmp_path / "whole", number=4).read_bytes()[:-20])
    (tmp_path / "whole").unlink()
    report = slice_dataset(number=8, SOPClassUID=BasicTextSRStorage, Rows=1)
    del report.Rows, report.PixelData
    report.save_as(tmp_path / "report", enforce_file_format=True)
    write_slice(tmp_path / "nameless", number=9, SeriesInstanceUID=None)
    (tmp_path / "broken_link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    index = index_dicom(tmp_path)
    found = {problem.files[0].name: str(problem) for problem in index.problems}
    assert found.keys() == {
        "notes.txt", "empty.dcm", "damaged.dcm", "truncated.dcm", "report", "nameless", "broken_link", "pipe",
    }  # fmt: skip
    assert "not DICOM" in found["notes.txt"]
    assert "truncated: its pixels take 60 bytes and 52 are left" in found["truncated.dcm"]  # 12 before them say so
    assert "DICOM without pixels (Basic Text SR Storage)" in found["report"]
    assert "no SeriesInstanceUID" in found["nameless"]
    assert "No such file" in found["broken_link"]
    assert "no regular file" in found["pipe"]
    assert len(index.usable) == 1


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_compressed_file_is_shorter_than_its_pixels_and_whole(tmp_path, syntax):
    dataset = slice_dataset(Rows=100, Columns=100)
    dataset.PixelData = bytes(20_000)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "small", enforce_file_format=True)
    assert (tmp_path / "small").stat().st_size < 20_000
    assert index_dicom(tmp_path).problems == ()


def test_a_copy_of_an_image_is_listed_and_its_series_stays_whole(tmp_path):
    paths = write_series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    shutil.copy(paths[1], tmp_path / "b" / "copy")
    index = index_dicom(tmp_path)
    assert len(index[uid("series A")].slices) == 4
    (problem,) = index.problems
    assert problem.kind == "duplicate"
    assert problem.files == (tmp_path / "b" / "copy", paths[1])


def test_a_series_with_a_missing_slice_is_listed_and_asking_for_it_is_an_error(tmp_path):
    write_series(tmp_path, series="A", numbers=[0, 1, 3, 4])
    write_series(tmp_path, series="B")
    index = index_dicom(tmp_path)
    assert [series.uid for series in index.usable] == [uid("series B")]
    (problem,) = index.problems
    assert (problem.kind, problem.series) == ("unusable series", uid("series A"))
    with pytest.raises(ValueError, match=rf"{uid('series A')} cannot be used: 1 missing slice between 32.00 and 36.00"):
        index[uid("series A")]
    with pytest.raises(ValueError, match=r"no image series with the SeriesInstanceUID '1\.2\.3'"):
        index["1.2.3"]


def test_a_series_without_a_patient_id_is_told_since_no_request_would_find_it(tmp_path):
    write_series(tmp_path, PatientID=None)
    index = index_dicom(tmp_path)
    assert index.usable[0].first.patient == ""
    assert problems_of(index) == {"no PatientID": 1}


def test_links_that_go_in_circles_are_followed_once(tmp_path):
    write_series(tmp_path / "images" / "a")
    (tmp_path / "images" / "a" / "up").symlink_to(tmp_path / "images")
    write_series(tmp_path / "elsewhere", series="B")
    (tmp_path / "images" / "other").symlink_to(tmp_path / "elsewhere")
    index = index_dicom(tmp_path / "images")
    assert {series.uid for series in index.usable} == {uid("series A"), uid("series B")}
    assert index.problems == ()


def test_a_segmentation_is_no_image_series(tmp_path):
    pytest.importorskip("highdicom")
    paths = write_series(tmp_path)
    images = [pydicom.dcmread(path) for path in paths]
    write_segmentation(tmp_path / "seg", images, np.ones((4, 6, 5, 1), dtype=np.uint8), ["Liver"])
    index = index_dicom(tmp_path)
    assert len(index.series) == 1
    assert [header.referenced_series for header in index.segmentations] == [(uid("series A"),)]


def test_a_value_that_breaks_the_standard_stops_nothing(tmp_path):
    """Warnings are errors in these tests, and pydicom would warn of the name of this modality."""
    with pytest.warns(UserWarning, match="Invalid value for VR CS"):
        write_series(tmp_path, Modality="ct-like !")
    assert index_dicom(tmp_path).usable[0].first.modality == "ct-like !"


@pytest.mark.parametrize(
    ("folder", "revealed"),
    [
        ("P-001/ct", {"PatientID"}),
        ("export_p-001_head", {"PatientID"}),
        ("erika.muster", {"PatientName"}),
        ("born19700131", set()),
        ("19700131", {"PatientBirthDate"}),
        (uid("series A"), {"UID"}),
        ("P-0012", set()),
    ],
)
def test_paths_that_tell_who_the_patient_is_are_noticed(tmp_path, folder, revealed):
    write_series(tmp_path / folder)
    assert index_dicom(tmp_path).revealed == revealed
    assert index_dicom(tmp_path / folder).revealed == revealed if "/" not in folder else True


def test_nothing_is_printed_where_there_is_no_terminal(tmp_path, capsys):
    write_series(tmp_path)
    index_dicom(tmp_path)
    assert capsys.readouterr() == ("", "")


def test_a_folder_without_dicom_is_an_error_that_says_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot find the folder"):
        index_dicom(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no DICOM image"):
        index_dicom(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"holds no DICOM image: 1 files, not DICOM: .*picture\.png"):
        index_dicom(tmp_path)
    with pytest.raises(ValueError, match="'workers' is a positive number"):
        index_dicom(tmp_path, workers=0)
