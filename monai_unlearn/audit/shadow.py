"""The attack with shadow models: can one tell networks that unlearned a case from networks that never saw it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import MINIMUM_CASES
from monai_unlearn.audit.shadow_models import ShadowModels, case_statistics
from monai_unlearn.audit.shadow_scores import ShadowScores, mean_over_parts, retain_ratios
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import (
    forgetting_epsilon,
    forgetting_quality,
    margin_divergence,
    membership_auc,
    relative_membership,
    tpr_at_fpr,
)

__all__ = ["ShadowAttack"]

Values = NDArray[np.float64]
SUBSETS = ("forget", "retain", "unseen", "reference")


@dataclass(frozen=True, kw_only=True)
class ShadowAttack:
    """Attack the erasure by shadow models: U-LiRA, BaVarIA, RMIA, KLoM and empirical epsilon.

    All but RMIA judge the *procedure*, on a small surrogate of the task: every shadow model is attacked with the other
    pairs, with what a case gives away (:class:`DenseStatistic`) as the score. ``teacher`` is the same figure before
    erasing. RMIA attacks the audited networks themselves; of the shadow models it takes those that never saw the case.

    Args:
        band: see :class:`DenseStatistic`.
        hardest: see :class:`DenseStatistic`.
        gamma: see :func:`~monai_unlearn.metrics.relative_membership`.
        offline: the same function's :math:`a`.
        delta: of empirical epsilon.
        confidence: of empirical epsilon.
    """

    name: ClassVar[str] = "shadow"
    tier: ClassVar[int] = 2
    needs_oracle: ClassVar[bool] = False
    band: int = 1
    hardest: float = 0.1
    gamma: float = 1.0
    offline: float = 0.3
    delta: float = 1e-5
    confidence: float = 0.95

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``bavaria``, ``u_lira``, ``worst_case``, ``klom``, ``epsilon``, ``quality``, ``retain``, ``rmia``."""
        if config.shadows is None:
            raise ValueError("the attack with shadow models has none; say how they are trained in 'audit#shadow'")
        shadows = config.shadows()
        statistic = DenseStatistic(
            activation=config.activation,
            task=config.task,
            classes=config.classes,
            band=self.band,
            hardest=self.hardest,
        )
        ids = {name: cases.subsets[name] for name in SUBSETS}
        values = {
            kind: self._statistics([getattr(pair, kind) for pair in shadows.pairs], shadows, ids, statistic, config)
            for kind in ("taught", "unlearned", "untrained")
        }
        after, before = (
            ShadowScores(inside=values[kind]["forget"], outside=values["untrained"]["forget"])
            for kind in ("unlearned", "taught")
        )
        facts = {
            "surrogate": shadows.surrogate,
            "pairs": len(shadows.pairs),
            "seconds_per_pair": shadows.seconds_per_pair,
            "parts": list(statistic.parts),
        }
        context = _Context(
            facts=facts, of=f"on a surrogate ({shadows.surrogate}; {len(shadows.pairs)} pairs)", seed=config.seed
        )
        member = np.array([[case in pair.drawn for case in ids["retain"]] for pair in shadows.pairs])
        return {
            **{kind: _pooled(kind, after, before, context) for kind in ("bavaria", "u_lira")},
            "worst_case": _worst_case(after, before, context),
            "klom": _klom(values, context),
            "epsilon": self._epsilon(after, before, context),
            "quality": _quality(after, before, context),
            "retain": _retain(values, member.reshape(len(shadows.pairs), -1), context),
            "rmia": self._rmia(models, cases, config, statistic, values["untrained"], context),
        }

    def _statistics(
        self,
        networks: list[Any],
        shadows: ShadowModels,
        ids: dict[str, tuple[str, ...]],
        statistic: DenseStatistic,
        config: AuditConfig,
    ) -> dict[str, Values]:
        loader = shadows.loader([case for name in SUBSETS for case in ids[name]])
        found = case_statistics(networks, loader, statistic=statistic, inferer=shadows.inferer, device=config.device)
        ends = np.cumsum([len(ids[name]) for name in SUBSETS])[:-1]
        return dict(zip(SUBSETS, np.split(found, ends, axis=1), strict=True))

    def _epsilon(self, after: ShadowScores, before: ShadowScores, context: _Context) -> Finding:
        forgotten = "0: no loss of privacy can be proved"
        if after.inside.shape[1] < 2:
            return context.nothing(forgotten, "a threshold is chosen on other forget cases, and there is only one")
        settings = {"delta": self.delta, "confidence": self.confidence}
        value, taught = (scores.epsilon(**settings) for scores in (after, before))
        return Finding(
            value=value,
            teacher=taught,
            forgotten=forgotten,
            sentence=f"The attack proves an epsilon of {value:.2f} ({taught:.2f} before erasing), {context.of}.",
            details={**context.facts, **settings},
        )

    def _rmia(
        self,
        models: AuditModels,
        cases: AuditCases,
        config: AuditConfig,
        statistic: DenseStatistic,
        untrained: dict[str, Values],
        context: _Context,
    ) -> Finding:
        forgotten = "the oracle's figure; 0.5 if forget and unseen cases are alike"
        fewest = min(len(cases.subsets["forget"]), len(cases.subsets["unseen"]))
        if fewest < MINIMUM_CASES or not cases.subsets["reference"]:
            return context.nothing(forgotten, _too_few("forget and unseen", fewest))
        subsets = ("forget", "unseen", "reference")
        reference = {name: expit(mean_over_parts(untrained[name])) for name in subsets}
        found: dict[str, tuple[float, float]] = {}
        for role, network in models.items():
            own = {
                name: expit(
                    mean_over_parts(
                        case_statistics(
                            [network],
                            cases.loader(cases.subsets[name]),
                            statistic=statistic,
                            inferer=config.inferer,
                            device=config.device,
                        )[0]
                    )
                )
                for name in subsets
            }
            members, others = (
                relative_membership(
                    own[name],
                    reference[name],
                    own["reference"],
                    reference["reference"],
                    gamma=self.gamma,
                    offline=self.offline,
                )
                for name in ("forget", "unseen")
            )
            found[role] = (membership_auc(members, others), tpr_at_fpr(members, others, fpr=0.01))
        auc = {role: values[0] for role, values in found.items()}
        beside = "".join(f", {role} {auc[role]:.3f}" for role in ("oracle", "teacher") if role in auc)
        return Finding(
            value=auc["student"],
            oracle=auc.get("oracle"),
            teacher=auc.get("teacher"),
            forgotten=forgotten,
            sentence=(
                f"Compared with small networks that never saw the case, RMIA tells forget from unseen cases with an "
                f"AUC of {auc['student']:.3f}{beside}."
            ),
            details={**context.facts, "tpr_at_1pct_fpr": {role: values[1] for role, values in found.items()}},
        )


@dataclass(frozen=True, kw_only=True)
class _Context:
    facts: dict[str, Any]
    of: str
    seed: int

    def nothing(self, forgotten: str, reason: str) -> Finding:
        return Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason, details=self.facts)

    def chance(self, scores: ShadowScores, figure: Callable[[ShadowScores], float]) -> dict[str, Any]:
        """Say what a figure would be if the two of a pair were alike, and how often it would be as large as it is."""
        drawn = scores.by_chance(figure, seed=self.seed)
        return {
            "chance_median": float(np.median(drawn)),
            "chance_95": float(np.quantile(drawn, 0.95)),
            "p_value": float((drawn >= figure(scores) - 1e-12).mean()),
        }


def _pooled(kind: Any, after: ShadowScores, before: ShadowScores, context: _Context) -> Finding:
    forgotten = "what chance gives, about 0.5"
    if after.inside.shape[1] < MINIMUM_CASES:
        return context.nothing(forgotten, _too_few("forget", after.inside.shape[1]))
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


def _worst_case(after: ShadowScores, before: ShadowScores, context: _Context) -> Finding:
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
            "position": int(after.case_aucs().argmax()),
            "by_position": after.case_aucs().tolist(),
            "by_position_before": before.case_aucs().tolist(),
        },
    )


def _klom(values: dict[str, dict[str, Values]], context: _Context) -> Finding:
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


def _quality(after: ShadowScores, before: ShadowScores, context: _Context) -> Finding:
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


def _retain(values: dict[str, dict[str, Values]], member: NDArray[np.bool_], context: _Context) -> Finding:
    forgotten = "the teacher's figure: who stays must not lose privacy by another one's erasure"
    if member.shape[1] < MINIMUM_CASES:
        return context.nothing(forgotten, _too_few("retain", member.shape[1]))
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


def _too_few(what: str, fewest: int) -> str:
    return f"needs {MINIMUM_CASES} {what} cases, and reference cases to compare with; there are {fewest}"
