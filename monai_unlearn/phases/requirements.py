"""What the overlay needs of a bundle: asked of its config text, without building anything."""

from __future__ import annotations

from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.phases.fingerprint import references_in
from monai_unlearn.phases.outputs import components_in, target_name

__all__ = ["augments_by_mirrors", "lacking_pieces"]

NEEDED = {
    "network_def": "the network, as a component of its own: teacher, student and oracle are copies of it",
    "train#dataset": "the cases that the network was trained on are read from it",
    "train#dataloader": "its batch size and workers are used",
    "train#inferer": "the network is run by it",
    "train#trainer": "it becomes the erasing trainer",
    "validate#dataset": "the cases that the network was never trained on are read from it; without any, nothing tells "
    "how much forgetting is enough",
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
        elif reason := UNFIT_DATASETS.get(kind := target_name(dataset)):
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
        texts += [target_name(component) for component in components_in(part)]
        for reference in set(references_in(part)) - seen:
            seen.add(reference)
            waiting.append(parser.get(reference))
    return sorted({name for name in texts if name in MIRRORS})


def _unfit_trainer(parser: ConfigParser, trainer: Any) -> list[str]:
    if not isinstance(trainer, dict) or "_target_" not in trainer:
        return ["'train#trainer' is no component with a '_target_'"]
    unfit = []
    if target_name(trainer) != "SupervisedTrainer":
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
    if isinstance(loss, dict) and target_name(loss) == "DeepSupervisionLoss":
        unfit.append("the loss is a DeepSupervisionLoss, for a network of several outputs; give it one output and loss")
    return unfit
