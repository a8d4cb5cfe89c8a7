"""Save and load an adapter in PEFT's format: ``adapter_model.safetensors`` and ``adapter_config.json``."""

from __future__ import annotations

import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig, PeftConfig
from peft.functional import get_peft_model_state_dict
from torch import nn

from monai_unlearn.files import write_whole
from monai_unlearn.networks.adapters import adapter_layers
from monai_unlearn.networks.injection import ADAPTER, inject_config
from monai_unlearn.networks.merging import remove_adapters
from monai_unlearn.networks.weights import compare_state

__all__ = ["load_adapter", "save_adapter"]

_OURS = ("r", "lora_alpha", "lora_dropout", "target_modules", "modules_to_save", "auto_mapping", "inference_mode")
"""What differs from adapter to adapter."""
_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"


def save_adapter(network: nn.Module, folder: str | PathLike[str]) -> None:
    """Write what was learned, A and B of every layer and the copy of the head, to a folder.

    Each file appears whole or not at all. The config is PEFT's own, with the regular expression of the adapted layers
    as ``target_modules``, the head as ``modules_to_save``, and the class of the network in ``auto_mapping``.

    Args:
        network: a network after :func:`inject_lora`.
        folder: created if it does not exist; an adapter in it is replaced.

    Raises:
        ValueError: if the network has no adapters.
    """
    tensors = {key: value.contiguous().cpu() for key, value in _adapter_state(network).items()}
    configs: Any = network.peft_config
    config = configs[ADAPTER].to_dict() | {
        "auto_mapping": {"base_model_class": type(network).__name__, "parent_library": type(network).__module__}
    }
    folder = Path(folder)
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)  # the one thing JSON has not is PEFT's sets
    write_whole(folder / _CONFIG, text.encode())
    write_whole(folder / _WEIGHTS, safetensors.torch.save(tensors, metadata={"format": "pt"}))


def load_adapter(network: nn.Module, folder: str | PathLike[str]) -> nn.Module:
    """Inject a saved adapter into a plain network, in place.

    Args:
        network: the plain network the adapter was trained on, with the teacher's weights.
        folder: what :func:`save_adapter` wrote.

    Returns:
        The same network; its adapter is trainable, as after :func:`inject_lora`.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        ValueError: if a file is damaged, the network is of another class, lacks a layer, has adapters already, or a
            tensor is missing, left over or of another shape. The network is then as plain as before.
    """
    config = _read_config(Path(folder) / _CONFIG)
    tensors = _read_tensors(Path(folder) / _WEIGHTS)
    trained_on = (config.auto_mapping or {}).get("base_model_class")
    if trained_on != type(network).__name__:
        raise ValueError(
            f"{Path(folder) / _CONFIG} is of a {trained_on}, "
            f"the network is a {type(network).__name__}: build the network the adapter was trained on."
        )
    # before anything is made of that size: whoever wrote the config may not have written the tensors
    if config.r > max((value.numel() for value in tensors.values()), default=0):
        raise ValueError(f"{Path(folder) / _WEIGHTS} does not fit its config: no tensor in it is of rank {config.r}.")
    trainable = {parameter: parameter.requires_grad for parameter in network.parameters()}
    inject_config(network, config)
    state = _adapter_state(network)
    if problems := compare_state(expected=state, found=tensors):
        remove_adapters(network)
        for parameter, requires_grad in trainable.items():
            parameter.requires_grad_(requires_grad)
        raise ValueError(
            f"{Path(folder) / _WEIGHTS} does not fit this {type(network).__name__}: {problems}. "
            "Build the network with the settings the adapter was trained with."
        )
    for key, value in state.items():
        value.copy_(tensors[key])  # the state holds the network's own tensors, detached
    return network


def _adapter_state(network: nn.Module) -> dict[str, torch.Tensor]:
    adapter_layers(network)
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(network, adapter_name=ADAPTER)
    return state


def _read_config(path: Path) -> LoraConfig:
    if not path.is_file():
        raise FileNotFoundError(f"There is no adapter config {path}.")
    try:
        config: Any = PeftConfig.from_pretrained(str(path.parent))
    except Exception as error:  # PEFT raises whatever its dataclasses meet
        raise ValueError(f"{path} is not a PEFT config: {error}") from error
    if not isinstance(config, LoraConfig) or not isinstance(config.target_modules, str):
        raise ValueError(f"{path} is not the config of an adapter that save_adapter wrote.")
    _refuse_foreign_settings(config, path)
    return config


def _refuse_foreign_settings(config: LoraConfig, path: Path) -> None:
    """Refuse what save_adapter never writes: expressions that match for ever, settings that change the base weights."""
    names = [re.sub(r"\\(.)", r"\1", name) for name in config.target_modules.split("|")]
    if "|".join(map(re.escape, names)) != config.target_modules:
        raise ValueError(f"'target_modules' in the adapter config {path} is no list of layers that save_adapter wrote.")
    usual = LoraConfig(r=config.r, target_modules=config.target_modules).to_dict()
    foreign = [key for key, value in config.to_dict().items() if key not in _OURS and value != usual.get(key)]
    if foreign:
        raise ValueError(f"{foreign[0]!r} in the adapter config {path} is not as save_adapter writes it.")


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no adapter {path}.")
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    return tensors
