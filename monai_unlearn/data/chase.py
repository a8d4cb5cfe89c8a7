"""CHASE_DB1 (retinal vessels, both eyes of 14 children, two observers): datalists, and phantoms in its place."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

from monai_unlearn.data.datalists import Case, Datalists
from monai_unlearn.data.phantom_vessels import write_vessel_phantoms
from monai_unlearn.data.wording import shorten

__all__ = ["OBSERVERS", "chase_datalists", "vessel_datalists"]

OBSERVERS = ("1stHO", "2ndHO")
"""The two observers who marked the vessels, as the files name them."""
TRAINED_CHILDREN = 10
"""Children 01 to 10 train, those after them are never trained on."""
EYE = re.compile(r"(?P<set>\w+)_(?P<child>\d\d)(?P<eye>[LR])")  # Image_01L
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}

logger = logging.getLogger(__name__)


def vessel_datalists(
    *,
    dataset_dir: str | Path | None,
    phantom_dir: str | Path,
    observer: str = "1stHO",
    image_size: int = 128,
    seed: int = 0,
) -> Datalists:
    """List CHASE_DB1 where ``dataset_dir`` is given, else phantom images made on the spot.

    Args:
        dataset_dir: see :func:`chase_datalists`; ``None`` makes phantoms and says so.
        phantom_dir: where the phantoms are written.
        observer: see :func:`chase_datalists`.
        image_size: side of a training patch, pixels; the phantoms are twice as large.
        seed: seed of the phantoms.
    """
    if dataset_dir is not None:
        return chase_datalists(dataset_dir, observer=observer)
    logger.warning(
        "NO dataset_dir: training, forgetting and auditing on SYNTHETIC PHANTOM images. The figures say nothing "
        "about patients."
    )
    size = 2 * image_size
    folder = write_vessel_phantoms(Path(phantom_dir) / f"size{size}_seed{seed}", size=size, seed=seed)
    return replace(chase_datalists(folder, observer=observer), name="phantom vessels", synthetic=True)


def chase_datalists(dataset_dir: str | Path, *, observer: str = "1stHO") -> Datalists:
    """List the images of CHASE_DB1 with the vessels that an observer marked.

    Two layouts are read: ``images/``, ``masks_1stHO/`` and ``masks_2ndHO/``; and that of the official archive, all
    files in one folder (``Image_01L.jpg``, ``Image_01L_1stHO.png``, ``Image_01L_2ndHO.png``). The cases have the
    columns ``patient`` (the child: ``01`` …), ``eye`` (``L`` or ``R``) and ``rater``.

    Args:
        dataset_dir: folder that holds the set.
        observer: ``1stHO``, ``2ndHO``, or ``both``: every image is listed once for each of them then, as
            ``Image_01L-1stHO`` and ``Image_01L-2ndHO``, so that a request can name a rater.

    Returns:
        Children 01 to 10 as training cases, 11 to 14 as never trained ones.

    Raises:
        FileNotFoundError: if the folder does not hold the set; the message says what is missing.
        ValueError: if ``observer`` is unknown, an image has no mask, a mask no image, or no child is on one of the
            sides.
    """
    if observer not in (*OBSERVERS, "both"):
        raise ValueError(f"'observer' is one of {', '.join(OBSERVERS)}, both; got {observer!r}")
    images, folders = _find(Path(dataset_dir))
    raters = OBSERVERS if observer == "both" else (observer,)
    cases: list[Case] = []
    for path in images:
        for rater in raters:
            match = EYE.fullmatch(path.stem)
            assert match is not None
            cases.append(
                {
                    "id": f"{path.stem}-{rater}" if observer == "both" else path.stem,
                    "image": str(path),
                    "label": str(folders[rater] / f"{path.stem}_{rater}.png"),
                    "patient": match["child"],
                    "eye": match["eye"],
                    "rater": rater,
                }
            )
    _refuse_unpaired(cases, {rater: folders[rater] for rater in raters})
    sides = (
        [case for case in cases if int(case["patient"]) <= TRAINED_CHILDREN],
        [case for case in cases if int(case["patient"]) > TRAINED_CHILDREN],
    )
    if not all(sides):
        raise ValueError(
            f"{dataset_dir} holds {len(images)} images, but none of the children "
            f"{'01 to 10, which train' if not sides[0] else '11 to 14, which are never trained on'}; add them"
        )
    return Datalists(name="chase_db1", training=sides[0], never_trained=sides[1])


def _find(root: Path) -> tuple[list[Path], dict[str, Path]]:
    """Return the images in order and the folder of each observer's masks."""
    nested = (root / "images").is_dir()
    folder = root / "images" if nested else root
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and EYE.fullmatch(path.stem)]
    if not images:
        found = shorten([path.name for path in paths]) if root.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{root} does not hold CHASE_DB1: expected 'images/', 'masks_1stHO/' and 'masks_2ndHO/', or "
            f"'Image_01L.jpg' and 'Image_01L_1stHO.png' in one folder (found: {found or 'an empty folder'})"
        )
    return images, {rater: root / f"masks_{rater}" if nested else root for rater in OBSERVERS}


def _refuse_unpaired(cases: list[Case], folders: dict[str, Path]) -> None:
    expected = {case["label"] for case in cases}
    for rater, folder in folders.items():
        missing = [case["id"] for case in cases if case["rater"] == rater and not Path(case["label"]).is_file()]
        if missing:
            raise ValueError(
                f"{folder} has no mask '<id>_{rater}.png' for {shorten(missing)}; add it, or remove the image"
            )
        masks = sorted(path for path in folder.glob(f"*_{rater}.png"))
        if alone := [path.name for path in masks if str(path) not in expected]:
            raise ValueError(f"{folder} has masks without an image: {shorten(alone)}; add the images, or remove them")
