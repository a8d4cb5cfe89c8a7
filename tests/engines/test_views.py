from __future__ import annotations

import pytest
import torch

from monai_unlearn.engines import MirrorView, mirror_views


@pytest.mark.parametrize(
    ("dims", "swap", "count"), [(1, False, 1), (2, False, 3), (2, True, 7), (3, False, 7), (3, True, 15)]
)
def test_every_view_is_another_arrangement_and_finds_its_way_back(dims: int, swap: bool, count: int) -> None:
    images = torch.rand(2, 3, *(4, 4, 4)[:dims])
    views = mirror_views(dims, swap=swap)
    arrangements = {view.apply(images).numpy().tobytes() for view in views} | {images.numpy().tobytes()}
    assert len(views) == count
    assert len(arrangements) == count + 1
    for view in views:
        assert torch.equal(view.invert(view.apply(images)), images)


def test_the_views_of_a_picture_are_the_symmetries_of_the_square() -> None:
    image = torch.rand(1, 1, 3, 3)
    turned = {torch.rot90(image, turns, (2, 3)).numpy().tobytes() for turns in (1, 2, 3)}
    assert turned <= {view.apply(image).numpy().tobytes() for view in mirror_views(2)}


@pytest.mark.parametrize(("dims", "swap"), [(0, False), (4, False), (1, True)])
def test_impossible_views_are_refused(dims: int, swap: bool) -> None:
    with pytest.raises(ValueError, match="'spatial_dims'"):
        mirror_views(dims, swap=swap)


def test_logits_of_a_classifier_have_nothing_to_undo():
    logits = torch.randn(3, 5)
    view = MirrorView(axes=(-1,), swapped=True)
    assert torch.equal(view.invert(logits), logits)


def test_class_labels_are_the_same_in_every_view():
    classes = torch.tensor([2, 0, 1])
    assert torch.equal(MirrorView(axes=(-1,), swapped=True).apply(classes), classes)
