"""The figures of an audit for TensorBoard and, where a run is tracked, for MLflow: by MONAI's own handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import TensorBoardStatsHandler

from monai_unlearn.phases.session import Session

__all__ = ["figures_by_name", "track_figures"]

TRACKER = "audit#tracker"
PARTS = ("models", "class_request", "membership", "relearning", "tests", "verdict", "reversible", "cost", "data")
LEFT_OUT = ("series", "details", "checks", "margins")
"""Parts of a figure that are no single number of a network: curves, notes, bounds."""
MOST_AT_ONCE = 500
"""Figures in one message; MLflow takes up to 1000."""


def track_figures(session: Session, content: Mapping[str, Any]) -> None:
    """Hand every figure of an audit to TensorBoard, below the output folder, and to MLflow if the run is tracked.

    Args:
        session: the session; its config has ``audit#tracker`` where it was started with ``--tracking``.
        content: what ``audit.json`` holds.
    """
    if not session.folder.writes:
        return
    figures = list(figures_by_name(content).items())
    parts = [dict(figures[start : start + MOST_AT_ONCE]) for start in range(0, len(figures), MOST_AT_ONCE)]
    engine = Engine(lambda engine, part: part)

    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: setattr(engine.state, "metrics", engine.state.output)
    )
    handlers = [
        TensorBoardStatsHandler(
            log_dir=str(session.folder.path), iteration_log=False, global_epoch_transform=lambda _: 0
        )
    ]
    if TRACKER in session.parser:
        handlers.append(session.build(TRACKER))
    for handler in handlers:
        handler.attach(engine)
    try:
        engine.run(parts, max_epochs=len(parts), epoch_length=1)  # the handlers write at the end of an epoch
    finally:
        for handler in handlers:
            handler.close()


def figures_by_name(content: Mapping[str, Any]) -> dict[str, float]:
    """Return every number of an audit by its dotted name, such as ``models.student.forget.iou``.

    Truth values count as 1 and 0; texts, curves, notes and what is absent are left out. Nothing in here names a case.

    Args:
        content: what ``audit.json`` holds.
    """
    return {name: value for part in PARTS for name, value in _numbers(content.get(part), part)}


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in LEFT_OUT:
                yield from _numbers(
                    part, name if key in ("figures", "value") and name.startswith("tests") else f"{name}.{key}"
                )
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, part in enumerate(value):
            yield from _numbers(part, f"{name}.{place}")
    elif isinstance(value, (bool, int, float)):
        yield name, float(value)
