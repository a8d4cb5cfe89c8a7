"""Prototype relearning: does a head of class means, from a few samples, bring back what was forgotten?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from monai_unlearn.audit.draws import draw_cases, few_shots
from monai_unlearn.audit.features import one_by_one
from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.prototype_head import PrototypeHead, PrototypeSums
from monai_unlearn.audit.scores import ClassScores
from monai_unlearn.audit.stages import find_rich_head, network_input
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, plain_copy
from monai_unlearn.losses import label_outcomes
from monai_unlearn.metrics import bootstrap_interval

__all__ = ["PrototypeRelearning"]


@dataclass(frozen=True, kw_only=True)
class PrototypeRelearning:
    """Prototype relearning (arXiv 2506.01318): class means of a few samples overwrite the rows of the head.

    The means are those of the features that the head reads: of whole images, or of the voxels of a feature map. Every
    class is then found by the nearest mean, which is again a linear layer. Nothing is trained. Our adaptations: every
    row is overwritten, so that their scales agree, in units of each channel's spread within the classes; classes of
    a classifier that no shown forget case has are taken from retain cases. What the means cannot do is seen on the
    teacher.

    Args:
        shots: forget cases that are shown, at most half of them; of a classification, of every class.
        most: the largest number of cases that are measured.

    Raises:
        ValueError: if a number is below 1.
    """

    name: ClassVar[str] = "prototype_relearning"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    shots: int = 5
    most: int = 64

    def __post_init__(self) -> None:
        if min(self.shots, self.most) < 1:
            raise ValueError(f"shots and most are 1 or more: {self}")

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``restored``: the measure on other forget cases with a head of prototypes, and before it as curves."""
        forgotten = "with prototypes as low as the oracle with its own"
        shown, measured = self._divide(cases, config)
        if not shown:
            return _without("no class has two forget cases, one to show and one to measure", forgotten)
        samples = (*shown, *self._filling(shown, cases, config))
        image = torch.as_tensor(next(iter(one_by_one(cases.loader(samples[:1]))))["image"]).to(config.device)
        window = network_input(models["teacher"], image, config.inferer)
        layer = find_rich_head(models["teacher"], window)
        after = {}
        for role, network in models.items():
            sums = PrototypeSums(plain_copy(network), layer, activation=config.activation)
            if reason := sums.refusal(window):
                return _without(reason, forgotten)
            _collect(sums, samples, cases, config)
            head = PrototypeHead(sums).to(config.device)
            after[role] = config.values(config.score(head, cases.loader(measured)), measured)
        before = {role: float(config.values(cases.scores[role], measured).mean()) for role in after}
        means = {role: float(values.mean()) for role, values in after.items()}
        return {
            "restored": Finding(
                value=means["student"],
                oracle=means.get("oracle"),
                teacher=means["teacher"],
                forgotten=forgotten,
                sentence=f"With class means of {len(samples)} cases in place of the head, the student's "
                f"{config.measure} on {'the one forget case itself' if shown == measured else 'other forget cases'} "
                f"goes from {before['student']:.3f} to {means['student']:.3f}{said_beside(means)}.",
                interval=bootstrap_interval(np.mean, after["student"], seed=config.seed),
                series={role: [before[role], means[role]] for role in means},
                axis="own head, head of prototypes",
                details={
                    "head": layer,
                    "forget_cases_shown": len(shown),
                    "cases_shown": len(samples),
                    "cases_measured": len(measured),
                    "measured_on_the_shown_case": shown == measured,
                },
            )
        }

    def _divide(self, cases: AuditCases, config: AuditConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Choose the forget cases that are shown, of a classification by class, and those that are measured."""
        forget, truth = cases.subsets["forget"], _truth(cases)
        if not truth or len(forget) == 1:
            return few_shots(forget, self.shots, most=self.most, seed=config.seed)
        shown: list[str] = []
        for label in sorted({truth[case] for case in forget}):
            alike = [case for case in forget if truth[case] == label]
            shown += draw_cases(alike, min(self.shots, len(alike) // 2), seed=config.seed)
        others = [case for case in forget if case not in shown]
        return tuple(shown), draw_cases(others, self.most, seed=config.seed)

    def _filling(self, shown: Sequence[str], cases: AuditCases, config: AuditConfig) -> tuple[str, ...]:
        """Choose retain cases of the classes of a classification that no shown forget case has."""
        truth = _truth(cases)
        filling: tuple[str, ...] = ()
        for label in sorted(set(truth.values()) - {truth.get(case) for case in shown}):
            retained = [case for case in cases.subsets["retain"] if truth[case] == label]
            filling += draw_cases(retained, self.shots, seed=config.seed)
        return filling


def _without(reason: str, forgotten: str) -> dict[str, Finding]:
    sentence = "Prototypes could not be put in place of the head."
    return {"restored": Finding(value=None, forgotten=forgotten, sentence=sentence, reason=reason)}


def _truth(cases: AuditCases) -> dict[str, int]:
    """Return the class of every case of a classification; empty for a segmentation."""
    scores = cases.scores["teacher"]
    return dict(zip(scores.ids, scores.truth.tolist(), strict=True)) if isinstance(scores, ClassScores) else {}


def _collect(sums: PrototypeSums, samples: Sequence[str], cases: AuditCases, config: AuditConfig) -> None:
    """Add up the features of the samples by their true outcome."""
    for case in one_by_one(cases.loader(samples)):
        image, label = (
            torch.as_tensor(case[key]).as_subclass(torch.Tensor).to(config.device) for key in ("image", "label")
        )
        dense = config.task == "segmentation"
        shape = (1, sums.logit_count, *(image.shape[2:] if dense else ()))
        outcome = label_outcomes(label, torch.empty(shape, device="meta"), config.activation)
        weights = sums.weights_of(outcome)
        collect: Callable[..., torch.Tensor] = sums if dense else sums.of_images(weights)
        # the inferer cuts image and outcomes into the same windows
        config.inferer(torch.cat([image, weights.to(image.dtype)], dim=1) if dense else image, collect)
