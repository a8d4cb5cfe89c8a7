"""What the overlay will use of a bundle, and what the bundle lacks: asked of its config text, without building it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

import monai_unlearn

__all__ = ["describe_bundle", "lacking_pieces", "overlay_path"]

NEEDED = {
    "network_def": "the network, as a component of its own, is built from it anew for teacher, student and oracle",
    "train#dataset": "the cases that the network was trained on are read from it",
    "train#dataloader": "its batch size and workers are used",
    "train#inferer": "the network is run by it",
    "train#trainer": "it becomes the erasing trainer",
    "validate#dataset": "the cases that the network was never trained on are read from it; without any, nothing tells "
    "how much forgetting is enough",
}
USED = {
    "network_def": "the network",
    "train#trainer#loss_function": "the loss",
    "train#dataset": "the training cases",
    "train#dataloader": "batch size and workers",
    "train#inferer": "how the network is run in training",
    "train#trainer#train_handlers": "handlers of the trainer",
    "validate#dataset": "the never-trained cases and the preprocessing of the audit",
    "validate#inferer": "how the network is run in the audit",
    "validate#evaluator": "the validation during the erase phase",
}


def lacking_pieces(parser: ConfigParser) -> list[str]:
    """List in words what a bundle's config lacks for the overlay; empty if it lacks nothing."""
    lacking = [f"'{name}' is missing ({why})" for name, why in NEEDED.items() if parser.get(name) is None]
    trainer, dataset = parser.get("train#trainer"), parser.get("validate#dataset")
    if isinstance(trainer, dict):
        kind = str(trainer.get("_target_"))
        if kind.rpartition(".")[2] != "SupervisedTrainer":
            lacking.append(f"'train#trainer' is a {kind}, and only MONAI's SupervisedTrainer can be turned into ours")
        if "loss_function" not in trainer:
            lacking.append("'train#trainer' has no 'loss_function'")
        if "iteration_update" in trainer:
            lacking.append("'train#trainer' has an 'iteration_update' of its own, which would take the place of ours")
    elif trainer is not None:
        lacking.append("'train#trainer' is no component with a '_target_'")
    if dataset is not None and not (isinstance(dataset, dict) and "transform" in dataset):
        lacking.append("'validate#dataset' has no 'transform', by which the audit sees cases without augmentation")
    if isinstance(loader := parser.get("train#dataloader"), dict) and loader.get("batch_size", 1) is None:
        lacking.append("'train#dataloader' has no batch size")
    return lacking


def overlay_path(name: str = "unlearn.json") -> Path:
    """Find one of the shipped bundle files: in the installed package, or in the repository it is installed from.

    Args:
        name: file name below ``bundles``.

    Raises:
        FileNotFoundError: if it is in neither.
    """
    package = Path(monai_unlearn.__file__).resolve().parent
    for folder in (package / "bundles", package.parent / "bundles"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"'{name}' is not among the files that monai_unlearn was installed with; install it again")


def describe_bundle(files: Sequence[str | Path]) -> tuple[bool, str]:
    """Say in plain words what the overlay will use of a bundle and what the bundle lacks.

    Args:
        files: training config, or several to be merged in order.

    Returns:
        Whether the bundle can be used, and the words.

    Raises:
        ValueError: if a file cannot be read as a config.
    """
    for path in files:
        if not Path(path).is_file():
            raise ValueError(f"there is no config file '{path}'")
    parser = ConfigParser()
    try:
        parser.read_config([str(path) for path in files])
    except Exception as error:  # JSON, YAML and MONAI's own; all mean the same
        raise ValueError(f"cannot read the config '{files[0]}': {' '.join(str(error).split())}") from error
    lines = ["The overlay will use:"]
    lines += [f"  {_name_of(parser.get(name)):<34} {what} ({name})" for name, what in USED.items() if parser.get(name)]
    lacking = lacking_pieces(parser)
    if lacking:
        lines += ["", "The bundle cannot be used, because:", *(f"  {reason}" for reason in lacking)]
        return False, "\n".join(lines)
    lines += ["", "It will replace the optimiser, the learning-rate schedule and the number of epochs (10), switch off"]
    lines += ["checkpoint loaders, and redirect all that handlers, datasets and transforms write to 'output_dir'."]
    root = Path(str(parser.get("bundle_root", "."))).expanduser()
    teacher = root / "models" / "model.pt"
    if not teacher.is_file():
        lines += ["", f"There is no '{teacher}': give the trained weights with --teacher_checkpoint."]
    if "evaluator" not in (parser.get("validate") or {}):
        lines += ["", "It has no 'validate#evaluator': there will be no validation during the erase phase."]
    return True, "\n".join([*lines, "", "The bundle can be used."])


def _name_of(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_target_", "settings")).rpartition(".")[2]
    return f"{len(value)} components" if isinstance(value, list) else str(value)
