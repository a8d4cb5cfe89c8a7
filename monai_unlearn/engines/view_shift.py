"""Views by shifting: the image moved by a few voxels, for anatomy that has no mirror image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["ShiftView", "shift_views"]


@dataclass(frozen=True, kw_only=True)
class ShiftView:
    """A shift by whole voxels; what leaves on one side comes in on the other, so that nothing is lost.

    Args:
        shift: voxels per spatial axis, the last axis last; 0 leaves an axis as it is.
    """

    shift: tuple[int, ...]

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Shift images or label maps of shape ``(B, C, *spatial)``; class labels, ``(B,)`` or ``(B, 1)``, stay."""
        if images.ndim <= 2:
            return images
        return images.roll(self.shift, tuple(range(-len(self.shift), 0)))

    def invert(self, images: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`apply`; logits without spatial axes, shape ``(B, C)``, have nothing to undo."""
        if images.ndim <= 2:
            return images
        return images.roll([-voxels for voxels in self.shift], tuple(range(-len(self.shift), 0)))


def shift_views(spatial_dims: int, *, distances: Sequence[int] = (1, 2)) -> tuple[ShiftView, ...]:
    """Return the shifts by each distance along all axes at once, in every combination of directions.

    A network with strides recalls an image less and less the further it is shifted, and segments it a little worse
    because of the borders; a multiple of the product of its strides would change nothing but the borders. Which
    distances answer for a network that never saw the image has to be measured, task by task.

    Args:
        spatial_dims: number of spatial axes, 1 to 3.
        distances: voxels, each at least 1; every distance gives ``2 ** spatial_dims`` views.

    Raises:
        ValueError: if there are no such views.
    """
    if spatial_dims not in (1, 2, 3):
        raise ValueError(f"'spatial_dims' is 1, 2 or 3; got {spatial_dims!r}")
    if not distances or min(distances) < 1 or len(set(distances)) != len(distances):
        raise ValueError(f"'distances' are different numbers of voxels, each at least 1; got {list(distances)!r}")
    return tuple(
        ShiftView(shift=signs)
        for distance in distances
        for signs in itertools.product((distance, -distance), repeat=spatial_dims)
    )
