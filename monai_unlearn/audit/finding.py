"""One figure of the audit, with all that is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_unlearn.visualize.report_finite import find_not_finite

__all__ = ["Finding", "said_beside"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One figure of one test of forgetting.

    Args:
        value: the figure of the student; ``None`` where it cannot be had, and ``reason`` says why.
        oracle: the same figure of the oracle, if there is one.
        teacher: the same figure of the teacher, where that says something.
        forgotten: what a network that has forgotten would show, in words.
        sentence: what was found, in one plain sentence.
        reason: why there is no value.
        interval: lower and upper bound of the value, as ``sentence`` or the test's documentation says.
        series: curves by the name of the model, such as the figure after every epoch; all of one length.
        axis: what the steps of the curves are.
        details: further figures that belong to this one, by name; only what JSON can hold.

    Raises:
        ValueError: if a number is not finite, those of the details included, or neither a value nor a reason is given.
    """

    value: float | None
    oracle: float | None = None
    teacher: float | None = None
    forgotten: str
    sentence: str
    reason: str = ""
    interval: tuple[float, float] | None = None
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    axis: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if broken := find_not_finite(self.content(), "figure"):
            raise ValueError(
                f"a figure of the audit is not finite: {self.sentence!r}, {broken}; give None and a reason"
            )
        if self.value is None and not self.reason:
            raise ValueError(f"a figure without a value needs a reason: {self.sentence!r}")

    def content(self) -> dict[str, Any]:
        """Return the figure as ``audit.json`` holds it."""
        return {
            "value": self.value,
            "oracle": self.oracle,
            "teacher": self.teacher,
            "interval": None if self.interval is None else list(self.interval),
            "forgotten": self.forgotten,
            "sentence": self.sentence,
            "reason": self.reason or None,
            "series": {name: list(curve) for name, curve in self.series.items()},
            "axis": self.axis or None,
            "details": dict(self.details),
        }


def said_beside(values: Mapping[str, float], *, form: str = ".3f") -> str:
    """Say the oracle's and the teacher's figure behind the student's, as `` (oracle 0.831, teacher 0.907)``.

    Args:
        values: figures by the role of the network; whichever of the two is not there is left out.
        form: how a figure is written.

    Returns:
        The words with a leading space; empty where neither is there.
    """
    said = ", ".join(f"{role} {values[role]:{form}}" for role in ("oracle", "teacher") if role in values)
    return f" ({said})" if said else ""
