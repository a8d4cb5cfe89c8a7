"""What the overlay will use of a bundle, and what the bundle lacks: asked of its config text, without building it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

import monai_unlearn
from monai_unlearn.phases.outputs import target_name
from monai_unlearn.phases.parts import complete_sections
from monai_unlearn.phases.requirements import augments_by_mirrors, lacking_pieces

__all__ = ["describe_bundle", "overlay_path"]

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
        parser.resolve_macro_and_relative_ids()
    except Exception as error:  # JSON, YAML and MONAI's own; all mean the same
        raise ValueError(f"cannot read the config '{files[0]}': {' '.join(str(error).split())}") from error
    complete_sections(parser)
    lines = ["The overlay will use:"]
    lines += [f"  {_word_for(parser.get(name)):<34} {what} ({name})" for name, what in USED.items() if parser.get(name)]
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
    if mirrors := augments_by_mirrors(parser):
        lines += [
            "",
            f"Its training shows the network mirror images ({', '.join(mirrors)}): 'calibrate' may forget too",
        ]
        lines += ["little then, since it takes its targets from mirror images. Look at the attack's AUC in the report."]
    return True, "\n".join([*lines, "", "The bundle can be used."])


def _word_for(value: Any) -> str:
    if isinstance(value, dict):
        return target_name(value)
    return f"{len(value)} components" if isinstance(value, list) else str(value)
