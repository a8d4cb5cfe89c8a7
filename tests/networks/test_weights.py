from __future__ import annotations

import pickle

import pytest
import safetensors.torch
import torch
from torch import nn

from monai_unlearn.networks import inject_lora, load_weights


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def assert_loaded(found: nn.Module, expected: nn.Module) -> None:
    for key, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


@pytest.mark.parametrize("key", [None, "model", "state_dict", "network"])
def test_state_dict_is_found_bare_and_under_its_usual_keys(tmp_path, key):
    trained = network()
    content = trained.state_dict() if key is None else {key: trained.state_dict(), "epoch": 3}
    torch.save(content, tmp_path / "model.pt")
    target = network()
    assert load_weights(target, tmp_path / "model.pt") is target
    assert_loaded(target, trained)


def test_safetensors_are_read(tmp_path):
    trained = network()
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "model.safetensors")
    assert_loaded(load_weights(network(), str(tmp_path / "model.safetensors")), trained)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no_such"):
        load_weights(network(), tmp_path / "no_such.pt")


def test_another_network_is_told_by_its_keys_and_shapes_and_stays_as_it_was(tmp_path):
    state = network(4).state_dict()
    state["2.weight"] = state.pop("1.running_var")
    torch.save(state, tmp_path / "model.pt")
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(ValueError, match=r"model\.pt is not a checkpoint of this Sequential") as error:
        load_weights(target, tmp_path / "model.pt")
    message = str(error.value)
    assert "1 missing: 1.running_var" in message
    assert "1 unexpected: 2.weight" in message
    assert "5 of another shape: 0.weight (4, 1, 3, 3) instead of (3, 1, 3, 3), 0.bias (4,) instead of (3,)" in message
    assert message.endswith("Build the network with the settings it was trained with.")
    assert all(torch.equal(target.state_dict()[key], value) for key, value in before.items())


def test_a_checkpoint_with_adapters_inside_is_recognised(tmp_path):
    torch.save(inject_lora(network(), head=None).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="saved with the adapters inside: load the merged checkpoint"):
        load_weights(network(), tmp_path / "model.pt")


def truncated(path) -> None:
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:200])


class Payload:
    """An object that a pickle would build by calling a function."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    "write",
    [
        truncated,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00\x01 no checkpoint"),
        lambda path: path.write_bytes(pickle.dumps(Payload())),
        lambda path: torch.save({"model": network().state_dict(), "extra": Payload()}, path),
        lambda path: torch.save(network(), path),
    ],
    ids=["truncated", "empty", "garbage", "pickle", "object inside", "whole network"],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_what_is_no_checkpoint_is_named_and_never_executed(tmp_path, capsys, write, name):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a checkpoint"):
        load_weights(network(), tmp_path / name)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"weights": {"a": torch.zeros(1)}}, [torch.zeros(1)]])
def test_a_file_without_state_dict_is_named(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt holds no state dict"):
        load_weights(network(), tmp_path / "model.pt")
