"""Information difference: what the stages still tell about having been trained on, against oracle and teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.probe import by_stage, fit_probe, stratified_folds
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels

__all__ = ["InformationDifference", "probe_information"]

SMALLEST_INFORMATION = 0.01
"""In nats per stage; where the teacher tells less than this beyond the oracle, there is nothing to divide by."""


def probe_information(
    features: NDArray[np.float64],
    members: NDArray[np.bool_],
    *,
    folds: int,
    penalties: Sequence[float],
    seed: int,
) -> float:
    r"""Estimate from below how many nats features tell about membership.

    .. math:: I(Z; Y) \ge H(Y) - \mathrm{CE}

    for the cross-entropy of any predictor; here that of a logistic probe on left-out samples, its penalty chosen by
    folds of the others. An estimate of a bound: a probe that is not linear may find more.

    Args:
        features: shape ``(N, C)``.
        members: shape ``(N,)``.
        folds: of the cross-validation, outside and inside.
        penalties: what to choose from.
        seed: of the folds.

    Returns:
        Nats, from 0 to ``H(Y)``, which is log 2 for as many members as others.
    """
    fold = stratified_folds(members, folds=folds, seed=seed)
    losses = np.empty(len(members))
    for left_out in range(folds):
        held = fold == left_out
        penalty = _choose(features[~held], members[~held], folds=folds, penalties=penalties, seed=seed)
        losses[held] = _losses(features, members, held, penalty)
    share = members.mean()
    entropy = -share * np.log(share) - (1 - share) * np.log1p(-share)
    return max(0.0, float(entropy - losses.mean()))


@dataclass(frozen=True, kw_only=True)
class InformationDifference:
    r"""Information difference by stage, after the IDI (Jeon et al., AAAI 2026, arXiv 2405.17878).

    .. math:: \sum_l [I(Z^u_l; Y) - I(Z^r_l; Y)] \,/\, \sum_l [I(Z^o_l; Y) - I(Z^r_l; Y)]

    of the unlearned network *u*, the retrained one *r* and the original *o*: 0 is the oracle, 1 the teacher, whatever
    the head does with it. Our adaptation: Y is forget or unseen instead of the label that was to go, and the
    information, in nats, is the estimate of a lower bound by :func:`probe_information` instead of InfoNCE. Read against
    the oracle alone it can be below 0 or, with few cases, far off; below ten cases on a side there is none.

    Args:
        folds: of the cross-validation.
        penalties: what the probe's penalty is chosen from.
        most: the largest number of cases on each side.

    Raises:
        ValueError: if ``folds`` is below 2, there is no penalty, or another number is not positive.
    """

    name: ClassVar[str] = "information_difference"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True
    folds: int = 4
    penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    most: int = 64

    def __post_init__(self) -> None:
        if self.folds < 2 or not self.penalties or min(*self.penalties, self.most) <= 0:
            raise ValueError(f"folds is 2 or more, penalties are positive, most is 1 or more: {self}")

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``information``, in nats, the sum over the stages with every stage as curves, and ``difference``."""
        forget, unseen = cases.subsets["forget"], cases.subsets["unseen"]
        forgotten = "0: the stages tell as little as the oracle's; 1: as much as the teacher's"
        if reason := too_few({"forget": len(forget), "unseen": len(unseen)}):
            nothing = Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)
            return {"information": nothing, "difference": nothing}
        stages, count, series = by_stage(
            models,
            cases,
            config,
            most=self.most,
            measure=lambda found, members: probe_information(
                found, members, folds=self.folds, penalties=self.penalties, seed=config.seed
            ),
        )
        sums = {role: float(np.sum(curve)) for role, curve in series.items()}
        lead = sums["teacher"] - sums["oracle"]
        measurable = lead >= SMALLEST_INFORMATION * len(stages)
        share = (sums["student"] - sums["oracle"]) / lead if measurable else None
        told = f"{sums['student']:.3f} nats about forget or unseen (oracle {sums['oracle']:.3f}, teacher "
        details = {"stages": [stage.name for stage in stages], "cases_on_each_side": count}
        return {
            "information": Finding(
                value=sums["student"],
                oracle=sums["oracle"],
                teacher=sums["teacher"],
                forgotten="as much as the oracle's stages; more than the teacher's: forgetting itself left a mark",
                sentence=f"All stages together tell {told}{sums['teacher']:.3f}).",
                series=series,
                axis="stage",
                details=details,
            ),
            "difference": Finding(
                value=share,
                oracle=0.0 if measurable else None,
                teacher=1.0 if measurable else None,
                forgotten=forgotten,
                sentence="The teacher's lead over the oracle in what the stages tell is "
                f"{lead:.3f} nats" + (f"; the student has {share:.0%} of it." if share is not None else "."),
                reason="" if measurable else f"the teacher's stages tell only {lead:.3f} nats more than the oracle's",
                details=details,
            ),
        }


def _choose(
    features: NDArray[np.float64],
    members: NDArray[np.bool_],
    *,
    folds: int,
    penalties: Sequence[float],
    seed: int,
) -> float:
    fold = stratified_folds(members, folds=folds, seed=seed)
    sums = [
        sum(float(_losses(features, members, fold == left_out, penalty).sum()) for left_out in range(folds))
        for penalty in penalties
    ]
    return penalties[int(np.argmin(sums))]


def _losses(
    features: NDArray[np.float64], members: NDArray[np.bool_], held: NDArray[np.bool_], penalty: float
) -> NDArray[np.float64]:
    """Log-loss of every held sample under a probe fitted to the others."""
    odds = fit_probe(features[~held], members[~held], penalty=penalty).log_odds(features[held])
    losses: NDArray[np.float64] = np.logaddexp(0, np.where(members[held], -odds, odds))
    return losses
