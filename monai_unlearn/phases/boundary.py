"""The boundary between MONAI's config expressions and this library: the parser in, one-line errors out."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from monai.bundle import ConfigParser, create_workflow
from monai.utils import ensure_tuple

__all__ = ["ConfigFiles", "calling_config_files", "calling_parser", "one_line_errors"]

PACKAGE = f"{Path(__file__).resolve().parent.parent}{os.sep}"
USER_ERRORS = (ValueError, OSError)


def calling_parser() -> ConfigParser:
    """Return the parser whose config expression is being evaluated.

    MONAI hands an expression no reference to its own config, and a run id must see all of it: to refuse keys that
    nobody reads, to build only the components of the phases that have to run, and to rebuild the teacher's recipe for
    the oracle. So the parser is looked up in the calling frames.

    Raises:
        RuntimeError: if no parser is at work, that is outside a bundle.
    """
    for frame in _calling_frames():
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return parser
    raise RuntimeError(
        "this function is called from an expression of a MONAI bundle config, and no config is being evaluated"
    )


@dataclass(frozen=True, kw_only=True)
class ConfigFiles:
    """What stands in the config files of a run, before the command line changed anything.

    Args:
        bundle: content of the files before the overlay, merged.
        overlay: content of the overlay.
        later: content of the files after it.
    """

    bundle: dict[str, Any]
    overlay: dict[str, Any]
    later: dict[str, Any]


def calling_config_files(marker: str) -> ConfigFiles | None:
    """Read the config files of the run again; MONAI keeps neither their names nor what they held.

    Args:
        marker: text in ``initialize`` of the overlay by which it is told from the bundle's own files.

    Returns:
        Their content, or ``None`` where no ``python -m monai.bundle run`` is at work.
    """
    for frame in _calling_frames():
        if frame.f_code is create_workflow.__code__ and frame.f_locals.get("config_file") is not None:
            paths = [str(path) for path in ensure_tuple(frame.f_locals["config_file"])]
            contents = [ConfigParser.load_config_file(path) for path in paths]
            first = next((i for i, one in enumerate(contents) if marker in str(one.get("initialize"))), len(contents))
            bundle = ConfigParser.load_config_files(paths[:first])
            overlay, later = (
                {key: value for one in part for key, value in one.items()}
                for part in (contents[first : first + 1], contents[first + 1 :])
            )
            return ConfigFiles(bundle=bundle, overlay=overlay, later=later)
    return None


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the errors that this library raises for its users into ``SystemExit`` with their one line.

    MONAI wraps every exception of a config expression in others; the first of the chain that is a ``ValueError`` or an
    ``OSError`` raised by our own code is the one meant for the user. All others pass as they are, with their traceback.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, USER_ERRORS) and _raised_here(cause):
                raise SystemExit(f"monai_unlearn: {' '.join(str(cause).split())}") from error
            cause = cause.__cause__ or cause.__context__
        raise


def _raised_here(error: BaseException) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename.startswith(PACKAGE)


def _calling_frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
