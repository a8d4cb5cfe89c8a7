from __future__ import annotations

import json
import shutil

import pytest
from monai.data import load_decathlon_datalist
from monai.transforms import LoadImage

from monai_unlearn.data import (
    DicomSeriesReader,
    dicom_cases,
    hash_identifier,
    index_dicom,
    load_dicom_index,
    write_dicom_index,
)
from tests.data.dicom_files import uid, write_series


@pytest.fixture
def tree(tmp_path):
    """Two good series that share a folder, one alone, one with a missing slice, one file that is no image."""
    write_series(tmp_path / "images" / "mixed", series="A")
    write_series(tmp_path / "images" / "mixed", series="B", numbers=range(3), PatientID="P-002", Modality="MR")
    write_series(tmp_path / "images" / "alone", series="C", PatientID=None)
    write_series(tmp_path / "images" / "torn", series="D", numbers=[0, 1, 3])
    (tmp_path / "images" / "notes.txt").write_text("nothing")
    return tmp_path


@pytest.fixture
def written(tree):
    index = index_dicom(tree / "images")
    return write_dicom_index(index, dicom_cases(index), tree / "lists" / "index.json")


def test_monai_reads_the_written_index_as_a_datalist(written, tree):
    cases = load_decathlon_datalist(str(written), data_list_key="training")
    assert len(cases) == 3
    assert len({case["id"] for case in cases}) == 3
    load = LoadImage(reader=DicomSeriesReader)
    assert sorted(load(case["image"]).shape for case in cases) == [(5, 6, 3), (5, 6, 4), (5, 6, 4)]
    assert [case["image"] for case in cases if isinstance(case["image"], str)] == [str(tree / "images" / "alone")]


def test_identifiers_are_hashed_under_the_salt_beside_the_file(written):
    salt = (written.parent / "salt.key").read_bytes()
    cases = {case["series"]: case for case in json.loads(written.read_text())["training"]}
    case = cases[hash_identifier(uid("series A"), salt)]
    assert case["patient"] == hash_identifier("P-001", salt)
    assert case["study"] == hash_identifier(uid("study"), salt)
    assert case["id"] == case["series"][:16]
    assert cases[hash_identifier(uid("series C"), salt)]["patient"] == "", "nobody shares the hash of nothing"
    assert case.keys() == {"id", "patient", "study", "series", "modality", "image"}


def test_nothing_of_the_patient_is_written_in_the_clear(written):
    text = written.read_text()
    for secret in ("P-001", "P-002", "Muster", "Erika", "19700131", "series A", uid("study"), uid("frame")):
        assert secret not in text
    for name in "ABCD":
        assert uid(f"series {name}") not in text
        assert uid(f"{name} 0") not in text


def test_what_is_not_listed_is_told_with_the_reason(tree):
    index = index_dicom(tree / "images")
    path = write_dicom_index(index, dicom_cases(index, modality="MR"), tree / "index.json")
    problems = json.loads(path.read_text())["problems"]
    assert sorted(problem["kind"] for problem in problems) == [
        "left out",
        "left out",
        "no PatientID",
        "not DICOM",
        "unusable series",
    ]
    (torn,) = [problem for problem in problems if problem["kind"] == "unusable series"]
    assert "1 missing slice between 32.00 and 36.00 mm" in torn["reason"]
    assert torn["series"] == hash_identifier(uid("series D"), (tree / "salt.key").read_bytes())
    assert all((tree / file).is_file() for file in torn["files"])


def test_paths_are_relative_so_that_index_and_images_can_move_together(tree, written):
    shutil.move(tree / "images", tree / "moved" / "images")
    shutil.move(tree / "lists", tree / "moved" / "lists")
    cases = load_dicom_index(tree / "moved" / "lists" / "index.json")
    assert LoadImage(reader=DicomSeriesReader)(cases[0]["image"]).ndim == 3


def test_a_written_index_comes_back_in_the_clear(tree, written):
    assert load_dicom_index(written) == dicom_cases(index_dicom(tree / "images"))


def test_masks_and_the_names_of_label_values_are_written_and_come_back(tree):
    index = index_dicom(tree / "images")
    mask = tree / "masks" / "mask.nii.gz"
    cases = dicom_cases(index, labels={uid("series A"): mask})
    path = write_dicom_index(index, cases, tree / "index.json", names={1: "Liver"})
    content = json.loads(path.read_text())
    assert content["labels"] == {"0": "background", "1": "Liver"}
    assert content["training"][0]["label"] == "masks/mask.nii.gz"
    assert load_dicom_index(path) == cases


def test_the_same_index_is_written_the_same(tree, written):
    before = written.read_bytes()
    index = index_dicom(tree / "images")
    assert write_dicom_index(index, dicom_cases(index), written).read_bytes() == before


def test_images_that_were_replaced_by_others_are_found_out(tree, written):
    shutil.rmtree(tree / "images" / "alone")
    with pytest.raises(ValueError, match=r"does not fit the images any more: unreadable: .*alone: No such file"):
        load_dicom_index(written)
    write_series(tree / "images" / "alone", series="E")
    with pytest.raises(ValueError, match=r"does not fit the images any more: .*alone.* belongs to another patient"):
        load_dicom_index(written)


def test_an_index_without_its_salt_and_files_that_are_no_index_are_errors(tree, written):
    (written.parent / "salt.key").unlink()
    with pytest.raises(FileNotFoundError, match=r"cannot find .*salt\.key"):
        load_dicom_index(written)
    with pytest.raises(FileNotFoundError, match=r"cannot find .*nowhere\.json"):
        load_dicom_index(tree / "nowhere.json")
    write_dicom_index(index_dicom(tree / "images"), [], written)
    for content in (
        "[]",
        "{}",
        "no json",
        '{"schema": 1, "training": [{"image": "a"}]}',
        '{"schema": 2, "training": []}',
    ):
        written.write_text(content)
        with pytest.raises(ValueError, match="is no index of DICOM series"):
            load_dicom_index(written)


def test_paths_that_name_the_patient_are_warned_of(tmp_path, caplog):
    write_series(tmp_path / "P-001" / "ct")
    index = index_dicom(tmp_path)
    write_dicom_index(index, dicom_cases(index), tmp_path / "index.json")
    assert "TELL PatientID in the clear" in caplog.text


def test_a_mask_that_is_named_by_its_series_is_warned_of(tree, caplog):
    index = index_dicom(tree / "images")
    labels = {uid("series A"): tree / f"{uid('series A')}.nii.gz", uid("series B"): tree / "b.nii.gz"}
    write_dicom_index(index, dicom_cases(index, labels={uid("series B"): tree / "b.nii.gz"}), tree / "index.json")
    assert caplog.text == ""
    write_dicom_index(index, dicom_cases(index, labels=labels), tree / "index.json")
    assert "TELL UID in the clear" in caplog.text


def test_an_index_that_cannot_be_written_is_an_error_of_one_line(tree):
    (tree / "file").write_text("in the way")
    index = index_dicom(tree / "images")
    with pytest.raises(ValueError, match=r"cannot write .*index\.json"):
        write_dicom_index(index, dicom_cases(index), tree / "file" / "index.json")
    with pytest.raises(ValueError, match="list each series once"):
        write_dicom_index(index, dicom_cases(index) * 2, tree / "index.json")
    assert not (tree / "index.json").exists()
