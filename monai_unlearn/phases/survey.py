"""What the overlay will use of a bundle, and what the bundle lacks: asked of its config text, without building it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

import monai_unlearn
from monai_unlearn.phases.fingerprint import references_in
from monai_unlearn.phases.outputs import components_in
from monai_unlearn.phases.parts import complete_sections

__all__ = ["augments_by_mirrors", "describe_bundle", "lacking_pieces", "overlay_path"]

NEEDED = {
    "network_def": "the network, as a component of its own: teacher, student and oracle are copies of it",
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
UNFIT_DATASETS = {
    "SmartCacheDataset": "changes its cases while it trains; use CacheDataset for unlearning",
    **dict.fromkeys(
        ("PatchWSIDataset", "SlidingPatchWSIDataset", "MaskedPatchWSIDataset", "PatchDataset", "GridPatchDataset"),
        "cuts patches outside its transforms, so that the audit cannot see a case whole",
    ),
    **dict.fromkeys(
        ("IterableDataset", "ShuffleBuffer", "CSVIterableDataset", "ArrayDataset", "ZipDataset", "NPZDictItemDataset"),
        "is not made from a list of dictionaries that says which item is which case",
    ),
}
MIRRORS = ("RandFlip", "RandFlipd", "RandAxisFlip", "RandAxisFlipd")


def lacking_pieces(parser: ConfigParser) -> list[str]:
    """List in words what a bundle's config lacks for the overlay; empty if it lacks nothing."""
    lacking = [f"'{name}' is missing ({why})" for name, why in NEEDED.items() if parser.get(name) is None]
    trainer, loader = parser.get("train#trainer"), parser.get("train#dataloader")
    lacking += _unfit_trainer(parser, trainer) if trainer is not None else []
    for name in ("train#dataset", "validate#dataset"):
        dataset = parser.get(name)
        if dataset is None:
            continue
        if not isinstance(dataset, dict) or "_target_" not in dataset:
            lacking.append(f"'{name}' is no component with a '_target_'")
        elif reason := UNFIT_DATASETS.get(kind := _name_of(dataset)):
            lacking.append(f"'{name}' is a {kind}, which {reason}")
        elif name == "validate#dataset" and "transform" not in dataset:
            lacking.append(f"'{name}' has no 'transform', by which the audit sees cases without augmentation")
    if loader is not None and not isinstance(loader, dict):
        lacking.append("'train#dataloader' is no component with a '_target_'")
    elif isinstance(loader, dict) and loader.get("batch_size", 1) is None:
        lacking.append("'train#dataloader' has no batch size")
    return lacking


def augments_by_mirrors(parser: ConfigParser) -> list[str]:
    """Name the transforms of the training that show the network mirror images, each once."""
    waiting, texts = [parser.get("train#dataset")], list[str]()
    seen: set[str] = set()
    while waiting:  # through the references, as transforms are mostly listed apart and joined
        part = waiting.pop()
        texts += [_name_of(component) for component in components_in(part)]
        for reference in set(references_in(part)) - seen:
            seen.add(reference)
            waiting.append(parser.get(reference))
    return sorted({name for name in texts if name in MIRRORS})


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


def _unfit_trainer(parser: ConfigParser, trainer: Any) -> list[str]:
    if not isinstance(trainer, dict) or "_target_" not in trainer:
        return ["'train#trainer' is no component with a '_target_'"]
    unfit = []
    if _name_of(trainer) != "SupervisedTrainer":
        unfit.append(
            f"'train#trainer' is a {trainer['_target_']}, and only MONAI's SupervisedTrainer can be turned into ours"
        )
    if "loss_function" not in trainer:
        unfit.append("'train#trainer' has no 'loss_function'")
    if trainer.get("iteration_update") is not None:
        unfit.append("'train#trainer' has an 'iteration_update' of its own, which would take the place of ours")
    if trainer.get("prepare_batch") is not None:
        unfit.append(
            "'train#trainer' has a 'prepare_batch' of its own, and the audit runs networks that take one image and "
            "are compared with one label"
        )
    loss = trainer.get("loss_function")
    loss = parser.get(loss[1:]) if isinstance(loss, str) and loss.startswith("@") else loss
    if isinstance(loss, dict) and _name_of(loss) == "DeepSupervisionLoss":
        unfit.append("the loss is a DeepSupervisionLoss, for a network of several outputs; give it one output and loss")
    return unfit


def _name_of(component: dict[str, Any]) -> str:
    return str(component.get("_target_", "settings")).rpartition(".")[2]


def _word_for(value: Any) -> str:
    if isinstance(value, dict):
        return _name_of(value)
    return f"{len(value)} components" if isinstance(value, list) else str(value)
