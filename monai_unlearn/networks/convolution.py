"""One LoRA layer for every convolution MONAI uses, in weight space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import nn
from torch.func import functional_call

__all__ = ["CONVOLUTIONS", "LoraConvolution"]

_PLAIN = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}

CONVOLUTIONS: tuple[type[nn.Module], ...] = (*_PLAIN.values(), *_TRANSPOSED.values())
"""The layers :class:`LoraConvolution` adapts."""


class LoraConvolution(nn.Module, LoraLayer):
    r"""Low-rank adapter of a (transposed) convolution in one to three dimensions.

    The adapter lives in the space of the weight, :math:`W' = W + \frac{\alpha}{r} B A` (LoRA, Hu et al. 2021, eq. 3),
    and the base layer runs once, with :math:`W'` in the place of :math:`W`. So dilation, padding mode, groups and
    output padding are the base layer's own, merging is exact by construction, and a step costs one convolution.

    ===========  =======================  ======================  =====================
    base layer   weight                   ``lora_A``              ``lora_B``
    ===========  =======================  ======================  =====================
    plain        (out, in / groups, \*k)  (r, in / groups, \*k)   (out, r, 1, …)
    transposed   (in, out / groups, \*k)  (in, r, \*k)            (out / groups, r, 1, …)
    ===========  =======================  ======================  =====================

    Dropout acts on the input of the adapter alone, so in training with ``dropout > 0`` the two parts need a convolution
    each: :math:`W * x + \frac{\alpha}{r} B A * \mathrm{dropout}(x)` (a hook on the base layer then fires for both).

    PEFT builds these layers: register the class with ``LoraConfig._register_custom_module``, as
    :func:`monai_unlearn.networks.inject_lora` does.

    Args:
        base_layer: the convolution to adapt; it is kept, unchanged, as ``base_layer``.
        adapter_name: PEFT's name of the adapter.
        config: PEFT's settings; ``lora_dropout``, ``init_lora_weights`` and ``inference_mode`` are used.
        r: rank.
        lora_alpha: scale; the delta is multiplied by ``lora_alpha / r``.
        **_unused: what PEFT hands to every layer it builds (quantisation, offloading), of no meaning here.
    """

    if TYPE_CHECKING:  # PEFT is untyped, and nn.Module makes a Tensor | Module of what it does not know

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        base_layer: nn.Module,
        adapter_name: str,
        *,
        config: LoraConfig,
        r: int,
        lora_alpha: float,
        **_unused: Any,
    ) -> None:
        """Wrap ``base_layer`` and add the adapter."""
        super().__init__()
        LoraLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, r, lora_alpha=lora_alpha, config=config)

    def _get_in_out_features(self, module: nn.Module) -> tuple[int, int]:
        return module.in_channels, module.out_channels  # type: ignore[return-value]

    def update_layer(self, adapter_name: str, r: int, lora_alpha: float, config: LoraConfig, **_unused: Any) -> None:
        """Add an adapter of rank ``r`` under ``adapter_name``; it starts at zero, so it changes nothing.

        Raises:
            ValueError: if ``r`` is not positive or ``config`` asks for a variant of LoRA (DoRA, a bias, …).
        """
        if r <= 0:
            raise ValueError(f"r must be a positive integer, got {r}.")
        if config.use_dora or config.lora_bias or config.use_rslora or config.init_lora_weights not in (True, False):
            raise ValueError(
                "LoraConvolution knows plain LoRA only: no DoRA, rsLoRA, lora_bias or special initialisation."
            )
        base = self.get_base_layer()
        dimensions = base.weight.dim() - 2
        convolution = _PLAIN[dimensions]
        if base.transposed:
            self.lora_A[adapter_name] = _TRANSPOSED[dimensions](base.in_channels, r, base.kernel_size, bias=False)
            self.lora_B[adapter_name] = convolution(r, base.out_channels // base.groups, 1, bias=False)
        else:
            self.lora_A[adapter_name] = convolution(base.in_channels // base.groups, r, base.kernel_size, bias=False)
            self.lora_B[adapter_name] = convolution(r, base.out_channels, 1, bias=False)
        self.r[adapter_name] = r
        self.lora_alpha[adapter_name] = lora_alpha
        self.scaling[adapter_name] = lora_alpha / r
        self.lora_bias[adapter_name] = self.use_rslora[adapter_name] = self.use_dora[adapter_name] = False
        self.lora_dropout[adapter_name] = nn.Dropout(config.lora_dropout) if config.lora_dropout else nn.Identity()
        if config.init_lora_weights:
            self.reset_lora_parameters(adapter_name, True)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def reset_lora_parameters(self, adapter_name: str, init_lora_weights: bool) -> None:
        """Draw A as ``nn.Conv`` draws its weight, uniformly within ±1 / √(fan in), and set B to zero.

        PEFT's ``kaiming_uniform_`` takes the fan-in from the second axis of the weight, which for a transposed
        convolution is the rank: A would start √(in / r) times too large.
        """
        base = self.get_base_layer()
        bound = 1 / math.sqrt(base.in_channels // base.groups * math.prod(base.kernel_size))
        nn.init.uniform_(self.lora_A[adapter_name].weight, -bound, bound)
        nn.init.zeros_(self.lora_B[adapter_name].weight)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """Return ``lora_alpha / r · B A`` in the shape of the base layer's weight."""
        a, b = self.lora_A[adapter].weight, self.lora_B[adapter].weight.flatten(1)
        base = self.get_base_layer()
        # plain: (out, r) @ (r, in·k); transposed, one product per input channel: (out, r) @ (in, r, k)
        product = b @ a.flatten(2 if base.transposed else 1)
        delta: torch.Tensor = product.view_as(base.weight) * self.scaling[adapter]
        return delta

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the deltas of the adapters to the weight of the base layer, which remembers the original one.

        Args:
            safe_merge: refuse a merged weight that is not finite, and leave the base layer as it is.
            adapter_names: the adapters to merge; none: all active ones.

        Raises:
            ValueError: if ``safe_merge`` is set and the merged weight holds a value that is not finite.
        """
        base = self.get_base_layer()
        for adapter in self._own(check_adapters_to_merge(self, adapter_names)):
            merged = base.weight.data + self.get_delta_weight(adapter).detach().to(base.weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"The merged weights of adapter {adapter!r} are not finite: the adapter is broken.")
            if not self.merged:
                self._caches["base_weight"] = base.weight.data
            base.weight.data = merged
            self.merged_adapters.append(adapter)

    def unmerge(self) -> None:
        """Put the original weight back, bit for bit (subtracting the deltas would leave rounding errors)."""
        if self.merged:
            self.get_base_layer().weight.data = self._caches.pop("base_weight")
            self.merged_adapters.clear()

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Convolve ``x`` of shape ``(batch, in, *spatial)``; other arguments (``output_size``) go to the base layer."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        adapters = [] if self.disable_adapters or self.merged else self._own(self.active_adapters)
        dropping = [name for name in adapters if self.training and isinstance(self.lora_dropout[name], nn.Dropout)]
        weight = sum((self.get_delta_weight(name) for name in adapters if name not in dropping), self.base_layer.weight)

        result = self._convolve({"weight": weight}, x, *args, **kwargs)
        for name in dropping:
            parameters = {"weight": self.get_delta_weight(name)}
            if self.base_layer.bias is not None:
                parameters["bias"] = torch.zeros_like(self.base_layer.bias)
            result = result + self._convolve(parameters, self.lora_dropout[name](x), *args, **kwargs)
        return result

    def _convolve(
        self, parameters: dict[str, torch.Tensor], x: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        if parameters["weight"] is self.base_layer.weight:
            return self.base_layer(x, *args, **kwargs)  # type: ignore[no-any-return]
        return functional_call(self.base_layer, parameters, (x, *args), kwargs)  # type: ignore[no-any-return]

    def _own(self, adapter_names: list[str] | None) -> list[str]:
        return [name for name in adapter_names or () if name in self.lora_A]

    def __repr__(self) -> str:
        """Mark the layer as PEFT marks its own."""
        return "lora." + super().__repr__()
