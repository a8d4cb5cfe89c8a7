"""Reversibility: is the student with its adapters off the teacher, exactly?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from monai_unlearn.engines import predict_cases
from monai_unlearn.networks import adapters_off

__all__ = ["adapters_off_difference"]


def adapters_off_difference(
    student: nn.Module,
    teacher: nn.Module,
    loader: Iterable[dict[str, Any]],
    *,
    inferer: Inferer,
    device: str | torch.device,
) -> float:
    """Return the largest absolute difference of any logit between the student with adapters off and the teacher.

    Args:
        student: a network with adapters.
        teacher: the network as it was delivered, loaded from its own checkpoint.
        loader: batches with ``id``, ``image`` and ``label``.
        inferer: MONAI inferer.
        device: where both networks are.
    """
    largest = 0.0
    with adapters_off(student):
        pairs = zip(
            predict_cases(student, loader, inferer=inferer, device=device),
            predict_cases(teacher, loader, inferer=inferer, device=device),
            strict=True,
        )
        for off, taught in pairs:
            largest = max(largest, float((off.logits - taught.logits).abs().max()))
    return largest
