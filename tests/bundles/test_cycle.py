"""The permanent grade: ``--erasure cycle --scope weights``, and stopping at the target, on tiny pictures."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from .conftest import run_bundle, settings_for
from .zoo import unlearn, write_bundle

CYCLES = {
    "scope": "weights",
    "erasure": "cycle",
    "erase#trainer#max_epochs": 4,
    "erase#handlers#3#erase_epochs": 0.5,
    "erase#handlers#3#settle_epochs": 1.0,
    "erase#handlers#3#max_cycles": 2,
    "train#trainer#max_epochs": 6,
}


def rows_of(out: Path) -> dict[tuple[int, str], float]:
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "erase"]
    return {(int(row["epoch"]), row["name"]): float(row["value"]) for row in rows}


def test_cycles_leave_a_permanent_release_and_their_figures(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_bundle("run", **settings_for(pictures, out) | CYCLES)
    audit = json.loads((out / "audit.json").read_text())
    assert (audit["grade"], audit["settings"]["erasure"], audit["reversible"]) == ("permanent", "cycle", None)
    assert not (out / "adapter").exists()
    settled = {name for _, name in rows_of(out) if name.startswith("settled_")}
    assert settled == {f"settled_{side}_{what}" for side in ("forget", "target") for what in ("loss", "score")}
    taught, learnt = (torch.load(path, weights_only=True) for path in (out / "teacher/model.pt", out / "model.pt"))
    assert list(taught) == list(learnt)
    moved = {key: not torch.equal(taught[key], learnt[key]) for key in taught}
    assert moved["model.0.conv.unit0.conv.weight"]
    assert moved["model.0.conv.unit0.adn.N.running_mean"], "normalisation statistics settle, too"
    phases = json.loads((out / "phases.json").read_text())
    assert phases["restoring"]["epochs"] == 0, "settling has restored already"


def test_cycles_beside_frozen_weights_are_refused_with_the_mending(small: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="add --scope weights"):
        run_bundle("run", **small, erasure="cycle")


def test_any_erasure_can_stop_at_the_target(pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out"
    stop = {"erase#handlers#4#_disabled_": False, "erase#handlers#4#margin": 1.0}  # met by anything
    run_bundle("teaching", **settings_for(pictures, out))
    with caplog.at_level(logging.INFO):
        run_bundle("erasing", **settings_for(pictures, out) | stop)
    rows = rows_of(out)
    assert max(epoch for epoch, _ in rows) == 1
    assert rows[1, "forget_score"] >= 0
    assert "the target is met after epoch 1" in caplog.text or "OVER-FORGETTING: after epoch 1" in caplog.text


@pytest.mark.parametrize("kind", ["flexible_unet", "densenet"])
def test_cycles_go_with_a_bundle_of_the_zoo(tmp_path: Path, kind: str, quiet_logging: None) -> None:
    cycles = {"erase_epochs": 0.5, "settle_epochs": 0.5, "tolerance": 2.0}  # one cycle is enough
    unlearn(
        write_bundle(tmp_path / "bundle", kind),
        tmp_path / "out",
        run_id="erasing",
        request=["case_01"],
        scope="weights",
        erasure="cycle",
        **{f"erase#handlers#3#{name}": value for name, value in cycles.items()},
    )
    rows = rows_of(tmp_path / "out")
    assert rows[1, "cycle"] == 1
    assert 0 <= rows[1, "settled_forget_score"] <= 1
