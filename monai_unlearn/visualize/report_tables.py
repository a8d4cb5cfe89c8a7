"""The tables of the report: every score by subset and network, and by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SUBSETS", "by_model", "class_tables", "first_score", "score_table"]

SUBSETS = ("forget", "retain", "reference", "unseen", "forgotten_before")
_MODELS = ("teacher", "student", "oracle")
_SAME = 1e-6
_SCORES = {"iou": "IoU", "dice": "Dice", "accuracy": "Accuracy", "f1_macro": "F1 (macro)", "loss": "Loss"}
_CLASS_SCORES = {
    "iou_per_class": "IoU",
    "dice_per_class": "Dice",
    "f1_per_class": "F1",
    "accuracy_per_class": "Accuracy",
}


def by_model(section: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keep what is there, teacher before student before oracle before any other."""
    present = {model: part for model, part in (section or {}).items() if isinstance(part, Mapping)}
    return dict(sorted(present.items(), key=lambda item: (*_MODELS, item[0]).index(item[0])))


def score_table(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``models`` by subset: the models under each other, so that before and after can be read off.

    Returns:
        ``columns``: heading by key; ``rows``: by subset and model the scores; ``intervals``: by subset and key the
        interval of the scores by model, where a test of the audit has one.
    """
    models = by_model(audit.get("models"))
    cells = [scores for subsets in models.values() for scores in subsets.values() if scores]
    rows = {
        subset: {model: subsets[subset] for model, subsets in models.items() if subsets.get(subset)}
        for subset in SUBSETS
    }
    columns = {key: name for key, name in _SCORES.items() if any(key in scores for scores in cells)}
    return {
        "columns": columns,
        "rows": {subset: of_subset for subset, of_subset in rows.items() if of_subset},
        "intervals": _intervals(audit, columns),
    }


def first_score(table: Mapping[str, Any]) -> str:
    """Key of the score that the report leads with, which is never the loss; empty if there is none."""
    return next((key for key in table["columns"] if key != "loss"), "")


def class_tables(audit: Mapping[str, Any]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Return per score, subset and model the value of each class by its name or number."""
    names = audit["data"].get("class_names") or []
    maps = audit["data"].get("softmax", True)  # maps of softmax networks count from the first class after background
    tables: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for subset, of_subset in score_table(audit)["rows"].items():
        for model, scores in of_subset.items():
            for key, name in _CLASS_SCORES.items():
                if scores.get(key):
                    values = scores[key]
                    if not isinstance(values, Mapping):
                        first = int(maps and key in ("iou_per_class", "dice_per_class"))
                        labels = enumerate(values, first)
                        values = {
                            names[label] if label < len(names) else f"class {label}": value for label, value in labels
                        }
                    tables.setdefault(name, {}).setdefault(subset, {})[model] = dict(values)
    return tables


def _intervals(audit: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
    """By subset, model and key: the interval that a test gives for that very mean, which it calls by the subset."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    means = (audit.get("models") or {}).get("student") or {}
    figures = [pair for test in (audit.get("tests") or {}).values() for pair in test["figures"].items()]
    for name, figure in figures:
        for key in columns:
            subset = name.removeprefix(f"{key}_").removesuffix(f"_{key}")
            mean = (means.get(subset) or {}).get(key)
            if mean is None or figure["value"] is None or abs(mean - figure["value"]) > _SAME:
                continue  # the figure of a class request, say, is that of its classes alone
            others = (figure.get("details") or {}).get("intervals") or {}
            for model, bounds in {**others, "student": figure.get("interval")}.items():
                if bounds:
                    found.setdefault(subset, {}).setdefault(model, {})[key] = bounds
    return found
