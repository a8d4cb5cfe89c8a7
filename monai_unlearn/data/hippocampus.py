"""Hippocampus in MR volumes (Medical Segmentation Decathlon, task 4): datalists, and phantoms in its place."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.data import load_decathlon_datalist
from monai.utils import ensure_tuple_rep

from monai_unlearn.data.datalists import Case, Datalists
from monai_unlearn.data.phantom_volumes import write_volume_phantoms
from monai_unlearn.data.request import shorten

__all__ = ["HIPPOCAMPUS_CLASSES", "hippocampus_datalists", "task04_datalists"]

HIPPOCAMPUS_CLASSES = ("background", "anterior", "posterior")  # position = label value
TASK = "Task04_Hippocampus"
SUFFIX = ".nii.gz"
NEVER_TRAINED_SHARE = 0.2

logger = logging.getLogger(__name__)


def hippocampus_datalists(
    *,
    dataset_dir: str | Path | None,
    phantom_dir: str | Path,
    image_size: int | Sequence[int] = (40, 56, 40),
    seed: int = 0,
) -> Datalists:
    """List the decathlon's hippocampus set where ``dataset_dir`` is given, else phantom volumes made on the spot.

    Args:
        dataset_dir: see :func:`task04_datalists`; ``None`` makes phantoms and says so.
        phantom_dir: where the phantoms are written.
        image_size: largest shape of a phantom, voxels; one number for a cube.
        seed: seed of the phantoms and of the split.
    """
    if dataset_dir is not None:
        return task04_datalists(dataset_dir, seed=seed)
    logger.warning(
        "NO dataset_dir: training, forgetting and auditing on SYNTHETIC PHANTOM volumes. The figures say nothing "
        "about patients."
    )
    size = ensure_tuple_rep(image_size, 3)
    name = f"size{'x'.join(map(str, size))}_seed{seed}"
    folder = write_volume_phantoms(Path(phantom_dir) / name, size=size, seed=seed)
    listed = task04_datalists(folder, seed=seed)
    return Datalists(
        name="phantom volumes",
        training=listed.training,
        never_trained=listed.never_trained,
        synthetic=True,
        split_drawn=True,
    )


def task04_datalists(dataset_dir: str | Path, *, seed: int = 0) -> Datalists:
    """List the volumes and masks (0 background, 1 anterior, 2 posterior) of ``Task04_Hippocampus``.

    Two layouts are read: that of the official archive (``dataset.json``, ``imagesTr/``, ``labelsTr/``; the folder
    itself or the one that holds it), and ``images/`` with ``labels/`` of the same file names. The set has no split of
    its own with masks on both sides: a fifth is set aside as never trained. Each volume is one patient (one
    hippocampus; the set does not say whose two belong together), named in the column ``patient``.

    Args:
        dataset_dir: folder that holds the set.
        seed: seed of the split.

    Raises:
        FileNotFoundError: if the folder does not hold the set, or a listed file is missing.
        ValueError: if ``dataset.json`` cannot be read, a volume has no mask or a mask no volume, or there are fewer
            than five volumes.
    """
    root = Path(dataset_dir)
    official = next((place for place in (root, root / TASK) if (place / "dataset.json").is_file()), None)
    if official is not None:
        pairs = _official_pairs(official)
    elif (root / "images").is_dir():
        pairs = _pairs_of_folders(root / "images", root / "labels")
    else:
        found = shorten(sorted(path.name for path in root.iterdir())) if root.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{root} does not hold {TASK}: expected 'dataset.json', 'imagesTr/' and 'labelsTr/' of the official "
            f"archive, or 'images/' and 'labels/' (found: {found or 'an empty folder'})"
        )
    if len(pairs) < 5:
        raise ValueError(
            f"{official or root} holds {len(pairs)} volumes with masks; at least 5 are needed to set some aside"
        )
    cases: list[Case] = []
    for image, label in pairs:
        name = image.name.removesuffix(SUFFIX).removesuffix(".nii")
        cases.append({"id": name, "image": str(image), "label": str(label), "patient": name})
    training, never_trained = _split(cases, seed)
    return Datalists(name="hippocampus", training=training, never_trained=never_trained, split_drawn=True)


def _official_pairs(folder: Path) -> list[tuple[Path, Path]]:
    listing = folder / "dataset.json"
    try:
        items = load_decathlon_datalist(listing, is_segmentation=True, data_list_key="training", base_dir=folder)
        pairs = [(Path(item["image"]), Path(item["label"])) for item in items]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot read {listing}: {reason}; take the file of the official archive") from error
    missing = [str(path) for pair in pairs for path in pair if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{listing} lists files that are not there: {shorten(missing)}; unpack the archive again"
        )
    return sorted(pairs)


def _pairs_of_folders(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    if not labels.is_dir():
        raise FileNotFoundError(f"{images} has no masks beside it: expected '{labels}'")
    volumes, masks = (
        # the archives of the decathlon carry macOS's '._' files beside the volumes
        {path.name: path for path in folder.iterdir() if path.name.endswith((SUFFIX, ".nii")) and path.name[0] != "."}
        for folder in (images, labels)
    )
    if lonely := sorted(volumes.keys() - masks.keys()):
        raise ValueError(f"{labels} has no mask for {shorten(lonely)}; masks have the file names of their volumes")
    if lonely := sorted(masks.keys() - volumes.keys()):
        raise ValueError(f"{images} has no volume for the masks {shorten(lonely)}; add them, or take the masks away")
    return [(volumes[name], masks[name]) for name in sorted(volumes)]


def _split(cases: Sequence[Case], seed: int) -> tuple[list[Case], list[Case]]:
    order = np.random.default_rng(seed).permutation(len(cases))
    never = set(order[: max(2, round(NEVER_TRAINED_SHARE * len(cases)))].tolist())
    return (
        [case for index, case in enumerate(cases) if index not in never],
        [case for index, case in enumerate(cases) if index in never],
    )
