"""The entry of every run id."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from monai.bundle import ConfigParser

from monai_unlearn.phases.audit import audit, check_battery
from monai_unlearn.phases.boundary import calling_parser, one_line_errors
from monai_unlearn.phases.certify import certify_ensemble
from monai_unlearn.phases.erase import erase, restore
from monai_unlearn.phases.processes import is_first, refuse_several_processes
from monai_unlearn.phases.purge import purge
from monai_unlearn.phases.release import release
from monai_unlearn.phases.run_folder import RunFolder
from monai_unlearn.phases.session import Session
from monai_unlearn.phases.summary import print_summary
from monai_unlearn.phases.teach import retrain_oracle, train_teacher

__all__ = ["PHASES", "run_phases"]

logger = logging.getLogger(__name__)

PHASES: dict[str, Callable[[Session], None]] = {
    "teaching": train_teacher,
    "retraining": retrain_oracle,
    "erasing": erase,
    "restoring": restore,
    "auditing": audit,
    "releasing": release,
    "purging": lambda session: purge(session.folder, teacher=session.setting("purge_teacher")),
}
"""Every phase by its run id."""
PURGING = ("purging",)


def run_phases(*names: str) -> None:
    """Run phases of the config that is being evaluated, one after the other; for the run ids of a bundle.

    Only the components of phases that have to run are built. A phase whose result stands, and whose inputs have not
    changed, is skipped with one line. Where ``teacher_checkpoint`` is a list, as of a fold ensemble, every one of the
    networks unlearns by itself, in a folder of its own below ``output_dir``.

    Args:
        names: run ids, of ``PHASES``.

    Raises:
        SystemExit: with one line, for every mistake that the user can mend.
    """
    with one_line_errors():
        parser = calling_parser()
        refuse_several_processes()
        folders = []
        for member in _members(parser, there=names != PURGING):
            if names == PURGING:  # when the data may be gone already
                _purge(member)
            else:
                _run(Session(member), names)
            folders.append(Path(str(member.get_parsed_content("output_dir"))))
        if len(folders) > 1 and is_first():
            certify_ensemble(folders[0].parent, folders)


def _run(session: Session, names: tuple[str, ...]) -> None:
    log = session.folder.log_to_file(session.partition.identifiers)
    try:
        session.announce()
        if "auditing" in names:
            check_battery(session)
        for name in names:
            PHASES[name](session)
        if "auditing" in names and session.folder.writes:
            print_summary(session.folder)
    except Exception:
        # the terminal gets one line, or the traceback as it is; the log keeps all of it
        facts = {"msg": "the run ended with an error", "levelno": logging.ERROR, "levelname": "ERROR"}
        log.handle(logging.makeLogRecord({**facts, "exc_info": sys.exc_info()}))
        raise
    finally:
        logging.getLogger().removeHandler(log)
        log.close()
        if session.folder.writes:
            session.folder.adopt()


def _purge(parser: ConfigParser) -> None:
    path = Path(str(parser.get_parsed_content("output_dir")))
    if not (path / "phases.json").is_file():
        raise ValueError(f"'{path}' is no output_dir of a run, so there is nothing to purge")
    if not is_first():
        return
    folder = RunFolder(path)
    log = folder.log_to_file(())
    try:
        purge(folder, teacher=parser.get_parsed_content("purge_teacher"))
    finally:
        logging.getLogger().removeHandler(log)
        log.close()


def _members(parser: ConfigParser, *, there: bool) -> Iterator[ConfigParser]:
    """Yield one parser per teacher; all are checked to be there before the first one is touched."""
    teachers = parser.get_parsed_content("teacher_checkpoint")
    if not isinstance(teachers, list):
        yield parser
        return
    for path in teachers:
        if there and not Path(path).is_file():
            raise ValueError(f"there is no checkpoint '{path}', one of the {len(teachers)} of 'teacher_checkpoint'")
    if there and len(teachers) > 1:
        logger.warning(
            f"{len(teachers)} NETWORKS, ONE SPLIT: if they are folds of a cross-validation, some were trained on what "
            "is never trained on here, and their figures of 'reference' and 'unseen' are wrong. Run each by itself "
            "with its own lists then."
        )
    folder, ledger = str(parser.get_parsed_content("output_dir")), parser.get_parsed_content("ledger")
    for number, path in enumerate(teachers):
        logger.info(f"network {number + 1} of {len(teachers)}: '{path}'")
        config = copy.deepcopy(parser.get())
        config.update(teacher_checkpoint=str(path), output_dir=f"{folder}/network_{number}", ledger=ledger)
        yield ConfigParser(config)
