"""Stop erasing when the forget cases are no longer told apart from what they ought to be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_unlearn.metrics import TwoSamples, compare_samples

__all__ = ["CompareCases", "StopAtTarget"]

logger = logging.getLogger(__name__)

CompareCases = Callable[[Any], dict[str, torch.Tensor]]
"""From an engine to the arguments of :func:`~monai_unlearn.metrics.compare_samples`, such as a
:class:`monai_unlearn.engines.CaseComparison`."""


class StopAtTarget:
    """End a run when the forget cases are no longer told apart from the target, and say so if it went past.

    Goes with any erasure. After every ``every`` epochs the losses of the forget cases are compared with those of the
    target (Mann-Whitney test), and the mean scores (bootstrap interval of the difference). Erasing ends when neither
    tells them apart and the mean scores differ by no more than ``margin``; with too few cases for a test the interval
    would be wide enough for anything, and the margin decides alone. A student whose forget cases do *worse* than the
    target, by more than ``margin`` or by the test, has forgotten too much: erasing ends with a warning.

    In ``engine.state.metrics``: ``forget_loss``, ``target_loss``, ``forget_score``, ``target_score`` and, where there
    are enough cases, ``target_p`` of the test.

    Args:
        compare: measures forget cases and target.
        every: epochs between two looks.
        alpha: level of the test and of the interval; every look is one more chance to stop early by luck.
        margin: how far the mean scores may be apart; at least 0.
        seed: of the bootstrap.
    """

    def __init__(
        self, *, compare: CompareCases, every: int = 1, alpha: float = 0.05, margin: float = 0.02, seed: int = 0
    ) -> None:
        if every < 1 or not 0 < alpha < 1 or margin < 0:
            raise ValueError(
                "'every' is at least 1, 'alpha' lies between 0 and 1 and 'margin' is not negative; got "
                f"{every}, {alpha} and {margin}"
            )
        self.compare = compare
        self.every = every
        self.alpha = alpha
        self.margin = margin
        self.seed = seed
        self.met = False
        self._resumed = False

    def attach(self, engine: Engine) -> None:
        """Register the handler."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def start(self, engine: Engine) -> None:
        """Forget what an earlier run had met, unless this one goes on from it."""
        self.met, self._resumed = self.met and self._resumed, False

    def state_dict(self) -> dict[str, bool]:
        """Return whether the target was met, for a checkpoint at the end of an epoch."""
        return {"met": self.met}

    def load_state_dict(self, state: dict[str, bool]) -> None:
        """Go on from there when the engine starts."""
        self.met, self._resumed = state["met"], True

    def __call__(self, engine: Engine) -> None:
        """Look, and end the run if the target is met or was passed."""
        found = look_at_cases(engine, self.compare, alpha=self.alpha, seed=self.seed)
        note_figures(engine, found, "")
        if found.p_value is not None:
            engine.state.metrics["target_p"] = found.p_value
        tested = found.p_value is not None
        apart = tested and found.told_apart(self.alpha)
        past = found.gap < -self.margin or (apart and found.gap <= self.margin and found.loss > found.other_loss)
        self.met = past or (abs(found.gap) <= self.margin and not apart)
        if not self.met:
            return
        words = describe(found)
        if past:
            logger.warning(
                f"OVER-FORGETTING: after epoch {engine.state.epoch} the forget cases do worse than their target: "
                f"{words}. An attacker knows them by that. Use fewer epochs or a smaller learning rate"
            )
        else:
            logger.info(f"the target is met after epoch {engine.state.epoch}: {words}")
        engine.terminate()

    def finish(self, engine: Engine) -> None:
        """Warn if the epochs were over before the target was met."""
        if not self.met:
            logger.warning(
                f"THE TARGET WAS NOT MET in {engine.state.epoch} epochs: the forget cases are still told apart "
                "from it; use more epochs (erase#trainer#max_epochs) or a larger weight of the erasure"
            )


def look_at_cases(engine: Engine, compare: CompareCases, *, alpha: float, seed: int) -> TwoSamples:
    """Measure forget cases and target, and compare them."""
    figures = compare(engine)
    return compare_samples(
        losses=figures["losses"],
        other_losses=figures["other_losses"],
        scores=figures["scores"],
        other_scores=figures["other_scores"],
        alpha=alpha,
        seed=seed,
    )


def note_figures(engine: Engine, found: TwoSamples, prefix: str) -> None:
    """Put losses and scores of both sides into the engine's metrics."""
    for name, value in (
        ("forget_loss", found.loss),
        ("target_loss", found.other_loss),
        ("forget_score", found.score),
        ("target_score", found.other_score),
    ):
        engine.state.metrics[f"{prefix}{name}"] = value


def describe(found: TwoSamples) -> str:
    """Say a comparison in words."""
    test = f"p = {found.p_value:.2g}" if found.p_value is not None else found.reason
    return (
        f"score {found.score:.3f}, target {found.other_score:.3f} (interval of the difference "
        f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}), loss {found.loss:.3f}, target {found.other_loss:.3f}, "
        f"{test}"
    )
