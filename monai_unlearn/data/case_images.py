"""The images of a user's own bundle: without augmentation for the audit, the first one as an example, their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset

from monai_unlearn.data.datalists import Case

__all__ = ["CaseImages", "LabelValues", "example_image", "example_label", "task_of"]

Task = Literal["segmentation", "classification"]


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


def example_label(dataset: Dataset[Any]) -> torch.Tensor:
    """Return the first label as the loss gets it in training: shape ``(1, …)``."""
    return torch.as_tensor(_first(dataset, "label")).as_subclass(torch.Tensor).cpu()[None]


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
