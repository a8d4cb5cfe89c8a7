"""Put low-rank adapters beside the frozen weights of a trained network."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from monai_unlearn.networks.convolution import CONVOLUTIONS, LoraConvolution
from monai_unlearn.networks.probe import ExampleInput, find_head, trace_layers
from monai_unlearn.networks.targets import choose_targets, refuse_illegal_head, refuse_illegal_layers

__all__ = ["ADAPTER", "LoraInjection", "head_parameters", "inject_config", "inject_lora", "lora_parameters"]

ADAPTER = "default"
"""PEFT's name of the one adapter a network carries."""


@dataclass(frozen=True, kw_only=True)
class LoraInjection:
    r"""The settings of an injection, as a component that a bundle can name; call it with a network.

    Symbols and values are those of "Erase to Retain: LoRA-guided selective unlearning", section on the adapters; the
    adapted weight is :math:`W' = W + \frac{\alpha}{r} B A` (Hu et al. 2021, eq. 3).

    Args:
        rank: the paper's r = 8, the rank of A and B.
        alpha: the paper's α = 32; the delta is scaled by α / r.
        dropout: the paper's p = 0.05, on the input of the adapters. With 0 a step costs one convolution instead of two.
        targets: ``"all"`` convolutions and linear layers, those of the ``"decoder"`` (all that run after the coarsest
            feature map), or a regular expression that full layer names have to match as a whole. The head is never a
            target, nor are (for ``"all"`` and ``"decoder"``) layers whose weight is shared, parametrised or used
            without running the layer, as in ``nn.MultiheadAttention``.
        head: the layer that makes the logits, which gets no adapter but a trainable copy: ``"auto"`` for the last one
            that runs, a full module name, or ``None`` for no copy.
        example_input: input of the network, or a tuple of inputs, for one probing forward. ``targets="decoder"`` and
            ``head="auto"`` need it. Layers that the forward does not reach are then no targets.
        seed: draws A from a random stream of its own; ``None``: from torch's.

    Raises:
        ValueError: if a setting is out of its range, or ``example_input`` is missing where it is needed.

    Example:
        >>> from monai.networks.nets import UNet
        >>> unet = UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8, 16), strides=(2, 2))
        >>> student = LoraInjection(rank=2, targets="decoder", example_input=torch.zeros(1, 1, 16, 16))(unet)
        >>> student is unet
        True
    """

    rank: int = 8
    alpha: float = 32.0
    dropout: float = 0.05
    targets: str = "all"
    head: str | None = "auto"
    example_input: ExampleInput | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(f"rank must be an integer of at least 1, got {self.rank!r}.")
        if not self.alpha > 0:
            raise ValueError(f"alpha must be positive, got {self.alpha!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, got {self.dropout!r}.")
        if not isinstance(self.targets, str) or not self.targets:
            raise ValueError(f'targets must be "all", "decoder" or a pattern of layer names, got {self.targets!r}.')
        try:
            re.compile(self.targets)
        except re.error as error:
            raise ValueError(f"targets={self.targets!r} is not a regular expression: {error}.") from error
        for argument in ("targets", "head"):
            if self.example_input is None and getattr(self, argument) in ("decoder", "auto"):
                value = getattr(self, argument)
                raise ValueError(f'{argument}="{value}" is found by a forward pass: give an example_input.')

    def __call__(self, network: nn.Module) -> nn.Module:
        """Inject the adapters in place and return the network; see :func:`inject_lora`."""
        _refuse_adapters(network)
        runs = None if self.example_input is None else trace_layers(network, self.example_input)
        head = find_head(runs) if self.head == "auto" and runs is not None else self.head
        names = [name for name in choose_targets(network, self.targets, runs) if not _belongs_to(name, head)]
        if not names:
            raise ValueError(
                f"targets={self.targets!r} leaves no layer of {type(network).__name__} to adapt"
                + (f" besides the head {head!r}." if head else ".")
            )
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="|".join(re.escape(name) for name in names),
            modules_to_save=None if head is None else [head],
        )
        with torch.random.fork_rng(devices=[], enabled=self.seed is not None):
            if self.seed is not None:
                torch.default_generator.manual_seed(self.seed)
            return inject_config(network, config)


def inject_lora(
    network: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 32.0,
    dropout: float = 0.05,
    targets: str = "all",
    head: str | None = "auto",
    example_input: ExampleInput | None = None,
    seed: int | None = None,
) -> nn.Module:
    """Freeze a network and put trainable low-rank adapters beside its weights, in place.

    The network keeps its class and gives the same output as before: B is zero, and the copy of the head equals the
    head. Its weights, and with :func:`freeze_normalisation` its buffers, never change again, so that with
    :func:`adapters_off` it stays the teacher, bit for bit.

    Args:
        network: a plain trained network.
        rank: rank r of the adapters (paper: 8).
        alpha: scale α of the adapters (paper: 32).
        dropout: dropout before the adapters (paper: 0.05).
        targets: ``"all"``, ``"decoder"`` or a regular expression; see :class:`LoraInjection` for this and the rest.
        head: ``"auto"``, a module name or ``None``.
        example_input: input or tuple of inputs for one probing forward.
        seed: seed of A, or ``None``.

    Returns:
        The same network; only :func:`lora_parameters` and :func:`head_parameters` require gradients.

    Raises:
        ValueError: if a setting is out of its range, a pattern hits nothing or a layer that cannot be adapted, the head
            does not exist, the network has no decoder, or it has adapters already.
    """
    injection = LoraInjection(
        rank=rank, alpha=alpha, dropout=dropout, targets=targets, head=head, example_input=example_input, seed=seed
    )
    return injection(network)


def inject_config(network: nn.Module, config: LoraConfig) -> nn.Module:
    """Inject what a PEFT config says: ``target_modules`` is a regular expression, ``modules_to_save`` the head, if any.

    PEFT would take ``modules_to_save`` for endings of names (``fc`` hits ``encoder._fc``), so the head is wrapped here.

    Args:
        network: a plain network.
        config: PEFT's settings.

    Returns:
        The same network, with the config as ``network.peft_config["default"]``.

    Raises:
        ValueError: if a layer cannot be adapted, the head does not exist, or the network has adapters already.
    """
    _refuse_adapters(network)
    head = next(iter(config.modules_to_save or ()), None)
    matched = [name for name, _ in network.named_modules() if re.fullmatch(config.target_modules, name)]
    if not matched:
        raise ValueError(f"No layer of {type(network).__name__} is called {config.target_modules!r}.")
    refuse_illegal_layers(network, matched)
    refuse_illegal_head(network, head)
    config.modules_to_save = None
    config._register_custom_module(dict.fromkeys(CONVOLUTIONS, LoraConvolution))
    inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    for layer in network.modules():
        if isinstance(layer, LoraLayer):
            layer.train(layer.get_base_layer().training)  # new modules are in train mode, whatever the network is in
    if head is not None:
        parent, _, child = head.rpartition(".")
        original = network.get_submodule(head)
        wrapper = ModulesToSaveWrapper(original, ADAPTER)
        wrapper.set_adapter(ADAPTER)
        wrapper.training = wrapper.modules_to_save.training = original.training
        setattr(network.get_submodule(parent), child, wrapper)
        config.modules_to_save = [head]
    return network


def lora_parameters(network: nn.Module) -> list[nn.Parameter]:
    """List A and B of every adapted layer: what the erase phase trains."""
    return [
        part[ADAPTER].weight
        for layer in network.modules()
        if isinstance(layer, LoraLayer)
        for part in (layer.lora_A, layer.lora_B)
    ]


def head_parameters(network: nn.Module) -> list[nn.Parameter]:
    """List the parameters of the trainable copy of the head: what the restore phase trains."""
    wrappers = [module for module in network.modules() if isinstance(module, ModulesToSaveWrapper)]
    return [parameter for wrapper in wrappers for parameter in wrapper.modules_to_save[ADAPTER].parameters()]


def _refuse_adapters(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, (LoraLayer, ModulesToSaveWrapper)):
            raise ValueError(
                f"{type(network).__name__} has adapters already, the first at {name!r}. Inject into a plain network, "
                "such as the one merge_adapters returns."
            )


def _belongs_to(name: str, head: str | None) -> bool:
    return head is not None and (name == head or name.startswith(f"{head}."))
