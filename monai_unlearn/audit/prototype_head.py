"""A head of class means: the nearest mean of the features decides, which is a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.utils import eval_mode
from torch import nn

from monai_unlearn.losses import Activation

__all__ = ["PrototypeHead", "PrototypeSums"]

_NEVER = -1e4  # the logit of a class that no sample shows


class PrototypeSums:
    """Add up what a layer of a network takes in, by the true outcome of every position.

    Outcomes are the classes (softmax), or absent and present of every label (sigmoid).

    Args:
        network: a network without adapters.
        layer: name of the layer that is to be replaced; its input is read.
        activation: ``"sigmoid"`` or ``"softmax"``.
    """

    def __init__(self, network: nn.Module, layer: str, *, activation: Activation) -> None:
        self.network, self.layer, self.activation = network, layer, activation
        self.logit_count = 0
        self.total: torch.Tensor | None = None  # (O, F)
        self.squares: torch.Tensor | None = None  # (O, F)
        self.count: torch.Tensor | None = None  # (O,)

    def refusal(self, window: torch.Tensor) -> str:
        """Say why the layer's features cannot make the network's logits; empty if they can."""
        features, logits = self.read(window)
        self.logit_count = logits.shape[1]
        if logits.ndim > 2 and features.ndim != logits.ndim:
            return f"{self.layer!r}, which makes the logits, reads no feature map but {features.ndim} axes"
        return ""

    def read(self, window: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the layer's input, channels on axis 1, and the network's output."""
        taken: list[torch.Tensor] = []

        def note(_layer: nn.Module, inputs: Any) -> None:
            taken.append(inputs[0])

        handle = self.network.get_submodule(self.layer).register_forward_pre_hook(note)
        try:
            with eval_mode(self.network), torch.no_grad():
                logits = self.network(window).as_subclass(torch.Tensor)
        finally:
            handle.remove()
        features = taken[-1].as_subclass(torch.Tensor)
        linear = isinstance(self.network.get_submodule(self.layer), nn.Linear)
        return (features.movedim(-1, 1) if linear else features), logits

    def weights_of(self, outcome: torch.Tensor) -> torch.Tensor:
        """Mark the true outcomes.

        Args:
            outcome: indices as :func:`monai_unlearn.losses.label_outcomes` gives them.

        Returns:
            Ones and zeros of shape ``(B, O, *spatial)``; of sigmoid all labels' absence first, then their presence.
        """
        if self.activation == "sigmoid":
            return torch.cat([1 - outcome, outcome], dim=1).float()
        return F.one_hot(outcome, self.logit_count).movedim(-1, 1).float()

    def __call__(self, joined: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Add up windows of images with their outcomes as further channels, as an inferer cuts them."""
        outcomes = self.logit_count * (2 if self.activation == "sigmoid" else 1)
        joined = joined.as_subclass(torch.Tensor)
        window, weights = joined[:, :-outcomes], joined[:, -outcomes:]
        features = self.read(window)[0]
        pool: Any = F.adaptive_avg_pool2d if features.ndim == 4 else F.adaptive_avg_pool3d
        self._add(features.flatten(2), pool(weights, features.shape[2:]).flatten(2))
        return joined[:, :1]  # an inferer stitches what it gets

    def of_images(self, weights: torch.Tensor) -> Callable[..., torch.Tensor]:
        """Return what adds up whole images of one outcome, of shape ``(B, O)``."""

        def collect(image: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            features, logits = self.read(image)
            self._add(
                features.flatten(2).mean(2)[..., None] if features.ndim > 2 else features[..., None], weights[..., None]
            )
            return logits

        return collect

    def _add(self, features: torch.Tensor, weights: torch.Tensor) -> None:
        features, weights = features.double(), weights.double()
        total = torch.einsum("bfp,bop->of", features, weights)
        squares = torch.einsum("bfp,bop->of", features.square(), weights)
        count = weights.sum(dim=(0, 2))
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares
        self.count = count if self.count is None else self.count + count

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        r"""Return weight ``(O, F)`` and bias ``(O,)`` by which the nearest mean has the largest logit.

        .. math:: -\tfrac12 \|(z - \mu_c) / s\|^2 = w_c \cdot z + b_c + \text{const}, \quad
            w_c = \mu_c / s^2, \; b_c = -\tfrac12 \|\mu_c / s\|^2

        with the spread *s* of every channel within the outcomes.
        """
        if self.total is None or self.squares is None or self.count is None:
            raise ValueError("no sample was added up: there are no class means")
        seen = self.count > 0
        means = self.total / self.count.clamp(min=1e-12)[:, None]
        within = (self.squares - self.count[:, None] * means.square()).sum(0) / self.count.sum()
        # a single sample of each class, or a constant channel, has no spread: its unit is the spread over all
        mean = self.total.sum(0) / self.count.sum()
        overall = (self.squares.sum(0) / self.count.sum() - mean.square()).clamp(min=0)
        unit = torch.where(within > 1e-6 * overall, within, overall)
        unit = torch.where(unit > 0, unit, 1.0)
        weight, bias = means / unit, -0.5 * (means.square() / unit).sum(1)
        return weight * seen[:, None], torch.where(seen, bias, _NEVER)


class PrototypeHead(nn.Module):
    """A network whose head is replaced by class means.

    Args:
        sums: of the samples.
    """

    def __init__(self, sums: PrototypeSums) -> None:
        super().__init__()
        self.sums = sums
        weight, bias = sums.rows()
        if sums.activation == "sigmoid":
            (absent, present), (absent_bias, present_bias) = weight.chunk(2), bias.chunk(2)
            weight, bias = present - absent, present_bias - absent_bias
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """Return the logits of the nearest mean, at the size of the network's own."""
        features, own = self.sums.read(window)
        weight, bias = self.get_buffer("weight"), self.get_buffer("bias")
        if own.ndim == 2:
            return F.linear(features.flatten(2).mean(2) if features.ndim > 2 else features, weight, bias)
        logits = torch.einsum("bf...,of->bo...", features, weight) + bias.view(-1, *(1,) * (features.ndim - 2))
        if logits.shape[2:] == own.shape[2:]:
            return logits
        return F.interpolate(logits, own.shape[2:], mode="bilinear" if own.ndim == 4 else "trilinear")
