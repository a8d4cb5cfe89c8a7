from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.data import check_images


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    listed = []
    for index in range(4):
        path = tmp_path / f"case_{index}.jpg"
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
        listed.append({"image": str(path), "label": index})
    return listed


def test_good_images_pass_whatever_their_label(cases: list[dict[str, Any]]) -> None:
    check_images(cases)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", r"case_2\.jpg is damaged"),
        ("no picture", r"case_2\.jpg is no picture"),
        ("gone", r"cannot find the image .*case_2\.jpg"),
    ],
)
def test_the_first_bad_image_is_named(cases: list[dict[str, Any]], kind: str, message: str) -> None:
    for case in cases[2:]:
        path = Path(case["image"])
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[:-200])
        elif kind == "no picture":
            path.write_bytes(b"not a picture")
        else:
            path.unlink()
    with pytest.raises(ValueError, match=message):
        check_images(cases)
