from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.networks.nets import BasicUNet
from torch import nn

from monai_unlearn.networks import inject_lora, load_adapter, load_weights, save_adapter
from tests.fuzzing.hostile import damaged, hostile, refused_clearly

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Owner:
    """A pickle that would write a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def network() -> nn.Module:
    torch.manual_seed(0)
    return BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(4, 4, 4, 4, 4, 4))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    save_adapter(inject_lora(network(), rank=2, head=None), folder)
    return folder


@hostile
@given(content=st.data())
@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_any_damage_to_an_adapter_is_one_line_or_still_an_adapter(
    tmp_path: Path, adapter: Path, name: str, content: st.DataObject
) -> None:
    for file in adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(content.draw(damaged((adapter / name).read_bytes())))
    plain = network()
    keys = set(plain.state_dict())
    with refused_clearly(one_line=False):
        load_adapter(plain, tmp_path)
        return
    assert set(plain.state_dict()) == keys  # refused, and as plain as before


@pytest.mark.parametrize("name", [WEIGHTS, "model.pt", "model.safetensors"])
def test_a_pickle_is_never_run(tmp_path: Path, adapter: Path, name: str) -> None:
    owned = tmp_path / "owned"
    for file in adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(pickle.dumps({"weight": Owner(owned)}))
    path = tmp_path if name == WEIGHTS else tmp_path / name
    with pytest.raises(ValueError, match="damaged"):
        (load_adapter if name == WEIGHTS else load_weights)(network(), path)
    assert not owned.exists()


def test_a_huge_header_is_not_believed(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / CONFIG).write_bytes((adapter / CONFIG).read_bytes())
    (tmp_path / WEIGHTS).write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="damaged"):
        load_adapter(network(), tmp_path)


def test_a_deep_config_is_refused(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes())
    (tmp_path / CONFIG).write_text('{"a": ' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(ValueError, match="config"):
        load_adapter(network(), tmp_path)


def test_an_expression_that_never_ends_is_not_matched(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes())
    config = json.loads((adapter / CONFIG).read_text())
    config["target_modules"] = "(([a-z0-9_.])*)*$^x"
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="config"):
        load_adapter(network(), tmp_path)


def test_a_rank_that_the_tensors_do_not_have_takes_no_memory(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes())
    config = json.loads((adapter / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**config, "r": 10**12}))
    with pytest.raises(ValueError, match="does not fit its config"):
        load_adapter(network(), tmp_path)
