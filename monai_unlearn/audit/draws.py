"""Drawing cases for tests that need only some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["draw_cases", "draw_sides", "few_shots"]


def draw_cases(ids: Sequence[str], count: int, *, seed: int) -> tuple[str, ...]:
    """Draw some cases without replacement; a smaller draw of the same seed is the beginning of a larger one.

    Args:
        ids: the cases.
        count: how many; all of them if there are fewer.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(ids))[:count]
    return tuple(ids[index] for index in order)


def draw_sides(forget: Sequence[str], unseen: Sequence[str], most: int, *, seed: int) -> tuple[str, ...]:
    """Draw equally many forget and unseen cases, at most ``most`` of each; the forget cases come first."""
    count = min(len(forget), len(unseen), most)
    return draw_cases(forget, count, seed=seed) + draw_cases(unseen, count, seed=seed)


def few_shots(forget: Sequence[str], shots: int, *, most: int, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the forget cases into a few that are shown and others that are measured.

    Args:
        forget: the forget cases.
        shots: how many are shown; at most half of them, so that enough remain to be measured.
        most: the largest number of measured cases.
        seed: of the draw.

    Returns:
        Shown and measured cases; a single forget case is both.
    """
    drawn = draw_cases(forget, len(forget), seed=seed)
    if len(drawn) == 1:
        return drawn, drawn
    shown = min(shots, len(drawn) // 2)
    return drawn[:shown], drawn[shown:][:most]
