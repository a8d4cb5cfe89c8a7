"""The boundary between MONAI's config expressions and this library: the parser in, one-line errors out."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai.bundle import ConfigParser

__all__ = ["calling_parser", "one_line_errors"]

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
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return parser
        frame = frame.f_back
    raise RuntimeError(
        "this function is called from an expression of a MONAI bundle config, and no config is being evaluated"
    )


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
