from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage, LoadImaged

from monai_unlearn.__main__ import index_folder
from monai_unlearn.data import DicomSeriesReader, dicom_cases, hash_identifier, index_dicom, join_masks
from tests.conftest import REAL_DATA
from tests.data.dicom_files import AXIAL, uid, write_segmentation, write_series

REAL = REAL_DATA / "dicom_seg"
OBLIQUE = (0.999679, 0.02533, 0.0, -0.0244148, 0.963561, -0.26637)


@pytest.fixture
def index(tmp_path):
    write_series(tmp_path / "images" / "a", series="A", ImageOrientationPatient=list(OBLIQUE))
    write_series(tmp_path / "images" / "b", series="B", PatientID="P-002", FrameOfReferenceUID=uid("frame B"))
    return index_dicom(tmp_path / "images")


def write_mask(path, series, *, flipped=False, shift=0.0, shape=None):
    labels = np.arange(np.prod(shape or series.shape)).reshape(shape or series.shape) % 3
    affine = series.affine.copy()
    affine[:3, 3] += shift
    stored = labels.astype(np.uint8)
    if flipped:  # columns from the other end, and rows before columns
        stored = stored[::-1].swapaxes(0, 1)
        affine = affine @ [[0, -1, 0, len(labels) - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    return labels


def write_seg(path, folder, *names):
    images = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    images.sort(key=lambda image: image.InstanceNumber)
    masks = np.zeros((len(images), 6, 5, len(names)), dtype=np.uint8)
    for number in range(len(names)):
        masks[number, 1:3, 2:4, number] = 1
    write_segmentation(path, images, masks, names)
    return masks


def test_a_nifti_mask_belongs_to_the_series_that_its_name_says(index, tmp_path):
    series = index[uid("series A")]
    labels = write_mask(tmp_path / "masks" / "deep" / f"{series.uid}.nii.gz", series)
    (tmp_path / "masks" / "README").write_text("files that are no masks are passed over")
    joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
    (case,) = dicom_cases(index, labels=joined.paths)
    image, mask = LoadImage(reader=DicomSeriesReader)(case["image"]), LoadImage()(case["label"])
    np.testing.assert_array_equal(mask.numpy(), labels)
    np.testing.assert_allclose(mask.affine.numpy(), image.affine.numpy(), atol=1e-5)
    assert not (tmp_path / "out").exists(), "nothing had to be converted"


def test_a_table_says_which_mask_belongs_to_which_series(index, tmp_path):
    for name, kind in (("one", "A"), ("two", "B"), ("unlisted", "B")):
        write_mask(tmp_path / "masks" / f"{name}.nii", index[uid(f"series {kind}")])
    table = tmp_path / "table.csv"
    table.write_text(f"series,label\n{uid('series A')},one.nii\n{uid('series B')},two.nii\n")
    joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out", table=table)
    assert {key: path.name for key, path in joined.paths.items()} == {
        uid("series A"): "one.nii",
        uid("series B"): "two.nii",
    }


def test_one_load_transform_reads_series_and_masks_alike(tmp_path):
    write_series(tmp_path / "images", series="A")
    write_series(tmp_path / "images", series="B")
    index = index_dicom(tmp_path / "images")
    for series in index.usable:
        write_mask(tmp_path / "masks" / f"{series.uid}.nii.gz", series)
    joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
    load = LoadImaged(keys=["image", "label"], reader="monai_unlearn.data.DicomSeriesReader", ensure_channel_first=True)
    for case in dicom_cases(index, labels=joined.paths):
        assert isinstance(case["image"], list)
        loaded = load(case)
        assert loaded["image"].shape == loaded["label"].shape == (1, 5, 6, 4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("series,mask\n1.2,one.nii\n", "needs the columns 'series' and 'label'"),
        ("series,label\n1.2,none.nii\n", "lists masks that are not in .*: 'none.nii'"),
        ("series,label\n1.2,one.nii\n", "no image series with the SeriesInstanceUID '1.2'"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(index, tmp_path, table, message):
    write_mask(tmp_path / "masks" / "one.nii", index[uid("series A")])
    (tmp_path / "table.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out", table=tmp_path / "table.csv")


def test_a_mask_without_an_image_is_an_error_that_names_it(index, tmp_path):
    write_mask(tmp_path / "masks" / "patient7.nii.gz", index[uid("series A")])
    with pytest.raises(ValueError, match=r"no image for the mask '.*patient7\.nii\.gz'"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no mask"):
        join_masks(index, tmp_path / "empty", output_dir=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="cannot find the folder"):
        join_masks(index, tmp_path / "nowhere", output_dir=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="cannot find the table"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out", table=tmp_path / "nowhere.csv")


def test_two_masks_of_one_series_are_an_error_that_names_both(index, tmp_path):
    series = index[uid("series A")]
    for folder in ("rater1", "rater2"):
        write_mask(tmp_path / "masks" / folder / f"{series.uid}.nii.gz", series)
    with pytest.raises(ValueError, match=r"two masks for the series .*rater1.* and .*rater2"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")


def test_a_mask_of_a_series_that_is_no_volume_is_an_error_that_says_why(tmp_path):
    write_series(tmp_path / "images" / "a", series="A", numbers=[0, 1, 3])
    write_series(tmp_path / "images" / "b", series="B")
    index = index_dicom(tmp_path / "images")
    write_mask(tmp_path / "masks" / f"{uid('series A')}.nii.gz", index.by_uid[uid("series A")])
    with pytest.raises(ValueError, match=r"cannot be used: 1 missing slice between 32\.00 and 36\.00 mm"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")


@pytest.mark.parametrize("fault", [{"shift": 1.0}, {"shape": (5, 6, 3)}, {"shape": (5, 6, 4, 2)}])
def test_a_nifti_mask_beside_its_image_is_refused(index, tmp_path, fault):
    series = index[uid("series A")]
    write_mask(tmp_path / "masks" / f"{series.uid}.nii.gz", series, **fault)
    with pytest.raises(ValueError, match=r"does not lie on the grid of the series .* \(5×6×4\)"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")


def test_a_mask_stored_in_another_direction_needs_orientationd_and_that_is_said(index, tmp_path, caplog):
    """As converters to NIfTI store them: the same voxels, but in another order."""
    series = index[uid("series A")]
    write_mask(tmp_path / "masks" / f"{series.uid}.nii.gz", series, flipped=True)
    assert join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out").paths.keys() == {series.uid}
    assert "needs Orientationd for images and labels" in caplog.text


def test_a_damaged_nifti_file_is_an_error_that_names_it(index, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / f"{uid('series A')}.nii").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"the mask .*\.nii is no NIfTI file"):
        join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")


class TestSegmentations:
    @pytest.fixture(autouse=True)
    def _needs_highdicom(self):
        pytest.importorskip("highdicom", reason="highdicom is not installed: pip install monai_unlearn[dicom]")

    def test_it_belongs_to_the_series_that_it_refers_to(self, index, tmp_path):
        masks = write_seg(tmp_path / "masks" / "any name", tmp_path / "images" / "a", "Liver")
        joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
        (case,) = dicom_cases(index, labels=joined.paths)
        assert case["id"] == uid("series A")
        assert joined.names == {1: "Liver"}
        image, mask = LoadImage()(case["image"]), LoadImage()(case["label"])
        np.testing.assert_array_equal(mask.numpy(), masks[..., 0].transpose(2, 1, 0))
        np.testing.assert_allclose(mask.affine.numpy(), image.affine.numpy(), atol=1e-5)
        salt = (tmp_path / "out" / "salt.key").read_bytes()
        assert joined.paths[uid("series A")].name == f"{hash_identifier(uid('series A'), salt)[:16]}.nii.gz"

    @pytest.mark.parametrize(("frame", "kind"), [("frame B", "B"), ("frame", None)])
    def test_without_a_reference_the_frame_of_reference_decides_if_only_one_series_has_it(self, tmp_path, frame, kind):
        for series, own in (("A", "frame"), ("B", "frame B"), ("C", "frame")):
            write_series(tmp_path / "images" / series, series=series, FrameOfReferenceUID=uid(own))
        index = index_dicom(tmp_path / "images")
        write_seg(tmp_path / "masks" / "seg", tmp_path / "images" / (kind or "A"), "Liver")
        seg = pydicom.dcmread(tmp_path / "masks" / "seg")
        del seg.ReferencedSeriesSequence
        seg.save_as(tmp_path / "masks" / "seg")
        if kind is None:
            with pytest.raises(ValueError, match="fits 2 series"):
                join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
        else:
            joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
            assert joined.paths.keys() == {uid(f"series {kind}")}

    def test_of_another_patient_it_is_an_error_that_names_the_mask(self, index, tmp_path):
        write_series(tmp_path / "elsewhere", series="X")
        write_seg(tmp_path / "masks" / "strange.dcm", tmp_path / "elsewhere", "Liver")
        with pytest.raises(ValueError, match=rf"no image for the mask .*strange\.dcm: .*'{uid('series X')}'"):
            join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")

    def test_segments_that_change_their_meaning_are_refused_and_can_be_named(self, index, tmp_path):
        write_seg(tmp_path / "masks" / "a", tmp_path / "images" / "a", "Liver", "Tumour")
        write_seg(tmp_path / "masks" / "b", tmp_path / "images" / "b", "Tumour", "Liver")
        with pytest.raises(ValueError, match=r"segment 1 is 'Liver' in .* and 'Tumour' in "):
            join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out")
        assert not list((tmp_path / "out").glob("*.nii.gz")), "all are written, or none"
        joined = join_masks(index, tmp_path / "masks", output_dir=tmp_path / "out", segments=["Liver", "Tumour"])
        assert joined.names == {1: "Liver", 2: "Tumour"}
        liver_on = {
            key: int(np.argmax((LoadImage()(str(path)).numpy() == 1).sum((0, 1)))) for key, path in joined.paths.items()
        }
        assert liver_on == {uid("series A"): 0, uid("series B"): 1}
        assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".gz", ".gz", ".key"]


@pytest.mark.real_data
def test_the_command_joins_the_segmentation_of_the_ct_and_writes_a_datalist(tmp_path, capsys):
    pytest.importorskip("highdicom", reason="highdicom is not installed: pip install monai_unlearn[dicom]")
    if not REAL.is_dir():
        pytest.skip(f"no CT with segmentations at {REAL}; set MONAI_UNLEARN_DATA to the folder that holds dicom_seg/")
    series = index_dicom(REAL).usable[0].uid
    with pytest.raises(SystemExit, match=r"two masks for the series .*liver\.dcm and .*partial_overlaps\.dcm"):
        index_folder(str(REAL), output=str(tmp_path / "lists.json"), masks=str(REAL))
    assert list(tmp_path.iterdir()) == [], "nothing half-written"
    (tmp_path / "table.csv").write_text(f"series,label\n{series},liver.dcm\n")
    capsys.readouterr()
    index_folder(str(REAL), output=str(tmp_path / "lists.json"), masks=str(REAL), table=str(tmp_path / "table.csv"))
    assert "1 cases in" in capsys.readouterr().out
    content = json.loads((tmp_path / "lists.json").read_text())
    assert content["labels"] == {"0": "background", "1": "Liver"}
    (case,) = content["training"]
    assert case["label"] == f"lists_masks/{case['id']}.nii.gz"
    assert int((LoadImage()(str(tmp_path / case["label"])).numpy() > 0).sum()) == 107098
    assert "99000" not in (tmp_path / "lists.json").read_text()


def test_the_command_prints_a_table_and_what_is_wrong(tmp_path, capsys):
    write_series(tmp_path / "images" / "a", series="A", numbers=[0, 1, 3], ImageOrientationPatient=list(AXIAL))
    write_series(tmp_path / "images" / "b", series="B")
    index_folder(str(tmp_path / "images"), output=str(tmp_path / "index.json"), masks="None", workers=2)
    printed = capsys.readouterr().out
    assert "modality  description  patients  studies  series  slices  unusable" in printed
    assert "all                           1        1       2       7         1" in printed
    assert "problems: 1" in printed
    assert "unusable series: series" in printed
    assert "1 missing slice between 32.00 and 36.00 mm" in printed
    assert "P-001" not in printed
    assert len(json.loads((tmp_path / "index.json").read_text())["training"]) == 1


def test_the_command_ends_with_one_line_where_there_is_nothing_to_index(tmp_path):
    with pytest.raises(SystemExit, match=r"^monai_unlearn: cannot find the folder '.*nowhere' of DICOM files$"):
        index_folder(str(tmp_path / "nowhere"))
