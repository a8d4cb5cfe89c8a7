from __future__ import annotations

import shutil
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from monai.data import PILReader
from monai.transforms import LoadImage
from PIL import Image

from monai_unlearn.data import PictureResize, check_pictures, download_isic2018, isic_datalists

OFFICIAL = ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth")


def as_official(pictures: Path, folder: Path) -> Path:
    shutil.copytree(pictures / "images", folder / OFFICIAL[0])
    shutil.copytree(pictures / "masks", folder / OFFICIAL[1])
    return folder


def test_the_real_set_is_listed_with_its_own_split(isic_dir: Path) -> None:
    listed = isic_datalists(isic_dir)
    assert (len(listed.training), len(listed.never_trained)) == (1600, 400)
    assert listed.training[0]["id"] == "ISIC_0000000"
    assert listed.training[0]["sex"] == "female"


def test_the_layout_of_the_official_archives_is_read_and_split_by_seed(pictures: Path, tmp_path: Path) -> None:
    official = as_official(pictures, tmp_path)
    first, again, other = (isic_datalists(official, seed=seed) for seed in (0, 0, 1))
    assert (len(first.training), len(first.never_trained)) == (19, 5)
    assert first == again
    assert first.never_trained != other.never_trained


def test_the_archives_are_downloaded_and_unpacked_by_monai(pictures: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    as_official(pictures, served)
    for name in OFFICIAL:
        with zipfile.ZipFile(served / f"{name}.zip", "w") as archive:
            for path in (served / name).iterdir():
                archive.write(path, f"{name}/{path.name}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.warns(UserWarning, match="No hash value provided"):  # ISIC publishes none
            folder = download_isic2018(tmp_path / "set", url=f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
    assert len(isic_datalists(folder).training) == 19


def test_a_folder_without_the_set_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(FileNotFoundError, match=r"found: 'holiday'.*python -m monai_unlearn download isic2018"):
        isic_datalists(tmp_path)


def test_an_image_without_a_mask_is_named(pictures: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pictures, tmp_path / "set")
    (copy / "masks" / "case_05_segmentation.png").unlink()
    with pytest.raises(ValueError, match="'case_05'"):
        isic_datalists(copy)


def test_pictures_come_out_as_the_published_procedure_reads_them(isic_dir: Path) -> None:
    path = isic_dir / "images" / "ISIC_0000000.jpg"
    reader = PILReader(converter=PictureResize(mode="RGB", size=96, interpolation="bilinear"), reverse_indexing=False)
    ours = LoadImage(reader=reader, image_only=True, ensure_channel_first=True)(path)
    theirs = np.asarray(Image.open(path).convert("RGB").resize((96, 96), Image.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(np.asarray(ours), theirs.astype(np.float32))


def damage(folder: Path, kind: str) -> None:
    image, mask = folder / "images" / "case_03.jpg", folder / "masks" / "case_03_segmentation.png"
    if kind == "truncated":
        image.write_bytes(image.read_bytes()[:-200])
    elif kind == "no picture":
        image.write_bytes(b"not a picture")
    elif kind == "other size":
        Image.open(mask).resize((16, 32)).save(mask)
    elif kind == "empty":
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(mask)
    elif kind == "gone":
        image.unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", r"case_03\.jpg is damaged"),
        ("no picture", r"case_03\.jpg is no picture"),
        ("other size", r"case_03_segmentation\.png has 16×32 pixels"),
        ("empty", r"case_03_segmentation\.png has no foreground"),
        ("gone", r"cannot find the image .*case_03\.jpg"),
    ],
)
def test_a_bad_picture_is_named_before_anything_is_trained(
    pictures: Path, tmp_path: Path, kind: str, message: str
) -> None:
    copy = shutil.copytree(pictures, tmp_path / "set")
    listed = isic_datalists(copy)
    damage(copy, kind)
    with pytest.raises(ValueError, match=message):
        check_pictures([*listed.training, *listed.never_trained])


def test_good_pictures_pass(pictures: Path) -> None:
    check_pictures(isic_datalists(pictures).training)
