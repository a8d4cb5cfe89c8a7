from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNet
from torch import nn

from monai_unlearn.phases import fitting_input, fitting_names
from monai_unlearn.phases.boundary import ConfigFiles
from monai_unlearn.phases.outputs import components_in, redirect_outputs, silence_writers
from monai_unlearn.phases.own_keys import keep_own_keys

ROOT = Path(__file__).parents[2]
SAVER = {"_target_": "monai.handlers.CheckpointSaver", "save_dir": "models", "save_dict": {"model": "@network"}}


def redirected(*components: dict[str, Any], student: str | None = "@student") -> list[dict[str, Any]]:
    config = {"handlers": [dict(one) for one in components]}
    redirect_outputs(config, checkpoints="CHECKPOINTS", student=student)
    return config["handlers"]


def test_a_checkpoint_saver_saves_the_student_elsewhere() -> None:
    (saver,) = redirected(SAVER)
    assert saver == {**SAVER, "save_dir": "CHECKPOINTS", "save_dict": {"model": "@student"}}


def test_a_saver_of_the_oracle_saves_its_own_network_elsewhere() -> None:
    (saver,) = redirected(SAVER, student=None)
    assert saver == {**SAVER, "save_dir": "CHECKPOINTS"}


@pytest.mark.parametrize(
    ("component", "argument"),
    [
        ({"_target_": "PersistentDataset", "cache_dir": "cache"}, "cache_dir"),
        ({"_target_": "SaveImaged", "output_dir": "eval"}, "output_dir"),
        ({"_target_": "MetricsSaver", "save_dir": "eval"}, "save_dir"),
        ({"_target_": "LogfileHandler", "output_dir": "eval"}, "output_dir"),
        ({"_target_": "scripts.TensorBoardImageHandler", "log_dir": "eval"}, "log_dir"),
        ({"_target_": "TensorBoardStatsHandler"}, "log_dir"),  # its default is the working directory
    ],
)
def test_whatever_names_a_folder_names_one_below_the_output_folder(component: dict[str, Any], argument: str) -> None:
    (changed,) = redirected(component)
    assert changed[argument].startswith("$")
    assert "@output_dir" in changed[argument]


def test_checkpoint_loaders_and_learning_rate_schedules_are_switched_off_with_all_they_refer_to() -> None:
    loader = {"_target_": "CheckpointLoader", "load_path": "@path", "load_dict": {"model": "@network"}}
    schedule = {"_target_": "LrScheduleHandler", "lr_scheduler": "@lr_scheduler"}
    assert redirected(loader, schedule) == [
        {"_target_": "CheckpointLoader", "_disabled_": True},
        {"_target_": "LrScheduleHandler", "_disabled_": True},
    ]


def test_the_oracle_keeps_the_bundles_learning_rate_schedule() -> None:
    schedule = {"_target_": "LrScheduleHandler", "lr_scheduler": "@lr_scheduler"}
    assert redirected(schedule, student=None) == [schedule]


def test_components_are_found_within_components() -> None:
    config = {"a": {"_target_": "Compose", "transforms": [{"_target_": "Inner"}, 1]}, "b": [[{"_target_": "Deep"}]]}
    assert [component["_target_"] for component in components_in(config)] == ["Compose", "Inner", "Deep"]


def test_of_several_processes_the_others_have_no_writers() -> None:
    config = [dict(SAVER), {"_target_": "ValidationHandler", "validator": "@v"}, {"_target_": "StatsHandler"}]
    silence_writers(config)
    assert [one.get("_disabled_", False) for one in config] == [True, False, True]


def kept(bundle: dict[str, Any], overlay: dict[str, Any], **overrides: Any) -> ConfigParser:
    parser = ConfigParser({**bundle, **{key: value for key, value in overlay.items() if key[0] != "+"}, **overrides})
    keep_own_keys(parser, ConfigFiles(bundle=bundle, overlay=overlay, later={}))
    return parser


def test_a_key_of_both_is_renamed_where_the_bundle_refers_to_it() -> None:
    bundle = {
        "rank": 0,
        "others": "$@rank > 0",
        "train": {"n": "$@rank + @rank_of_all", "x": ["@rank"]},
        "rank_of_all": 9,
    }
    parser = kept(bundle, {"rank": 8, "injection": {"rank": "@rank"}, "+train": {}}, rank=4)
    assert parser["bundle_rank"] == 0
    assert parser["rank"] == 4
    assert parser["others"] == "$@bundle_rank > 0"
    assert parser["train"] == {"n": "$@bundle_rank + @rank_of_all", "x": ["@bundle_rank"]}
    assert parser["injection"] == {"rank": "@rank"}


def test_keys_that_mean_the_same_stay() -> None:
    bundle = {"output_dir": "eval", "train": {"log_dir": "@output_dir"}}
    parser = kept(bundle, {"output_dir": "unlearned"})
    assert parser["train"]["log_dir"] == "@output_dir"
    assert "bundle_output_dir" not in parser


class Outputs(nn.Module):
    """A network that gives what it is told to, in training and in evaluation."""

    def __init__(self, training: Any, evaluation: Any) -> None:
        super().__init__()
        self.outputs = {True: training, False: evaluation}

    def forward(self, image: torch.Tensor) -> Any:
        return self.outputs[self.training](image)


def fits(network: nn.Module, example: torch.Tensor) -> torch.Tensor:
    return fitting_input(network, example, label=torch.zeros(1, 1, 16, 16), task="segmentation", activation="softmax")


def test_a_network_of_one_output_fits_and_is_not_touched() -> None:
    network = UNet(2, 1, 2, channels=(4, 8), strides=(2,), norm="batch")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    example = torch.zeros(1, 1, 16, 16)
    assert fits(network, example) is example
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (UNet(2, 3, 2, channels=(4, 8), strides=(2,)), r"cannot take an image .* of shape \(1, 1, 16, 16\)"),
        (Outputs(lambda x: [x, x], lambda x: x), "gives a list in training mode"),
        (Outputs(lambda x: {"out": x}, lambda x: {"out": x}), "gives a dict in evaluation mode"),
        (Outputs(lambda x: torch.stack([x, x], 1), lambda x: x), "deep supervision switched off"),
    ],
    ids=["channels", "list", "dict", "stacked"],
)
def test_networks_that_do_not_fit_are_refused(network: nn.Module, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fits(network, torch.zeros(1, 1, 16, 16))


@pytest.mark.parametrize(
    ("label", "activation", "words"),
    [
        (torch.full((1, 1, 16, 16), 2), "softmax", "the label holds the classes"),
        (torch.zeros(1, 1, 16, 16), "sigmoid", "fits no sigmoid logits"),
        (torch.zeros(1, 1, 8, 8), "softmax", "fits no softmax logits"),
    ],
)
def test_labels_that_do_not_fit_the_logits_are_refused(label: torch.Tensor, activation: Any, words: str) -> None:
    network = UNet(2, 1, 2, channels=(4, 8), strides=(2,))
    with pytest.raises(ValueError, match=words):
        fitting_input(network, torch.zeros(1, 1, 16, 16), label=label, task="segmentation", activation=activation)


def test_a_classification_of_several_labels_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="classifications of several labels at once"):
        fitting_input(
            nn.Identity(), torch.zeros(1, 2), label=torch.zeros(1, 2), task="classification", activation="sigmoid"
        )


@pytest.mark.parametrize(
    ("names", "task", "fitting"),
    [
        (["a", "b"], "segmentation", ["a", "b"]),
        (["a", "b", "c"], "segmentation", None),
        (None, "segmentation", None),
        (["a"], "classification", ["0", "1"]),
        (None, "classification", ["0", "1"]),
    ],
)
def test_names_of_classes_are_as_many_as_the_network_has(names: Any, task: str, fitting: Any) -> None:
    network = UNet(2, 1, 2, channels=(4, 8), strides=(2,))
    assert fitting_names(names, network, torch.zeros(1, 1, 16, 16), task=task) == fitting


def test_a_built_wheel_carries_the_bundles_and_finds_them(tmp_path: Path) -> None:
    for module in ("pip", "hatchling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed, and nothing is fetched for a test")
    command = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    bundles = installed / "monai_unlearn" / "bundles"
    for path in (ROOT / "bundles").rglob("*.json"):
        assert (bundles / path.relative_to(ROOT / "bundles")).read_bytes() == path.read_bytes()
    templates = Path("monai_unlearn/visualize/templates")
    for path in (ROOT / templates).iterdir():
        assert (installed / templates / path.name).read_bytes() == path.read_bytes()
    where = "from monai_unlearn.phases.survey import overlay_path; print(overlay_path())"
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {where}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    ).stdout
    assert printed == f"{bundles / 'unlearn.json'}\n"
