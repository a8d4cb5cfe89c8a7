"""A progress bar over a whole phase."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import NoReturn

from ignite.engine import Engine, Events
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from monai_unlearn.handlers.output import loss_of_iteration

__all__ = ["PhaseProgress"]


class PhaseProgress:
    """Show one bar for all epochs of an engine, with the epoch, the loss and the time left; off without a terminal.

    (ignite's ``ProgressBar`` counts the iterations of one epoch, so it cannot tell when a phase will end.)

    Args:
        description: what is going on, such as ``"erase"``.
        disable: no bar at all; ``None``: no bar unless standard error is a terminal.
    """

    def __init__(self, *, description: str, disable: bool | None = None) -> None:
        self.description = description
        self.disable = not sys.stderr.isatty() if disable is None else disable
        self._open = ExitStack()
        self._bar: tqdm[NoReturn] | None = None

    def attach(self, engine: Engine) -> None:
        """Register the handler."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE | Events.EXCEPTION_RAISED, self.stop)

    def start(self, engine: Engine) -> None:
        """Open the bar; log lines are written above it from now on."""
        total = engine.state.max_epochs * (engine.state.epoch_length or 0) or None
        if not self.disable:
            self._open.enter_context(logging_redirect_tqdm())
        self._bar = self._open.enter_context(
            tqdm(
                total=total,
                initial=engine.state.iteration,
                desc=self.description,
                disable=self.disable,
                unit="step",
                dynamic_ncols=True,
            )
        )

    def __call__(self, engine: Engine) -> None:
        """Advance by one iteration."""
        if self._bar is not None and not self.disable:
            self._bar.set_postfix_str(
                f"epoch {engine.state.epoch}/{engine.state.max_epochs}, loss {loss_of_iteration(engine):.4f}",
                refresh=False,
            )
            self._bar.update()

    def stop(self, engine: Engine, error: BaseException | None = None) -> None:
        """Close the bar; an exception goes on its way."""
        self._open.close()
        if error is not None:
            raise error
