"""The support-vector attack of the literature: does a classifier of members take the forget cases for members?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.scores import CaseScores
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels

__all__ = ["SupportVectorAttack"]


@dataclass(frozen=True, kw_only=True)
class SupportVectorAttack:
    """SVC-MIA, for comparison with published tables (as in SalUn, ICLR 2024): a weak attack, and no verdict by itself.

    A support-vector machine learns to tell retain cases (members) from reference cases (non-members) by confidence,
    entropy and loss; then it is asked about the forget cases. Every network is attacked with a machine of its own. Our
    adaptation: all signals together, standardised, as many retain cases as reference cases (drawn by seed), and
    averages over the voxels where the output is dense. Reference cases steered a calibrated student; the machine has
    seen them, the figure is of forget cases only.

    It needs scikit-learn, the extra ``audit``.

    Args:
        penalty: ``C`` of the machine; SalUn's value.
        use_loss: whether the attacker knows the labels.
    """

    name: ClassVar[str] = "support_vector_attack"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    penalty: float = 3.0
    use_loss: bool = True

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``called_member``, the share of the forget cases that are taken for members."""
        reason = _reason(cases)
        forgotten = "the oracle's share, neither above nor below it"
        if reason:
            sentence = "The support-vector attack was not tried."
            return {"called_member": Finding(value=None, forgotten=forgotten, sentence=sentence, reason=reason)}
        share = {name: self._share(cases.scores[name], cases, config) for name in models}
        return {
            "called_member": Finding(
                value=share["student"],
                oracle=share.get("oracle"),
                teacher=share.get("teacher"),
                forgotten=forgotten,
                sentence=f"A support-vector machine takes {share['student']:.3f} of the forget cases for members"
                f"{said_beside(share)}.",
            )
        }

    def _share(self, scores: CaseScores, cases: AuditCases, config: AuditConfig) -> float:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        retain, reference = cases.subsets["retain"], cases.subsets["reference"]
        generator = np.random.default_rng(config.seed)
        size = min(len(retain), len(reference))
        members, others = (
            self._features(scores, [ids[row] for row in generator.permutation(len(ids))[:size]])
            for ids in (retain, reference)
        )
        machine = make_pipeline(StandardScaler(), SVC(C=self.penalty, gamma="auto", kernel="rbf"))
        machine.fit(np.concatenate([members, others]), np.repeat([1, 0], size))
        return float(machine.predict(self._features(scores, cases.subsets["forget"])).mean())

    def _features(self, scores: CaseScores, ids: list[str] | tuple[str, ...]) -> NDArray[np.float64]:
        columns = [scores.signal(ids, name) for name in ("confidence", "entropy")]
        return np.stack([*columns, *([scores.of(ids, "loss")] if self.use_loss else [])], axis=1)


def _reason(cases: AuditCases) -> str:
    if reason := too_few({"retain": len(cases.subsets["retain"]), "reference": len(cases.subsets["reference"])}):
        return f"{reason}, too few to learn from"
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return "scikit-learn is not installed; 'pip install \"monai-unlearn[audit]\"' brings it"
    return ""
