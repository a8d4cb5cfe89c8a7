"""Losses of cases by way of views, and the targets that follow from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from monai_unlearn.losses import match_reference_quantiles

__all__ = ["ViewLosses", "match_views"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ViewLosses:
    """A network's losses on views of some cases.

    Args:
        ids: case ids, length ``N``.
        losses: shape ``(N, V)``.
        classes: what the cases are compared by, shape ``(N,)``; all 0 where they are compared all together.
    """

    ids: tuple[str, ...]
    losses: torch.Tensor
    classes: torch.Tensor


def match_views(forget: ViewLosses, reference: ViewLosses, peers: ViewLosses | None = None) -> torch.Tensor:
    """Give each forget case the reference loss of the same rank within its class.

    Forget cases and peers are ranked by their mean loss over the views: it says how hard a case is for a network that
    does not recall it, which the loss on the memorised image itself says less well. Each view of a reference case is
    one reference loss, as a forget case is to answer once. A class that no reference case has is compared with all.

    Args:
        forget: losses of the forget cases.
        reference: losses of the reference cases.
        peers: losses of the other training cases, by the views of ``forget``; ``None``: the forget cases are ranked
            among themselves.

    Returns:
        Target loss per forget case, shape ``(F,)``; see :func:`~monai_unlearn.losses.match_reference_quantiles`.
    """
    hardness = forget.losses.mean(dim=1)
    others = hardness.new_empty(0) if peers is None else peers.losses.mean(dim=1)
    other_classes = forget.classes.new_empty(0) if peers is None else peers.classes
    targets = torch.empty_like(hardness)
    for value in sorted(set(forget.classes.tolist())):
        mine, alike, among = forget.classes == value, reference.classes == value, other_classes == value
        if not bool(alike.any()):
            logger.warning(f"no reference case is of class {value}: its targets come from cases of all classes")
            alike, among = torch.ones_like(alike), torch.ones_like(among)
        targets[mine] = match_reference_quantiles(
            hardness[mine], reference.losses[alike].flatten(), peer_losses=others[among]
        )
    return targets
