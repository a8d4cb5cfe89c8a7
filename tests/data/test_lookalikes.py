from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_unlearn.data import RandColourTransferd, colour_statistics

DARK = -0.8


def picture(seed: int, *, lowest: float = -0.3, highest: float = 0.3) -> torch.Tensor:
    """Three channels of noise, shape (3, 8, 8), with two rows of dark surround."""
    image = torch.empty(3, 8, 8).uniform_(lowest, highest, generator=torch.Generator().manual_seed(seed))
    image[:, :2] = -1
    return image


def transfer(*aims: torch.Tensor, seed: int = 0, **settings: float) -> RandColourTransferd:
    made = RandColourTransferd("image", towards=[{"image": aim} for aim in aims], **settings)
    return made.set_random_state(seed)


class FixedWay(np.random.RandomState):
    """Draws that always take the same share of the way, and no jitter."""

    def __init__(self, way: float) -> None:
        super().__init__(0)
        self.way = way

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.way if size is None else np.zeros(size)


def test_statistics_are_those_of_the_lit_pixels():
    image = picture(0)
    mean, deviation = colour_statistics(image, dark=DARK)
    lit = image[:, 2:].reshape(3, -1).double().numpy()
    assert np.allclose(mean, lit.mean(axis=1), atol=1e-6)
    assert np.allclose(deviation, lit.std(axis=1, ddof=1), atol=1e-6)


def test_the_whole_way_ends_at_the_statistics_of_the_other_image():
    image, aim = picture(0), picture(1, lowest=0.1, highest=0.5)
    made = transfer(aim)
    made.R = FixedWay(1.0)
    result = made({"image": image})["image"]
    for reached, wanted in zip(colour_statistics(result, dark=DARK), colour_statistics(aim, dark=DARK), strict=True):
        assert torch.allclose(reached, wanted, atol=1e-5)


def test_no_way_at_all_changes_nothing():
    image = picture(0)
    made = transfer(picture(1, lowest=0.1, highest=0.5))
    made.R = FixedWay(0.0)
    assert torch.allclose(made({"image": image})["image"], image, atol=1e-6)


def test_the_dark_surround_and_what_came_in_stay_as_they_were():
    image = picture(0)
    before = image.clone()
    result = transfer(picture(1, lowest=0.5, highest=0.9))({"image": image, "label": 3})
    assert torch.equal(result["image"][:, :2], before[:, :2])
    assert not torch.equal(result["image"][:, 2:], before[:, 2:])
    assert torch.equal(image, before)
    assert result["label"] == 3


def test_intensities_stay_in_their_range():
    result = transfer(picture(1, lowest=0.8, highest=1.0), shift=1.0)({"image": picture(0)})["image"]
    assert float(result.max()) == 1.0
    assert float(result.min()) >= -1.0


def test_a_seed_decides_the_draws():
    image, aims = picture(0), (picture(1), picture(2, lowest=0.1))
    first, again, other = (transfer(*aims, seed=seed)({"image": image})["image"] for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_with_probability_0_nothing_is_drawn():
    image = picture(0)
    assert transfer(picture(1), prob=0.0)({"image": image})["image"] is image


@pytest.mark.parametrize(
    ("aims", "settings", "message"),
    [
        ((), {}, "'towards' holds no image"),
        ((picture(1),), {"shift": -0.1}, "'shift' and 'spread' are at least 0"),
        ((torch.full((3, 8, 8), -1.0),), {}, "no pixel of the image is above -0.8"),
    ],
)
def test_what_cannot_be_is_refused(aims, settings, message):
    with pytest.raises(ValueError, match=message):
        transfer(*aims, **settings)
