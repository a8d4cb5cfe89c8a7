"""Likelihood-ratio attacks with few shadow models: was a network trained on a case, as its score on the case tells?

A score is read against two sets of shadow models: some that were trained on the case, and others that never saw it.
The attack is the log-likelihood ratio of the two (LiRA: Carlini et al., "Membership Inference Attacks From First
Principles", 2022). With networks that unlearned the case in the place of those that were trained on it, it is U-LiRA
(Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", arXiv 2403.01218).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["LikelihoodRatio", "gaussian_log_density", "leave_out_log_ratios", "student_log_density"]

LikelihoodRatio = Literal["bavaria", "u_lira", "u_lira_pooled"]
Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMALLEST_VARIANCE = 1e-12
"""Scores that do not vary at all have this variance, so that a density exists."""


def gaussian_log_density(score: Scores, samples: Scores, mask: Mask, *, pooled: bool = False) -> Scores:
    """Log-density of a score under a Gaussian fitted to shadow models, case by case (LiRA).

    Args:
        score: shape ``(…, C)``, one column per case.
        samples: scores of the shadow models, shape ``(M, C)``.
        mask: which of ``samples`` count, shape ``(M, C)``; at least one per case, two where ``pooled`` is false.
        pooled: one variance for all cases, as LiRA advises for few shadow models; each case keeps its own mean.

    Returns:
        Shape of ``score``.
    """
    count, mean, squares = _moments(samples, mask)
    each = squares / np.maximum(count - 1, 1)
    variance = np.maximum(_common_variance(count, squares) if pooled else each, SMALLEST_VARIANCE)
    density: Scores = -((score - mean) ** 2 / variance + np.log(2 * np.pi * variance)) / 2
    return density


def student_log_density(score: Scores, samples: Scores, mask: Mask, *, strength: float = 4.0) -> Scores:
    r"""Log-density of a score under the Student-t predictive of a normal model with a prior on its variance.

    Our reading of BaVarIA-t (Brännvall, "Exponential-Family Membership Inference", arXiv 2603.11799), from its abstract
    and the textbook posterior (Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007); the paper's
    own constants were not at hand. The scores of a case are normal with unknown mean and variance under the
    normal-inverse-gamma prior :math:`\mathrm{NIG}(\mu_0, \kappa_0, \alpha_0, \beta_0)`. After :math:`n` samples

    .. math::
        \alpha_n = \alpha_0 + \tfrac{n}{2}, \qquad
        \beta_n = \beta_0 + \tfrac{1}{2} \sum_i (x_i - \bar x)^2, \qquad
        x \sim t_{2\alpha_n}\!\left(\bar x,\; \tfrac{\beta_n (n + 1)}{\alpha_n n}\right)

    with :math:`\kappa_0 = 0` (nothing is assumed of the mean), :math:`\alpha_0 =` ``strength`` :math:`/ 2` and
    :math:`\beta_0 = \alpha_0 s^2`, :math:`s^2` being the variance within cases, averaged over all of them (empirical
    Bayes). The variance of a case is thus drawn towards that of the others, the more the fewer its samples are.

    Args:
        score: shape ``(…, C)``, one column per case.
        samples: scores of the shadow models, shape ``(M, C)``.
        mask: which of ``samples`` count, shape ``(M, C)``; at least one per case.
        strength: the prior's weight, in samples.

    Returns:
        Shape of ``score``.

    Raises:
        ValueError: if the strength is not positive.
    """
    if strength <= 0:
        raise ValueError(f"the prior's strength is {strength}; it has to be positive")
    count, mean, squares = _moments(samples, mask)
    common = max(_common_variance(count, squares), SMALLEST_VARIANCE)
    alpha = strength / 2 + count / 2
    beta = strength / 2 * common + squares / 2
    freedom, scale = 2 * alpha, beta * (count + 1) / (alpha * count)  # scipy.stats.t.logpdf takes ten times as long
    kernel = -(freedom + 1) / 2 * np.log1p((score - mean) ** 2 / (freedom * scale))
    density: Scores = kernel + gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(np.pi * freedom * scale) / 2
    return density


def leave_out_log_ratios(
    scores: Scores, member: Mask, groups: Sequence[int], *, kind: LikelihoodRatio = "bavaria"
) -> Scores:
    """Attack every shadow model with the others: log-likelihood ratio of member against non-member.

    Args:
        scores: of every model on every case, shape ``(M, C)``.
        member: whether the model was trained on the case, shape ``(M, C)``.
        groups: models of one group are attacked together, and none of them is among the shadow models then; length M.
        kind: ``"bavaria"``: :func:`student_log_density`; ``"u_lira"`` and ``"u_lira_pooled"``:
            :func:`gaussian_log_density`.

    Returns:
        Shape ``(M, C)``; large for a member. NaN where the other models lack members or non-members of a case.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in get_args(LikelihoodRatio):
        raise ValueError(f"the likelihood ratio {kind!r} is none of {', '.join(get_args(LikelihoodRatio))}")
    group = np.asarray(groups)
    ratios = np.full(scores.shape, np.nan)
    for left_out in np.unique(group):
        attacked, others = group == left_out, group != left_out
        samples, inside = scores[others], member[others]
        told = inside.any(axis=0) & ~inside.all(axis=0)
        ratio = _log_density(scores[attacked], samples, inside, kind) - _log_density(
            scores[attacked], samples, ~inside, kind
        )
        ratios[attacked] = np.where(told, ratio, np.nan)
    return ratios


def _log_density(score: Scores, samples: Scores, mask: Mask, kind: LikelihoodRatio) -> Scores:
    if kind == "bavaria":
        return student_log_density(score, samples, mask)
    return gaussian_log_density(score, samples, mask, pooled=kind == "u_lira_pooled")


def _common_variance(count: Scores, squares: Scores) -> float:
    """Variance within cases over all of them; a case whose scores are not known does not count."""
    known = np.isfinite(squares)
    return float(squares[known].sum() / max((count[known] - 1).sum(), 1))


def _moments(samples: Scores, mask: Mask) -> tuple[Scores, Scores, Scores]:
    """Count, mean and sum of squared deviations per case; cases without any sample count as one at 0."""
    count = np.maximum(mask.sum(axis=0), 1).astype(np.float64)
    mean = np.where(mask, samples, 0).sum(axis=0) / count
    squares = (np.where(mask, samples - mean, 0) ** 2).sum(axis=0)
    return count, mean, squares
