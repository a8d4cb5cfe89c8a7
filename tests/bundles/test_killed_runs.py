from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_unlearn.phases import training
from tests.bundles.conftest import BUNDLE, ROOT, run_bundle

RESULTS = ("teacher/model.pt", "oracle/model.pt", "model.pt")


def weights(out: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: torch.load(out / name, weights_only=True) for name in RESULTS if (out / name).exists()}


def equal(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(
        torch.equal(value, b[name][key]) for name, state in a.items() for key, value in state.items()
    )


class DyingError(RuntimeError):
    """Stands for the power going off."""


CYCLES = {
    "scope": "weights",
    "erasure": "cycle",
    "erase#handlers#3#erase_epochs": 0.5,
    "erase#handlers#3#settle_epochs": 1.0,
    "erase#handlers#3#max_cycles": 2,
    "train#trainer#max_epochs": 6,
}


@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize(
    ("phase", "epoch", "more"),
    [
        *((phase, epoch, {}) for phase in ("teaching", "retraining", "erasing", "restoring") for epoch in (1, 2)),
        *(("erasing", epoch, CYCLES) for epoch in (1, 2)),
    ],
)
def test_a_run_that_dies_after_an_epoch_ends_with_the_same_weights(
    small: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    phase: str,
    epoch: int,
    more: dict[str, Any],
) -> None:
    settings = {**small, "oracle": "train", "restore#trainer#max_epochs": 3, "erase#trainer#max_epochs": 3}
    settings |= {"train#trainer#max_epochs": 3, **more}
    settings["train#random_transforms"] = [
        {"_target_": "monai.transforms.RandFlipd", "keys": ["image", "label"], "prob": 0.5}
    ]
    run_bundle("run", **{**settings, "output_dir": str(tmp_path / "undisturbed")})

    original = training.EpochCheckpoint.save

    def save_and_die(self: Any, engine: Any) -> None:
        original(self, engine)
        if self.path.stem == phase and engine.state.epoch == epoch:
            raise DyingError

    monkeypatch.setattr(training.EpochCheckpoint, "save", save_and_die)
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run_bundle("run", **settings)
    assert isinstance(caught.value.__cause__, DyingError)
    monkeypatch.setattr(training.EpochCheckpoint, "save", original)
    assert (tmp_path / "out/state/running" / f"{phase}.pt").exists()
    with caplog.at_level("INFO", logger="monai_unlearn"):
        run_bundle("run", **settings)
    assert "going on after epoch" in caplog.text
    assert equal(tmp_path / "undisturbed", tmp_path / "out")
    assert not (tmp_path / "out/state/running").exists()


@pytest.mark.parametrize("part", [0.35, 0.6, 0.85])
def test_a_killed_process_leaves_nothing_broken_and_its_successor_ends_with_the_same_weights(
    small: dict[str, Any], tmp_path: Path, part: float
) -> None:
    settings = {**small, "oracle": "train", "train#trainer#max_epochs": 12, "erase#trainer#max_epochs": 6}
    begun = time.monotonic()
    assert start(settings, tmp_path / "undisturbed").wait(timeout=300) == 0
    seconds = time.monotonic() - begun
    victim = start(settings, tmp_path / "out")
    time.sleep(part * seconds)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    for path in (tmp_path / "out").rglob("*.json"):
        json.loads(path.read_text())
    assert start(settings, tmp_path / "out").wait(timeout=300) == 0
    assert equal(tmp_path / "undisturbed", tmp_path / "out")
    left = [path.name for path in (tmp_path / "out").rglob(".*") if path.is_file()]
    assert not [name for name in left if name.startswith(".model")], left


def start(settings: dict[str, Any], out: Path) -> subprocess.Popen[bytes]:
    """Run the bundle in a process of its own."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(BUNDLE)]
    command += ["--meta_file", str(ROOT / "bundles" / "metadata.json"), "--logging_file", "False"]
    for key, value in {**settings, "output_dir": str(out)}.items():
        command += [f"--{key}", str(value)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, "OMP_NUM_THREADS": "1"})
