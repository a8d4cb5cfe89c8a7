from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose, Lambdad, RandGaussianNoised

from monai_unlearn.data import CaseImages, LabelValues, example_image, example_label, task_of


def listed(*images: str) -> list[dict[str, Any]]:
    return [{"image": image, "label": image.replace("image", "label")} for image in images]


def test_the_example_is_the_first_image_as_the_network_gets_it() -> None:
    crops = Dataset(listed("a", "b"), lambda item: [{"image": torch.ones(2, 5, 6), "label": torch.ones(1, 5, 6)}] * 3)
    example = example_image(crops, count=2)
    assert example.shape == (1, 2, 5, 6)
    assert not example.any()
    assert example_label(crops).shape == (1, 1, 5, 6)


def test_a_dataset_with_other_items_than_its_list_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 items for 3 cases"):
        example_image(Dataset(listed("a", "b")), count=3)


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (torch.zeros(1, 8, 8), "segmentation"),
        (torch.zeros(3, 4, 4, 4), "segmentation"),
        (2, "classification"),
        (torch.tensor([0.0, 1.0]), "classification"),
    ],
)
def test_the_task_is_told_by_the_label(label: Any, task: str) -> None:
    assert task_of(Dataset([{"image": torch.zeros(1, 8, 8), "label": label}])) == task


def test_a_transform_without_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="transforms of 'train#dataset' give no 'label', but 'image'"):
        task_of(Dataset([{"image": torch.zeros(1, 8, 8)}]))


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": str(number), "row": number} for number in numbers]


def test_a_case_goes_through_the_transforms_as_the_item_that_they_were_written_for() -> None:
    seen: list[dict[str, Any]] = []

    def transform(item: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(item))
        return {**item, "image": torch.zeros(1), "label": 0, "more": None}

    items = [{"t1": f"{number}.nii", "label": number} for number in range(3)]
    item = CaseImages(cases=rows(2, 0), items=items, transform=transform)[0]
    assert seen == [items[2]]
    assert set(item) == {"image", "label"}


def test_random_transforms_draw_the_same_for_a_case_every_time_and_not_the_same_for_two() -> None:
    noise = Compose([RandGaussianNoised(keys="image", prob=1.0)])
    items = [{"image": torch.zeros(1, 4, 4), "label": 0}] * 2
    cases = CaseImages(cases=rows(0, 1), items=items, transform=noise)
    first, second, again = cases[0]["image"], cases[1]["image"], cases[0]["image"]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_transforms_that_give_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="give 2 crops of a case"):
        CaseImages(cases=rows(0), items=[{}], transform=lambda item: [item, item])[0]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        (torch.tensor([[[0, 2], [2, 0]]]), {0, 2}),  # class indices
        (torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]], [[0.0, 1.0]]]), {0, 2}),  # masks or one-hot, one per channel
        (3, {3}),  # a class
        (torch.tensor([0.0, 0.0, 1.0]), {2}),  # a one-hot class
    ],
)
def test_the_values_of_a_label_are_those_that_the_network_learns(label: Any, values: set[int]) -> None:
    read = LabelValues(items=[{"image": 0, "label": label}], transform=Lambdad("image", lambda image: image))
    assert read(rows(0)[0]) == values
