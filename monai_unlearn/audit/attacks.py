"""Attacks on the output: do loss, confidence or entropy tell forget cases from unseen ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import loss_attack, too_few
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import auc_interval, membership_auc, tpr_at_fpr, tpr_curve

__all__ = ["ConfidenceAttack", "LossAttack"]

Sides = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scores of the forget cases and of the unseen ones, larger meaning "more likely a member"."""

FORGOTTEN = "the oracle's figure, neither above nor below it"
CURVE = 101


@dataclass(frozen=True, kw_only=True)
class LossAttack:
    """The loss attack (Yeom et al., CSF 2018): members are the cases on which the loss is low.

    The AUC is read against the oracle's, from both sides: above it something is remembered, below it the cases are
    conspicuous by how badly the network does on them. The true-positive rate at 1 % false positives is the larger of
    that of low and that of high losses.

    Args:
        confidence: of the bootstrap intervals over the cases.
    """

    name: ClassVar[str] = "loss_attack"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    confidence: float = 0.95

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``auc``, with the ROC curves, and ``tpr_at_1pct_fpr``."""
        forget, unseen = cases.subsets["forget"], cases.subsets["unseen"]
        attacks = {name: loss_attack(cases.scores[name], forget=forget, unseen=unseen) for name in models}
        sides = {
            name: (-cases.scores[name].of(forget, "loss"), -cases.scores[name].of(unseen, "loss")) for name in models
        }
        return _findings(
            sides,
            reason=attacks["student"].get("reason", ""),
            what="loss",
            confidence=self.confidence,
            seed=config.seed,
        )


@dataclass(frozen=True, kw_only=True)
class ConfidenceAttack:
    """Attacks that need no label (Salem et al., NDSS 2019): members are those on which the network is sure.

    Signals are the largest probability and the entropy, each averaged over the elements of a case, and for a
    segmentation over its true foreground too, without which the background decides; cases without foreground are left
    out there.

    Args:
        confidence: of the bootstrap intervals over the cases.
    """

    name: ClassVar[str] = "confidence_attack"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    confidence: float = 0.95

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``NAME_auc`` and ``NAME_tpr_at_1pct_fpr`` of every signal, such as ``foreground_entropy``."""
        found: dict[str, Finding] = {}
        for signal in ("confidence", "entropy", "foreground_confidence", "foreground_entropy"):
            if signal not in cases.scores["student"].signals:
                continue
            sides = {name: _sides(cases, name, signal) for name in models}
            members, others = sides["student"]
            among = " with foreground" if signal.startswith("foreground") else ""
            findings = _findings(
                sides,
                reason=too_few({"forget": len(members), "unseen": len(others)}, noun=f"cases{among}"),
                what=signal.replace("foreground_", "") + (" over the foreground" if among else ""),
                confidence=self.confidence,
                seed=config.seed,
            )
            found.update({f"{signal}_{name}": finding for name, finding in findings.items()})
        return found


def _sides(cases: AuditCases, model: str, signal: str) -> Sides:
    sign = -1 if signal.endswith("entropy") else 1
    forget, unseen = (sign * cases.scores[model].signal(cases.subsets[name], signal) for name in ("forget", "unseen"))
    return forget[~np.isnan(forget)], unseen[~np.isnan(unseen)]  # NaN: no foreground, the same cases in every model


def _findings(
    sides: Mapping[str, Sides], *, reason: str, what: str, confidence: float, seed: int
) -> dict[str, Finding]:
    if reason:
        none = Finding(value=None, forgotten=FORGOTTEN, sentence=f"The attack by {what} was not tried.", reason=reason)
        return {"auc": none, "tpr_at_1pct_fpr": none}
    auc = {name: membership_auc(*pair) for name, pair in sides.items()}
    low = {name: tpr_at_fpr(*pair, fpr=0.01) for name, pair in sides.items()}
    high = {name: tpr_at_fpr(-pair[0], -pair[1], fpr=0.01) for name, pair in sides.items()}
    both = {name: max(low[name], high[name]) for name in sides}
    details: dict[str, Any] = {"two_sided": {name: max(value, 1 - value) for name, value in auc.items()}}
    if "oracle" in sides:
        apart = auc_interval(*sides["student"], minus=sides["oracle"], confidence=confidence, seed=seed)
        details["minus_oracle"] = {"value": auc["student"] - auc["oracle"], "interval": list(apart)}
    return {
        "auc": Finding(
            **_by_model(auc),
            forgotten=FORGOTTEN,
            sentence=f"By {what}, forget and unseen cases are told apart with an AUC of {_said(auc)}.",
            interval=auc_interval(*sides["student"], confidence=confidence, seed=seed),
            series={name: tpr_curve(*pair, np.linspace(0, 1, CURVE).tolist()) for name, pair in sides.items()},
            axis=f"false-positive rate, 0 to 1 in {CURVE} steps",
            details=details,
        ),
        "tpr_at_1pct_fpr": Finding(
            **_by_model(both),
            forgotten=FORGOTTEN,
            sentence=f"At 1 % false alarms, {what} finds a share of the forget cases of {_said(both)}.",
            details={"as_members": low, "as_conspicuous": high},
        ),
    }


def _by_model(values: Mapping[str, float]) -> dict[str, Any]:
    return {"value": values["student"], "oracle": values.get("oracle"), "teacher": values.get("teacher")}


def _said(values: Mapping[str, float]) -> str:
    warning = "" if "oracle" in values else "; without an oracle nobody knows what it ought to be"
    return f"{values['student']:.3f}{said_beside(values)}{warning}"
