"""Utility: what each network is worth on each part of the data, and whether it knows how sure it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.scores import CaseScores, ClassScores
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.engines import predict_cases
from monai_unlearn.metrics import PooledCalibrationError, bootstrap_interval

__all__ = ["Utility"]

Reader = Callable[[CaseScores, tuple[str, ...]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Utility:
    """The measure on every subset with its bootstrap interval, and the calibration error on unseen cases.

    The unit of the bootstrap is the case; where a patient has several, the interval is too narrow. The calibration
    error is Guo's, over all voxels of the unseen cases, or for a classification over the cases.

    Args:
        confidence: of the intervals.
        bins: of the calibration error.
    """

    name: ClassVar[str] = "utility"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    confidence: float = 0.95
    bins: int = 15

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget``, ``retain``, ``reference``, ``unseen`` and ``calibration_error``.

        A class request adds ``kept_retain``, ``kept_reference`` and ``kept_unseen``: the same of the other classes.
        """
        found = {}
        for subset in ("forget", "retain", "reference", "unseen"):
            to_go = subset == "forget" or bool(config.classes)
            forgotten = "the oracle's" if to_go else "the teacher's: what was not to be forgotten is kept"
            found[subset] = self._of_subset(subset, forgotten, config.values, models, cases, config)
        for subset in ("retain", "reference", "unseen") if config.classes else ():
            forgotten = "the teacher's: the other classes are kept"
            found[f"kept_{subset}"] = self._of_subset(subset, forgotten, config.kept_values, models, cases, config)
        found["calibration_error"] = self._calibration(models, cases, config)
        return found

    def _of_subset(
        self,
        subset: str,
        forgotten: str,
        read: Reader,
        models: AuditModels,
        cases: AuditCases,
        config: AuditConfig,
    ) -> Finding:
        ids = cases.subsets[subset]
        values = {name: read(cases.scores[name], ids) if ids else np.empty(0) for name in models}
        reason = ""
        if not len(values["student"]):
            reason = f"there is no {subset} case to measure" if not ids else "no other class is left to measure"
        elif cases.scores["student"].lacks_foreground(ids):
            reason = (
                f"none of the {len(ids)} {subset} cases has any foreground: a network that says nothing would have the "
                f"{config.measure} 1; check their labels"
            )
        if reason:
            return Finding(value=None, forgotten=forgotten, sentence=f"Not measured on {subset}.", reason=reason)
        means = {name: float(of_model.mean()) for name, of_model in values.items()}
        intervals = {
            name: bootstrap_interval(np.mean, of_model, confidence=self.confidence, seed=config.seed)
            for name, of_model in values.items()
        }
        return Finding(
            value=means["student"],
            oracle=means.get("oracle"),
            teacher=means.get("teacher"),
            forgotten=forgotten,
            interval=intervals["student"],
            sentence=f"The student's {config.measure} on {subset} is {means['student']:.3f}{said_beside(means)}.",
            details={"n": len(values["student"]), "intervals": {k: v and list(v) for k, v in intervals.items()}},
        )

    def _calibration(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> Finding:
        unseen, forgotten = cases.subsets["unseen"], "no more than the teacher's"
        if not unseen:
            reason = "there is no unseen case to measure"
            return Finding(value=None, forgotten=forgotten, sentence="Calibration was not measured.", reason=reason)
        error = {name: self._error(name, models, cases, config) for name in models}
        return Finding(
            value=error["student"],
            oracle=error.get("oracle"),
            teacher=error.get("teacher"),
            forgotten=forgotten,
            sentence="On unseen cases the student's probabilities are off by "
            f"{error['student']:.3f}{said_beside(error)}.",
            details={"bins": self.bins},
        )

    def _error(self, name: str, models: AuditModels, cases: AuditCases, config: AuditConfig) -> float:
        pooled = PooledCalibrationError(activation=config.activation, bins=self.bins)
        scores, unseen = cases.scores[name], cases.subsets["unseen"]
        if isinstance(scores, ClassScores):
            rows = scores.rows(unseen)
            right = scores.predicted[rows] == scores.truth[rows]
            pooled.add(torch.from_numpy(scores.probabilities[rows].max(axis=1))[None], torch.from_numpy(right)[None])
            return pooled.value()
        for batch in predict_cases(models[name], cases.loader(unseen), inferer=config.inferer, device=config.device):
            pooled.update(batch.logits, batch.label)
        return pooled.value()
