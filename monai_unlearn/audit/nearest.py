"""Nearest-neighbour membership: is what became of a forgotten class told apart as by the oracle?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from monai_unlearn.audit.draws import draw_cases
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.membership import MINIMUM_CASES, too_few
from monai_unlearn.audit.probe import ProbeSettings, fit_probe, stratified_folds
from monai_unlearn.audit.scores import ClassScores
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.engines import predict_cases
from monai_unlearn.losses import label_outcomes, log_probabilities
from monai_unlearn.metrics import bootstrap_interval

__all__ = ["NearestNeighbourMembership", "neighbour_accuracies"]

Array = NDArray[np.float64]
_SMALLEST = 1e-4  # below this probabilities are alike to an attacker


@dataclass(frozen=True, kw_only=True)
class NearestNeighbourMembership(ProbeSettings):
    """MIA-NN for a request of classes (after TRW, arXiv 2506.20893): where does the forgotten class go?

    A retrained network gives a class that it never saw to similar classes, in its own way. The neighbour is the
    remaining class to which the oracle gives most of it. A classifier learns on the oracle's probabilities to tell the
    forgotten class (forget cases) from its neighbour (unseen cases), and is applied to the student's. It is a test of
    a class, not of single cases. Our adaptations: one oracle, so learnt and measured on different cases; a logistic
    probe on log-probabilities instead of a support-vector machine; in a segmentation a sample is the mean probability
    over the region of a class in a case. Several classes of a request are taken together.

    Args:
        folds: of the cross-validation.
        penalty: of the probe.
        most: the largest number of samples on each side.

    Raises:
        ValueError: if ``folds`` is below 2, or another number is not positive.
    """

    name: ClassVar[str] = "nearest_neighbour_membership"
    tier: ClassVar[int] = 1
    needs_oracle: ClassVar[bool] = True

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``accuracy``: the student's, with the oracle's beside it and their gap in the details."""
        forgotten = "the oracle's accuracy: the class goes where retraining sends it"
        if not config.classes:
            return _without("the request is of cases, not of classes", forgotten)
        if config.activation != "softmax":
            return _without("the classes do not exclude one another: none is the nearest", forgotten)
        forget = draw_cases(cases.subsets["forget"], self.most, seed=config.seed)
        unseen = cases.subsets["unseen"] if config.task == "classification" else cases.subsets["unseen"][: self.most]
        tables = {
            role: (_of_cases if config.task == "classification" else _of_regions)(
                role, network, forget, unseen, cases, config
            )
            for role, network in models.items()
        }
        found = _neighbour(tables["oracle"], config.classes)
        if isinstance(found, str):
            return _without(found, forgotten)
        sides = {role: _sides(table, config.classes, found, self.most, config.seed) for role, table in tables.items()}
        hits = neighbour_accuracies(sides, folds=self.folds, penalty=self.penalty, seed=config.seed)
        means = {role: float(of_role.mean()) for role, of_role in hits.items()}
        gap = hits["student"] - hits["oracle"]
        return {
            "accuracy": Finding(
                value=means["student"],
                oracle=means["oracle"],
                teacher=means["teacher"],
                forgotten=forgotten,
                sentence=f"A classifier that knows the oracle tells the forgotten class from class {found} with an "
                f"accuracy of {means['oracle']:.3f}, and by the student's outputs with {means['student']:.3f} (teacher "
                f"{means['teacher']:.3f}).",
                interval=bootstrap_interval(np.mean, hits["student"], seed=config.seed),
                details={
                    "neighbour": found,
                    "gap": abs(means["student"] - means["oracle"]),
                    "signed_gap_interval": bootstrap_interval(np.mean, gap, seed=config.seed),
                    "samples_on_each_side": len(gap) // 2,
                },
            )
        }


def neighbour_accuracies(
    sides: Mapping[str, tuple[Array, Array]], *, folds: int, penalty: float, seed: int
) -> dict[str, Array]:
    """Learn on the oracle's probabilities, apply to every network's, always on left-out samples.

    Args:
        sides: by network, probabilities of the samples of the forgotten class and of its neighbour, each ``(N, C)``;
            row by row the same samples in all networks.
        folds: of the cross-validation.
        penalty: of the probe.
        seed: of the folds.

    Returns:
        By network 1 for every sample that was recognised, else 0; those of the forgotten class first.
    """
    samples = {role: np.log(np.concatenate(both).clip(min=_SMALLEST)) for role, both in sides.items()}
    members = np.repeat([True, False], [len(side) for side in sides["oracle"]])
    fold = stratified_folds(members, folds=folds, seed=seed)
    hits = {role: np.zeros(len(members)) for role in sides}
    for left_out in range(folds):
        held = fold == left_out
        probe = fit_probe(samples["oracle"][~held], members[~held], penalty=penalty)
        for role, of_role in samples.items():
            hits[role][held] = (probe.log_odds(of_role[held]) > 0) == members[held]
    return hits


_Table = tuple[NDArray[np.int64], NDArray[np.bool_], Array]
"""True class of every sample, whether it is of the forget set, and its probabilities ``(N, C)``."""


def _of_cases(
    role: str,
    _network: nn.Module,
    forget: Sequence[str],
    unseen: Sequence[str],
    cases: AuditCases,
    _config: AuditConfig,
) -> _Table:
    scores = cases.scores[role]
    if not isinstance(scores, ClassScores):
        raise ValueError(f"the scores of {role!r} are not those of a classifier; score it with task='classification'")
    rows = scores.rows([*forget, *unseen])
    return scores.truth[rows], np.arange(len(rows)) < len(forget), scores.probabilities[rows]


def _of_regions(
    _role: str,
    network: nn.Module,
    forget: Sequence[str],
    unseen: Sequence[str],
    cases: AuditCases,
    config: AuditConfig,
) -> _Table:
    """Average the probabilities over the region of every class, case by case."""
    rows: list[tuple[int, bool, Array]] = []
    loader = cases.loader([*forget, *unseen])
    kept = set(forget)
    for batch in predict_cases(network, loader, inferer=config.inferer, device=config.device):
        probabilities = log_probabilities(batch.logits, config.activation).exp().flatten(2)
        truth = label_outcomes(batch.label, batch.logits, config.activation).flatten(1)
        for case, values, classes in zip(batch.ids, probabilities, truth, strict=True):
            for label in classes.unique().tolist():
                mean = values[:, classes == label].double().mean(dim=1)
                rows.append((label, case in kept, mean.cpu().numpy()))
    labels, of_forget, means = zip(*rows, strict=True)
    return np.array(labels, dtype=np.int64), np.array(of_forget), np.stack(means)


def _neighbour(table: _Table, classes: Sequence[int]) -> int | str:
    """Name the remaining class to which the oracle gives most of the forgotten one, or say why there is none."""
    truth, of_forget, probabilities = table
    removed = of_forget & np.isin(truth, classes)
    if reason := too_few({"forget": int(removed.sum())}, noun="samples of the forgotten class"):
        return reason
    enough = [
        label
        for label in range(probabilities.shape[1])
        if label not in classes and (~of_forget & (truth == label)).sum() >= MINIMUM_CASES
    ]
    if not enough:
        return f"no remaining class has {MINIMUM_CASES} unseen samples"
    return enough[int(np.argmax(probabilities[removed].mean(axis=0)[enough]))]


def _sides(table: _Table, classes: Sequence[int], neighbour: int, most: int, seed: int) -> tuple[Array, Array]:
    """Draw equally many samples of the forgotten class and of its neighbour."""
    truth, of_forget, probabilities = table
    both = [np.flatnonzero(of_forget & np.isin(truth, classes)), np.flatnonzero(~of_forget & (truth == neighbour))]
    count = min(len(both[0]), len(both[1]), most)
    one, other = (probabilities[np.random.default_rng(seed).permutation(rows)[:count]] for rows in both)
    return one, other


def _without(reason: str, forgotten: str) -> dict[str, Finding]:
    return {"accuracy": Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)}
