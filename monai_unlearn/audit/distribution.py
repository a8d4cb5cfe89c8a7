"""Are the losses on the forget cases distributed as the oracle's?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scipy import stats

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import mmd_test

__all__ = ["ScoreDistribution"]

SMALLEST = 20
"""With fewer cases the two-sample tests see next to nothing."""


@dataclass(frozen=True, kw_only=True)
class ScoreDistribution:
    """Two-sample tests of the student's losses on forget against the oracle's: Kolmogorov–Smirnov, and MMD.

    TOFU's *forget quality* is the p-value of the first (arXiv 2401.06121). A small p-value tells the two apart; a large
    one does not show that they are alike, which :class:`OracleGap` tests. The cases are the same on both sides and the
    tests do not use that: their p-values are too large rather than too small.

    Args:
        permutations: of the MMD's test.
    """

    name: ClassVar[str] = "score_distribution"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True
    permutations: int = 999

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``ks_p_value`` and ``mmd_p_value``."""
        forget = cases.subsets["forget"]
        forgotten = "above 0.05: not told apart from the oracle"
        if reason := too_few({"forget": len(forget)}, needed=SMALLEST):
            none = Finding(value=None, forgotten=forgotten, sentence="No two-sample test was done.", reason=reason)
            return {"ks_p_value": none, "mmd_p_value": none}
        losses = {name: cases.scores[name].of(forget, "loss") for name in models}
        found = {}
        for name, title in (("ks", "the Kolmogorov–Smirnov test"), ("mmd", "the maximum mean discrepancy")):
            tests = {}
            for model in ("student", "teacher"):
                if name == "ks":
                    result = stats.ks_2samp(losses[model], losses["oracle"])
                    tests[model] = (float(result.statistic), float(result.pvalue))
                else:
                    tests[model] = mmd_test(
                        losses[model], losses["oracle"], seed=config.seed, permutations=self.permutations
                    )
            p_value = tests["student"][1]
            apart = "tells" if p_value < 0.05 else "does not tell"
            found[f"{name}_p_value"] = Finding(
                value=p_value,
                teacher=tests["teacher"][1],
                forgotten=forgotten,
                sentence=f"By {title} the student's losses on forget against the oracle's have p = {p_value:.3g}, "
                f"which {apart} them apart (teacher p = {tests['teacher'][1]:.3g}).",
                details={"statistic": {model: test[0] for model, test in tests.items()}, "n": len(forget)},
            )
        return found
