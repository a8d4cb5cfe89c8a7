"""Few-shot relearning: how fast does what was forgotten come back when some of it is shown again?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from monai_unlearn.audit.draws import draw_cases, few_shots
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, plain_copy
from monai_unlearn.metrics import bootstrap_interval

__all__ = ["FewShotRelearning", "area_under", "case_curves", "relearning_cases"]

FORGOTTEN = "as the oracle, which never saw the cases: no faster and no higher"


@dataclass(frozen=True, kw_only=True)
class FewShotRelearning:
    """Few-shot relearning: train on with a few forget cases and measure the others (relearn time, RTT).

    A network that hides what it knows needs only a hint; one that has forgotten learns no faster than the oracle. The
    attacker trains all weights for a fixed number of steps. For a request of classes as many retain cases are shown
    beside the forget cases, or always answering the class would do.

    Args:
        shots: forget cases that are shown; ``None``: a tenth of them, at least 1 and at most 5; never more than
            half.
        steps: training steps.
        every: steps between two measurements; divides ``steps``.
        within: the network counts as restored at ``(1 - within)`` times the teacher's measure.
        most: the largest number of cases that are measured.

    Raises:
        ValueError: if a number is below 1, ``every`` does not divide ``steps``, or ``within`` is not in ``[0, 1)``.
    """

    name: ClassVar[str] = "few_shot_relearning"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    shots: int | None = None
    steps: int = 20
    every: int = 5
    within: float = 0.05
    most: int = 32

    def __post_init__(self) -> None:
        if min(self.steps, self.every, self.most, 1 if self.shots is None else self.shots) < 1 or (
            self.steps % self.every or not 0 <= self.within < 1
        ):
            raise ValueError(f"shots, steps, every and most are 1 or more, every divides steps, 0 ≤ within < 1: {self}")

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``area`` (under the curve), ``lead`` (over the oracle's) and ``steps_to_relearn``."""
        forget = cases.subsets["forget"]
        shots = self.shots or max(1, min(5, len(forget) // 10))
        shown, measured = few_shots(forget, shots, most=self.most, seed=config.seed)
        trained = relearning_cases(shown, cases, config)
        curves = {
            role: case_curves(role, models[role], trained, measured, cases, config, steps=self.steps, every=self.every)
            for role in ("student", "oracle")
            if role in models
        }
        taught = float(config.values(cases.scores["teacher"], measured).mean())
        series = {role: of_role.mean(axis=1).tolist() for role, of_role in curves.items()}
        areas = {role: area_under(of_role) for role, of_role in curves.items()}
        details: dict[str, Any] = {
            "forget_cases_shown": len(shown),
            "cases_shown": len(trained),
            "cases_measured": len(measured),
            "measured_on_the_shown_case": shown == measured,
            "every": self.every,
            "teacher_measure": taught,
        }
        where = "the one forget case itself" if shown == measured else f"{len(measured)} other forget cases"
        ways = {role: f"from {curve[0]:.3f} to {curve[-1]:.3f}" for role, curve in series.items()}
        others = f", the oracle's {ways['oracle']}" if "oracle" in ways else ""
        return {
            "area": Finding(
                value=float(areas["student"].mean()),
                oracle=float(areas["oracle"].mean()) if "oracle" in areas else None,
                teacher=taught,
                forgotten=FORGOTTEN,
                sentence=f"{self.steps} steps on {len(shown)} forget case{'s' * (len(shown) > 1)} bring the "
                f"{config.measure} on {where} {ways['student']}{others} (teacher {taught:.3f}).",
                interval=bootstrap_interval(np.mean, areas["student"], seed=config.seed),
                series=series,
                axis=f"training steps on forget cases, in units of {self.every}",
                details=details,
            ),
            "lead": _lead(areas, series, config),
            "steps_to_relearn": self._steps(series, taught, config),
        }

    def _steps(self, series: dict[str, list[float]], taught: float, config: AuditConfig) -> Finding:
        goal = (1 - self.within) * taught
        needed = {
            role: next((i for i, value in enumerate(curve) if value >= goal), None) for role, curve in series.items()
        }
        steps = {role: None if index is None else float(index * self.every) for role, index in needed.items()}
        own = steps["student"]
        reached = f"after {own:.0f} steps" if own is not None else f"not within {self.steps} steps"
        return Finding(
            value=own,
            oracle=steps.get("oracle"),
            forgotten="as many steps as the oracle, or more; a network that is there at 0 steps has not got worse",
            sentence=f"The student reaches {goal:.3f}, {1 - self.within:.0%} of the teacher's {config.measure}, "
            f"{reached}.",
            reason="" if own is not None else f"{goal:.3f} was not reached within {self.steps} steps",
            details={"goal": goal, "oracle_reaches_it": steps.get("oracle") is not None if "oracle" in steps else None},
        )


def relearning_cases(shown: Sequence[str], cases: AuditCases, config: AuditConfig) -> tuple[str, ...]:
    """Name what the attacker trains on: the shown forget cases; of a class request as many retain cases besides."""
    extra = len(shown) if config.classes else 0
    return (*shown, *draw_cases(cases.subsets["retain"], extra, seed=config.seed))


def case_curves(
    role: str,
    network: nn.Module,
    shown: Sequence[str],
    measured: Sequence[str],
    cases: AuditCases,
    config: AuditConfig,
    *,
    steps: int,
    every: int,
) -> NDArray[np.float64]:
    """Train a copy of a network on the shown cases and measure the others.

    Args:
        role: of the network, to know where it starts.
        network: the network; it is not changed.
        shown: ids of training cases.
        measured: ids of cases that are measured.
        cases: the cases.
        config: how the networks are read and trained on.
        steps: training steps.
        every: steps between two measurements.

    Returns:
        The measure of every case before the first step and after every ``every`` steps, shape
        ``(1 + steps / every, len(measured))``.
    """
    curve = [config.values(cases.scores[role], measured)]
    attacked = plain_copy(network)
    # two where the config allows: batch normalisation of a single vector has no variance
    size = min(config.fine_tuning.batch_size, max(2, len(shown)))
    repeated = [shown[index % len(shown)] for index in range(size * every)]
    fine_tune(
        attacked,
        cases.training_loader(repeated, batch_size=size, seed=config.seed),
        config=config,
        epochs=steps // every,
        after_epoch=lambda _: curve.append(config.values(config.score(attacked, cases.loader(measured)), measured)),
    )
    return np.stack(curve)


def area_under(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under every case's curve by the trapezoid rule, over equally spaced points that make up the length 1."""
    area: NDArray[np.float64] = ((curves[:-1] + curves[1:]) / 2).mean(axis=0)
    return area


def _lead(areas: dict[str, NDArray[np.float64]], series: dict[str, list[float]], config: AuditConfig) -> Finding:
    forgotten = "0 or less, at the end too: no faster than the oracle; one that starts far below it tells by its end"
    if "oracle" not in areas:
        return Finding(value=None, forgotten=forgotten, sentence="Not compared.", reason="there is no oracle")
    lead = areas["student"] - areas["oracle"]
    value = float(lead.mean())
    return Finding(
        value=value,
        oracle=0.0,
        forgotten=forgotten,
        sentence=f"While it relearns, the student's {config.measure} is on average {value:+.3f} against the oracle's.",
        interval=bootstrap_interval(np.mean, lead, seed=config.seed),
        details={"lead_at_the_end": series["student"][-1] - series["oracle"][-1]},
    )
