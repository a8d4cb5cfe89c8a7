"""The audit as one page: a self-contained HTML file for whoever asked that something be forgotten."""

from __future__ import annotations

import base64
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from monai_unlearn.files import write_whole

__all__ = ["render_report", "write_report"]

_SUBSETS = ("forget", "retain", "reference", "unseen", "forgotten_before")
_MODELS = ("teacher", "student", "oracle")
_SCORES = {"iou": "IoU", "dice": "Dice", "accuracy": "Accuracy", "f1_macro": "F1 (macro)", "loss": "Loss"}
_CLASS_SCORES = {
    "iou_per_class": "IoU",
    "dice_per_class": "Dice",
    "f1_per_class": "F1",
    "accuracy_per_class": "Accuracy",
}
_CAPTIONS = {
    "comparison": "Teacher and student on single cases. The number is the mean foreground probability inside the true "
    "mask, whose outline is drawn in.",
    "class_bars": "F1 of each class, for each network, on retain, forget and unseen cases.",
    "loss_curves": "The loss terms, epoch by epoch.",
    "case_losses": "Each dot is a case. On the diagonal it is as the teacher left it; forgetting lifts the forget "
    "cases off it, ideally into the cloud of the unseen ones and no further.",
    "loss_attack": "The attacker calls a case a member if its loss is low. A curve on the diagonal gives nothing away; "
    "one far below it gives the forget cases away as well.",
}
_PIXELS_PER_POINT = 150 / 96  # figures are saved at 150 pixels per inch, a page has 96
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ABSENT = "—"


def render_report(audit: Mapping[str, Any], figures: Mapping[str, Path | bytes], *, title: str) -> str:
    """Render the audit as HTML that needs no other file, no network and no script.

    What the audit lacks is left out, never made up; a score that is null stands as a dash.

    Args:
        audit: the content of ``audit.json`` (schema 1).
        figures: PNG files or their bytes by name, in the order of the page. ``comparison``, ``loss_curves``,
            ``case_losses`` and ``loss_attack`` have captions; any other name is its own caption.
        title: heading of the page.

    Returns:
        The page. A banner runs across its top if the images were synthetic.

    Raises:
        ValueError: if the schema is not 1, a number is not finite, a figure is no PNG, or ``data.synthetic`` is not
            said.
        FileNotFoundError: if the file of a figure is missing.
    """
    if audit.get("schema") != 1:
        raise ValueError(f"the report reads audits of schema 1, not {audit.get('schema')!r}")
    _check_finite(audit, "audit")
    data = audit["data"]
    if not isinstance(data.get("synthetic"), bool):
        raise ValueError(f"audit.data.synthetic must be true or false, not {data.get('synthetic')!r}")
    environment = Environment(
        loader=PackageLoader("monai_unlearn.visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=_score, duration=_duration, quantity=_quantity, plain=_plain_words)
    page = environment.get_template("report.html.j2")
    return page.render(
        title=title,
        audit=audit,
        data=data,
        counts={subset: data[subset] for subset in (*_SUBSETS, "excluded") if data.get(subset) is not None},
        scores=_score_table(audit),
        class_scores=_class_tables(audit),
        membership=_by_model(audit.get("membership")),
        relearning=_by_model(audit.get("relearning")),
        cost={name: value for name, value in (audit.get("cost") or {}).items() if value is not None},
        figures=[_embed(name, image) for name, image in figures.items()],
    )


def write_report(
    path: str | os.PathLike[str], audit: Mapping[str, Any], figures: Mapping[str, Path | bytes], *, title: str
) -> Path:
    """Write :func:`render_report`'s page, whole or not at all.

    Args:
        path: the HTML file.
        audit: the content of ``audit.json``.
        figures: PNG files or their bytes by name.
        title: heading of the page.

    Returns:
        The path.
    """
    return write_whole(path, render_report(audit, figures, title=title).encode("utf-8"))


def _check_finite(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_finite(part, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            _check_finite(part, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: an audit holds finite numbers, or null for what is absent")


def _score_table(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``models`` by subset: the models under each other, so that before and after can be read off."""
    models = _by_model(audit.get("models"))
    cells = [scores for subsets in models.values() for scores in subsets.values() if scores]
    rows = {
        subset: {model: subsets[subset] for model, subsets in models.items() if subsets.get(subset)}
        for subset in _SUBSETS
    }
    return {
        "columns": {key: name for key, name in _SCORES.items() if any(key in scores for scores in cells)},
        "rows": {subset: by_model for subset, by_model in rows.items() if by_model},
    }


def _class_tables(audit: Mapping[str, Any]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Per score, subset and model: the value of each class by its name or number."""
    names = audit["data"].get("class_names") or []
    maps = audit["data"].get(
        "softmax", True
    )  # label maps of softmax networks count from the first class after background
    tables: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for subset, by_model in _score_table(audit)["rows"].items():
        for model, scores in by_model.items():
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


def _by_model(section: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keep what is there, teacher before student before oracle before any other."""
    present = {model: part for model, part in (section or {}).items() if isinstance(part, Mapping)}
    return dict(sorted(present.items(), key=lambda item: (*_MODELS, item[0]).index(item[0])))


def _embed(name: str, image: Path | bytes) -> dict[str, str | int]:
    content = image if isinstance(image, bytes) else Path(image).read_bytes()
    if not content.startswith(_PNG_SIGNATURE):
        raise ValueError(f"the figure {name!r} is no PNG image")
    width, height = (round(pixels / _PIXELS_PER_POINT) for pixels in struct.unpack(">II", content[16:24]))
    source = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    return {"caption": _CAPTIONS.get(name, _plain_words(name)), "source": source, "width": width, "height": height}


def _score(value: float | None) -> str:
    """Three decimals, a true minus sign, a dash for null; powers of ten where three decimals would read zero."""
    if value is None:
        return _ABSENT
    digits = f"{value:.1e}" if value != 0 and abs(value) < 5e-4 else f"{value:.3f}"
    return digits.replace("-", "\N{MINUS SIGN}")


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _quantity(value: float | str, name: str) -> str:
    """Format a value by what the end of its name says it is."""
    if isinstance(value, str):
        return value
    if name.endswith("_seconds"):
        return _duration(value)
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB" if value >= 100 * 2**20 else f"{value / 2**20:.1f} MiB"
    return f"{value:,}" if isinstance(value, int) else _score(value)


def _plain_words(name: str) -> str:
    """``peak_rss_bytes`` → ``Peak memory``; ``erase_seconds`` → ``Erase``."""
    known = {"peak_rss_bytes": "Peak memory"}
    words = known.get(name, name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " "))
    return words[:1].upper() + words[1:]
