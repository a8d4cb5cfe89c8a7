"""Views: mirror images of a batch, and the way back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

__all__ = ["MirrorView", "mirror_views"]


@dataclass(frozen=True, kw_only=True)
class MirrorView:
    """A mirroring along some spatial axes, after the last two were swapped if so wished.

    Args:
        axes: spatial axes to mirror, negative as in ``torch.flip``: -1 is the last one.
        swapped: whether the last two axes change places first.
    """

    axes: tuple[int, ...]
    swapped: bool = False

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Mirror images or label maps of shape ``(B, C, *spatial)``; class labels, ``(B,)`` or ``(B, 1)``, stay."""
        if images.ndim <= 2:
            return images
        return (images.transpose(-1, -2) if self.swapped else images).flip(self.axes)

    def invert(self, images: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`apply`; logits without spatial axes, shape ``(B, C)``, have nothing to undo."""
        if images.ndim <= 2:
            return images
        images = images.flip(self.axes)
        return images.transpose(-1, -2) if self.swapped else images


def mirror_views(spatial_dims: int, *, swap: bool = True) -> tuple[MirrorView, ...]:
    """Return all mirrorings but the identity: with ``swap`` the other seven symmetries of a square.

    Args:
        spatial_dims: number of spatial axes, 1 to 3.
        swap: also swap the last two axes; not for volumes or anatomy with an up and a down.

    Raises:
        ValueError: if there are no such views.
    """
    if spatial_dims not in (1, 2, 3) or (swap and spatial_dims == 1):
        raise ValueError(f"'spatial_dims' is 1, 2 or 3, and at least 2 to swap axes; got {spatial_dims!r} and {swap!r}")
    axes = range(-spatial_dims, 0)
    subsets = [subset for size in range(spatial_dims + 1) for subset in itertools.combinations(axes, size)]
    views = [MirrorView(axes=subset, swapped=swapped) for swapped in (False, True)[: 1 + swap] for subset in subsets]
    return tuple(views[1:])
