from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

REAL_DATA = Path(os.environ.get("MONAI_UNLEARN_DATA", Path(__file__).parents[2] / "shared" / "data"))

torch.set_num_threads(1)  # the tests are tiny; two threads that wait for each other on a busy machine are slow


@pytest.fixture(autouse=True)
def _reproducible() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def isic_dir() -> Path:
    folder = REAL_DATA / "isic2018"
    if not folder.is_dir():
        pytest.skip(f"no ISIC 2018 images at {folder}; set MONAI_UNLEARN_DATA to the folder that holds isic2018/")
    return folder


def write_pictures(folder: Path, count: int, *, size: int = 32, split: bool = True) -> Path:
    """Write a tiny set in the layout of ISIC: discs of different size and colour; cases 0 and 1 share a lesion."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = ["image_id,lesion_id,age,split"]
    y, x = np.mgrid[:size, :size]
    for index in range(count):
        generator = np.random.default_rng(index)
        centre, radius = generator.uniform(0.35, 0.65, 2) * size, generator.uniform(0.15, 0.3) * size
        disc = np.hypot(y - centre[0], x - centre[1]) < radius
        image = np.where(disc[..., None], [90, 60, 50], [220, 180, 160]) + generator.normal(0, 12, (size, size, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            folder / "images" / f"case_{index:02d}.jpg", quality=95
        )
        Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "masks" / f"case_{index:02d}_segmentation.png")
        lesion = "lesion_a" if index < 2 else ""
        rows.append(f"case_{index:02d},{lesion},{20 + index},{'val' if index % 4 == 3 else 'train'}")
    if split:
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "set", 24)
