"""The shipped JSON files are what MONAI's own tools take, and the command of the README starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.networks.nets import FlexibleUNet

from .conftest import BUNDLE, ROOT, run_bundle

METADATA = ROOT / "bundles" / "metadata.json"
PAPER = [str(BUNDLE), str(ROOT / "bundles" / "profiles" / "paper.json")]


def workflow(config_file: Any, **settings: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=config_file, meta_file=str(METADATA), logging_file=False, workflow_type="train", **settings
    )
    made.initialize()
    return made


def test_the_metadata_passes_monais_check_against_a_local_schema(tmp_path: Path) -> None:
    schema = shutil.copy(Path(__file__).with_name("metadata_schema.json"), tmp_path / "schema.json")
    with pytest.warns(UserWarning, match="No hash value provided"):  # the schema is there already, nothing is fetched
        verify_metadata(meta_file=str(METADATA), filepath=schema)


def test_the_metadata_names_the_version_of_the_package_and_the_pinned_ones() -> None:
    import monai_unlearn

    metadata = json.loads(METADATA.read_text())
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert metadata["version"] == monai_unlearn.__version__
    assert metadata["version"] in metadata["changelog"]
    assert metadata["monai_version"] == pins["monai"]
    assert metadata["pytorch_version"] == pins["torch"]
    assert metadata["required_packages_version"]["peft"] == pins["peft"]


def test_the_network_takes_and_gives_what_the_metadata_say() -> None:
    verify_net_in_out(net_id="network_def", meta_file=str(METADATA), config_file=str(BUNDLE), device="cpu")


@pytest.mark.parametrize("config_file", [str(BUNDLE), PAPER], ids=["isic_unlearn", "paper"])
def test_every_property_that_monai_asks_of_a_training_bundle_is_there(small: dict[str, Any], config_file: Any) -> None:
    settings = {key: value for key, value in small.items() if not (config_file == PAPER and "network_def" in key)}
    assert workflow(config_file, **settings).check_properties() == []


def test_the_profile_of_the_paper_sets_its_network_values_and_schedule(small: dict[str, Any]) -> None:
    settings = {key: value for key, value in small.items() if key in ("dataset_dir", "output_dir", "device", "request")}
    parser = workflow(PAPER, **settings).parser
    assert isinstance(parser.get_parsed_content("network_def"), FlexibleUNet)
    assert (parser["image_size"], parser["rank"], parser["erasure"]) == (256, 8, "suppress")
    injection = parser.get_parsed_content("injection")
    assert (injection.alpha, injection.dropout) == (32, 0.05)
    erase = parser["erase"]
    assert erase["erasures"]["suppress"]["suppress"]["weight"] == 3.0
    assert erase["retention"]["guard"]["weight"] == 0.05
    assert (erase["sampler"]["mode"], erase["sampler"]["batch_size"]) == ("alternate", 64)


def test_the_profile_of_the_paper_runs(small: dict[str, Any], tmp_path: Path) -> None:
    settings = {key: value for key, value in small.items() if "network_def" not in key}
    run_bundle(
        "run",
        PAPER,
        **settings
        | {
            "image_size": 64,
            "train#trainer#max_epochs": 1,
            "erase#trainer#max_epochs": 1,
            "erase#sampler#batch_size": 8,
        },
    )
    merged = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    network = FlexibleUNet(in_channels=3, out_channels=1, backbone="resnet34", spatial_dims=2)
    network.load_state_dict(merged, strict=True)


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(BUNDLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_the_command_of_the_readme_makes_phantoms_and_leaves_a_release(tmp_path: Path) -> None:
    few = ["--train#trainer#max_epochs", "1", "--erase#trainer#max_epochs", "1"]
    tiny = ["--image_size", "32", "--max_cases", "60"]
    tiny += ["--network_def#channels", "[4,8]", "--network_def#strides", "[2]"]
    finished = run_command(*few, *tiny, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "SYNTHETIC PHANTOM" in finished.stdout
    assert "mean iou" in finished.stdout
    out = tmp_path / "unlearned" / "isic_unlearn"
    assert json.loads((out / "audit.json").read_text())["data"]["synthetic"] is True
    assert "Synthetic phantom images" in (out / "report.html").read_text()
    assert (out / "model.pt").is_file()


def test_a_misspelt_key_ends_the_command_with_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    finished = run_command("--requst", "x.csv", cwd=tmp_path)
    assert finished.returncode != 0
    last = finished.stderr.strip().splitlines()[-1]
    assert last == "monai_unlearn: there is no setting 'requst'; did you mean 'request'?"
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []
