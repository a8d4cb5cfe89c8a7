"""Linear probe: do the features of a stage tell forget cases from unseen ones?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from monai_unlearn.audit.draws import draw_sides
from monai_unlearn.audit.features import read_models, stages_of
from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.stages import Stage
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.metrics import membership_auc

__all__ = ["LinearProbe", "Probe", "fit_probe", "probe_auc", "stratified_folds"]

Array = NDArray[np.float64]


class Probe(NamedTuple):
    """A logistic probe on standardised features.

    Attributes:
        mean: of every channel, shape ``(C,)``.
        scale: standard deviation of every channel, shape ``(C,)``; 1 where it is constant.
        weights: shape ``(C,)``.
        intercept: log-odds of the average case.
    """

    mean: Array
    scale: Array
    weights: Array
    intercept: float

    def log_odds(self, features: Array) -> Array:
        """Log-odds of every sample of shape ``(N, C)`` to be a member, shape ``(N,)``."""
        odds: Array = ((features - self.mean) / self.scale) @ self.weights + self.intercept
        return odds


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What tests by a cross-validated logistic probe have in common.

    Args:
        folds: of the cross-validation.
        penalty: weight of half the squared norm of the probe, against the sum of the samples' log-losses.
        most: the largest number of samples on each side.

    Raises:
        ValueError: if ``folds`` is below 2, or another number is not positive.
    """

    folds: int = 5
    penalty: float = 1.0
    most: int = 64

    def __post_init__(self) -> None:
        if self.folds < 2 or self.penalty <= 0 or self.most < 1:
            raise ValueError(f"folds is 2 or more, penalty positive, most 1 or more: {self}")


@dataclass(frozen=True, kw_only=True)
class LinearProbe(ProbeSettings):
    """Linear probe per stage: is membership written in the representation, whatever the outputs say?

    A logistic probe learns to tell forget from unseen cases by a stage's features, averaged over positions; its AUC is
    measured on cases it has not seen (mean over the folds). Forget and unseen may differ for other reasons than having
    been trained on, and images of one patient may lie in several folds: read it against the oracle.

    Args:
        folds: of the cross-validation.
        penalty: weight of half the squared norm of the probe, against the sum of the cases' log-losses.
        most: the largest number of cases on each side.

    Raises:
        ValueError: if ``folds`` is below 2, or another number is not positive.
    """

    name: ClassVar[str] = "linear_probe"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``auc``: the student's at the stage that betrays the teacher most, with all stages as curves."""
        forget, unseen = cases.subsets["forget"], cases.subsets["unseen"]
        forgotten = "the oracle's AUC, at every stage"
        if reason := too_few({"forget": len(forget), "unseen": len(unseen)}):
            return {"auc": Finding(value=None, forgotten=forgotten, sentence="Not probed.", reason=reason)}
        stages, count, series = by_stage(
            models,
            cases,
            config,
            most=self.most,
            measure=lambda found, members: probe_auc(
                found, members, folds=self.folds, penalty=self.penalty, seed=config.seed
            ),
        )
        worst = int(np.argmax(series["teacher"]))
        at = {role: curve[worst] for role, curve in series.items()}
        return {
            "auc": Finding(
                value=at["student"],
                oracle=at.get("oracle"),
                teacher=at["teacher"],
                forgotten=forgotten,
                sentence=f"From the features of {stages[worst].name!r} a linear probe tells forget from unseen cases "
                f"with an AUC of {at['student']:.3f}{said_beside(at)}.",
                series=series,
                axis="stage",
                details={
                    "stages": [stage.name for stage in stages],
                    "stage": stages[worst].name,
                    "cases_on_each_side": count,
                },
            )
        }


def by_stage(
    models: AuditModels,
    cases: AuditCases,
    config: AuditConfig,
    *,
    most: int,
    measure: Callable[[Array, NDArray[np.bool_]], float],
) -> tuple[Sequence[Stage], int, dict[str, list[float]]]:
    """Measure at every stage of every model how its features tell forget from unseen cases.

    Args:
        models: the networks by role.
        cases: the cases.
        config: how the networks are read.
        most: the largest number of cases on each side.
        measure: of features, shape ``(N, D)``, and of which of them are those of forget cases.

    Returns:
        The stages, the number of cases on each side, and the figures by role, one for each stage.
    """
    ids = draw_sides(cases.subsets["forget"], cases.subsets["unseen"], most, seed=config.seed)
    members = np.arange(len(ids)) < len(ids) // 2
    stages = stages_of(models, cases, config, ids[0])
    features = read_models(models, cases, config, ids, stages)
    series = {role: [measure(found, members) for found in of_role.values()] for role, of_role in features.items()}
    return stages, len(ids) // 2, series


def fit_probe(features: Array, members: NDArray[np.bool_], *, penalty: float) -> Probe:
    r"""Fit a logistic probe to standardised features.

    .. math:: \min_{w, b} \sum_i \log(1 + e^{-y_i (w \cdot z_i + b)}) + \tfrac{\lambda}{2} \|w\|^2

    Args:
        features: shape ``(N, C)``.
        members: which samples are members, shape ``(N,)``; both kinds are there.
        penalty: λ.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12 * (1 + np.abs(mean)), scale, 1.0)
    # the optimum lies in the span of the samples: at most N directions, however many channels
    _, sizes, directions = np.linalg.svd((features - mean) / scale, full_matrices=False)
    samples = ((features - mean) / scale) @ directions.T
    sign = np.where(members, 1.0, -1.0)

    def loss(solution: Array) -> tuple[float, Array]:
        margins = sign * (samples @ solution[:-1] + solution[-1])
        pull = -sign * expit(-margins)
        slope = np.append(samples.T @ pull + penalty * solution[:-1], pull.sum())
        return float(np.logaddexp(0, -margins).sum() + penalty / 2 * solution[:-1] @ solution[:-1]), slope

    found = minimize(loss, np.zeros(len(sizes) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return Probe(mean, scale, directions.T @ found[:-1], float(found[-1]))


def stratified_folds(members: NDArray[np.bool_], *, folds: int, seed: int) -> NDArray[np.int64]:
    """Deal members and others out over folds, each as evenly as can be; returns the fold of every sample."""
    generator, fold = np.random.default_rng(seed), np.empty(len(members), dtype=np.int64)
    for side in (members, ~members):
        fold[np.flatnonzero(side)[generator.permutation(side.sum())]] = np.arange(side.sum()) % folds
    return fold


def probe_auc(features: Array, members: NDArray[np.bool_], *, folds: int, penalty: float, seed: int) -> float:
    """Cross-validated AUC of a logistic probe: the mean over the folds, since their scales differ."""
    fold = stratified_folds(members, folds=folds, seed=seed)
    areas = []
    for left_out in range(folds):
        held = fold == left_out
        odds = fit_probe(features[~held], members[~held], penalty=penalty).log_odds(features[held])
        areas.append(membership_auc(odds[members[held]], odds[~members[held]]))
    return float(np.mean(areas))
