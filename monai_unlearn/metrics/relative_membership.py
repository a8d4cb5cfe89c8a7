"""RMIA: is a network better on a case, compared with other networks, than it is on cases nobody trained on?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["relative_membership"]

Values = NDArray[np.float64]


def relative_membership(
    probability: Values,
    reference: Values,
    population: Values,
    population_reference: Values,
    *,
    gamma: float = 1.0,
    offline: float | None = None,
) -> Values:
    r"""Return the RMIA score of every case (Zarifzadeh et al., "Low-Cost High-Power Membership Inference", ICML 2024).

    .. math::
        \Pr_z\left[\frac{p(x \mid \theta) / p(x)}{p(z \mid \theta) / p(z)} \ge \gamma\right]

    where :math:`p(\cdot)` is the mean over reference networks. If none of these was trained on :math:`x`, it is too
    small for one that may have been; the paper's offline form makes up for that:
    :math:`p(x) = \tfrac{1}{2} ((1 + a)\, p_\text{out}(x) + 1 - a)`.

    Args:
        probability: of the truth under the attacked network, shape ``(C,)``, in ``(0, 1]``.
        reference: the same under the reference networks, shape ``(R, C)``.
        population: of the truth of the cases :math:`z` under the attacked network, shape ``(Z,)``.
        population_reference: the same under the reference networks, shape ``(R, Z)``.
        gamma: how many times more likely; the paper takes 2 for images. The mean confidence of dense predictions
            varies by a few per cent only, hence 1.
        offline: the paper's :math:`a`, where no reference network was trained on the cases.

    Returns:
        Share of the population, shape ``(C,)``, in ``[0, 1]``; large for a member.

    Raises:
        ValueError: if there is no case :math:`z`, or a value is not a probability above 0.
    """
    if not len(population):
        raise ValueError("RMIA compares with cases that nobody trained on; there is none")
    for name, values in (
        ("probability", probability),
        ("reference", reference),
        ("population", population),
        ("population_reference", population_reference),
    ):
        if not ((values > 0) & (values <= 1)).all():
            raise ValueError(f"{name} has to hold probabilities above 0")
    expected, expected_population = reference.mean(axis=0), population_reference.mean(axis=0)
    if offline is not None:
        expected, expected_population = (
            ((1 + offline) * value + 1 - offline) / 2 for value in (expected, expected_population)
        )
    ratio, of_population = probability / expected, population / expected_population
    share: Values = (ratio[:, None] / of_population[None, :] >= gamma).mean(axis=1)
    return share
