"""The cases of a user's own bundle: their names, their images without augmentation, and what their labels hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from monai_unlearn.data.datalists import Case, Datalists
from monai_unlearn.data.identifiers import case_id

__all__ = ["CaseImages", "LabelValues", "example_image", "item_datalists", "item_list", "task_of"]

Task = Literal["segmentation", "classification"]
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


def example_image(dataset: Dataset[Any], *, count: int) -> torch.Tensor:
    """Return the first image as the network gets it in training: shape ``(1, C, *spatial)``, zeros.

    Args:
        dataset: the training set.
        count: number of items in its list.

    Raises:
        ValueError: if the dataset has another number of items, so that nothing tells which item is which case, or
            gives no ``image``.
    """
    if len(dataset) != count:  # type: ignore[arg-type]
        raise ValueError(
            f"'train#dataset' ({type(dataset).__name__}) has {len(dataset)} items for {count} cases; "  # type: ignore[arg-type]
            "the overlay needs one item a case, such as monai.data.Dataset, CacheDataset and PersistentDataset give"
        )
    return torch.zeros(1, *torch.as_tensor(_first(dataset, "image")).shape)


def task_of(dataset: Dataset[Any]) -> Task:
    """Tell segmentation from classification by the first label: a map has spatial axes, a class has none."""
    return "segmentation" if torch.as_tensor(_first(dataset, "label")).ndim >= 3 else "classification"


class CaseImages(Dataset[Any]):
    """Image and label of cases as a bundle's validation sees them: whole and without augmentation.

    Where the validation has random transforms all the same, they are seeded by the case, so that every network of an
    audit gets the same input.

    Args:
        cases: the cases, with their ``row``.
        items: items of the bundle's datalists by row: what its transforms were written for.
        transform: the validation's preprocessing.
    """

    def __init__(
        self, *, cases: Sequence[Case], items: Sequence[Case], transform: Callable[[Case], Any] | Randomizable
    ) -> None:
        self.cases = tuple(cases)
        self.items = items
        self.transform = transform

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.cases[index]["row"]
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=row)
        item = self.transform(dict(self.items[row]))
        if isinstance(item, list):
            raise ValueError(
                f"the transforms of 'validate#dataset' give {len(item)} crops of a case; the audit needs whole images"
            )
        return {key: _part(item, key, "validate#dataset") for key in ("image", "label")}


class LabelValues:
    """Read which label values a case has, by way of the preprocessing that the network's labels go through.

    Args:
        items: see :class:`CaseImages`.
        transform: see :class:`CaseImages`.
    """

    def __init__(self, *, items: Sequence[Case], transform: Callable[[Case], Any]) -> None:
        self.items = items
        self.transform = transform

    def __call__(self, case: Case) -> frozenset[int]:
        """Return the values that occur: class indices, or for several masks the numbers of those that are not empty."""
        read = CaseImages(cases=[case], items=self.items, transform=self.transform)[0]["label"]
        label = torch.as_tensor(read).as_subclass(torch.Tensor)
        if label.ndim not in (0, 2) and len(label) > 1:
            return frozenset(number for number, mask in enumerate(label) if bool((mask > 0.5).any()))
        return frozenset(int(value) for value in np.unique(label.cpu().numpy()))


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


def _first(dataset: Dataset[Any], key: str) -> Any:
    item = dataset[0]
    return _part(item[0] if isinstance(item, list) else item, key, "train#dataset")


def _part(item: Any, key: str, name: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise ValueError(
            f"the transforms of '{name}' give no '{key}'"
            + (f", but {', '.join(map(repr, item))}" if isinstance(item, dict) else f", but a {type(item).__name__}")
            + "; the overlay needs 'image' and 'label'"
        )
    return item[key]
