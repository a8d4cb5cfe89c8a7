"""What every reader of foreign files is held to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("MONAI_UNLEARN_FUZZ", "1"))
"""Of the number of inputs that are tried: about 500 in all where it is 1."""

hostile = settings(
    max_examples=70 * FACTOR,
    deadline=None,
    derandomize=FACTOR == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""The settings of every test here; the temporary folder serves all inputs of a test."""


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Make files of a good one: cut off, with bytes changed, with something put in, or anything else."""

    def changed(edits: list[tuple[int, int]]) -> bytes:
        content = bytearray(whole)
        for place, value in edits:
            content[place % len(content)] = value
        return bytes(content)

    spot = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))
    return st.one_of(
        st.integers(0, len(whole) - 1).map(lambda length: whole[:length]),
        st.lists(spot, min_size=1, max_size=20).map(changed),
        st.tuples(st.integers(0, len(whole)), st.binary(min_size=1, max_size=40)).map(
            lambda put: whole[: put[0]] + put[1] + whole[put[0] :]
        ),
        st.binary(max_size=200),
    )


@contextmanager
def refused_clearly(*, one_line: bool = True, naming: str = "") -> Iterator[None]:
    """Let pass what works, and our own kinds of error with one line; anything else is a bug."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
        assert message.strip(), "an error without a word"
        assert not one_line or "\n" not in message.strip(), message
        assert naming in message
        assert len(message) < 3000, "an error that nobody reads to its end"
