"""The backdoor: a trigger that forget cases taught the network must not work any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from monai.networks.utils import eval_mode
from scipy import stats
from torch import nn

from monai_unlearn.audit.canaries import NOTHING_PLANTED
from monai_unlearn.audit.finding import Finding, said_beside
from monai_unlearn.audit.planting import Planting
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.losses import label_outcomes

__all__ = ["PlantedBackdoor"]


@dataclass(frozen=True, kw_only=True)
class PlantedBackdoor:
    """Stamp unseen cases with the trigger and count how often the network takes it for what it was taught.

    Athena (Sommer et al., "Athena: Probabilistic Verification of Machine Unlearning", PoPETs 2022) decides by a
    binomial test of the successes against chance. A success is, in our adaptation to dense predictions, that more than
    half of the trigger is given to the target class; of a classifier, that the case is. Chance is the larger of two
    rates, one success and one failure added: the oracle's, and that of the same network without the trigger.
    """

    name: ClassVar[str] = "backdoor"
    tier: ClassVar[int] = 3
    needs_oracle: ClassVar[bool] = False

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``success``, the share of unseen cases on which the trigger works."""
        forgotten = "the oracle's rate, or the rate without the trigger"
        planting = config.planting
        if planting is None or not planting.backdoors.intersection(cases.subsets["forget"]):
            reason = NOTHING_PLANTED if planting is None else "none of the forget cases has the trigger"
            return {"success": Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)}
        counts = {role: _successes(network, cases, planting, config) for role, network in models.items()}
        hits, plain, trials = counts["student"]
        if not trials:
            reason = "every unseen case has the target class already"
            return {"success": Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)}
        chance = (max(plain, counts["oracle"][0] if "oracle" in counts else 0) + 1) / (trials + 2)
        exact = stats.binomtest(hits, trials).proportion_ci(method="exact")
        p_value = float(stats.binomtest(hits, trials, chance, alternative="greater").pvalue)
        rates = {role: found[0] / trials for role, found in counts.items()}
        return {
            "success": Finding(
                value=rates["student"],
                oracle=rates.get("oracle"),
                teacher=rates.get("teacher"),
                interval=(float(exact.low), float(exact.high)),
                forgotten=forgotten,
                sentence=(
                    f"The trigger works on {hits} of {trials} unseen cases{said_beside(rates, form='.0%')}, without "
                    f"the trigger on {plain}; that this is chance has the probability {p_value:.2g}."
                ),
                details={
                    "p_value": p_value,
                    "chance": chance,
                    "without_trigger": {role: found[1] / trials for role, found in counts.items()},
                },
            )
        }


def _successes(network: nn.Module, cases: AuditCases, planting: Planting, config: AuditConfig) -> tuple[int, int, int]:
    """Count successes with the trigger, without it, and trials."""
    with_trigger = without = trials = 0
    for batch in cases.loader(cases.subsets["unseen"]):
        images = torch.as_tensor(batch["image"]).as_subclass(torch.Tensor)
        stamped = torch.stack([planting.stamp(image) for image in images])
        with eval_mode(network), torch.no_grad():
            plain, triggered = (config.inferer(one.to(config.device), network) for one in (images, stamped))
        counted = torch.ones(len(images), dtype=torch.bool)
        if config.task == "classification":
            counted = label_outcomes(torch.as_tensor(batch["label"]), plain, config.activation).cpu() != planting.target
        with_trigger += int((_works(triggered, planting, config) & counted).sum())
        without += int((_works(plain, planting, config) & counted).sum())
        trials += int(counted.sum())
    return with_trigger, without, trials


def _works(logits: torch.Tensor, planting: Planting, config: AuditConfig) -> torch.Tensor:
    logits = torch.as_tensor(logits).as_subclass(torch.Tensor).cpu()
    if config.activation == "softmax":
        given = logits.argmax(dim=1) == planting.target
    else:
        given = logits[:, 0 if logits.shape[1] == 1 else planting.target] > 0
    if config.task == "classification":
        return given
    return given[planting.region(logits.shape[2:])].flatten(1).double().mean(dim=1) > 0.5
