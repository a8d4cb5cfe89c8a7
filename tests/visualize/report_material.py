"""What the tests of the report render: an audit as it may come, cases and losses; and a reader of the page."""

from __future__ import annotations

import copy
from html.parser import HTMLParser
from typing import Any

import numpy as np

from monai_unlearn.visualize import ClassifiedCase, ComparisonRow, render_report


def scores(iou: float, n: int = 160, **more: Any) -> dict[str, Any]:
    return {"iou": iou, "dice": iou + 0.05, "loss": 1 - iou, "n": n, **more}


def figure(value: float | None, **more: Any) -> dict[str, Any]:
    blank = {
        "oracle": None,
        "teacher": None,
        "interval": None,
        "reason": None,
        "series": {},
        "axis": None,
        "details": {},
    }
    words = {"forgotten": "as for the oracle", "sentence": f"It was found to be {value}."}
    return {"value": value, **blank, **words, **more}


AUDIT: dict[str, Any] = {
    "schema": 1,
    "bundle": "isic_unlearn",
    "seed": 7,
    "device": "cpu",
    "tier": 1,
    "settings": {"scope": "adapters", "rank": 8, "max_cases": None, "erasure": "calibrate"},
    "request": {"classes": [], "named": 155, "random": False},
    "data": {
        **{"name": "isic2018", "synthetic": False, "split_drawn": False, "class_names": None, "softmax": False},
        **{"forget": 160, "retain": 1440, "reference": 201, "unseen": 199, "excluded": 3},
    },
    "models": {
        "teacher": {"forget": scores(0.907), "unseen": scores(0.820)},
        "student": {"forget": scores(0.832), "unseen": scores(0.813)},
        "oracle": {"forget": scores(0.837), "unseen": scores(0.817)},
    },
    "membership": {
        "teacher": {"auc": 0.737, "tpr_at_1pct_fpr": 0.05},
        "student": {"auc": 0.571, "tpr_at_1pct_fpr": 0.0124},
        "oracle": {"auc": 0.6, "tpr_at_1pct_fpr": 0.021},
    },
    "relearning": {"student": {"before": 0.843, "after": 0.865, "recovery": 0.341}, "oracle": None},
    "tests": {
        "oracle_gap": {"tier": 1, "seconds": 2.0, "figures": {"tost_p": figure(0.003)}},
        "retain_relearning": {
            "tier": 0,
            "seconds": 81.2,
            "figures": {
                "recovery": figure(0.341, oracle=-0.03, details={"teacher_measure": 0.907}, axis="epochs on retain")
            },
        },
        "linear_cka": {
            "tier": 0,
            "seconds": 4.0,
            "figures": {"forget": figure(0.97, axis="stage")},
        },
        "something_new": {
            "tier": 0,
            "seconds": 0.5,
            "figures": {
                "iou_forget": figure(0.832, interval=[0.81, 0.85], teacher=0.907, oracle=0.837),
                "auc": figure(None, reason="needs 10 forget and 10 unseen cases; one of them has 5"),
                "walk": figure(0.2, axis="step", details={"parts": [1, 2.5], "a": "b"}),
            },
        },
    },
    "verdict": {
        **{"outcome": "forgotten", "conclusive": True, "hidden": True, "utility_kept": True, "against": "oracle"},
        **{"gap": -0.005, "gap_interval": [-0.012, 0.002]},
        "checks": [
            {"name": "forget against the oracle", "value": -0.005, "bound": 0.02, "holds": True},
            {"name": "retain against the teacher", "value": 0.001, "bound": -0.02, "holds": True},
            {"name": "recovery after retain-only relearning", "value": 0.341, "bound": 0.2, "holds": False},
        ],
        "sentences": ["In its outputs the student has forgotten.", "It is hidden, not erased."],
        "margins": {"measure": 0.02, "confidence": 0.95},
    },
    "oracle_recipe": "the teacher's own",
    "grade": "reversible",
    "reversible": {"max_abs_difference": 0.0},
    "cost": {
        **{"teach_seconds": 283.0, "erase_seconds": 83.2, "restore_seconds": 12.34, "audit_seconds": None},
        **{"peak_rss_bytes": 3 * 2**29, "total_parameters": 1625420},
    },
    "versions": {"monai": "1.6.1"},
}
MINIMAL: dict[str, Any] = {"schema": 1, "data": {"name": "isic2018", "synthetic": False}, "models": {}}
HISTORY = [{"phase": "erase", "epoch": epoch, "name": "loss", "value": 1 / epoch} for epoch in (1, 2, 3)]


def audit_with(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(AUDIT) | changes


def audit_with_curves() -> dict[str, Any]:
    """Return the audit with the series of its tests, which take their time to draw."""
    audit = copy.deepcopy(AUDIT)
    for test, name, series in (
        ("retain_relearning", "recovery", {"student": [0.843, 0.85, 0.865], "oracle": [0.837, 0.836, 0.835]}),
        ("linear_cka", "forget", {"student": [1.0, 0.9], "oracle": [0.8, 0.6]}),
        ("something_new", "walk", {"student": [0.1, 0.2]}),
    ):
        audit["tests"][test]["figures"][name]["series"] = series
    return audit


def make_losses(forget: int = 30, unseen: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        model: (rng.gamma(2, 0.1, forget), rng.gamma(2, 0.15, unseen)) for model in ("teacher", "student", "oracle")
    }


def make_rows(count: int = 2, size: int = 40) -> list[ComparisonRow]:
    """Cases of retain and forget; the student sees nothing in those of forget."""
    ramp = np.linspace(0.3, 0.7, size)
    picture = np.stack([ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], np.full((size, size), 0.5)], axis=-1)
    truth = np.zeros((size, size), dtype=bool)
    truth[size // 4 : size // 2, size // 4 : 3 * size // 4] = True
    return [
        ComparisonRow(
            subset=subset,
            name=f"{subset[:2]}{number:06x}",
            image=picture,
            truth=truth,
            teacher=truth * 0.9,
            student=truth * (0.9 if subset == "retain" else 0.1),
        )
        for subset in ("forget", "retain")
        for number in range(count)
    ]


def make_classified() -> list[ClassifiedCase]:
    picture = np.random.default_rng(0).random((20, 20, 3))
    return [
        ClassifiedCase(
            subset=subset,
            name=f"{subset[:2]}00",
            image=picture,
            truth=2,
            teacher=np.array([0.1, 0.2, 0.7]),
            student=np.array([0.5, 0.25, 0.25]),
        )
        for subset in ("retain", "forget")
    ]


class Reader(HTMLParser):
    """Reads the page as a person does: headings, rows of tables and text; and checks that tags close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})
    INLINE = frozenset({"b", "code", "i", "small"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += "" if tag in self.INLINE else " "

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        self.text += data
        if {"td", "th"}.intersection(self.open):
            self.rows[-1][-1] += data.strip()

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def read(audit: dict[str, Any] = AUDIT, *, title: str = "Audit", **material: Any) -> Reader:
    return Reader(render_report(audit, title=title, **material))
