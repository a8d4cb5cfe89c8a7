"""Shadow models: small stand-ins for teacher, student and oracle, trained many times over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset, Subset

from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.engines import predict_cases

__all__ = ["ShadowModels", "ShadowPair", "case_statistics"]


@dataclass(frozen=True, kw_only=True)
class ShadowPair:
    """Three networks that saw the same share of the retain cases.

    Args:
        drawn: ids of the retain cases that they were trained on.
        taught: trained on these and on all forget cases: a stand-in for the teacher.
        unlearned: ``taught`` after the erasure that is audited: "in, then unlearned".
        untrained: trained on the drawn retain cases alone: "never in", a stand-in for the oracle.
    """

    drawn: frozenset[str]
    taught: nn.Module
    unlearned: nn.Module
    untrained: nn.Module


@dataclass(frozen=True, kw_only=True)
class ShadowModels:
    """Shadow models and the cases as they see them.

    Args:
        pairs: the networks, plain ones, on the device.
        dataset: whole images at the size of the shadow models, without augmentation.
        ids: ids of its items, in order.
        batch_size: whole images in a batch.
        inferer: MONAI inferer for whole images of that size.
        surrogate: in words, how the task of the shadow models differs from the one that is audited.
        seconds_per_pair: what training and unlearning of a pair took.
    """

    pairs: Sequence[ShadowPair]
    dataset: Dataset[dict[str, Any]]
    ids: Sequence[str]
    batch_size: int
    inferer: Inferer
    surrogate: str
    seconds_per_pair: float

    def loader(self, ids: Iterable[str]) -> DataLoader:
        """Load whole images of some cases, in the order of ``ids``."""
        position = {case: index for index, case in enumerate(self.ids)}
        return DataLoader(Subset(self.dataset, [position[case] for case in ids]), batch_size=self.batch_size)


def case_statistics(
    networks: Sequence[nn.Module],
    loader: Iterable[dict[str, Any]],
    *,
    statistic: DenseStatistic,
    inferer: Inferer,
    device: torch.device,
) -> NDArray[np.float64]:
    """Return the statistic of every network, case and part, shape ``(N, C, K)``."""
    found = [
        torch.cat(
            [
                statistic(batch.logits, batch.label).cpu()
                for batch in predict_cases(network, loader, inferer=inferer, device=device)
            ]
        )
        for network in networks
    ]
    return np.stack([values.numpy() for values in found])
