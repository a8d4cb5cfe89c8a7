from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as scipy_shift

from monai_unlearn.engines import ShiftView, shift_views


@pytest.mark.parametrize(("dims", "distances", "count"), [(1, (1,), 2), (2, (1, 2), 8), (3, (2,), 8), (3, (1, 2), 16)])
def test_every_view_is_another_shift_and_finds_its_way_back(dims: int, distances: tuple[int, ...], count: int) -> None:
    images = torch.rand(2, 3, *(7, 6, 5)[:dims])
    views = shift_views(dims, distances=distances)
    shifted = {view.apply(images).numpy().tobytes() for view in views} | {images.numpy().tobytes()}
    assert len(views) == count
    assert len(shifted) == count + 1
    for view in views:
        assert torch.equal(view.invert(view.apply(images)), images)


def test_a_view_is_the_shift_that_scipy_makes_of_a_periodic_volume() -> None:
    volume = torch.rand(6, 7, 5, dtype=torch.float64)
    view = ShiftView(shift=(2, -1, 0))
    expected = scipy_shift(volume.numpy(), (2, -1, 0), order=0, mode="grid-wrap")
    np.testing.assert_array_equal(view.apply(volume[None, None])[0, 0].numpy(), expected)


def test_batch_and_channels_stay_where_they_are() -> None:
    images = torch.rand(3, 2, 4, 4)
    shifted = ShiftView(shift=(1, 1)).apply(images)
    for case in range(3):
        for channel in range(2):
            assert torch.equal(
                shifted[case, channel].flatten().sort().values, images[case, channel].flatten().sort().values
            )


def test_logits_of_a_classifier_have_nothing_to_undo() -> None:
    logits = torch.randn(3, 5)
    assert torch.equal(ShiftView(shift=(1, 1, 1)).invert(logits), logits)


@pytest.mark.parametrize("dims", [0, 4])
def test_impossible_axes_are_refused(dims: int) -> None:
    with pytest.raises(ValueError, match="'spatial_dims'"):
        shift_views(dims)


@pytest.mark.parametrize("distances", [(), (0,), (1, -2), (2, 2)])
def test_impossible_distances_are_refused(distances: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="'distances'"):
        shift_views(3, distances=distances)
