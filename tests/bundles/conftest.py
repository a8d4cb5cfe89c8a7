from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "isic_unlearn.json"

Run = Callable[..., None]


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Undo what a bundle's logging.conf does to the loggers of this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run_bundle(run_id: str, config_file: Any = None, **settings: Any) -> None:
    """Run a shipped bundle in this process, as ``python -m monai.bundle run`` does."""
    workflow = ConfigWorkflow(
        config_file=str(BUNDLE) if config_file is None else config_file,
        meta_file=str(ROOT / "bundles" / "metadata.json"),
        logging_file=False,
        run_id=run_id,
        workflow_type="train",
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def settings_for(pictures: Path, out: Path) -> dict[str, Any]:
    """Settings of a run of a few seconds on 24 tiny pictures."""
    return {
        "dataset_dir": str(pictures),
        "output_dir": str(out),
        "device": "cpu",
        "image_size": 32,
        "request": 0.2,
        "rank": 2,
        "tier": "none",
        "network_def#channels": [4, 8],
        "network_def#strides": [2],
        "train#trainer#max_epochs": 2,
        "erase#trainer#max_epochs": 2,
        "erase#sampler#batch_size": 4,
        "erase#sampler#forget_per_batch": 1,
    }


@pytest.fixture
def small(pictures: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a run that leaves its results in ``tmp_path / "out"``."""
    return settings_for(pictures, tmp_path / "out")
