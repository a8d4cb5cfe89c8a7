from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.handlers import CheckpointSaver
from torch import nn

from monai_unlearn.networks import (
    MergedWeights,
    inject_lora,
    load_weights,
    lora_parameters,
    merge_adapters,
    merged_state_dict,
    remove_adapters,
)
from tests.networks.cases import CASES

IMAGE = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)


def student(name: str = "UNet 2-D") -> nn.Module:
    network = inject_lora(CASES[name].network(), rank=2, example_input=IMAGE).eval()
    with torch.no_grad():
        for parameter in lora_parameters(network):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_removing_the_adapters_gives_the_plain_network_back():
    network = inject_lora(CASES["UNet 2-D"].network(), example_input=IMAGE)
    plain = remove_adapters(network)
    assert plain is network
    assert [(name, type(module)) for name, module in plain.named_modules()] == [
        (name, type(module)) for name, module in CASES["UNet 2-D"].network().named_modules()
    ]
    assert not hasattr(plain, "peft_config")


def test_merged_state_dict_is_that_of_the_merged_network():
    network = student()
    state, expected = merged_state_dict(network), merge_adapters(network).state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_stock_checkpoint_saver_writes_a_checkpoint_of_the_plain_network(tmp_path):
    network = student()
    saver = CheckpointSaver(
        str(tmp_path), {"model": MergedWeights(network)}, save_final=True, final_filename="model.pt"
    )
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{"image": IMAGE, "label": IMAGE}],
        network=network,
        val_handlers=[saver],
    )
    evaluator.run()
    plain = load_weights(CASES["UNet 2-D"].build(), tmp_path / "model.pt").eval()
    with torch.no_grad():
        torch.testing.assert_close(plain(IMAGE), network(IMAGE))


def test_a_network_that_keeps_outputs_is_merged_between_forward_and_backward():
    network = student("DynUNet 2-D").train()
    loss = network(IMAGE).mean()
    merge_adapters(network)
    loss.backward()
    assert all(parameter.grad is not None for parameter in lora_parameters(network))


def test_a_broken_adapter_is_not_merged():
    network = student()
    lora_parameters(network)[1].data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"not finite|NaNs"):
        merge_adapters(network)


def test_a_plain_network_is_not_merged():
    with pytest.raises(ValueError, match="Linear has no adapters"):
        merge_adapters(nn.Linear(1, 1))
