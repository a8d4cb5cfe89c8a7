"""Look-alikes: other cases in the colours of those to forget, so that colour alone does not say what is to go."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch.utils.data import Dataset

__all__ = ["RandColourTransferd", "colour_statistics"]


def colour_statistics(image: torch.Tensor, *, dark: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each channel over the pixels that are lit.

    Args:
        image: shape ``(C, *spatial)``.
        dark: a pixel whose channels have a mean of at most this is surround, not image.

    Returns:
        Two tensors of shape ``(C,)``.

    Raises:
        ValueError: if fewer than two pixels are lit.
    """
    lit = image[:, image.mean(dim=0) > dark]
    if lit.shape[1] < 2:
        raise ValueError(f"no pixel of the image is above {dark}; 'dark' lies below the range of lit intensities")
    return lit.mean(dim=1), lit.std(dim=1)


class RandColourTransferd(RandomizableTransform, MapTransform):
    r"""Move the colours of an image some way, drawn at random, towards those of a randomly drawn other one.

    Per channel, with mean :math:`\mu` and standard deviation :math:`\sigma` of the image, :math:`\mu', \sigma'` of the
    other, :math:`u \sim U(0, 1.2)`, and :math:`a, b` the sum of a draw for all channels and one for each:

    .. math:: x \mapsto (x - \mu) \left(\frac{\sigma'}{\sigma}\right)^{u} e^{b} + \mu + u (\mu' - \mu) + a

    With :math:`u = 1` and :math:`a = b = 0` this is the transfer of Reinhard et al. ("Color Transfer between Images",
    2001, "Statistics and color correction") in the channels as they are. The dark surround stays.

    Args:
        keys: keys of the images, tensors of shape ``(C, *spatial)``.
        towards: dataset of the images whose colours are taken, under the same keys.
        shift: each draw of :math:`a` is uniform between this and its negative, in the unit of the intensities.
        spread: each draw of :math:`b` likewise; :math:`b` is the logarithm of a contrast.
        dark: see :func:`colour_statistics`.
        intensity_range: lowest and highest intensity; the result is clipped to it.
        prob: probability that an item is changed.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        ValueError: if ``towards`` is empty, or ``shift`` or ``spread`` is negative.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        towards: Dataset[Any],
        shift: float = 0.15,
        spread: float = 0.3,
        dark: float = -0.8,
        intensity_range: tuple[float, float] = (-1.0, 1.0),
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        count = len(towards)  # type: ignore[arg-type]
        if not count:
            raise ValueError("'towards' holds no image to take colours from")
        if shift < 0 or spread < 0:
            raise ValueError(f"'shift' and 'spread' are at least 0, got {shift} and {spread}")
        self.shift, self.spread, self.dark, self.intensity_range = shift, spread, dark, intensity_range
        self.aims = [
            {key: colour_statistics(item[key], dark=dark) for key in self.key_iterator(item)}
            for item in (towards[index] for index in range(count))
        ]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with recoloured images; what came in is left as it was."""
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        aim = self.aims[self.R.randint(len(self.aims))]
        way = self.R.uniform(0, 1.2)
        for key in self.key_iterator(item):
            mean, deviation = aim[key]
            item[key] = self._recolour(item[key], mean, deviation, way)
        return item

    def _recolour(self, image: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor, way: float) -> torch.Tensor:
        own_mean, own_deviation = colour_statistics(image, dark=self.dark)
        aside, contrast = (
            torch.as_tensor(self.R.uniform(-most, most, 1) + self.R.uniform(-most, most, len(mean))).to(mean)
            for most in (self.shift, self.spread)
        )
        gain = (deviation / own_deviation.clamp_min(1e-6)) ** way * contrast.exp()
        aimed = own_mean + way * (mean - own_mean) + aside
        spatial = (1,) * (image.ndim - 1)
        gain, own_mean, aimed = (each.view(-1, *spatial) for each in (gain, own_mean, aimed))
        recoloured = ((image - own_mean) * gain + aimed).clamp(*self.intensity_range)
        return torch.where(image.mean(dim=0, keepdim=True) > self.dark, recoloured, image)
