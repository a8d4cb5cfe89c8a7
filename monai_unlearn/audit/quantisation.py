"""Quantisation: does what was forgotten come back when the weights are rounded?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.relearning import recovery
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, plain_copy

__all__ = ["Quantisation", "quantise_weights"]


def quantise_weights(network: nn.Module, *, bits: int = 8) -> nn.Module:
    r"""Round every weight array of a network to ``bits`` bits, in place, and return it.

    .. math:: w \to s_c \cdot \mathrm{round}(w / s_c), \qquad s_c = \max_{w \in c} |w| \,/\, (2^{b-1} - 1)

    symmetric, with one scale for each output channel ``c``. The weights stay floating-point numbers: this is what the
    rounding of a deployment does to them, without its integer arithmetic. Biases, normalisation and other
    one-dimensional parameters are left alone, as deployments do.

    Args:
        network: a plain network; see :func:`monai_unlearn.audit.plain_copy`.
        bits: 2 to 8.

    Raises:
        ValueError: if ``bits`` is out of range.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; weights are rounded to 2 to 8 bits.")
    top = 2 ** (bits - 1) - 1
    transposed = {id(module.weight) for module in network.modules() if isinstance(module, _ConvTransposeNd)}
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim < 2 or not parameter.is_floating_point():
                continue
            axis = 1 if id(parameter) in transposed else 0  # where torch keeps the output channels
            largest = parameter.abs().amax(dim=[one for one in range(parameter.ndim) if one != axis]).float()
            scale = torch.where(largest > 0, largest / top, 1)
            zero = torch.zeros_like(scale, dtype=torch.int32)
            rounded = torch.fake_quantize_per_channel_affine(parameter.float(), scale, zero, axis, -top, top)
            parameter.copy_(rounded)
    return network


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """Weights rounded to eight bits: a small change of the weights may be rounded away, and the knowledge returns.

    Seen in language models (Zhang et al., ICLR 2025, arXiv 2410.16454), where unlearning moved the weights by less than
    a rounding step. Only the weights are rounded, and they are computed with as floating-point numbers.

    Args:
        bits: of a weight, 2 to 8.
    """

    name: ClassVar[str] = "quantisation"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    bits: int = 8

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``forget_change`` and ``unseen_change``: the measure with rounded weights minus that before."""
        subsets = {name: ids for name in ("forget", "unseen") if (ids := cases.subsets[name])}
        everything = [case for ids in subsets.values() for case in ids]
        rounded = {
            name: config.score(quantise_weights(plain_copy(network), bits=self.bits), cases.loader(everything))
            for name, network in models.items()
        }
        found = {}
        for subset in ("forget", "unseen"):
            forgotten = "no rise beyond the oracle's" if subset == "forget" else "no change: rounding breaks nothing"
            if subset not in subsets:
                sentence, reason = f"Not measured on {subset}.", f"there is no {subset} case to measure"
                found[f"{subset}_change"] = Finding(value=None, forgotten=forgotten, sentence=sentence, reason=reason)
                continue
            steps = {
                name: [float(config.values(of[name], subsets[subset]).mean()) for of in (cases.scores, rounded)]
                for name in models
            }
            found[f"{subset}_change"] = self._change(steps, subset, forgotten, config)
        return found

    def _change(self, steps: dict[str, list[float]], subset: str, forgotten: str, config: AuditConfig) -> Finding:
        change = {name: after - before for name, (before, after) in steps.items()}
        before, after = steps["student"]
        return Finding(
            value=change["student"],
            oracle=change.get("oracle"),
            teacher=change["teacher"],
            forgotten=forgotten,
            sentence=f"With weights of {self.bits} bits the student's {config.measure} on {subset} goes from "
            f"{before:.3f} to {after:.3f}.",
            series=steps,
            axis="before and after rounding",
            details={"recovery": recovery(before, after, steps["teacher"][0])} if subset == "forget" else {},
        )
