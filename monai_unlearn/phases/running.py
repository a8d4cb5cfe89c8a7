"""The entry of every run id."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from monai_unlearn.phases.audit import audit
from monai_unlearn.phases.boundary import calling_parser, one_line_errors
from monai_unlearn.phases.erase import erase, restore
from monai_unlearn.phases.release import release
from monai_unlearn.phases.session import Session
from monai_unlearn.phases.summary import print_summary
from monai_unlearn.phases.teach import retrain_oracle, train_teacher

__all__ = ["PHASES", "run_phases"]

PHASES: dict[str, Callable[[Session], None]] = {
    "teaching": train_teacher,
    "retraining": retrain_oracle,
    "erasing": erase,
    "restoring": restore,
    "auditing": audit,
    "releasing": release,
}
"""Every phase by its run id."""


def run_phases(*names: str) -> None:
    """Run phases of the config that is being evaluated, one after the other; for the run ids of a bundle.

    Only the components of phases that have to run are built. A phase whose result stands, and whose inputs have not
    changed, is skipped with one line.

    Args:
        names: run ids, of ``PHASES``.

    Raises:
        SystemExit: with one line, for every mistake that the user can mend.
    """
    with one_line_errors():
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "the bundle runs as one process; sampler and trainer work under DDP in a script of your own"
            )
        session = Session(calling_parser())
        log = session.folder.log_to_file(session.partition.identifiers)
        try:
            session.announce()
            for name in names:
                PHASES[name](session)
            if "auditing" in names:
                print_summary(session.folder)
        except Exception:
            # the terminal gets one line, or the traceback as it is; the log keeps all of it
            facts = {"msg": "the run ended with an error", "levelno": logging.ERROR, "levelname": "ERROR"}
            log.handle(logging.makeLogRecord({**facts, "exc_info": sys.exc_info()}))
            raise
        finally:
            logging.getLogger().removeHandler(log)
            log.close()
