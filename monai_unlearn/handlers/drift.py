"""Drift: how far the adapters have moved each layer."""

from __future__ import annotations

import logging

from ignite.engine import Engine, Events
from torch import nn

from monai_unlearn.networks import adapter_deltas, scale_adapter

__all__ = ["AdapterDrift"]

logger = logging.getLogger(__name__)


class AdapterDrift:
    r"""Log, and if wanted bound, the drift of each adapted layer.

    The drift of a layer is :math:`\lVert\Delta W\rVert_F / \lVert W\rVert_F`, with :math:`\Delta W = \frac{\alpha}{r}
    B A` as it would be merged. With a ``limit``, a layer beyond it is scaled back onto the ball :math:`\lVert\Delta
    W\rVert_F \le c\,\lVert W\rVert_F` after every step: a projection within the subspace of the adapter (Erase to
    Retain, bounded drift). The largest and the mean drift are in ``engine.state.metrics`` as ``drift_max`` and
    ``drift_mean`` after each epoch.

    Args:
        limit: bound :math:`c` on the drift of every layer, positive; ``None`` only logs.
    """

    def __init__(self, *, limit: float | None = None) -> None:
        if limit is not None and not limit > 0:
            raise ValueError(f"'limit' is a positive number or none, got {limit!r}")
        self.limit = limit

    def attach(self, engine: Engine) -> None:
        """Register the handler: the projection after each step, the log after each epoch."""
        if self.limit is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.project)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def project(self, engine: Engine) -> None:
        """Scale every layer beyond the limit back onto it."""
        assert self.limit is not None
        for layer, drift in relative_drift(engine.network).items():
            if drift > self.limit:
                scale_adapter(engine.network, layer, self.limit / drift)

    def __call__(self, engine: Engine) -> None:
        """Log the drift of the layer that moved most, and the mean."""
        drift = relative_drift(engine.network)
        furthest = max(drift, key=drift.__getitem__)
        engine.state.metrics["drift_max"] = drift[furthest]
        engine.state.metrics["drift_mean"] = sum(drift.values()) / len(drift)
        logger.debug(
            "drift: %.4f at most (%s), %.4f on average", drift[furthest], furthest, engine.state.metrics["drift_mean"]
        )


def relative_drift(network: nn.Module) -> dict[str, float]:
    """Return the drift of every adapted layer, by its name."""
    return {
        layer: float(delta.norm() / weight.norm().clamp_min(1e-12)) for layer, weight, delta in adapter_deltas(network)
    }
