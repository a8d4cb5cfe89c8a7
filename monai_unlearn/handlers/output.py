"""Reading what a trainer of MONAI leaves after an iteration."""

from __future__ import annotations

import torch
from ignite.engine import Engine

__all__ = ["loss_of_iteration"]


def loss_of_iteration(engine: Engine) -> float:
    """Return the loss of the last iteration, whether or not the output was decollated (MONAI's default)."""
    output = engine.state.output
    case = output[0] if isinstance(output, list) else output
    return float(torch.as_tensor(case["loss"]).item())
