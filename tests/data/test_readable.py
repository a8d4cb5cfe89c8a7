from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.transforms import Compose, LoadImaged
from PIL import Image

from monai_unlearn.data import check_readable


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, Any]]:
    made = []
    for row in range(4):
        for part in ("image", "label"):
            Image.fromarray(np.full((4, 4), row, np.uint8)).save(tmp_path / f"{part}_{row}.png")
        paths = {part: str(tmp_path / f"{part}_{row}.png") for part in ("image", "label")}
        made.append({"id": f"case_{row}", "row": row, **paths})
    return made


def test_whole_files_pass(cases: list[dict[str, Any]]) -> None:
    check_readable(cases)


def test_labels_that_are_classes_have_no_file(cases: list[dict[str, Any]]) -> None:
    check_readable([{**case, "label": 1} for case in cases])


def test_the_first_missing_file_is_named(cases: list[dict[str, Any]]) -> None:
    for row in (1, 2):
        Path(cases[row]["label"]).unlink()
    with pytest.raises(ValueError, match=r"^cannot find the label .*label_1\.png of the case 'case_1'$"):
        check_readable(cases)


def test_one_of_several_files_of_an_image_is_missing(cases: list[dict[str, Any]]) -> None:
    several = [{**case, "image": [case["image"], case["image"] + ".gone"]} for case in cases]
    with pytest.raises(ValueError, match=r"cannot find the image .*image_0\.png\.gone of the case 'case_0'"):
        check_readable(several)


@pytest.mark.parametrize("by_the_bundle", [False, True])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a reader of MONAI leaves it open
def test_a_file_that_cannot_be_read_is_named_with_its_case(cases: list[dict[str, Any]], by_the_bundle: bool) -> None:
    Path(cases[2]["image"]).write_bytes(b"no picture")
    transform = Compose([LoadImaged(keys=["image", "label"], reader="PILReader")]) if by_the_bundle else None
    with pytest.raises(ValueError, match=r"^the case 'case_2' \(image .*image_2\.png, label .*\) cannot be read \("):
        check_readable(cases, items=cases, transform=transform)


def test_files_are_read_by_the_bundles_own_reader(tmp_path: Path, cases: list[dict[str, Any]]) -> None:
    """A suffix that MONAI would not know is no mistake if the bundle says how to read it."""
    for case in cases:
        for part in ("image", "label"):
            Path(case[part]).rename(odd := f"{case[part]}_of_ours")
            case[part] = odd
    check_readable(cases, items=cases, transform=Compose([LoadImaged(keys=["image", "label"], reader="PILReader")]))
