"""The attack with shadow models: can one tell networks that unlearned a case from networks that never saw it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.relative_attack import relative_attack
from monai_unlearn.audit.shadow_findings import (
    FindingContext,
    challenge_quality,
    margin_distance,
    pooled_attack,
    retain_privacy,
    worst_case,
)
from monai_unlearn.audit.shadow_models import ShadowModels, case_statistics
from monai_unlearn.audit.shadow_scores import ShadowScores
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels

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
        context = FindingContext(
            facts=facts, of=f"on a surrogate ({shadows.surrogate}; {len(shadows.pairs)} pairs)", seed=config.seed
        )
        member = np.array([[case in pair.drawn for case in ids["retain"]] for pair in shadows.pairs])
        return {
            **{kind: pooled_attack(kind, after, before, context) for kind in ("bavaria", "u_lira")},
            "worst_case": worst_case(after, before, context),
            "klom": margin_distance(values, context),
            "epsilon": self._epsilon(after, before, context),
            "quality": challenge_quality(after, before, context),
            "retain": retain_privacy(values, member.reshape(len(shadows.pairs), -1), context),
            "rmia": relative_attack(
                models,
                cases,
                config,
                statistic=statistic,
                untrained=values["untrained"],
                context=context,
                gamma=self.gamma,
                offline=self.offline,
            ),
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

    def _epsilon(self, after: ShadowScores, before: ShadowScores, context: FindingContext) -> Finding:
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
