"""The student: the teacher's network with what may learn switched on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from monai_unlearn.networks import (
    LoraInjection,
    find_head,
    has_adapters,
    head_parameters,
    load_weights,
    lora_parameters,
    trace_layers,
)

__all__ = ["SCOPES", "erase_parameters", "make_student", "restore_parameters"]

SCOPES = ("adapters", "weights")


def make_student(
    *, network: nn.Module, weights: str | Path, scope: str = "adapters", injection: LoraInjection | None = None
) -> nn.Module:
    """Load the teacher's weights into a network and make a student of it.

    Args:
        network: an instance of the teacher's class; changed in place.
        weights: checkpoint of the teacher.
        scope: ``"adapters"``: everything is frozen and low-rank adapters are injected, so that adapters off is the
            teacher; ``"weights"``: all parameters learn.
        injection: how adapters are injected; needed for ``"adapters"``.

    Returns:
        The network.

    Raises:
        ValueError: if the scope is unknown, or adapters are asked for without ``injection``.
    """
    if scope not in SCOPES:
        raise ValueError(f"'scope' is one of {', '.join(SCOPES)}; got {scope!r}")
    load_weights(network, weights)
    if scope == "weights":
        return network.requires_grad_(True)
    if injection is None:
        raise ValueError("the scope 'adapters' needs 'injection'; give a monai_unlearn.networks.LoraInjection")
    return injection(network)


def erase_parameters(student: nn.Module) -> list[nn.Parameter]:
    """Let what the erase phase trains require gradients, nothing else, and return it.

    These are A and B of the adapters, or all parameters of a student at scope ``weights``.
    """
    return _train_only(student, lora_parameters(student) if has_adapters(student) else list(student.parameters()))


def restore_parameters(student: nn.Module, *, example_input: torch.Tensor | None = None) -> list[nn.Parameter]:
    """Let what the restore phase trains, the head, require gradients, nothing else, and return it.

    Args:
        student: its head is the trainable copy that travels in the adapter, or at scope ``weights`` the last layer
        that runs.
        example_input: input of the network, to find the head at scope ``weights``.

    Raises:
        ValueError: if there is no head to train.
    """
    if has_adapters(student):
        parameters = head_parameters(student)
    elif example_input is not None:
        parameters = list(student.get_submodule(find_head(trace_layers(student, example_input))).parameters())
    else:
        raise ValueError("the head of a network without adapters is found by a forward pass: give an 'example_input'")
    if not parameters:
        raise ValueError(
            "the adapter carries no copy of the head to restore; inject it with head='auto' or a layer's name"
        )
    return _train_only(student, parameters)


def _train_only(network: nn.Module, parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    network.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    return parameters
