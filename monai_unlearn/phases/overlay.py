"""The overlay: a bundle's own training config, turned into one that unlearns."""

from __future__ import annotations

import copy
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.phases.boundary import ConfigFiles, calling_config_files, calling_parser, one_line_errors
from monai_unlearn.phases.processes import is_first
from monai_unlearn.phases.settings import check_values, refuse_unknown_keys
from monai_unlearn.phases.survey import lacking_pieces

__all__ = ["TeacherRecipe", "adapt_bundle", "redirect_outputs"]

STUDENT_TO_SAVE = "$monai_unlearn.networks.MergedWeights(@student) if @scope == 'adapters' else @student"
CHECKPOINTS = "$@output_dir + '/checkpoints'"
REDIRECTED = {
    "log_dir": "$str(@output_dir)",
    "save_dir": "$@output_dir + '/handlers'",
    "output_dir": "$@output_dir + '/predictions'",
    "cache_dir": "$@output_dir + '/cache'",
}
"""Arguments of handlers, transforms and datasets that name a folder, and where they point instead."""
WRITERS = (
    *("CheckpointSaver", "StatsHandler", "TensorBoardStatsHandler", "TensorBoardImageHandler", "MetricsSaver"),
    *("MLFlowHandler", "EpochHistory", "PhaseProgress"),
)
"""Handlers that write: of several processes the first one has them."""
REPLACED = ("loss_function", "network", "optimizer", "train_data_loader", "train_handlers")
"""Arguments of a bundle's trainer that the overlay gives anew."""


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe:
    """The bundle as it trains its network, before the overlay: what the oracle is retrained by.

    Args:
        config: the config, outputs redirected; ``None`` where the config files are not known.
    """

    config: dict[str, Any] | None


def adapt_bundle() -> None:
    """Turn the training config that is being evaluated into one that unlearns; for ``initialize`` of the overlay.

    The bundle's network, weights, preprocessing, datasets, inferers, handlers, metrics and validation stay. Its trainer
    becomes an :class:`~monai_unlearn.engines.UnlearningTrainer` with the bundle's own arguments; its optimiser and
    learning-rate schedule, made for training from scratch, are replaced. Checkpoint loaders are switched off, since the
    weights are loaded before the adapters are injected; checkpoint savers save the merged weights. Whatever is written
    goes below ``output_dir``.

    Raises:
        SystemExit: with one line, for a bundle that lacks what unlearning needs, an unknown key, or a wrong value.
    """
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader", category=UserWarning)
    _speak_up()
    with one_line_errors():
        parser = calling_parser()
        files = calling_config_files("adapt_bundle")
        refuse_unknown_keys(parser, known=() if files is None else {*files.bundle, *files.overlay})
        lacking = lacking_pieces(parser)
        if lacking:
            raise ValueError(f"the overlay cannot be used with this bundle: {'; '.join(lacking)}")
        parser["teacher_recipe"] = TeacherRecipe(config=_recipe_of(parser, files))
        _rewrite(parser)
        check_values(parser)
        parser.parse(reset=True)


def redirect_outputs(config: Any, *, student: str | None) -> None:
    """Redirect all that the components of a config write to ``output_dir``, in place.

    Args:
        config: config text of ``train`` or ``validate``.
        student: expression of what checkpoint savers save; ``None`` leaves what they save.
    """
    for component in _components(config):
        name = str(component["_target_"]).rpartition(".")[2]
        for argument in REDIRECTED.keys() & component.keys():
            component[argument] = REDIRECTED[argument]
        if name.startswith("TensorBoard"):
            component["log_dir"] = REDIRECTED["log_dir"]
        if name == "CheckpointSaver":
            component["save_dir"] = CHECKPOINTS
            if student is not None:
                component["save_dict"] = {"model": student}
        if name == "CheckpointLoader" or (name == "LrScheduleHandler" and student is not None):
            component["_disabled_"] = True


def _speak_up() -> None:
    """Show our log lines where the bundle has no ``logging.conf`` that decides what is shown."""
    if not logging.getLogger().hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
        package = logging.getLogger("monai_unlearn")
        package.handlers = [handler]
        package.setLevel(logging.INFO)


def _rewrite(parser: ConfigParser) -> None:
    train, trainer = parser["train"], parser["train"]["trainer"]
    parser["supervised_loss"] = trainer["loss_function"]
    redirect_outputs([train, parser["validate"]], student=STUDENT_TO_SAVE)
    parser["ckpt_dir"] = CHECKPOINTS
    parser["network"] = "@student"
    if "evaluator" in parser["validate"]:
        parser["validate"]["evaluator"]["network"] = "@student"

    erase, audit = parser["erase"], parser["audit"]
    handlers = trainer.get("train_handlers", [])
    if isinstance(handlers, list):  # written down in the trainer itself
        train["handlers"] = handlers
        handlers = "@train#handlers"
    erase["handlers"] = f"$list({handlers}) + @erase#own_handlers"
    loader = {**train["dataloader"], **erase["dataloader"], "_target_": train["dataloader"]["_target_"]}
    erase["dataloader"] = {key: value for key, value in loader.items() if key not in ("shuffle", "batch_sampler")}
    if "batch_size" not in train["dataloader"]:
        erase["batch_size"] = 1
    kept = {key: value for key, value in trainer.items() if key not in REPLACED}
    train["trainer"] = {**kept, **erase.pop("trainer_arguments"), "_target_": "monai_unlearn.engines.UnlearningTrainer"}

    if "inferer" not in parser["validate"]:
        audit["inferer"] = "@train#inferer"
    if "batch_size" in (parser["validate"].get("dataloader") or {}):
        audit["batch_size"] = "@validate#dataloader#batch_size"
    for section in ("erase", "restore"):
        for argument in ("num_workers", "collate_fn"):
            if argument in train["dataloader"]:
                parser[section]["dataloader"][argument] = train["dataloader"][argument]
    if not is_first():
        for component in _components([train, parser["validate"], erase, parser["restore"]]):
            if str(component["_target_"]).rpartition(".")[2] in WRITERS:
                component["_disabled_"] = True
    meta = parser.get("_meta_") or {}
    parser["bundle"] = f"unlearn: {meta.get('name') or 'a bundle without a name'}"
    if parser["class_names"] is None:
        parser["class_names"] = _class_names(meta)


def _class_names(meta: dict[str, Any]) -> list[str] | None:
    try:
        channels = meta["network_data_format"]["outputs"]["pred"]["channel_def"]
        return [str(channels[str(index)]) for index in range(len(channels))]
    except (KeyError, TypeError):
        return None


def _recipe_of(parser: ConfigParser, files: ConfigFiles | None) -> dict[str, Any] | None:
    """Take the config before the overlay: what the overlay's file replaced is read from the bundle's files again."""
    if files is None:
        return None
    recipe: dict[str, Any] = copy.deepcopy(parser.get())
    for key in files.overlay.keys() & files.bundle.keys():
        recipe[key] = files.bundle[key]
    recipe["train"]["trainer"]["max_epochs"] = files.bundle["train"]["trainer"]["max_epochs"]
    recipe.update(output_dir=parser["output_dir"], ckpt_dir=CHECKPOINTS)
    redirect_outputs([recipe["train"], recipe.get("validate")], student=None)
    return recipe


def _components(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for value in config.values():
            yield from _components(value)
    elif isinstance(config, list):
        for value in config:
            yield from _components(value)
