"""Choose the layers that get an adapter, and say why others cannot."""

from __future__ import annotations

import re

from torch import nn

from monai_unlearn.networks.probe import WEIGHTED_LAYERS, LayerRun, find_decoder

__all__ = ["choose_targets", "refuse_illegal_head", "refuse_illegal_layers"]


def choose_targets(network: nn.Module, targets: str, runs: list[LayerRun] | None) -> list[str]:
    """Name the layers that get an adapter.

    Args:
        network: a plain network.
        targets: ``"all"``, ``"decoder"``, or a regular expression that full names have to match as a whole. It may hit
            containers and layers without parameters in passing.
        runs: what :func:`trace_layers` returns; layers that did not run are left out. ``None``: not known.

    Raises:
        ValueError: if a pattern hits nothing, or a layer that cannot be adapted; if the network has no decoder.
    """
    reached = None if runs is None else {run.name for run in runs}
    if targets == "decoder":
        names = find_decoder(runs or ())
    elif targets == "all":
        names = [name for name, module in network.named_modules() if isinstance(module, WEIGHTED_LAYERS)]
    else:
        names = [name for name, module in network.named_modules() if re.fullmatch(targets, name) and _is_layer(module)]
        if not names:
            raise ValueError(
                f"targets={targets!r} hits no layer of {type(network).__name__}. A pattern has to match full layer "
                f"names, such as {_example_name(network)!r}."
            )
        refuse_illegal_layers(network, names)
    illegal = _illegal_layers(network)
    return [name for name in names if name not in illegal and (reached is None or name in reached)]


def refuse_illegal_layers(network: nn.Module, names: list[str]) -> None:
    """Raise a ``ValueError`` that names the first of the layers that cannot be adapted, and says why."""
    illegal = _illegal_layers(network)
    for name in names:
        if name in illegal:
            kind = type(network.get_submodule(name)).__name__
            raise ValueError(f"Layer {name!r} ({kind}) cannot be adapted: {illegal[name]}. Narrow the pattern down.")


def refuse_illegal_head(network: nn.Module, head: str | None) -> None:
    """Raise a ``ValueError`` if the head does not exist or cannot have a trainable copy."""
    if head is None:
        return
    modules = dict(network.named_modules())
    if not head or head not in modules:
        raise ValueError(
            f"head={head!r}: {type(network).__name__} has no such module; the last ones are "
            f"{', '.join(list(modules)[-3:])}."
        )
    if not any(True for _ in modules[head].parameters()):
        raise ValueError(f"head={head!r} ({type(modules[head]).__name__}) has no parameters to train.")
    if isinstance(modules[head], (nn.ModuleList, nn.ModuleDict)):
        raise ValueError(f"head={head!r} is a {type(modules[head]).__name__}, which never runs; name a module in it.")


def _is_layer(module: nn.Module) -> bool:
    """Tell layers, which own parameters, from containers, of which a pattern hits many in passing."""
    if isinstance(module, (*WEIGHTED_LAYERS, nn.MultiheadAttention)):
        return True
    return not any(module.children()) and any(True for _ in module.parameters())


def _example_name(network: nn.Module) -> str:
    return next((name for name, module in network.named_modules() if isinstance(module, WEIGHTED_LAYERS)), "")


def _illegal_layers(network: nn.Module) -> dict[str, str]:
    """Give the reason for every layer that cannot be adapted, by its name."""
    owners: dict[int, set[str]] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        parent = network.get_submodule(name.rpartition(".")[0])
        slot = f"{id(parent)}.{name.rpartition('.')[2]}"  # a parent under two names is still one slot
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(slot)
    reasons = {}
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        parent = network.get_submodule(name.rpartition(".")[0])
        if not isinstance(module, WEIGHTED_LAYERS):
            reasons[name] = "only convolutions and nn.Linear can be"
        elif isinstance(parent, nn.MultiheadAttention):
            reasons[name] = "nn.MultiheadAttention uses its weight without running it"
        elif not isinstance(weight, nn.Parameter) or isinstance(weight, nn.UninitializedParameter):
            reasons[name] = "its weight is parametrised or not initialised"
        elif len(owners[id(weight)]) > 1:
            reasons[name] = "its weight is shared with another layer"
    return reasons
