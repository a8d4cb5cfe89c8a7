"""Canaries: noise that was added to forget cases in training must have left no trace in the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from monai.networks.utils import eval_mode
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.membership import too_few
from monai_unlearn.audit.planting import Planting
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.losses import case_losses

__all__ = ["NOTHING_PLANTED", "PlantedCanaries", "canary_statistics"]

NOTHING_PLANTED = "nothing was planted in the training of the teacher; see the profile canaries.json"


def canary_statistics(
    network: nn.Module, cases: AuditCases, ids: Sequence[str], *, planting: Planting, config: AuditConfig
) -> NDArray[np.float64]:
    r"""Return how far the loss of each canary falls in the direction of its noise, in standard deviations.

    .. math:: t = -\frac{1}{\epsilon} \left\langle \frac{g}{\lVert g \rVert}, \xi \right\rangle, \qquad
        g = \nabla_x \ell(f(x), y)

    :math:`x` is the image *without* its noise :math:`\xi`. A network that never saw :math:`\xi` gives a :math:`g` that
    does not depend on it, so that :math:`t` is standard normal exactly (Pawelczyk et al., "Machine Unlearning Fails to
    Remove Data Poisoning Attacks", arXiv 2406.17216). One that remembers does better where the noise is: :math:`t > 0`
    (the sign is ours). One backward pass per canary.

    Args:
        network: in evaluation mode during the call.
        cases: the cases, their dataset with the noise.
        ids: of the canaries.
        planting: what was planted.
        config: the loss and the inferer.

    Returns:
        Shape ``(F,)``; NaN where the gradient is 0.
    """
    found = []
    for case in ids:
        (batch,) = cases.loader([case])
        planted, label = (torch.as_tensor(batch[key]).to(config.device) for key in ("image", "label"))
        noise = planting.noise(case, planted.shape[1:]).to(planted)
        image = (planted.as_subclass(torch.Tensor) - noise).requires_grad_(True)
        with eval_mode(network), torch.enable_grad():
            loss = case_losses(config.loss_function, config.inferer(image, network), label).sum()
            (gradient,) = torch.autograd.grad(loss, image)
        direction = gradient.double() / gradient.double().norm()
        found.append(-float((direction * noise.double()).sum()) / planting.epsilon)
    return np.array(found)


@dataclass(frozen=True, kw_only=True)
class PlantedCanaries:
    """Gaussian canaries: a t-test of what remains of each canary's noise, without any shadow model.

    Args:
        fpr: rate of false alarms at which canaries are said to be remembered.
    """

    name: ClassVar[str] = "canaries"
    tier: ClassVar[int] = 3
    needs_oracle: ClassVar[bool] = False
    fpr: float = 0.01

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``trace``, the mean of the statistic, and ``remembered``, the share of canaries that it gives away."""
        of_trace, of_share = "0, up to chance: standard normal statistics", f"{self.fpr:g}, the rate of false alarms"
        planting = config.planting
        ids = [] if planting is None else [case for case in cases.subsets["forget"] if case in planting.canaries]
        if planting is None or not ids:
            reason = NOTHING_PLANTED if planting is None else "none of the forget cases is a canary"
            return {
                name: Finding(value=None, forgotten=text, sentence="Not measured.", reason=reason)
                for name, text in (("trace", of_trace), ("remembered", of_share))
            }
        found = {
            role: canary_statistics(network, cases, ids, planting=planting, config=config)
            for role, network in models.items()
        }
        known = {role: values[np.isfinite(values)] for role, values in found.items()}
        if not len(known["student"]):
            reason = "the gradient of the student's loss is 0 on every canary"
            return {
                name: Finding(value=None, forgotten=text, sentence="Not measured.", reason=reason)
                for name, text in (("trace", of_trace), ("remembered", of_share))
            }
        means = {role: float(values.mean()) for role, values in known.items() if len(values)}
        return {
            "trace": self._trace(known, means, of_trace),
            "remembered": self._remembered(known, of_share),
        }

    def _trace(self, known: dict[str, NDArray[np.float64]], means: dict[str, float], forgotten: str) -> Finding:
        count, value = len(known["student"]), means["student"]
        reach = float(stats.norm.ppf(0.975)) / count**0.5
        powers = {role: float(stats.norm.sf(mean * len(known[role]) ** 0.5)) for role, mean in means.items()}
        weak = powers.get("teacher", 0.0) > self.fpr
        return Finding(
            value=value,
            oracle=means.get("oracle"),
            teacher=means.get("teacher"),
            interval=(value - reach, value + reach),
            forgotten=forgotten,
            sentence=(
                f"What remains of the noise on {count} canaries is {value:.2f} standard deviations each"
                f"{said_beside(means, form='.2f')}"
                + ("; the teacher itself shows no trace, so this proves nothing." if weak else ".")
            ),
            details={
                "p_value": powers,
                "teacher_remembers": not weak,
                "every_canary": {role: sorted(values.tolist()) for role, values in known.items()},
            },
        )

    def _remembered(self, known: dict[str, NDArray[np.float64]], forgotten: str) -> Finding:
        count = len(known["student"])
        if reason := too_few({"planted": count}, noun="canaries"):
            return Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)
        threshold = float(stats.norm.isf(self.fpr))
        shares = {role: float((values > threshold).mean()) for role, values in known.items() if len(values)}
        exact = stats.binomtest(int((known["student"] > threshold).sum()), count).proportion_ci(method="exact")
        return Finding(
            value=shares["student"],
            oracle=shares.get("oracle"),
            teacher=shares.get("teacher"),
            interval=(float(exact.low), float(exact.high)),
            forgotten=forgotten,
            sentence=(
                f"{shares['student']:.0%} of {count} canaries are recognised where {self.fpr:.0%} would be by mistake."
            ),
            details={"below": float((known["student"] < -threshold).mean()), "threshold": threshold},
        )
