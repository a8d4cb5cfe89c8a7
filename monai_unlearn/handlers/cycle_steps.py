"""How many steps the next erasing half of a cycle takes."""

from __future__ import annotations

import math

__all__ = ["next_steps"]

GROWTH = 2.0
"""A cycle erases at most so many times as long as the one before: what a step does grows from cycle to cycle."""
SHARES = (0.25, 0.75)
"""After an overshoot the next try takes between these parts of the steps that were too many."""


def next_steps(*, steps: int, gap_before: float, gap_after: float) -> int:
    r"""Predict the erasing steps from what the last cycle's steps did to the gap between student and target.

    With :math:`n` steps the settled gap went from :math:`g_0 > 0` to :math:`g_1`. Where it is still positive, the cycle
    counts and the next one closes the rest at the same rate, :math:`n' = n\, g_1 / (g_0 - g_1)`, between half and twice
    the steps. Where it has become negative, the cycle is undone and tried again with the steps at which the line
    through both gaps crosses zero, :math:`n' = n\, g_0 / (g_0 - g_1)`, between a quarter and three quarters of them.

    Args:
        steps: erasing steps of the last cycle, at least 1.
        gap_before: the settled gap before it, positive.
        gap_after: the settled gap after it.

    Returns:
        At least 1 after progress; after an overshoot 0 where a single step was one too many.
    """
    closed = gap_before - gap_after
    if gap_after < 0:
        wanted = steps * gap_before / closed
        return min(round(min(max(wanted, SHARES[0] * steps), SHARES[1] * steps)), steps - 1)
    wanted = steps * gap_after / closed if closed > 0 else math.inf
    return max(1, round(min(max(wanted, steps / GROWTH), steps * GROWTH)))
