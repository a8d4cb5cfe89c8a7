"""Load a trained network's weights, strictly and without running a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

__all__ = ["compare_state", "load_weights"]

_NESTED = ("model", "state_dict", "network")
_SHOWN = 3


def load_weights(network: nn.Module, path: str | PathLike[str]) -> nn.Module:
    """Load a checkpoint into a network.

    Args:
        network: the plain network, built with the settings it was trained with.
        path: a ``.safetensors`` file, or one of ``torch.save`` that holds a state dict, bare or under ``model``,
            ``state_dict`` or ``network``. It is read with ``weights_only=True``, onto the CPU.

    Returns:
        The same network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read, holds anything but tensors, or is of another network. The network is
            then unchanged.
    """
    path = Path(path)
    state = _state_in(_read(path), path)
    problems = compare_state(expected=network.state_dict(), found=state)
    if problems:
        advice = (
            "It was saved with the adapters inside: load the merged checkpoint, or the adapter with load_adapter."
            if any(".lora_" in key for key in state)
            else "Build the network with the settings it was trained with."
        )
        raise ValueError(f"{path} is not a checkpoint of this {type(network).__name__}: {problems}. {advice}")
    network.load_state_dict(state)
    return network


def compare_state(*, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """Say in one line how two state dicts differ in keys and shapes; an empty string if they do not.

    Args:
        expected: the tensors of the network.
        found: the tensors of a file.
    """
    reshaped = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    differences = {
        "missing": [key for key in expected if key not in found],
        "unexpected": [key for key in found if key not in expected],
        "of another shape": reshaped,
    }
    return "; ".join(f"{len(keys)} {kind}: {_first(keys)}" for kind, keys in differences.items() if keys)


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")


def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise a dozen kinds of error on a broken file; each means the same
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it is damaged, or holds more than tensors ({reason}). "
            "Save the state dict alone: torch.save(network.state_dict(), path)."
        ) from error


def _state_in(content: Any, path: Path) -> dict[str, torch.Tensor]:
    if isinstance(content, Mapping):
        nested = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
        if nested and all(isinstance(value, torch.Tensor) for value in nested.values()):
            return dict(nested)
    raise ValueError(f"{path} holds no state dict, neither bare nor under {', '.join(_NESTED)}.")
