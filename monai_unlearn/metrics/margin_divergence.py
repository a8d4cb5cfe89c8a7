"""KLoM: how far the margins of unlearned networks are from those of networks that never saw the case."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

__all__ = ["margin_divergence"]

Values = NDArray[np.float64]
SMALLEST_VARIANCE = 1e-12
GRID = 512
FLOOR = 1e-5
"""Smallest density relative to the highest, as the reference code floors its bins."""


def margin_divergence(
    unlearned: Values, untrained: Values, *, method: Literal["gaussian", "kde"] = "gaussian"
) -> Values:
    r"""KL divergence of margins, case by case, for few networks (KLoM, arXiv 2410.23232).

    The paper compares histograms of 100 networks each; for the eight or so that are affordable here, either Gaussians
    are fitted, or densities by Gaussian kernels (Scott's rule), which is our adaptation ("lite"). For Gaussians

    .. math::
        \mathrm{KL} = \ln\frac{\sigma_o}{\sigma_u} + \frac{\sigma_u^2 + (\mu_u - \mu_o)^2}{2 \sigma_o^2} - \frac{1}{2} .

    With few networks it is above 0 even if both kinds are the same; compare with what chance gives.

    Args:
        unlearned: margins of the networks that unlearned, shape ``(N, C)``.
        untrained: margins of those that never saw the cases, shape ``(M, C)``.
        method: ``"gaussian"`` or ``"kde"``.

    Returns:
        In nats, shape ``(C,)``.

    Raises:
        ValueError: if a side has fewer than two networks.
    """
    if min(len(unlearned), len(untrained)) < 2:
        raise ValueError(f"a spread needs two networks on each side; there are {len(unlearned)} and {len(untrained)}")
    if method == "kde":
        pairs = zip(unlearned.T, untrained.T, strict=True)
        return np.array([_kernel_divergence(one, other) for one, other in pairs])
    ours, theirs = (np.maximum(side.var(axis=0, ddof=1), SMALLEST_VARIANCE) for side in (unlearned, untrained))
    shift = unlearned.mean(axis=0) - untrained.mean(axis=0)
    divergence: Values = (np.log(theirs / ours) + (ours + shift**2) / theirs - 1) / 2
    return divergence


def _kernel_divergence(unlearned: Values, untrained: Values) -> float:
    if min(np.ptp(unlearned), np.ptp(untrained)) == 0 or not np.isfinite([*unlearned, *untrained]).all():
        return float("nan")  # kernels need a spread to take their width from
    fits = [stats.gaussian_kde(side) for side in (unlearned, untrained)]
    reach = 4 * max(np.sqrt(float(fit.covariance[0, 0])) for fit in fits)
    both = np.concatenate([unlearned, untrained])
    grid = np.linspace(both.min() - reach, both.max() + reach, GRID)
    ours, theirs = (np.maximum(fit(grid), FLOOR * fit(grid).max()) for fit in fits)
    ours, theirs = ours / integrate.trapezoid(ours, grid), theirs / integrate.trapezoid(theirs, grid)
    return float(integrate.trapezoid(ours * np.log(ours / theirs), grid))
