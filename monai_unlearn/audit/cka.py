"""Similarity of representations, stage by stage: does the student still see the forget cases as the teacher does?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.draws import draw_cases
from monai_unlearn.audit.features import read_models, stages_of
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.stages import Stage
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels

__all__ = ["StageSimilarity", "linear_cka"]

_FEWEST_SAMPLES = 4  # of two samples any two representations are alike


def linear_cka(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    r"""Linear centred kernel alignment of two representations of the same samples (Kornblith et al., ICML 2019).

    .. math:: \|Y^\top X\|_F^2 \,/\, (\|X^\top X\|_F \, \|Y^\top Y\|_F)

    of the centred representations. Neither a rotation nor a scale changes it. With fewer samples than channels it is
    biased towards 1: compare only figures of the same samples and channels.

    Args:
        one: shape ``(N, C)``.
        other: shape ``(N, D)``.

    Returns:
        A value in ``[0, 1]``; ``None`` if a representation is the same for all samples.
    """
    x, y = one - one.mean(axis=0), other - other.mean(axis=0)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    if not norms > 1e-20 * max(1.0, float(np.abs(one).max() * np.abs(other).max()) ** 2):
        return None
    return float(np.linalg.norm(y.T @ x) ** 2 / norms)


@dataclass(frozen=True, kw_only=True)
class StageSimilarity:
    """Linear CKA per stage between student and teacher, and between oracle and teacher.

    An edit of the head leaves every stage at 1. Student and teacher share their origin and the oracle does not, so the
    student's similarity on unseen cases is the control: where it fell on forget cases alone, something about them
    changed.

    Args:
        cells: samples per axis of every image: its features are averaged over so many cells per axis, so that few
            cases suffice.
        most: the largest number of forget, and of unseen, cases.

    Raises:
        ValueError: if a number is below 1.
    """

    name: ClassVar[str] = "stage_similarity"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    cells: int = 4
    most: int = 32

    def __post_init__(self) -> None:
        if min(self.cells, self.most) < 1:
            raise ValueError(f"cells and most are 1 or more: {self}")

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget`` and, where there are unseen cases, ``unseen``: means over the stages, and every stage."""
        stages = stages_of(models, cases, config, cases.subsets["forget"][0])
        count = min(self.most, len(cases.subsets["forget"]))
        return {
            subset: self._compare(subset, draw_cases(ids, count, seed=config.seed), stages, models, cases, config)
            for subset, ids in (("forget", cases.subsets["forget"]), ("unseen", cases.subsets["unseen"]))
            if ids
        }

    def _compare(
        self,
        subset: str,
        ids: Sequence[str],
        stages: Sequence[Stage],
        models: AuditModels,
        cases: AuditCases,
        config: AuditConfig,
    ) -> Finding:
        features = read_models(models, cases, config, ids, stages, cells=self.cells)
        roles = [role for role in ("student", "oracle") if role in models]
        compared = {
            stage.name: [linear_cka(features[role][stage.name], features["teacher"][stage.name]) for role in roles]
            for stage in stages
            if len(features["teacher"][stage.name]) >= _FEWEST_SAMPLES
        }
        kept = {name: values for name, values in compared.items() if None not in values}
        forgotten = "on forget lower than on unseen cases, as with the oracle; 1 everywhere: nothing inside changed"
        left_out = [stage.name for stage in stages if stage.name not in kept]
        details: dict[str, Any] = {"stages": list(kept), "left_out": left_out, "cases": len(ids)}
        if not kept:
            reason = f"{len(ids)} cases give too few samples, or every stage puts out the same for all"
            sentence = f"The stages could not be compared on {subset}."
            return Finding(value=None, forgotten=forgotten, sentence=sentence, reason=reason, details=details)
        series = {role: [float(values[i] or 0.0) for values in kept.values()] for i, role in enumerate(roles)}
        means = {role: float(np.mean(curve)) for role, curve in series.items()}
        lowest = int(np.argmin(series["student"]))
        return Finding(
            value=means["student"],
            oracle=means.get("oracle"),
            teacher=1.0,
            forgotten=forgotten,
            sentence=f"On {subset} the student's stages resemble the teacher's with a mean CKA of "
            f"{means['student']:.3f}"
            + (f" (oracle {means['oracle']:.3f})" if "oracle" in means else "")
            + f", least at {list(kept)[lowest]!r} ({series['student'][lowest]:.3f}).",
            series=series,
            axis="stage",
            details=details,
        )
