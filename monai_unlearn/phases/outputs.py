"""Where the components of a bundle write: everything goes below the run's own output folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["components_in", "redirect_outputs", "silence_writers", "switch_off", "target_name"]

REDIRECTED = {
    "log_dir": "$str(@output_dir)",
    "save_dir": "$@output_dir + '/handlers'",
    "output_dir": "$@output_dir + '/predictions'",
    "cache_dir": "$@output_dir + '/cache'",
}
"""Arguments of handlers, transforms and datasets that name a folder, and where they point instead."""
WRITERS = (
    *("CheckpointSaver", "StatsHandler", "TensorBoardStatsHandler", "TensorBoardImageHandler", "MetricsSaver"),
    *("LogfileHandler", "MLFlowHandler", "EpochHistory", "PhaseProgress"),
)
"""Handlers that write: of several processes the first one has them."""


def redirect_outputs(config: Any, *, checkpoints: str, student: str | None) -> None:
    """Redirect all that the components of a config write to ``output_dir``, in place, and load no checkpoint.

    Args:
        config: config text.
        checkpoints: folder of the checkpoint savers, an expression.
        student: expression of what checkpoint savers save, for a network that unlearns; its learning-rate schedule is
            not the bundle's. ``None`` leaves both.
    """
    for component in components_in(config):
        name = target_name(component)
        for argument in REDIRECTED.keys() & component.keys():
            component[argument] = REDIRECTED[argument]
        if name.startswith("TensorBoard"):  # its default is the working directory
            component["log_dir"] = REDIRECTED["log_dir"]
        if name == "StatsHandler":  # its default is a logger of its own, which run.log does not hear
            component.setdefault("name", None)
        if name == "MLFlowHandler":
            component.setdefault("tracking_uri", "$monai.utils.path_to_sqlite_uri(@output_dir + '/mlflow.db')")
        if name == "CheckpointSaver":
            component["save_dir"] = checkpoints
            if student is not None:
                component["save_dict"] = {"model": student}
        if name == "CheckpointLoader" or (name == "LrScheduleHandler" and student is not None):
            switch_off(component)


def silence_writers(config: Any) -> None:
    """Switch off every handler that writes, in place."""
    for component in components_in(config):
        if target_name(component) in WRITERS:
            switch_off(component)


def switch_off(component: dict[str, Any]) -> None:
    """Disable a component, in place; without its arguments, since MONAI builds those of a disabled one, too."""
    target = component["_target_"]
    component.clear()
    component.update(_target_=target, _disabled_=True)


def components_in(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every component of a config, outer ones first."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for value in list(config.values()):
            yield from components_in(value)
    elif isinstance(config, list):
        for value in config:
            yield from components_in(value)


def target_name(component: dict[str, Any]) -> str:
    """Name the class of a component without the modules that it is in."""
    return str(component.get("_target_", "settings")).rpartition(".")[2]
