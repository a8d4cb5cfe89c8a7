"""The run ids ``teaching`` and ``retraining``: the teacher, and the oracle by the teacher's own recipe."""

from __future__ import annotations

import copy
import logging
from typing import Any

from monai.bundle import ConfigParser
from torch.utils.data import Subset

from monai_unlearn.files import save_tensors
from monai_unlearn.phases.fingerprint import config_closure, ids_digest, without_trackers
from monai_unlearn.phases.processes import refuse_alone
from monai_unlearn.phases.session import NOT_INPUTS, Plan, Session
from monai_unlearn.phases.training import run_trainer

__all__ = ["retrain_oracle", "train_teacher"]

logger = logging.getLogger(__name__)

RECIPE = ("train#trainer", "network_def")


def train_teacher(session: Session) -> None:
    """Train the teacher by the recipe in ``train#…``, unless ``teacher_checkpoint`` gives one."""
    given = session.setting("teacher_checkpoint")
    if given is not None:
        logger.info(f"teaching: the teacher is '{given}', nothing to train")
        return
    logger.info("teaching: no teacher_checkpoint is given, so a teacher is trained here")
    plan = Plan(
        phase="teaching",
        roots=RECIPE,
        inputs={"cases": session.training_digest, **_planted(session)},
        files=["teacher/model.pt"],
        answers_request=False,
    )
    session.run(plan, lambda: _train(session, session.parser, "teacher/model.pt"))


def retrain_oracle(session: Session) -> None:
    """Train the oracle: the teacher's own recipe, from scratch, on the retain cases alone.

    The recipe is the same config with ``train#dataset`` replaced by its retain cases.
    """
    if session.setting("teacher_checkpoint") is not None:
        logger.warning(
            "retraining: the oracle is trained by this bundle's recipe; was your teacher trained by it, too?"
        )
    refuse_alone("the oracle cannot be retrained in several processes, as its recipe is for one")
    overlaid = _overlaid_recipe(session)
    recipe = None if overlaid is None else config_closure(ConfigParser(without_trackers(overlaid)), RECIPE, NOT_INPUTS)
    plan = Plan(
        phase="retraining",
        roots=RECIPE if overlaid is None else ["network_def"],
        inputs={"cases": session.case_digest("retain"), **({} if overlaid is None else {"recipe": recipe})},
        files=["oracle/model.pt"],
        alone=True,
        answers_request=False,
    )
    session.run(plan, lambda: _train(session, _without_forget_cases(session, overlaid), "oracle/model.pt"))
    # also where it stands: its retain cases are those of this request, whatever other request it was trained for
    session.folder.note("retraining", forget=ids_digest(session.partition.forget, session.folder.salt))


def _train(session: Session, parser: ConfigParser, name: str) -> dict[str, Any]:
    trainer = parser.get_parsed_content("train#trainer")
    handlers = parser.get_parsed_content("train#handlers") if "train#handlers" in parser else ()
    before = run_trainer(session, trainer, handlers=handlers)
    save_tensors(session.folder / name, trainer.network.state_dict())
    return {"epochs": trainer.state.epoch, "seconds_before": before}


def _planted(session: Session) -> dict[str, Any]:
    """What is planted in the teacher's training (tier 3) depends on the request; nothing else of it does."""
    return {"planted": session.case_digest("forget")} if "planting" in session.parser else {}


def _overlaid_recipe(session: Session) -> dict[str, Any] | None:
    """Return the bundle's own recipe where the overlay has turned the config into one that unlearns."""
    if "teacher_recipe" not in session.parser:
        return None
    recipe: dict[str, Any] | None = session.build("teacher_recipe").config
    if recipe is None:
        raise ValueError(
            "the bundle's own recipe is not known, so the oracle cannot be retrained here; start the run with "
            "'python -m monai.bundle run', or give a retrained network with --oracle"
        )
    return recipe


def _without_forget_cases(session: Session, overlaid: dict[str, Any] | None) -> ConfigParser:
    kept = {case["id"] for case in session.partition.retain}
    if not kept:
        raise ValueError(
            "the oracle cannot be retrained: every training case has the classes that are unlearned, so no case would "
            "be left to train on"
        )
    # our own bundles train on the partition's cases alone, a user's bundle on its whole datalist
    positions = [
        index if overlaid is None else case["row"]
        for index, case in enumerate(session.partition.training)
        if case["id"] in kept
    ]
    parser = ConfigParser(copy.deepcopy(session.parser.get() if overlaid is None else overlaid))
    parser["train"]["dataset"] = Subset(session.build("train#dataset"), positions)
    if "recipe_phase" in parser:
        parser["recipe_phase"] = "retrain"
    return parser
