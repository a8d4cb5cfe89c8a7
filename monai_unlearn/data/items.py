"""The cases of a user's own bundle: the items of its datasets, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from monai_unlearn.data.datalists import Case, Datalists
from monai_unlearn.data.identifiers import case_id

__all__ = ["item_datalists", "item_list"]

NAMES = ("file", "folder", "folder/file")
"""What a case may be named by where the datalist gives no ``id``."""


def item_list(dataset: object, section: str) -> list[Case]:
    """Return the list of dictionaries that a MONAI dataset is made from.

    Args:
        dataset: the list, or a ``Dataset``, ``CacheDataset``, ``PersistentDataset`` or another one with ``data``.
        section: section of the config that the dataset stands in, for messages.

    Raises:
        ValueError: if there is no such list, or it is empty.
    """
    data = dataset if isinstance(dataset, Sequence) else getattr(dataset, "data", None)
    if not isinstance(data, Sequence) or not all(isinstance(item, dict) for item in data):
        raise ValueError(
            f"'{section}#dataset' ({type(dataset).__name__}) has no list of dictionaries to read the cases from; "
            "the overlay works with monai.data.Dataset and its kin on a datalist"
        )
    if not data:
        raise ValueError(f"'{section}#dataset' has no cases: its list is empty; is 'dataset_dir' right?")
    return [dict(item) for item in data]


def item_datalists(
    training: Sequence[Case], never_trained: Sequence[Case], *, name: str, id_from: str = "file"
) -> Datalists:
    """Make datalists of the items of a bundle's training and validation datasets, every case with an ``id``.

    Items whose preprocessing makes the image of several files (``{"t1": …, "t2": …}``) get these as ``image``.

    Args:
        training: items of ``train#dataset``.
        never_trained: items of ``validate#dataset``.
        name: name of the set, for reports.
        id_from: what names a case without an ``id``: the image's ``"file"`` without suffixes, its ``"folder"``, or
            both, ``"folder/file"``.

    Raises:
        ValueError: if ``id_from`` is unknown, an item has neither an ``id`` nor a file, or two items are named alike.
    """
    if id_from not in NAMES:
        raise ValueError(f"'id_from' is one of {', '.join(NAMES)}; got {id_from!r}")
    sides = {"train#dataset": training, "validate#dataset": never_trained}
    named = {side: [_named(item, id_from) for item in items] for side, items in sides.items()}
    seen: dict[str, tuple[str, Case]] = {}
    for side, cases in named.items():
        for case in cases:
            before = seen.setdefault(case["id"], (side, case))
            if before[1] is not case:
                raise ValueError(_two_alike(case["id"], *before, side, case))
    return Datalists(name=name, training=named["train#dataset"], never_trained=named["validate#dataset"])


def _named(item: Case, id_from: str) -> Case:
    case = dict(item)
    if "image" not in case:
        case["image"] = [value for key, value in case.items() if key != "label" and isinstance(value, (str, PurePath))]
    file = case_id({"id": case.get("id"), "image": case["image"]})
    if case.get("id") in (None, "") and id_from != "file":
        folder = _first_path(case).resolve().parent.name
        file = folder if id_from == "folder" else f"{folder}/{file}"
    return {**case, "id": file}


def _two_alike(name: str, side: str, case: Case, other_side: str, other: Case) -> str:
    if case["image"] == other["image"] and side != other_side:
        return (
            f"the image {_first_path(case)} is in '{side}' and in '{other_side}': what a network was trained on cannot "
            "tell how it does on what it never saw; give 'validate#dataset' a list of its own"
        )
    if case["image"] == other["image"]:
        return f"the image {_first_path(case)} is twice in '{side}'; give each item an 'id', or take one of them out"
    return (
        f"two cases have the id {name!r}: {_first_path(case)} and {_first_path(other)}. Name cases by their folders "
        "with --id_from folder or --id_from folder/file, or give each item an 'id'"
    )


def _first_path(case: Case) -> Path:
    image = case["image"]
    return Path(image[0] if isinstance(image, (list, tuple)) else image)
