"""ISIC 2018 Task 1 (lesion segmentation in dermoscopy): datalists, phantoms in its place, download."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.apps.utils import download_and_extract

from monai_unlearn.data.datalists import Case, Datalists, read_table
from monai_unlearn.data.phantom import write_lesion_phantoms
from monai_unlearn.data.request import shorten

__all__ = ["ISIC2018_URL", "download_isic2018", "isic_datalists", "lesion_datalists"]

ISIC2018_URL = "https://isic-challenge-data.s3.amazonaws.com/2018"
TRAINING = ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth")
VALIDATION = ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
NEVER_TRAINED_SHARE = 0.2

logger = logging.getLogger(__name__)


def lesion_datalists(
    *, dataset_dir: str | Path | None, phantom_dir: str | Path, image_size: int = 128, seed: int = 0
) -> Datalists:
    """List ISIC 2018 where ``dataset_dir`` is given, else phantom images made on the spot.

    Args:
        dataset_dir: see :func:`isic_datalists`; ``None`` makes phantoms and says so.
        phantom_dir: where the phantoms are written.
        image_size: side of the phantoms, pixels.
        seed: seed of the phantoms, and of the split where the set has none of its own.
    """
    if dataset_dir is not None:
        return isic_datalists(dataset_dir, seed=seed)
    logger.warning(
        "NO dataset_dir: training, forgetting and auditing on SYNTHETIC PHANTOM images. The figures say nothing "
        "about patients."
    )
    folder = write_lesion_phantoms(Path(phantom_dir) / f"size{image_size}_seed{seed}", size=image_size, seed=seed)
    listed = isic_datalists(folder, seed=seed)
    return Datalists(
        name="phantom lesions", training=listed.training, never_trained=listed.never_trained, synthetic=True
    )


def isic_datalists(dataset_dir: str | Path, *, seed: int = 0) -> Datalists:
    """List the images and masks of ISIC 2018 Task 1.

    Two layouts are read: ``images/``, ``masks/`` and ``labels.csv`` (columns ``image_id``, ``split``, ``lesion_id``
    …), and that of the official archives (``ISIC2018_Task1-2_Training_Input/``,
    ``ISIC2018_Task1_Training_GroundTruth/``, and the validation pair of folders where it is there). Without a split of
    its own, a fifth is set aside as never trained.

    Args:
        dataset_dir: folder that holds the set.
        seed: seed of the split where the set has none.

    Raises:
        FileNotFoundError: if the folder does not hold the set; the message says what is missing and how to get it.
        ValueError: if an image has no mask, or the table and the images do not fit together.
    """
    root = Path(dataset_dir)
    drawn = False
    if (root / TRAINING[0]).is_dir():
        logger.info(
            "the official archives name no lesions: every image is a group of its own, unless 'table' brings a column"
        )
        training = _pairs(root / TRAINING[0], root / TRAINING[1], lesion_id="")
        if (root / VALIDATION[0]).is_dir() and (root / VALIDATION[1]).is_dir():
            never_trained = _pairs(root / VALIDATION[0], root / VALIDATION[1], lesion_id="")
        else:
            training, never_trained = _split(training, seed)
            drawn = True
    elif (root / "images").is_dir():
        cases = _pairs(root / "images", root / "masks")
        cases = _with_table(cases, root / "labels.csv")
        drawn = not all("split" in case for case in cases)
        training, never_trained = _split(cases, seed) if drawn else _split_by_column(cases, root / "labels.csv")
    else:
        found = shorten(sorted(path.name for path in root.iterdir())) if root.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{root} does not hold ISIC 2018 Task 1: expected 'images/' and 'masks/', or '{TRAINING[0]}/' and "
            f"'{TRAINING[1]}/' "
            f"(found: {found or 'an empty folder'}). Get it with: python -m monai_unlearn download isic2018 {root}"
        )
    return Datalists(name="isic2018", training=training, never_trained=never_trained, split_drawn=drawn)


def download_isic2018(folder: str | Path, *, url: str = ISIC2018_URL) -> Path:
    """Download and unpack the training images and masks of ISIC 2018 Task 1 with MONAI's downloader (11 GB).

    Args:
        folder: where to; made if missing. Archives that are already there are not fetched again.
        url: where from.

    Returns:
        The folder, ready as ``dataset_dir``.

    Raises:
        ValueError: if an archive cannot be fetched, unpacked or written.
    """
    folder = Path(folder)
    partial = folder / ".partial"
    for name in TRAINING:
        if not (folder / name).is_dir():  # a folder is moved here only once it is whole
            try:
                download_and_extract(url=f"{url}/{name}.zip", filepath=folder / f"{name}.zip", output_dir=partial)
                (partial / name).rename(folder / name)
            except OSError as error:
                raise ValueError(f"cannot download {url}/{name}.zip to {folder}: {error}") from error
    shutil.rmtree(partial, ignore_errors=True)
    return folder


def _pairs(images: Path, masks: Path, **columns: str) -> list[Case]:
    if not masks.is_dir():
        raise FileNotFoundError(
            f"{images} has no masks beside it: expected '{masks}'. "
            f"Get them with: python -m monai_unlearn download isic2018 {images.parent}"
        )
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{images} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    cases = [
        {**columns, "id": path.stem, "image": str(path), "label": str(masks / f"{path.stem}_segmentation.png")}
        for path in paths
    ]
    missing = [case["id"] for case in cases if not Path(case["label"]).is_file()]
    if missing:
        raise ValueError(f"{masks} has no mask '<id>_segmentation.png' for {shorten(missing)}")
    return cases


def _split(cases: Sequence[Case], seed: int) -> tuple[list[Case], list[Case]]:
    order = np.random.default_rng(seed).permutation(len(cases))
    never = set(order[: max(1, round(NEVER_TRAINED_SHARE * len(cases)))].tolist())
    return (
        [case for index, case in enumerate(cases) if index not in never],
        [case for index, case in enumerate(cases) if index in never],
    )


def _with_table(cases: Sequence[Case], table: Path) -> list[Case]:
    if not table.is_file():
        return list(cases)
    rows = {row.get("image_id", ""): row for row in read_table(table)}
    unlisted = [case["id"] for case in cases if case["id"] not in rows]
    if unlisted:
        raise ValueError(f"{table} has no row with the 'image_id' {shorten(unlisted)}")
    return [{**{key: value for key, value in rows[case["id"]].items() if key != "image_id"}, **case} for case in cases]


def _split_by_column(cases: Sequence[Case], table: Path) -> tuple[list[Case], list[Case]]:
    wrong = [case["id"] for case in cases if case["split"] not in ("train", "val")]
    if wrong:
        raise ValueError(f"{table}: the column 'split' is 'train' or 'val'; it is neither for {shorten(wrong)}")
    return [case for case in cases if case["split"] == "train"], [case for case in cases if case["split"] == "val"]
