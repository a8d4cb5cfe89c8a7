"""Ask something of every case of a datalist, side by side, and stop at the first one that has a problem."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from monai_unlearn.data.datalists import Case

__all__ = ["raise_first_problem"]


def raise_first_problem(cases: Sequence[Case], problem_of: Callable[[Case], str | None], *, workers: int) -> None:
    """Raise the problem of the first case that has one, in the order of the cases.

    Args:
        cases: items of a datalist.
        problem_of: says in one line what is wrong with a case; ``None``: nothing is.
        workers: threads that ask.

    Raises:
        ValueError: with that line.
    """
    with ThreadPoolExecutor(workers) as pool:
        problems = pool.map(problem_of, cases)
        for problem in tqdm(
            problems, total=len(cases), desc="check images", unit="case", disable=not sys.stderr.isatty()
        ):
            if problem is not None:
                raise ValueError(problem)
