"""The table that a person reads at the end of a run."""

from __future__ import annotations

import json
from typing import Any

from monai_unlearn.data import SUBSETS
from monai_unlearn.phases.run_folder import RunFolder

__all__ = ["format_summary", "print_summary"]


def print_summary(folder: RunFolder) -> None:
    """Print what the audit found and where everything lies."""
    content = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    print(format_summary(content))
    for name in ("report.html", "certificate.json", "audit.json", "model.pt", "adapter"):
        if (folder / name).exists():
            print(f"  {name:<16} {folder / name}")


def format_summary(audit: dict[str, Any]) -> str:
    """Lay out the figures of ``audit.json`` as a table in plain text."""
    counts, synthetic = audit["data"], " (SYNTHETIC PHANTOM IMAGES)" if audit["data"]["synthetic"] else ""
    names = [name for name in (*SUBSETS, "forgotten_before") if counts.get(name)]
    measure = "iou" if "iou" in audit["models"]["teacher"]["forget"] else "accuracy"
    header = [
        f"{audit['bundle']}: {audit['settings']['erasure']}, {audit['grade'] or 'unknown grade'}{synthetic}",
        *_verdict(audit),
        "",
    ]
    columns = [f"{name} ({counts[name]})" for name in names]
    widths = [max(17, len(column)) for column in columns]
    headings = [f"{column:>{width}}" for column, width in zip(columns, widths, strict=True)]
    lines = ["  ".join([f"{'mean ' + measure:<12}", *headings, f"{'attack AUC':>12}"])]
    for model in ("teacher", "student", "oracle"):
        figures = audit["models"][model]
        if figures is not None:
            auc = audit["membership"][model]["auc"]
            cells = [f"{figures[name][measure]:>{width}.3f}" for name, width in zip(names, widths, strict=True)]
            lines.append("  ".join([f"{model:<12}", *cells, f"{'–' if auc is None else format(auc, '.3f'):>12}"]))
    lines += _recovery(audit)
    lines += _of_classes(audit)
    cost = audit["cost"]
    spent = {
        "erasing": cost["erase_seconds"],
        "restoring": cost["restore_seconds"],
        "auditing": cost.get("audit_seconds"),
    }
    seconds = ", ".join(f"{phase} {value:.0f} s" for phase, value in spent.items() if value is not None)
    return "\n".join(["", *header, *lines, "", f"  {seconds}", ""])


def _verdict(audit: dict[str, Any]) -> list[str]:
    """Say the verdict in one line: what came of it, how sure that is, and whether it is hidden only."""
    verdict = audit.get("verdict")
    if not verdict:
        return []
    said = [verdict["outcome"], "conclusive" if verdict["conclusive"] else "not conclusive: too few cases"]
    said.append(
        {None: "not tested whether it is hidden", True: "HIDDEN, not erased"}.get(verdict["hidden"], "not hidden")
    )
    if verdict["utility_kept"] is False:
        said.append("WORSE on what it was to keep")
    return [f"verdict: {', '.join(said)} (against the {verdict['against']})"]


def _recovery(audit: dict[str, Any]) -> list[str]:
    """Say how much of what was forgotten comes back when the network is trained on with the retain cases."""
    found = {model: part for model, part in (audit.get("relearning") or {}).items() if part}
    told = []
    for model in ("student", "oracle"):
        if model in found:
            before, after, share = (found[model][name] for name in ("before", "after", "recovery"))
            told.append(f"{model} {_figure(share).strip()} ({before:.3f} to {after:.3f})")
    return ["", f"  recovery after training on with retain: {', '.join(told)}"] if told else []


def _of_classes(audit: dict[str, Any]) -> list[str]:
    """Show every class on the unseen cases where classes were to be unlearned."""
    models = {model: figures["unseen"] for model, figures in audit["models"].items() if figures}
    measure = "dice_per_class" if "dice_per_class" in models["teacher"] else "f1_per_class"
    if not audit["request"]["classes"] or measure not in models["teacher"]:
        return []
    first = 1 if measure == "dice_per_class" and audit["data"]["softmax"] else 0
    names = audit["data"]["class_names"] or []
    lines = ["", f"{measure.removesuffix('_per_class')} of each class on unseen cases"]
    for place in range(len(models["teacher"][measure])):
        value = place + first
        name = names[value] if value < len(names) else f"class {value}"
        figures = [f"{model} {_figure(of_model[measure][place])}" for model, of_model in models.items()]
        mark = "  to be unlearned" if value in audit["request"]["classes"] else ""
        lines.append(f"  {name:<20} {'  '.join(figures)}{mark}")
    return lines


def _figure(value: float | None) -> str:
    return "    –" if value is None else f"{value:.3f}"
