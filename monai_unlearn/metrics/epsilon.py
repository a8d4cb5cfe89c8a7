"""Empirical epsilon: how much privacy an attack's hits and false alarms prove to be lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["best_threshold", "epsilon_lower_bound", "forgetting_epsilon", "forgetting_quality"]

Values = NDArray[np.float64]
BIN_WIDTH, BINS = 0.5, 13


def epsilon_lower_bound(
    hits: int, members: int, false_alarms: int, others: int, *, delta: float = 1e-5, confidence: float = 0.95
) -> float:
    r"""Return the epsilon that an attack proves, with confidence (Jagielski et al., 2020; Nasr et al., 2023).

    .. math::
        \varepsilon \ge \max\left\{0,\; \ln\frac{\mathrm{TPR}^- - \delta}{\mathrm{FPR}^+},\;
        \ln\frac{\mathrm{TNR}^- - \delta}{\mathrm{FNR}^+}\right\}

    The bounds :math:`{}^-` and :math:`{}^+` are those of Clopper and Pearson, one-sided, for both rates together. The
    trials count as independent; cases that one and the same network was asked about are so only roughly.

    Args:
        hits: members that were called so.
        members: number of members, at least 1.
        false_alarms: others that were called members.
        others: number of others, at least 1.
        delta: of (ε, δ)-differential privacy.
        confidence: that the true epsilon is not below; each rate's bound has half of the risk.

    Returns:
        At least 0, always finite: with ``n`` trials on each side no more than about ``ln n`` can be proved.

    Raises:
        ValueError: if the counts do not fit.
    """
    if not (0 <= hits <= members and 0 <= false_alarms <= others and members and others):
        raise ValueError(f"{hits} of {members} hits and {false_alarms} of {others} false alarms: counts do not fit")
    risk = (1 - confidence) / 2
    bounds = [0.0]
    for right, of_right, wrong, of_wrong in (
        (hits, members, false_alarms, others),
        (others - false_alarms, others, members - hits, members),
    ):
        lower = float(stats.beta.ppf(risk, right, of_right - right + 1)) if right else 0.0
        upper = float(stats.beta.ppf(1 - risk, wrong + 1, of_wrong - wrong)) if wrong < of_wrong else 1.0
        if lower > delta:
            bounds.append(float(np.log((lower - delta) / upper)))
    return max(bounds)


def best_threshold(members: Values, others: Values, *, delta: float = 1e-5, confidence: float = 0.95) -> float:
    """Return the threshold at which an attack proves most; to be used on other cases than those it was chosen on.

    Args:
        members: scores of members, shape ``(M,)``; larger means "more likely a member".
        others: scores of the others, shape ``(N,)``.
        delta: see :func:`epsilon_lower_bound`.
        confidence: see :func:`epsilon_lower_bound`.
    """
    candidates = np.unique(np.concatenate([members, others]))
    proved = [
        epsilon_lower_bound(
            int((members >= value).sum()),
            len(members),
            int((others >= value).sum()),
            len(others),
            delta=delta,
            confidence=confidence,
        )
        for value in candidates
    ]
    return float(candidates[int(np.argmax(proved))])


def forgetting_epsilon(unlearned: Values, retrained: Values, *, delta: float = 0.01) -> Values:
    r"""Epsilon of every forget case, of the NeurIPS 2023 unlearning challenge (arXiv 2406.09073).

    .. math::
        \varepsilon = \max_\text{attacks} \max\left\{\ln\frac{1 - \delta - \mathrm{FPR}}{\mathrm{FNR}},\;
        \ln\frac{1 - \delta - \mathrm{FNR}}{\mathrm{FPR}}\right\}

    An attack is a threshold on the score, in either direction. One that never errs gives infinity; one with one of the
    two rates 0 proves nothing with finitely many networks and is left out, as in the challenge.

    Args:
        unlearned: scores of the networks that unlearned, shape ``(N, F)``.
        retrained: scores of networks retrained without the cases, shape ``(M, F)``.
        delta: of (ε, δ).

    Returns:
        At least 0, shape ``(F,)``.
    """
    return np.array([_case_epsilon(ours, theirs, delta) for ours, theirs in zip(unlearned.T, retrained.T, strict=True)])


def forgetting_quality(epsilons: Values) -> float:
    r"""Forgetting quality of the NeurIPS 2023 challenge: :math:`\operatorname{mean}_s 2 / 2^{n(\varepsilon_s)}`.

    :math:`n` numbers bins of width 0.5 from 1; 13 is the last. The challenge multiplies it by the accuracy on retain
    and test relative to retraining, which is reported separately here.

    Args:
        epsilons: one per forget case, shape ``(F,)``.

    Returns:
        1 if every case is in the first bin, near 0 if every case can be told.
    """
    bins = np.digitize(epsilons, np.arange(BINS) * BIN_WIDTH)
    return float((2.0 / 2.0**bins).mean())


def _case_epsilon(unlearned: Values, retrained: Values, delta: float) -> float:
    found = [0.0]
    for threshold in np.unique(np.concatenate([unlearned, retrained])):
        above, alarms = float((unlearned > threshold).mean()), float((retrained > threshold).mean())
        for missed, false in ((1 - above, alarms), (above, 1 - alarms)):
            if missed == 0 and false == 0:
                return float("inf")
            if missed == 0 or false == 0:
                continue
            for one, other in ((false, missed), (missed, false)):
                if 1 - delta - one > 0:
                    found.append(float(np.log((1 - delta - one) / other)))
    return max(found)
