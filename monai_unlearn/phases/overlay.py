"""The overlay: a bundle's own training config, turned into one that unlearns."""

from __future__ import annotations

import copy
import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_unlearn.phases.boundary import ConfigFiles, calling_config_files, calling_parser, one_line_errors
from monai_unlearn.phases.fingerprint import without_trackers
from monai_unlearn.phases.outputs import redirect_outputs, silence_writers
from monai_unlearn.phases.own_keys import keep_own_keys
from monai_unlearn.phases.parts import complete_sections
from monai_unlearn.phases.processes import is_first
from monai_unlearn.phases.requirements import augments_by_mirrors, lacking_pieces
from monai_unlearn.phases.settings import check_values, refuse_unknown_keys

__all__ = ["TeacherRecipe", "adapt_bundle"]

logger = logging.getLogger(__name__)

STUDENT_TO_SAVE = "$monai_unlearn.networks.MergedWeights(@student) if @scope == 'adapters' else @student"
CHECKPOINTS = "$@output_dir + '/checkpoints'"
ORACLE_CHECKPOINTS = "$@output_dir + '/oracle/checkpoints'"
REPLACED = ("loss_function", "network", "optimizer", "train_data_loader", "train_handlers")
"""Arguments of a bundle's trainer that the overlay gives anew."""
FROM_LOADER = ("num_workers", "collate_fn")
"""Arguments of a bundle's training loader that the restore phase takes over."""


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
    goes below ``output_dir``. What the bundle itself has under ``initialize`` is done at the end.

    Raises:
        SystemExit: with one line, for a bundle that lacks what unlearning needs, an unknown key, or a wrong value.
    """
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader", category=UserWarning)
    _speak_up()
    with one_line_errors():
        parser = calling_parser()
        files = calling_config_files("adapt_bundle")
        if "bundle_root" not in parser:
            parser["bundle_root"] = "."
        refuse_unknown_keys(parser, known=() if files is None else {*files.bundle, *files.overlay, *files.later})
        complete_sections(parser)
        if lacking := lacking_pieces(parser):
            raise ValueError(f"the overlay cannot be used with this bundle: {'; '.join(lacking)}")
        if files is None:
            logger.warning("the config files are not known: what the bundle itself has under 'initialize' is not done")
        else:
            keep_own_keys(parser, files)
        check_values(parser)
        mirrors = augments_by_mirrors(parser)
        parser["teacher_recipe"] = TeacherRecipe(config=_recipe_of(parser, files))
        _rewrite(parser)
        parser["bundle_initialize"] = files.bundle.get("initialize") if files is not None else None
        parser.parse(reset=True)
        _require_teacher(parser)
        if mirrors:  # training may have mirrored the very batch back: locality would hold what has to go
            parser["train"]["trainer"]["locality"] = None
        if mirrors and parser["erasure"] == "calibrate":
            logger.warning(
                f"THE TEACHER MAY KNOW MIRROR IMAGES, TOO: its training has {', '.join(mirrors)}, and 'calibrate' "
                "takes what the teacher says of a case's mirror image for what a network says that never saw the "
                "case. Look at the attack's AUC in the report, and see docs/overlay.md"
            )
    # not under the boundary: an error in here is the bundle's
    parser.get_parsed_content("bundle_initialize")


def _speak_up() -> None:
    """Show log lines as MONAI's own ``logging.conf`` would, where the bundle has none that decides what is shown."""
    root = logging.getLogger()
    if not root.hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)


def _rewrite(parser: ConfigParser) -> None:
    train, validate, trainer = parser["train"], parser["validate"], parser["train"]["trainer"]
    parser["supervised_loss"] = trainer["loss_function"]
    redirect_outputs(parser.get(), checkpoints=CHECKPOINTS, student=STUDENT_TO_SAVE)
    parser["ckpt_dir"] = CHECKPOINTS
    parser["network"] = "@student"
    if "evaluator" in validate:
        validate["evaluator"]["network"] = "@student"
    for part, side in (("train", "training"), ("validate", "never_trained")):
        if "data" in parser[part]["dataset"]:  # read without building the dataset, which may cache all images
            parser["items"][side] = f"$monai_unlearn.data.item_list(@{part}#dataset#data, '{part}')"

    erase, audit = parser["erase"], parser["audit"]
    if isinstance(train.get("handlers"), list):  # what tracks the teacher's training would track erasing twice
        train["handlers"] = without_trackers(train["handlers"])
    erase["own_handlers"] = erase["handlers"]
    handlers = trainer.get("train_handlers") or []
    if isinstance(handlers, list):  # written down in the trainer itself
        train["handlers"] = handlers
        handlers = "@train#handlers"
    erase["handlers"] = f"$list({str(handlers).removeprefix('$')}) + @erase#own_handlers"
    loader = {**train["dataloader"], **erase["dataloader"], "_target_": train["dataloader"]["_target_"]}
    erase["dataloader"] = {key: value for key, value in loader.items() if key not in ("shuffle", "batch_sampler")}
    if "batch_size" not in train["dataloader"]:
        erase["batch_size"] = 1
    kept = {key: value for key, value in trainer.items() if key not in REPLACED}
    train["trainer"] = {**kept, **erase.pop("trainer_arguments"), "_target_": "monai_unlearn.engines.UnlearningTrainer"}

    if "inferer" not in validate:
        audit["inferer"] = "@train#inferer"
    if "batch_size" in (validate.get("dataloader") or {}):
        audit["batch_size"] = "@validate#dataloader#batch_size"
    for argument in (name for name in FROM_LOADER if name in train["dataloader"]):
        parser["restore"]["dataloader"][argument] = train["dataloader"][argument]
    if not is_first():
        silence_writers(parser.get())
    meta = parser.get("_meta_") or {}
    parser["bundle"] = f"unlearn: {meta.get('name') or 'a bundle without a name'}"
    if parser["class_names"] is None:
        parser["class_names"] = _class_names(meta)


def _require_teacher(parser: ConfigParser) -> None:
    given = parser.get_parsed_content("teacher_checkpoint")
    for path in given if isinstance(given, list) else [given]:
        if path is None or not Path(path).is_file():
            raise ValueError(
                f"there is no trained network '{path}' to unlearn from; give its weights with --teacher_checkpoint"
            )


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
    own = ConfigParser(copy.deepcopy(files.bundle))
    complete_sections(own)
    recipe["train"]["trainer"]["max_epochs"] = own["train"]["trainer"]["max_epochs"]
    recipe.update(output_dir=parser["output_dir"], ckpt_dir=ORACLE_CHECKPOINTS)
    redirect_outputs(recipe, checkpoints=ORACLE_CHECKPOINTS, student=None)
    return recipe
