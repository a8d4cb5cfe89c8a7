"""What every test of forgetting is given: the networks, the cases, and how to read them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset, Subset

from monai_unlearn.audit.planting import Planting
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases
from monai_unlearn.audit.shadow_models import ShadowModels
from monai_unlearn.losses import Activation, LossFunction
from monai_unlearn.networks import has_adapters, merge_adapters

__all__ = ["AuditCases", "AuditConfig", "AuditModels", "FineTuning", "plain_copy"]

AuditModels = Mapping[str, nn.Module]
"""Networks by role: ``teacher``, ``student`` and, where there is one, ``oracle``; on the device, not to be changed.

The student may still have its adapters; :func:`plain_copy` gives what a recipient of the merged checkpoint has.
"""


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How an attacker, or an honest user, trains the network on: all weights, by the task's supervised loss.

    Args:
        optimizer: makes the optimizer of the parameters that it is given.
        batch_size: cases in a batch.
        epochs: passes over the cases.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    batch_size: int
    epochs: int = 3


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """How the networks are read.

    Args:
        loss_function: the task's supervised loss.
        inferer: MONAI inferer for whole images.
        training_inferer: MONAI inferer for batches of ``AuditCases.training``.
        activation: ``"sigmoid"`` or ``"softmax"``.
        task: ``"segmentation"`` or ``"classification"``.
        device: where everything is computed.
        seed: of every draw.
        fine_tuning: how networks are trained on in tests that do so.
        classes: classes that were to be unlearned; empty for a request of cases.
        grade: ``"reversible"`` or ``"permanent"``; ``None`` if it is not known how the student was made.
        shadows: trains shadow models, or finds them trained; ``None``: it is not said how.
        planting: what was planted in the teacher's training; ``None``: nothing.
    """

    loss_function: LossFunction
    inferer: Inferer
    training_inferer: Inferer
    activation: Activation
    task: Task
    device: torch.device
    seed: int
    fine_tuning: FineTuning
    classes: tuple[int, ...] = ()
    grade: str | None = None
    shadows: Callable[[], ShadowModels] | None = None
    planting: Planting | None = None

    @property
    def measure(self) -> str:
        """What the figure is called by which forgetting is read: ``IoU``, or for a classification ``accuracy``."""
        return "accuracy" if self.task == "classification" else "IoU"

    def values(self, scores: CaseScores, ids: Iterable[str]) -> NDArray[np.float64]:
        """Return the measure of some cases, one value each; of a class request that of its classes alone.

        Several classes of a segmentation are averaged over those that a case holds; see :meth:`CaseScores.overlap_of`.
        """
        if self.task == "classification":
            return scores.of(ids, "correct")
        if not self.classes:
            return scores.of(ids, "iou")
        return scores.overlap_of(ids, self._columns())

    def kept_values(self, scores: CaseScores, ids: Iterable[str]) -> NDArray[np.float64]:
        """Return the measure of what some cases hold that was *not* to be unlearned.

        That is the measure itself, but for a class request: of a classification its cases of other classes, of a
        segmentation the other classes of every case. Empty where nothing is left.
        """
        if not self.classes:
            return self.values(scores, ids)
        rows = scores.rows(ids)
        if isinstance(scores, ClassScores):
            return scores.figures["correct"][[row for row in rows if scores.truth[row] not in self.classes]]
        of_classes = scores.per_class["iou"][rows]
        columns = sorted(set(range(of_classes.shape[1])) - set(self._columns()))
        kept: NDArray[np.float64] = of_classes[:, columns].mean(axis=1) if columns else np.empty(0)
        return kept

    def _columns(self) -> list[int]:
        first = 1 if self.activation == "softmax" else 0  # the background is not among the columns
        return [value - first for value in self.classes]

    def score(self, network: nn.Module, loader: Iterable[dict[str, Any]]) -> CaseScores:
        """Measure a network on every case of a loader; see :func:`score_cases`."""
        return score_cases(
            network,
            loader,
            loss_function=self.loss_function,
            inferer=self.inferer,
            activation=self.activation,
            device=self.device,
            task=self.task,
        )


@dataclass(frozen=True, kw_only=True)
class AuditCases:
    """The cases, as loaders and as what is known of them already.

    Args:
        dataset: whole images without augmentation; items have ``id``, ``image`` and ``label``.
        ids: ids of its items, in order.
        subsets: ids of the cases in ``forget``, ``retain``, ``reference`` and ``unseen``.
        batch_size: whole images in a batch.
        training: the training cases as the teacher's recipe sees them, random transforms included.
        training_ids: ids of its items, in order.
        scores: figures of each model on all cases.
    """

    dataset: Dataset[dict[str, Any]]
    ids: Sequence[str]
    subsets: Mapping[str, tuple[str, ...]]
    batch_size: int
    training: Dataset[Any]
    training_ids: Sequence[str]
    scores: Mapping[str, CaseScores] = field(default_factory=dict)

    def loader(self, ids: Iterable[str]) -> DataLoader:
        """Load whole images of some cases, in the order of ``ids``."""
        return DataLoader(_chosen(self.dataset, self.ids, ids), batch_size=self.batch_size)

    def training_loader(self, ids: Iterable[str], *, batch_size: int, seed: int) -> DataLoader:
        """Load some training cases as the recipe sees them, shuffled afresh in every pass, the same way for a seed.

        A last batch of a single case is left out where there are others: batch normalisation cannot train on one value.
        """
        chosen = _chosen(self.training, self.training_ids, ids)
        return DataLoader(
            chosen,
            batch_size=batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
            drop_last=len(chosen) > batch_size > 1 == len(chosen) % batch_size,
        )


def plain_copy(network: nn.Module) -> nn.Module:
    """Copy a network as the recipient of its merged checkpoint has it: without adapters, all weights trainable."""
    copied = merge_adapters(network) if has_adapters(network) else copy.deepcopy(network)
    return copied.requires_grad_(True)


def _chosen(dataset: Dataset[Any], known: Sequence[str], ids: Iterable[str]) -> Subset[Any]:
    position = {case: index for index, case in enumerate(known)}
    return Subset(dataset, [position[case] for case in ids])
