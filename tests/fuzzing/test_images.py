from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_unlearn.data import check_images, check_pictures, check_readable, check_volumes
from tests.fuzzing.hostile import damaged, hostile, refused_clearly

CHECKS: dict[str, tuple[Callable[..., None], str]] = {
    "picture": (check_pictures, ".jpg"),
    "image": (check_images, ".png"),
    "volume": (check_volumes, ".nii"),
    "compressed volume": (check_volumes, ".nii.gz"),
    "any": (check_readable, ".nii"),
}


def whole(suffix: str, *, mask: bool = False) -> bytes:
    values = np.arange(64 * 4).reshape(16, 16) % 2
    if ".nii" in suffix:
        volume = nibabel.Nifti1Image(np.stack([values] * 3, -1).astype(np.uint8), np.eye(4))
        content = volume.to_bytes()
        if suffix.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
        return bytes(content)
    buffer = io.BytesIO()
    picture = Image.fromarray((values * 255).astype(np.uint8))
    (picture if mask else picture.convert("RGB")).save(buffer, "JPEG" if suffix == ".jpg" else "PNG")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # readers warn of what they then refuse
@hostile
@given(content=st.data())
@pytest.mark.parametrize("kind", CHECKS)
def test_any_image_file_is_read_or_named_in_one_line(tmp_path: Path, kind: str, content: st.DataObject) -> None:
    check, suffix = CHECKS[kind]
    image, label = tmp_path / f"case_1{suffix}", tmp_path / f"mask_1{'.png' if suffix == '.jpg' else suffix}"
    image.write_bytes(content.draw(damaged(whole(suffix))))
    label.write_bytes(whole(label.name[len("mask_1") :], mask=True))
    case = {"id": "case_1", "image": str(image), "label": 1 if kind == "image" else str(label), "row": 0}
    with refused_clearly(naming="case_1"):
        check([case])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CHECKS)
def test_a_picture_of_many_gigabytes_is_refused_before_it_is_unpacked(tmp_path: Path, kind: str) -> None:
    check, suffix = CHECKS[kind]
    image = tmp_path / f"case_1{suffix}"
    if ".nii" in suffix:
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.float64)
        header.set_data_shape((30000, 30000, 30000))
        content = header.binaryblock + b"\0" * 4
        if suffix.endswith(".gz"):
            content = gzip.compress(content)
        image.write_bytes(content)
    else:
        png = bytearray(whole(".png"))
        png[16:24] = (60000).to_bytes(4, "big") * 2
        image.write_bytes(bytes(png))
    case = {"id": "case_1", "image": str(image), "label": 1 if kind == "image" else str(image), "row": 0}
    with pytest.raises(ValueError, match="case_1"):
        check([case])
