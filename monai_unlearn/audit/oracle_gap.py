"""The oracle gap: how far the student is from the network that never saw the forget cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import loss_attack
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import tost, tug_of_war

__all__ = ["OracleGap"]

SUBSETS = ("forget", "retain", "unseen")


@dataclass(frozen=True, kw_only=True)
class OracleGap:
    """Student minus oracle on the same cases, and whether that is nothing: two one-sided paired t-tests.

    ToW, the tug of war (Zhao et al., NeurIPS 2024, arXiv 2406.01257), sums the three gaps up in one number, 1 for the
    oracle itself; ToW-MIA has the AUC of the loss attack in place of the measure on forget.

    Args:
        margin: gap that does not matter, in the unit of the measure; set in advance.
        alpha: level of each one-sided test.
    """

    name: ClassVar[str] = "oracle_gap"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True
    margin: float = 0.02
    alpha: float = 0.05

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget``, ``retain``, ``unseen`` (mean gaps, their tests in the details), ``tow``, ``tow_mia``.

        The details of a gap hold the difference of every case for :func:`monai_unlearn.audit.pool_gaps`, which puts
        several audits together: sorted, for in the order of the cases whoever has the datalist could read single ones.
        """
        found, gaps = {}, {}
        for subset in SUBSETS:
            ids = cases.subsets[subset]
            if not ids:
                sentence, reason = f"Not measured on {subset}.", f"there is no {subset} case to measure"
                found[subset] = Finding(value=None, forgotten="0", sentence=sentence, reason=reason)
                continue
            of_model = {name: config.values(cases.scores[name], ids) for name in models}
            differences = {name: values - of_model["oracle"] for name, values in of_model.items()}
            gaps[subset] = {name: float(values.mean()) for name, values in differences.items()}
            found[subset] = self._gap(subset, differences["student"], gaps[subset]["teacher"], config)
        return {**found, **_wars(gaps, models, cases)}

    def _gap(self, subset: str, differences: NDArray[np.float64], of_teacher: float, config: AuditConfig) -> Finding:
        test = tost(differences, margin=self.margin, alpha=self.alpha)
        verdicts = {
            True: f"that is equivalent within {self.margin:g}",
            False: f"equivalence within {self.margin:g} is not shown",
            None: "one case allows no test",
        }
        return Finding(
            value=test.mean,
            oracle=0.0,
            teacher=of_teacher,
            interval=test.interval,
            forgotten="0: student and oracle are alike",
            sentence=f"On {subset} the student's {config.measure} is the oracle's {test.mean:+.3f}; "
            f"{verdicts[test.equivalent]}.",
            details={
                **test.content(),
                "margin": self.margin,
                "alpha": self.alpha,
                "differences": sorted(round(value, 6) for value in differences.tolist()),
            },
        )


def _wars(gaps: Mapping[str, Mapping[str, float]], models: AuditModels, cases: AuditCases) -> dict[str, Finding]:
    forgotten = "1, the oracle's own"
    attacks = {
        name: loss_attack(cases.scores[name], forget=cases.subsets["forget"], unseen=cases.subsets["unseen"])
        for name in models
    }
    reason = attacks["oracle"].get("reason", "")
    missing = [subset for subset in SUBSETS if subset not in gaps]
    found = {}
    for name, why in (("tow", ""), ("tow_mia", reason)):
        if missing or why:
            why = f"there is no {missing[0]} case" if missing else why
            found[name] = Finding(value=None, forgotten=forgotten, sentence="The gaps were not summed up.", reason=why)
            continue
        value = {
            model: tug_of_war(
                [
                    gaps["forget"][model] if name == "tow" else attacks[model]["auc"] - attacks["oracle"]["auc"],
                    gaps["retain"][model],
                    gaps["unseen"][model],
                ]
            )
            for model in models
        }
        found[name] = Finding(
            value=value["student"],
            oracle=value["oracle"],
            teacher=value["teacher"],
            forgotten=forgotten,
            sentence=f"All gaps together{'' if name == 'tow' else ', by the loss attack on forget,'} give "
            f"{value['student']:.3f} of 1 (teacher {value['teacher']:.3f}).",
        )
    return found
