"""Running a network over cases, one result per case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer
from monai.networks.utils import eval_mode
from torch import nn

__all__ = ["CaseBatch", "predict_cases"]


@dataclass(frozen=True, kw_only=True)
class CaseBatch:
    """A batch with its prediction, on the device.

    Args:
        ids: id of every case, length ``B``.
        image: images, shape ``(B, C, *spatial)``.
        label: labels as the dataset gives them, first axis ``B``.
        logits: the network's output for the images.
    """

    ids: tuple[str, ...]
    image: torch.Tensor
    label: torch.Tensor
    logits: torch.Tensor


def predict_cases(
    network: nn.Module, loader: Iterable[dict[str, Any]], *, inferer: Inferer, device: str | torch.device
) -> Iterator[CaseBatch]:
    """Yield the network's output for every batch of a loader, in evaluation mode and without gradients.

    Args:
        network: the network, already on ``device``; it gets its mode back after every batch.
        loader: batches with the keys ``id``, ``image`` and ``label``.
        inferer: MONAI inferer, for instance a sliding window.
        device: where the batches go.

    Raises:
        ValueError: if an output is not finite; the message names the case.
    """
    for batch in loader:
        image, label = (torch.as_tensor(batch[key]).to(device) for key in ("image", "label"))
        with eval_mode(network), torch.no_grad():  # not across the yield: the caller's code would run under them, too
            logits = inferer(image, network).to(device)  # a sliding window may stitch on the CPU
        for case, finite in zip(batch["id"], logits.flatten(1).isfinite().all(1).tolist(), strict=True):
            if not finite:
                raise ValueError(
                    f"the network's output for the case {case!r} is not finite (NaN or infinity); "
                    "check its weights, the intensities of that image and the learning rate it was trained with"
                )
        yield CaseBatch(ids=tuple(batch["id"]), image=image, label=label, logits=logits)
