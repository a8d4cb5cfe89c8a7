from __future__ import annotations

import json
import os

import pytest
import safetensors.torch
import torch
from monai.networks.nets import UNet
from peft import LoraConfig, PeftConfig
from peft.functional import get_peft_model_state_dict
from torch import nn

from monai_unlearn.networks import head_parameters, inject_lora, load_adapter, lora_parameters, save_adapter
from tests.networks.cases import CASES

IMAGE = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
HEAD = "model.2.1.conv.unit0.conv"


def student(rank: int = 2) -> nn.Module:
    network = inject_lora(CASES["UNet 2-D"].network(), rank=rank, alpha=5.0, example_input=IMAGE)
    with torch.no_grad():
        for parameter in (*lora_parameters(network), *head_parameters(network)):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture
def saved(tmp_path):
    save_adapter(student(), tmp_path / "run" / "adapter")
    return tmp_path / "run" / "adapter"


def edit(saved, change) -> None:
    tensors = safetensors.torch.load_file(saved / "adapter_model.safetensors")
    change(tensors)
    safetensors.torch.save_file(tensors, saved / "adapter_model.safetensors")


def refuses(saved, message: str, network: nn.Module | None = None) -> None:
    """Loading fails with this message, and leaves the network as plain and as trainable as it was."""
    network = network or CASES["UNet 2-D"].build()
    kinds = [(name, type(module)) for name, module in network.named_modules()]
    with pytest.raises(ValueError, match=message):
        load_adapter(network, saved)
    assert [(name, type(module)) for name, module in network.named_modules()] == kinds
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_folder_holds_two_files_and_nothing_temporary(saved):
    assert sorted(os.listdir(saved)) == ["adapter_config.json", "adapter_model.safetensors"]


def test_tensors_are_those_peft_would_save(saved):
    network = student()
    tensors = safetensors.torch.load_file(saved / "adapter_model.safetensors")
    expected = get_peft_model_state_dict(network)
    assert {key: value.shape for key, value in tensors.items()} == {key: v.shape for key, v in expected.items()}
    assert {f"{HEAD}.weight", f"{HEAD}.bias"} <= tensors.keys()
    assert "model.0.conv.unit0.conv.lora_A.weight" in tensors


def test_peft_reads_the_config(saved):
    config = PeftConfig.from_pretrained(str(saved))
    assert isinstance(config, LoraConfig)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (2, 5.0, 0.05)
    assert config.modules_to_save == [HEAD]
    assert config.auto_mapping == {"base_model_class": "UNet", "parent_library": "monai.networks.nets.unet"}


def test_saving_again_replaces_the_adapter(saved):
    save_adapter(student(rank=3), saved)
    assert lora_parameters(load_adapter(CASES["UNet 2-D"].build(), saved))[0].shape[0] == 3


def test_a_write_that_fails_leaves_the_old_adapter(saved, monkeypatch):
    before = (saved / "adapter_model.safetensors").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ValueError, match="no space left"):
        save_adapter(student(rank=3), saved)
    assert (saved / "adapter_model.safetensors").read_bytes() == before


def test_a_network_without_adapters_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="Linear has no adapters"):
        save_adapter(nn.Linear(1, 1), tmp_path)


def test_an_adapter_without_head_comes_back(tmp_path):
    network = inject_lora(CASES["UNet 2-D"].build(), head=None)
    save_adapter(network, tmp_path)
    restored = load_adapter(CASES["UNet 2-D"].build(), tmp_path)
    for a, b in zip(lora_parameters(network), lora_parameters(restored), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_adapter(CASES["UNet 2-D"].build(), saved)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_truncated_file_is_named(saved, name):
    (saved / name).write_bytes((saved / name).read_bytes()[:50])
    refuses(saved, name)


def test_a_missing_key_is_named(saved):
    edit(saved, lambda tensors: tensors.pop(f"{HEAD}.bias"))
    refuses(saved, f"1 missing: {HEAD}.bias")


def test_an_extra_key_is_named(saved):
    edit(saved, lambda tensors: tensors.update({"extra.lora_A.weight": torch.zeros(1)}))
    refuses(saved, r"1 unexpected: extra.lora_A.weight")


def test_a_wrong_shape_is_named(saved):
    edit(saved, lambda tensors: tensors.update({f"{HEAD}.bias": torch.zeros(7)}))
    refuses(saved, rf"1 of another shape: {HEAD}.bias \(7,\) instead of \(2,\)")


def test_a_network_of_another_width_is_refused(saved):
    wider = UNet(2, 1, 2, channels=(5, 8, 16), strides=(2, 2), num_res_units=2, norm="batch")
    refuses(saved, "does not fit this UNet: .* of another shape", wider)


def test_a_network_of_another_class_is_refused(saved):
    refuses(saved, "is of a UNet, the network is a BasicUNet", CASES["BasicUNet 2-D"].build())


def test_a_network_with_adapters_is_refused(saved):
    with pytest.raises(ValueError, match="has adapters already"):
        load_adapter(student(), saved)


def test_a_config_of_another_method_is_refused(saved):
    (saved / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3", "target_modules": "x"}))
    refuses(saved, "not the config of an adapter that save_adapter wrote")


def test_a_config_that_names_no_layer_is_refused(saved):
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps(config | {"target_modules": "nowhere"}))
    refuses(saved, "No layer of UNet is called 'nowhere'")
