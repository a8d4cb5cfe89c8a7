"""Savings: how much of the relearning is spared because something was kept?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_unlearn.audit.draws import draw_cases, few_shots
from monai_unlearn.audit.few_shot import area_under, case_curves, relearning_cases
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import bootstrap_interval

__all__ = ["SMALLEST_LEAD", "RelearningArea", "savings"]

SMALLEST_LEAD = 0.01
"""Savings are a share of the teacher's lead over the oracle; a smaller lead than this leaves nothing to divide by."""


def savings(unlearned: Any, retrained: Any, original: Any, *, axis: int = -1) -> Any:
    r"""Share of the original's lead in relearning that the unlearned network still has.

    .. math:: S = (A_u - A_r) / (A_o - A_r)

    from the means of the areas over the cases (after "Unlearning as Ablation", arXiv 2508.17681).

    Args:
        unlearned: areas of the unlearned network, cases on ``axis``.
        retrained: areas of the network that never saw the cases.
        original: areas of the network that was to forget them.
        axis: axis of the cases.

    Returns:
        0 if nothing is spared, 1 if it is as with the original; NaN where the original's lead is below 0.01.
    """
    above = np.mean(unlearned, axis=axis) - np.mean(retrained, axis=axis)
    lead = np.mean(original, axis=axis) - np.mean(retrained, axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lead >= SMALLEST_LEAD, above / lead, np.nan)


@dataclass(frozen=True, kw_only=True)
class RelearningArea:
    """Relearning area and savings: student, oracle and teacher are shown more and more forget cases.

    Every rung starts from the network as it is and trains for the same number of steps; the same cases, which none of
    the rungs shows, are measured. The area is that under the curve over the rungs, each of the same width. The
    hypothesis "erased" is refuted if the interval of the savings does not lie within ±0.1.

    Args:
        shots: forget cases that are shown, rising from 0; rungs above half of the forget cases are left out.
        steps: training steps at every rung.
        most: the largest number of cases that are measured.

    Raises:
        ValueError: if ``shots`` does not rise from 0 over at least two rungs, or another number is below 1.
    """

    name: ClassVar[str] = "relearning_area"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True
    shots: tuple[int, ...] = (0, 1, 2, 5, 10)
    steps: int = 20
    most: int = 64

    def __post_init__(self) -> None:
        rungs = list(self.shots)
        if len(rungs) < 2 or rungs[0] != 0 or rungs != sorted(set(rungs)) or min(self.steps, self.most) < 1:
            raise ValueError(f"shots rise from 0, as in (0, 1, 2, 5); steps and most are 1 or more: {self}")

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``area`` and ``savings``."""
        forget = cases.subsets["forget"]
        rungs = [count for count in self.shots if count <= max(1, len(forget) // 2)]
        shown, measured = few_shots(forget, rungs[-1], most=self.most, seed=config.seed)
        order = draw_cases(shown, len(shown), seed=config.seed)
        curves = {
            role: np.stack([self._rung(role, order[:count], measured, models, cases, config) for count in rungs])
            for role in ("student", "oracle", "teacher")
        }
        areas = {role: area_under(of_role) for role, of_role in curves.items()}
        means = {role: float(of_role.mean()) for role, of_role in areas.items()}
        where = "the one forget case itself" if shown == measured else f"{len(measured)} others"
        return {
            "area": Finding(
                value=means["student"],
                oracle=means["oracle"],
                teacher=means["teacher"],
                forgotten="the oracle's area, or less",
                sentence=f"Shown up to {rungs[-1]} forget cases and measured on {where}, the mean {config.measure} "
                f"while relearning is {means['student']:.3f} (oracle {means['oracle']:.3f}, teacher "
                f"{means['teacher']:.3f}).",
                interval=bootstrap_interval(np.mean, areas["student"], seed=config.seed),
                series={role: of_role.mean(axis=1).tolist() for role, of_role in curves.items()},
                axis="forget cases shown: " + ", ".join(map(str, rungs)),
                details={
                    "shots": rungs,
                    "steps": self.steps,
                    "cases_measured": len(measured),
                    "measured_on_the_shown_case": shown == measured,
                },
            ),
            "savings": _savings(areas, means, config),
        }

    def _rung(
        self,
        role: str,
        shown: tuple[str, ...],
        measured: tuple[str, ...],
        models: AuditModels,
        cases: AuditCases,
        config: AuditConfig,
    ) -> NDArray[np.float64]:
        if not shown:
            untrained: NDArray[np.float64] = config.values(cases.scores[role], measured)
            return untrained
        trained = relearning_cases(shown, cases, config)
        curves = case_curves(role, models[role], trained, measured, cases, config, steps=self.steps, every=self.steps)
        last: NDArray[np.float64] = curves[-1]
        return last


def _savings(areas: dict[str, NDArray[np.float64]], means: dict[str, float], config: AuditConfig) -> Finding:
    columns = [areas[role] for role in ("student", "oracle", "teacher")]
    share, lead = float(savings(*columns)), means["teacher"] - means["oracle"]
    forgotten = "0, with an interval within ±0.1; 1 is only hidden, below 0 is damaged"
    if not np.isfinite(share):
        return Finding(
            value=None,
            forgotten=forgotten,
            sentence=f"The teacher's lead over the oracle while relearning is {lead:.3f}.",
            reason=f"a lead below {SMALLEST_LEAD} leaves nothing to take a share of",
        )
    interval = bootstrap_interval(savings, *columns, seed=config.seed)
    return Finding(
        value=share,
        oracle=0.0,
        teacher=1.0,
        forgotten=forgotten,
        sentence=f"The teacher's lead over the oracle while relearning is {lead:.3f} in {config.measure}; the student "
        f"has {share:.0%} of it.",
        interval=interval,
        details={} if interval else {"no_interval": "in some draws of the cases the teacher has no lead"},
    )
