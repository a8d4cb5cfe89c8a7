"""The history of a run: one table of every named figure after every epoch."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_unlearn.files import write_atomically
from monai_unlearn.handlers.output import loss_of_iteration

__all__ = ["EpochHistory", "read_history"]

COLUMNS = ("phase", "epoch", "name", "value")


class EpochHistory:
    """Write the scalars of ``engine.state.metrics``, and the epoch's ``seconds``, to a CSV file after every epoch.

    The file has the columns ``phase``, ``epoch``, ``name`` and ``value``; several phases share it, and a phase that is
    run again replaces its own rows. Trainers whose metrics hold no loss have the last iteration's ``loss`` written.

    Args:
        path: the CSV file.
        phase: name of the phase, such as ``"erase"``.
    """

    def __init__(self, *, path: str | Path, phase: str) -> None:
        self.path = Path(path)
        self.phase = phase
        self._began = 0.0

    def attach(self, engine: Engine) -> None:
        """Register the handler: clear the phase's rows at the start, add rows after each epoch."""
        engine.add_event_handler(Events.STARTED, self.clear)
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def clear(self, engine: Engine) -> None:
        """Drop what an earlier run of this phase wrote, but for the epochs after which this one goes on."""
        if self.path.exists():
            rows = read_history(self.path)
            self._write([row for row in rows if row["phase"] != self.phase or row["epoch"] <= engine.state.epoch])

    def start(self, engine: Engine) -> None:
        """Note when the epoch began."""
        self._began = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        """Add this epoch's rows."""
        seconds = time.perf_counter() - self._began
        figures = {name: float(value) for name, value in engine.state.metrics.items() if _is_number(value)}
        if "loss" not in figures:
            figures["loss"] = loss_of_iteration(engine)
        figures["seconds"] = seconds
        rows = read_history(self.path) if self.path.exists() else []
        rows += [
            {"phase": self.phase, "epoch": engine.state.epoch, "name": name, "value": value}
            for name, value in figures.items()
        ]
        self._write(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        def write(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)

        write_atomically(self.path, write)


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows that :class:`EpochHistory` wrote: ``phase``, ``epoch`` (int), ``name``, ``value`` (float)."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [{**row, "epoch": int(row["epoch"]), "value": float(row["value"])} for row in csv.DictReader(file)]


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
