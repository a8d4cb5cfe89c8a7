"""The overlay under torchrun, two processes on the CPU, does what one process with the same batches does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .conftest import ROOT
from .zoo import write_bundle

PATIENCE = 400
"""Seconds after which a run is taken to hang; alone on the machine it takes twenty."""


def run(command: list[str], folder: Path) -> str:
    finished = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Output folders of one process and of two, and what the two said."""
    root = tmp_path_factory.mktemp("processes") / "bundle"
    config = write_bundle(root, "flexible_unet")
    overlay, several = (str(ROOT / "bundles" / name) for name in ("unlearn.json", "unlearn_multi_gpu.json"))
    settings = ["--request", "['case_01']", "--train#trainer#max_epochs", "2", "--ledger", "none", "--tier", "none"]
    settings += ["--train#random_transforms#0#prob", "0.0"]  # every process draws by itself; here they have to agree

    def command(files: list[str], out: str) -> list[str]:
        return ["-m", "monai.bundle", "run", "--config_file", str(files), "--output_dir", out, *settings]

    one = [*command([str(config), overlay], "one"), "--train#dataloader#batch_size", "4"]
    run([sys.executable, *one, "--erase#sampler#forget_per_batch", "2"], root)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    said = run([*launcher, *command([str(config), overlay, several], "two")], root)
    return root / "one", root / "two", said


def test_two_processes_learn_the_adapter_that_one_learns(results: tuple[Path, Path, str]) -> None:
    one, two = (load_file(folder / "adapter/adapter_model.safetensors") for folder in results[:2])
    assert one.keys() == two.keys()
    assert max(float(tensor.abs().max()) for tensor in one.values()) > 0.01
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, atol=1e-4, rtol=0, msg=key)


def test_two_processes_find_the_figures_that_one_finds(results: tuple[Path, Path, str]) -> None:
    one, two = (json.loads((folder / "audit.json").read_text()) for folder in results[:2])
    for subset in ("forget", "retain", "unseen"):
        for name, value in one["models"]["student"][subset].items():
            assert two["models"]["student"][subset][name] == pytest.approx(value, abs=1e-3), (subset, name)
    assert two["reversible"]["max_abs_difference"] == 0.0


def test_one_of_several_processes_writes(results: tuple[Path, Path, str]) -> None:
    one, two = results[:2]
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*.*")} for folder in (one, two)]
    events = [len([name for name in found if "tfevents" in name]) for found in names]
    assert events[0] == events[1]
    assert {name for name in names[0] if "tfevents" not in name} == {
        name for name in names[1] if "tfevents" not in name
    }
    history = (two / "metrics.csv").read_text().splitlines()
    assert len(history) == len(set(history))
