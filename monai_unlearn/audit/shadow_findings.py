"""Findings of the attack with shadow models, one function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.shadow_scores import ShadowScores, mean_over_parts, retain_ratios
from monai_unlearn.metrics import forgetting_epsilon, forgetting_quality, margin_divergence, membership_auc

__all__ = [
    "FindingContext",
    "challenge_quality",
    "margin_distance",
    "pooled_attack",
    "retain_privacy",
    "worst_case",
]

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FindingContext:
    """What every finding of the attack says.

    Args:
        facts: details that all findings have.
        of: in words, what the figures are of.
        seed: of the relabellings, where not all are gone through.
    """

    facts: dict[str, Any]
    of: str
    seed: int

    def nothing(self, forgotten: str, reason: str) -> Finding:
        """Return a finding without a value."""
        return Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason, details=self.facts)

    def chance(self, scores: ShadowScores, figure: Callable[[ShadowScores], float]) -> dict[str, Any]:
        """Say what a figure would be if the two of a pair were alike, and how often it would be as large as it is."""
        drawn = scores.by_chance(figure, seed=self.seed)
        return {
            "chance_median": float(np.median(drawn)),
            "chance_95": float(np.quantile(drawn, 0.95)),
            "p_value": float((drawn >= figure(scores) - 1e-12).mean()),
        }


def pooled_attack(
    kind: Literal["bavaria", "u_lira"], after: ShadowScores, before: ShadowScores, context: FindingContext
) -> Finding:
    """AUC of a likelihood-ratio attack over all networks and forget cases, after and before erasing."""
    forgotten = "what chance gives, about 0.5"
    if reason := too_few({"forget": after.inside.shape[1]}):
        return context.nothing(forgotten, reason)
    value, taught = after.auc(kind), before.auc(kind)
    chance = context.chance(after, lambda scores: scores.auc(kind))
    rates = {name: scores.tpr(kind) for name, scores in (("student", after), ("teacher", before))}
    title = {"bavaria": "BaVarIA", "u_lira": "U-LiRA"}[kind]
    return Finding(
        value=value,
        teacher=taught,
        forgotten=forgotten,
        sentence=(
            f"{title} tells networks that unlearned a case from networks that never saw it with an AUC of {value:.3f} "
            f"({taught:.3f} before erasing; chance alone stays below {chance['chance_95']:.3f} in 95 %), {context.of}."
        ),
        details={**context.facts, **chance, "tpr_at_1pct_fpr": rates},
    )


def worst_case(after: ShadowScores, before: ShadowScores, context: FindingContext) -> Finding:
    """AUC of the forget case that is told best."""

    def worst(scores: ShadowScores) -> float:
        return float(scores.case_aucs().max())

    chance, value, taught = context.chance(after, worst), worst(after), worst(before)
    return Finding(
        value=value,
        teacher=taught,
        forgotten=f"no more than chance gives the worst of so many cases: {chance['chance_95']:.2f} in 95 %",
        sentence=(
            f"The forget case that is told best has an AUC of {value:.2f} ({taught:.2f} before erasing; chance alone: "
            f"up to {chance['chance_95']:.2f}), {context.of}."
        ),
        details={
            **context.facts,
            **chance,
            # sorted: in the order of the cases whoever has the datalist could read single ones
            "every_auc": sorted(after.case_aucs().tolist()),
            "every_auc_before": sorted(before.case_aucs().tolist()),
        },
    )


def margin_distance(values: dict[str, dict[str, Values]], context: FindingContext) -> Finding:
    """KLoM of the forget cases; of retain and unseen ones in the details."""

    def divergences(scores: ShadowScores) -> Values:
        return margin_divergence(mean_over_parts(scores.inside), mean_over_parts(scores.outside))

    def mean_divergence(scores: ShadowScores) -> float:
        return float(divergences(scores).mean())

    details: dict[str, Any] = {}
    for subset in ("forget", "retain", "unseen"):
        for name, kind in (("", "unlearned"), ("_before", "taught")):
            scores = ShadowScores(inside=values[kind][subset], outside=values["untrained"][subset])
            if scores.inside.shape[1]:
                found = divergences(scores)
                details[f"{subset}{name}"] = {
                    "mean": float(found.mean()),
                    "percentile_95": float(np.quantile(found, 0.95)),
                }
    forget = ShadowScores(inside=values["unlearned"]["forget"], outside=values["untrained"]["forget"])
    chance = context.chance(forget, mean_divergence)
    value, taught = details["forget"]["mean"], details["forget_before"]["mean"]
    return Finding(
        value=value,
        teacher=taught,
        forgotten=f"what chance gives: {chance['chance_median']:.2f}, below {chance['chance_95']:.2f} in 95 %",
        sentence=(
            f"The margins of networks that unlearned are {value:.2f} nats from those of networks that never saw the "
            f"forget cases ({taught:.2f} before erasing; chance alone: {chance['chance_median']:.2f}), {context.of}."
        ),
        details={**context.facts, **chance, **details},
    )


def challenge_quality(after: ShadowScores, before: ShadowScores, context: FindingContext) -> Finding:
    """Forgetting quality of the NeurIPS 2023 challenge."""

    def quality(scores: ShadowScores) -> float:
        return forgetting_quality(forgetting_epsilon(mean_over_parts(scores.inside), mean_over_parts(scores.outside)))

    value, taught = quality(after), quality(before)
    drawn = after.by_chance(quality, seed=context.seed)
    return Finding(
        value=value,
        teacher=taught,
        forgotten=f"what chance gives with so few networks: {np.median(drawn):.2f}",
        sentence=(
            f"The forgetting quality of the NeurIPS 2023 challenge is {value:.2f} ({taught:.2f} before erasing; chance "
            f"alone: {np.median(drawn):.2f}), {context.of}."
        ),
        details={
            **context.facts,
            "chance_median": float(np.median(drawn)),
            "chance_5": float(np.quantile(drawn, 0.05)),
            "p_value": float((drawn <= value + 1e-12).mean()),
        },
    )


def retain_privacy(values: dict[str, dict[str, Values]], member: NDArray[np.bool_], context: FindingContext) -> Finding:
    """AUC of the attack on retain cases, after and before erasing."""
    forgotten = "the teacher's figure: who stays must not lose privacy by another one's erasure"
    if reason := too_few({"retain": member.shape[1]}):
        return context.nothing(forgotten, reason)
    auc: dict[str, float] = {}
    for kind in ("taught", "unlearned"):
        ratios = retain_ratios(values[kind]["retain"], member)
        known = np.isfinite(ratios)
        if not (known & member).any() or not (known & ~member).any():
            return context.nothing(forgotten, "no retain case is both in and out of some of the other pairs")
        auc[kind] = membership_auc(ratios[known & member], ratios[known & ~member])
    return Finding(
        value=auc["unlearned"],
        teacher=auc["taught"],
        forgotten=forgotten,
        sentence=(
            f"Retain cases are told from others with an AUC of {auc['unlearned']:.3f} after erasing and "
            f"{auc['taught']:.3f} before, {context.of}."
        ),
        details=context.facts,
    )
