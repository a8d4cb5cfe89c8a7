"""A dataset that knows which of its cases are to be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch.utils.data import Dataset

from monai_unlearn.data.identifiers import case_id

__all__ = ["TaggedDataset"]


class TaggedDataset(Dataset[Any]):
    """Add ``id``, ``forget`` and ``held`` to every item of a dataset, whatever its transforms return.

    Items that are lists of dictionaries (``RandCropByPosNegLabeld`` and its kin) are tagged crop by crop.

    Args:
        dataset: a MONAI dataset (``Dataset``, ``CacheDataset``, ``PersistentDataset``) or any other with a list
            ``data`` of dictionaries that names its cases in order.
        forget_ids: ids of the cases to forget.
        ids: id of every item of ``dataset``; taken from ``dataset.data`` where ``None``.
        held_ids: ids of cases that an earlier request had forgotten: they are held as the teacher has them now, and
            their labels teach nothing.

    Raises:
        ValueError: if the ids are missing, are not as many as the items, or do not hold every one of ``forget_ids``.
    """

    def __init__(
        self,
        *,
        dataset: Dataset[Any],
        forget_ids: Collection[str],
        ids: Sequence[str] | None = None,
        held_ids: Collection[str] = (),
    ) -> None:
        if ids is None:
            datalist = getattr(dataset, "data", None)
            if not isinstance(datalist, Sequence) or not all(isinstance(item, dict) for item in datalist):
                raise ValueError(
                    f"{type(dataset).__name__} has no list 'data' of dictionaries to read case ids from; give "
                    f"'ids' instead"
                )
            ids = [case_id(item) for item in datalist]
        if len(ids) != len(dataset):  # type: ignore[arg-type]
            raise ValueError(f"{len(ids)} ids for a dataset of {len(dataset)} items")  # type: ignore[arg-type]
        missing = sorted(set(forget_ids) - set(ids))
        if missing:
            raise ValueError(f"the dataset lacks {len(missing)} of the cases to forget, {missing[0]!r} among them")
        self.dataset = dataset
        self.ids = tuple(ids)
        self.forget_indices = tuple(index for index, name in enumerate(self.ids) if name in forget_ids)
        self.held_indices = tuple(
            index for index, name in enumerate(self.ids) if name in held_ids and name not in forget_ids
        )
        self._forget, self._held = frozenset(self.forget_indices), frozenset(self.held_indices)
        self.retain_indices = tuple(
            index for index in range(len(self.ids)) if index not in self._forget and index not in self._held
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        tags = {"id": self.ids[index], "forget": index in self._forget, "held": index in self._held}
        if isinstance(item, list):
            return [{**crop, **tags} for crop in item]
        return {**item, **tags}
