from __future__ import annotations

import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.transforms import LoadImage

from monai_unlearn.data import (
    DicomSeriesReader,
    case_id,
    dicom_cases,
    dicom_datalists,
    index_dicom,
    make_partition,
    write_dicom_index,
)
from tests.conftest import REAL_DATA
from tests.data.dicom_files import uid, write_series, write_slice

BRAIN = REAL_DATA / "dicom_brain_mr"


@pytest.fixture
def brain():
    if not BRAIN.is_dir():
        pytest.skip(f"no DICOM series at {BRAIN}; set MONAI_UNLEARN_DATA to the folder that holds dicom_brain_mr/")
    return BRAIN


@pytest.fixture
def patients(tmp_path):
    """Ten patients with two series each; the patients' folders do not tell who they are."""
    for number in range(10):
        for kind in ("T1", "FLAIR"):
            write_series(
                tmp_path / "tree" / f"{number}" / kind,
                series=f"{number}{kind}",
                PatientID=f"PGBM-{number:03d}",
                SeriesDescription=kind,
                Modality="MR",
                StudyInstanceUID=uid(f"study {number}"),
            )
    return tmp_path / "tree"


def test_a_series_alone_in_its_folder_is_the_folder_which_any_bundle_reads(tmp_path):
    write_series(tmp_path / "a")
    (tmp_path / "a" / ".hidden").write_text("MONAI does not look at it")
    (case,) = dicom_cases(index_dicom(tmp_path))
    assert case == {
        "id": uid("series A"),
        "series": uid("series A"),
        "patient": "P-001",
        "study": uid("study"),
        "modality": "CT",
        "description": "series A",
        "image": str(tmp_path / "a"),
    }
    assert LoadImage()(case["image"]).shape == (5, 6, 4)


def test_series_that_share_a_folder_are_lists_of_files_in_order(tmp_path):
    write_series(tmp_path, series="A")
    write_series(tmp_path, series="B", numbers=range(3))
    first, second = sorted(dicom_cases(index_dicom(tmp_path)), key=lambda case: len(case["image"]), reverse=True)
    assert first["image"] == [str(tmp_path / name) for name in ("A00", "A71", "A42", "A13")]
    load = LoadImage(reader=DicomSeriesReader)
    assert (load(first["image"]).shape, load(second["image"]).shape) == ((5, 6, 4), (5, 6, 3))
    assert case_id(first) == uid("series A")


@pytest.mark.parametrize("other", ["notes.txt", "subfolder/notes.txt", "wrong numbers"])
def test_a_folder_that_monais_reader_would_read_wrong_is_a_list_of_files(tmp_path, other):
    write_series(tmp_path, **({"InstanceNumber": 1} if other == "wrong numbers" else {}))
    if other != "wrong numbers":
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("nothing")
    (case,) = dicom_cases(index_dicom(tmp_path))
    assert isinstance(case["image"], list)
    assert LoadImage(reader=DicomSeriesReader)(case["image"]).shape == (5, 6, 4)


def test_series_are_chosen_by_modality_and_description(patients):
    index = index_dicom(patients)
    assert len(dicom_cases(index)) == 20
    assert len(dicom_cases(index, modality="mr", description="*flair*")) == 10
    assert [case["id"] for case in dicom_cases(index, series=[uid("series 3T1")])] == [uid("series 3T1")]
    with pytest.raises(
        ValueError, match=r"no series of .* is left to list; there are 20 usable ones \('MR FLAIR', 'MR T1'\)"
    ):
        dicom_cases(index, modality="CT")
    with pytest.raises(ValueError, match="is left to list that has a mask"):
        dicom_cases(index, labels={})


def test_a_series_with_a_missing_slice_is_left_out_and_asking_for_it_is_an_error(tmp_path):
    write_series(tmp_path / "a", series="A", numbers=[0, 1, 3])
    write_series(tmp_path / "b", series="B")
    index = index_dicom(tmp_path)
    assert [case["id"] for case in dicom_cases(index)] == [uid("series B")]
    with pytest.raises(ValueError, match=rf"{uid('series A')} cannot be used: 1 missing slice between 32\.00 and 36"):
        dicom_cases(index, series=[uid("series B"), uid("series A")])


def test_patients_are_divided_whole_by_name_or_by_seed(patients):
    named = dicom_datalists(patients, never_trained=["PGBM-003", "PGBM-007"])
    assert {case["patient"] for case in named.never_trained} == {"PGBM-003", "PGBM-007"}
    assert (len(named.training), len(named.never_trained), named.split_drawn) == (16, 4, False)
    drawn = dicom_datalists(patients, seed=1)
    assert {case["patient"] for case in drawn.training}.isdisjoint(case["patient"] for case in drawn.never_trained)
    assert (len(drawn.training), len(drawn.never_trained), drawn.split_drawn) == (16, 4, True)
    assert drawn == dicom_datalists(index_dicom(patients), seed=1)
    assert drawn != dicom_datalists(patients, seed=2)
    with pytest.raises(ValueError, match="'never_trained' names patients that no series has: 'PGBM-999'"):
        dicom_datalists(patients, never_trained=["PGBM-999"])
    with pytest.raises(ValueError, match="1 patients cannot be divided"):
        dicom_datalists(patients, series=[uid("series 3T1")])


@pytest.mark.parametrize("written", [False, True])
def test_a_request_names_a_patient_as_dicom_does(patients, tmp_path, written):
    source = patients
    if written:
        index = index_dicom(patients)
        source = write_dicom_index(index, dicom_cases(index), tmp_path / "lists" / "index.json")
    lists = dicom_datalists(source, never_trained=["PGBM-000", "PGBM-001"])
    partition = make_partition(lists, {"patients": ["PGBM-004"]}, group_by="patient")
    assert {case["id"] for case in partition.forget} == {uid("series 4T1"), uid("series 4FLAIR")}
    assert len(partition.retain) == 14
    with pytest.raises(ValueError, match="PGBM-044"):
        make_partition(lists, {"patients": ["PGBM-044"]}, group_by="patient")


def test_a_config_takes_its_datalists_from_a_written_index_as_the_docs_say(patients, tmp_path):
    index = index_dicom(patients)
    config = {
        "index": str(write_dicom_index(index, dicom_cases(index, description="T1"), tmp_path / "lists" / "index.json")),
        "imports": ["$import monai_unlearn"],
        "lists": "$monai_unlearn.data.dicom_datalists(@index, never_trained=['PGBM-006'])",
        "train": {
            "dataset": {
                "_target_": "Dataset",
                "data": "$@lists.training",
                "transform": {
                    "_target_": "LoadImaged",
                    "keys": "image",
                    "reader": "monai_unlearn.data.DicomSeriesReader",
                    "ensure_channel_first": True,
                },
            }
        },
        "unseen": "$@lists.never_trained",
    }
    parser = ConfigParser(config)
    dataset = parser.get_parsed_content("train#dataset")
    assert len(dataset) == 9
    assert dataset[0]["image"].shape == (1, 5, 6, 4)
    assert [case["patient"] for case in parser.get_parsed_content("unseen")] == ["PGBM-006"]


def test_series_without_a_patient_id_are_groups_of_their_own(tmp_path):
    for number in range(5):
        write_slice(tmp_path / f"{number}" / "x", series=f"S{number}", PatientID=None)
    lists = dicom_datalists(tmp_path)
    assert (len(lists.training), len(lists.never_trained)) == (3, 2)
    partition = make_partition(lists, [lists.training[0]["id"]], group_by="patient")
    assert len(partition.forget) == 1


@pytest.mark.real_data
def test_a_patient_of_the_brain_series_is_forgotten_by_patient_id(brain):
    lists = dicom_datalists(brain, description="*FLAIR*", never_trained=["PGBM-006"])
    assert [case["patient"] for case in lists.training] == ["PGBM-002", "PGBM-003"]
    shapes = [LoadImage()(case["image"]).shape for case in lists.training]
    assert shapes == [(512, 512, 22), (280, 320, 22)]
    assert np.isfinite(LoadImage()(lists.never_trained[0]["image"]).numpy()).all()
