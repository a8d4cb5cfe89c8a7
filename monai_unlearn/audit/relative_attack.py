"""RMIA of the audited networks, with shadow models for reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.shadow_findings import FindingContext
from monai_unlearn.audit.shadow_models import case_statistics
from monai_unlearn.audit.shadow_scores import mean_over_parts
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import membership_auc, relative_membership, tpr_at_fpr

__all__ = ["relative_attack"]

Values = NDArray[np.float64]
SUBSETS = ("forget", "unseen", "reference")


def relative_attack(
    models: AuditModels,
    cases: AuditCases,
    config: AuditConfig,
    *,
    statistic: DenseStatistic,
    untrained: Mapping[str, Values],
    context: FindingContext,
    gamma: float,
    offline: float,
) -> Finding:
    """Attack the audited networks: forget cases against unseen ones, with the reference cases as the population.

    Args:
        models: the audited networks.
        cases: the cases, as these networks see them.
        config: how the networks are read.
        statistic: what is read of a case; the probability of the truth is its logistic function.
        untrained: the statistic by subset, of shadow models that were trained on none of these cases, ``(N, C, K)``.
        context: what every finding of the attack says.
        gamma: see :func:`~monai_unlearn.metrics.relative_membership`.
        offline: the same function's.
    """
    forgotten = "the oracle's figure; 0.5 if forget and unseen cases are alike"
    if reason := too_few({name: len(cases.subsets[name]) for name in ("forget", "unseen")}):
        return context.nothing(forgotten, reason)
    if not cases.subsets["reference"]:
        return context.nothing(forgotten, "there is no reference case to compare with")
    reference = {name: _probability_of(mean_over_parts(untrained[name])) for name in SUBSETS}
    auc, rate = {}, {}
    for role, network in models.items():
        own = {name: _probabilities(network, cases, name, config, statistic) for name in SUBSETS}
        members, others = (
            relative_membership(
                own[name], reference[name], own["reference"], reference["reference"], gamma=gamma, offline=offline
            )
            for name in ("forget", "unseen")
        )
        auc[role], rate[role] = membership_auc(members, others), tpr_at_fpr(members, others, fpr=0.01)
    return Finding(
        value=auc["student"],
        oracle=auc.get("oracle"),
        teacher=auc.get("teacher"),
        forgotten=forgotten,
        sentence=(
            "Compared with small networks that never saw them, RMIA tells forget from unseen cases with an AUC of "
            f"{auc['student']:.3f}{said_beside(auc)}."
        ),
        details={**context.facts, "tpr_at_1pct_fpr": rate},
    )


def _probabilities(
    network: nn.Module, cases: AuditCases, subset: str, config: AuditConfig, statistic: DenseStatistic
) -> Values:
    loader = cases.loader(cases.subsets[subset])
    (found,) = case_statistics([network], loader, statistic=statistic, inferer=config.inferer, device=config.device)
    return _probability_of(mean_over_parts(found))


def _probability_of(margins: Values) -> Values:
    """Logistic function, never 0: of a margin of minus a thousand it would be, and no ratio can be taken of that."""
    probabilities: Values = expit(margins).clip(min=np.finfo(np.float64).tiny)
    return probabilities
