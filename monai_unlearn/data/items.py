"""What the items of a user's own dataset are: the example that probes a network, the task, the label values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch.utils.data import Dataset

from monai_unlearn.data.datalists import Case

__all__ = ["LabelValues", "case_list", "example_image", "task_of"]

Task = Literal["segmentation", "classification"]


def case_list(dataset: object, name: str) -> list[Case]:
    """Return the list of dictionaries that a MONAI dataset is made from.

    Args:
        dataset: ``Dataset``, ``CacheDataset``, ``PersistentDataset`` or another one with a list ``data``.
        name: id of the dataset in the config, for messages.

    Raises:
        ValueError: if there is no such list, it is empty, or its items are no dictionaries with an ``image``.
    """
    data = dataset if isinstance(dataset, Sequence) else getattr(dataset, "data", None)
    if not isinstance(data, Sequence) or not data or not all(isinstance(item, dict) for item in data):
        raise ValueError(
            f"'{name}' ({type(dataset).__name__}) has no list of dictionaries to read the cases from, or an empty "
            "one; the overlay works with monai.data.Dataset and its kin on a datalist"
        )
    if lacking := [index for index, item in enumerate(data) if "image" not in item or "label" not in item]:
        raise ValueError(
            f"item {lacking[0]} of '{name}' has the keys {', '.join(map(repr, data[lacking[0]]))}; the overlay needs "
            "'image' and 'label'"
        )
    return [dict(item) for item in data]


def example_image(dataset: Dataset[Any]) -> torch.Tensor:
    """Return the first image as the network gets it in training: shape ``(1, C, *spatial)``, zeros."""
    return torch.zeros(1, *_first(dataset)["image"].shape)


def task_of(dataset: Dataset[Any]) -> Task:
    """Tell segmentation from classification by the first label: a map has spatial axes, a class has none."""
    label = torch.as_tensor(_first(dataset)["label"])
    return "segmentation" if label.ndim >= 3 else "classification"


class LabelValues:
    """Read which label values a case has, by way of the preprocessing that the network's labels go through.

    Args:
        transform: preprocessing without random transforms.
    """

    def __init__(self, *, transform: Callable[[Case], Any]) -> None:
        self.transform = transform

    def __call__(self, case: Case) -> frozenset[int]:
        """Return the values that occur: class indices, or for several masks the numbers of those that are not empty."""
        label = torch.as_tensor(self.transform(dict(case))["label"]).as_subclass(torch.Tensor)
        if label.ndim >= 3 and len(label) > 1:
            return frozenset(number for number, mask in enumerate(label) if bool((mask > 0.5).any()))
        return frozenset(int(value) for value in label.unique().tolist())


def _first(dataset: Dataset[Any]) -> dict[str, Any]:
    item = dataset[0]
    return dict(item[0] if isinstance(item, list) else item)
