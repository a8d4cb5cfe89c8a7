"""Skin-lesion classification (HAM10000 and sets of its kind): datalists, and phantoms in its place."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_unlearn.data.datalists import Case, Datalists, read_table
from monai_unlearn.data.phantom_classes import LESION_CLASSES, write_class_phantoms
from monai_unlearn.data.request import shorten

__all__ = ["LESION_CLASSES", "ClassDatalists", "class_of", "lesion_class_datalists", "list_lesion_classes"]

TABLES = ("labels.csv", "HAM10000_metadata.csv", "HAM10000_metadata")
IMAGE_FOLDERS = ("images", "HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_images")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
TRAINING_FOLDERS = {"train", "training"}
NEVER_TRAINED_FOLDERS = {"val", "valid", "validation", "test"}
NEVER_TRAINED_SHARE = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClassDatalists(Datalists):
    """Datalists of a classification: the ``label`` of a case is the position of its class in ``class_names``.

    Args:
        class_names: names of the classes, sorted.
    """

    class_names: tuple[str, ...]


def class_of(case: Case) -> tuple[int, ...]:
    """Return the one label value that a case of a classification has."""
    return (int(case["label"]),)


def lesion_class_datalists(
    *, dataset_dir: str | Path | None, phantom_dir: str | Path, image_size: int = 64, seed: int = 0
) -> ClassDatalists:
    """List a set where ``dataset_dir`` is given, else phantom images made on the spot.

    Args:
        dataset_dir: see :func:`list_lesion_classes`; ``None`` makes phantoms and says so.
        phantom_dir: where the phantoms are written.
        image_size: side of the phantoms, pixels.
        seed: seed of the phantoms, and of the split where the set has none of its own.
    """
    if dataset_dir is not None:
        return list_lesion_classes(dataset_dir, seed=seed)
    logger.warning(
        "NO dataset_dir: training, forgetting and auditing on SYNTHETIC PHANTOM images. The figures say nothing "
        "about patients."
    )
    folder = write_class_phantoms(Path(phantom_dir) / f"classes{image_size}_seed{seed}", size=image_size, seed=seed)
    listed = list_lesion_classes(folder, seed=seed)
    return ClassDatalists(
        name="phantom lesion classes",
        training=listed.training,
        never_trained=listed.never_trained,
        synthetic=True,
        class_names=listed.class_names,
    )


def list_lesion_classes(dataset_dir: str | Path, *, seed: int = 0) -> ClassDatalists:
    """List the images of a lesion classification set with their classes.

    Three layouts are read. ``images/`` and ``labels.csv`` (columns ``image_id``, ``dx``, ``split`` and any others);
    that of the HAM10000 archive (``HAM10000_metadata.csv``, its images in ``HAM10000_images_part_1/`` and ``…part_2/``
    or in one folder); and one folder per class, directly or under ``train/`` and ``val/`` (or ``test/``). The columns
    become those of the cases, as text; the site, ``dataset`` in the archive's newer tables, is always ``source``. Where
    the set has no split of its own, a fifth of the lesions is set aside as never trained.

    The classes are HAM10000's seven. Where a set is a folder per class and has others, they are its folders.

    Args:
        dataset_dir: folder that holds the set.
        seed: seed of the split where the set has none.

    Raises:
        FileNotFoundError: if the folder does not hold such a set; the message says what was looked for.
        ValueError: if table and images do not fit together, or a class is unknown.
    """
    root = Path(dataset_dir)
    table = next((root / name for name in TABLES if (root / name).is_file()), None)
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    names: tuple[str, ...] = LESION_CLASSES
    if table is not None:
        cases = _cases_of_table(root, table)
    else:
        names, cases = _cases_of_folders(folders)
    if not cases:
        found = shorten(sorted(path.name for path in root.iterdir())) if root.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{root} holds no set of classified lesions: expected 'labels.csv' and 'images/', or "
            "'HAM10000_metadata.csv' and 'HAM10000_images_part_1/' …, or a folder of images per class "
            f"(found: {found or 'an empty folder'})"
        )
    drawn = not all("split" in case for case in cases)
    training, never_trained = _split(cases, seed) if drawn else _split_by_column(cases, table or root)
    return ClassDatalists(
        name="ham10000" if table else "lesion classes",
        training=training,
        never_trained=never_trained,
        split_drawn=drawn,
        class_names=names,
    )


def _cases_of_table(root: Path, table: Path) -> list[Case]:
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()] or [root]
    images = {path.stem: path for folder in folders for path in _images(folder)}
    if not images:
        raise FileNotFoundError(f"{root} holds '{table.name}' but no image in {shorten(IMAGE_FOLDERS)} or beside it")
    rows = {row.get("image_id") or "": row for row in read_table(table)}
    if "" in rows:
        raise ValueError(f"{table} has a row without 'image_id'; its columns are {shorten(list(rows['']), 20)}")
    for problem, names in (
        (f"{table} has no row with the 'image_id'", sorted(set(images) - set(rows))),
        (f"{root} has no image for the rows of '{table.name}' with the 'image_id'", sorted(set(rows) - set(images))),
    ):
        if names:
            raise ValueError(f"{problem} {shorten(names)}")
    unknown = [name for name in sorted(rows) if rows[name].get("dx") not in LESION_CLASSES]
    if unknown:
        raise ValueError(
            f"{table}: the column 'dx' is one of {', '.join(LESION_CLASSES)}; it is {rows[unknown[0]].get('dx')!r} for "
            f"{shorten(unknown)}"
        )
    cases = []
    for name in sorted(rows):
        columns = {key: value or "" for key, value in rows[name].items() if key and key != "image_id"}
        if "dataset" in columns:
            columns.setdefault("source", columns.pop("dataset"))
        label = LESION_CLASSES.index(columns["dx"])
        cases.append({**columns, "id": name, "image": str(images[name]), "label": label})
    return cases


def _cases_of_folders(folders: Sequence[Path]) -> tuple[tuple[str, ...], list[Case]]:
    halves = [path for path in folders if path.name.lower() in TRAINING_FOLDERS | NEVER_TRAINED_FOLDERS]
    split_given = len({path.name.lower() in TRAINING_FOLDERS for path in halves}) == 2
    listed: list[tuple[str, dict[str, str]]] = []
    for half in halves:
        split = {"split": "train" if half.name.lower() in TRAINING_FOLDERS else "val"} if split_given else {}
        listed.extend((str(path), split) for path in sorted(half.iterdir()) if path.is_dir())
    if not halves:
        listed = [(str(path), {}) for path in folders]
    found = [(Path(folder), split, images) for folder, split in listed if (images := list(_images(Path(folder))))]
    names = tuple(sorted({folder.name for folder, _, _ in found}))
    if {name.lower() for name in names} <= set(LESION_CLASSES):
        names = LESION_CLASSES  # a set that lacks one of the seven still fits a network of seven
        found = [(folder.with_name(folder.name.lower()), split, images) for folder, split, images in found]
    cases: list[Case] = [
        {**split, "dx": folder.name, "lesion_id": "", "id": path.stem, "image": str(path)}
        | {"label": names.index(folder.name)}
        for folder, split, images in found
        for path in images
    ]
    return names, sorted(cases, key=lambda case: str(case["id"]))


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES)


def _split(cases: Sequence[Case], seed: int) -> tuple[list[Case], list[Case]]:
    """Set aside a fifth of the lesions, with all their images; a case without a lesion is one of its own."""
    lesions = [case.get("lesion_id") or f"case {case['id']}" for case in cases]
    every = sorted(set(lesions))
    order = np.random.default_rng(seed).permutation(len(every))
    never = {every[index] for index in order[: max(1, round(NEVER_TRAINED_SHARE * len(every)))]}
    return (
        [case for case, lesion in zip(cases, lesions, strict=True) if lesion not in never],
        [case for case, lesion in zip(cases, lesions, strict=True) if lesion in never],
    )


def _split_by_column(cases: Sequence[Case], where: Path) -> tuple[list[Case], list[Case]]:
    wrong = [case["id"] for case in cases if case["split"] not in ("train", "val")]
    if wrong:
        raise ValueError(f"{where}: the column 'split' is 'train' or 'val'; it is neither for {shorten(wrong)}")
    return [case for case in cases if case["split"] == "train"], [case for case in cases if case["split"] == "val"]
