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
    for name in ("report.html", "audit.json", "model.pt", "adapter"):
        if (folder / name).exists():
            print(f"  {name:<12} {folder / name}")


def format_summary(audit: dict[str, Any]) -> str:
    """Lay out the figures of ``audit.json`` as a table in plain text."""
    measure = "iou" if "iou" in audit["models"]["teacher"]["forget"] else "accuracy"
    counts, synthetic = audit["data"], " (SYNTHETIC PHANTOM IMAGES)" if audit["data"]["synthetic"] else ""
    header = [f"{audit['bundle']}: {audit['settings']['erasure']}, {audit['grade']}{synthetic}", ""]
    columns = [f"{name} ({counts[name]})" for name in SUBSETS]
    lines = ["  ".join([f"{'mean ' + measure:<12}", *(f"{column:>17}" for column in columns), f"{'attack AUC':>12}"])]
    for model in ("teacher", "student", "oracle"):
        figures = audit["models"][model]
        if figures is not None:
            auc = audit["membership"][model]["auc"]
            cells = [f"{figures[subset][measure]:>17.3f}" for subset in SUBSETS]
            lines.append("  ".join([f"{model:<12}", *cells, f"{'–' if auc is None else format(auc, '.3f'):>12}"]))
    cost = audit["cost"]
    seconds = f"erasing {cost['erase_seconds']:.0f} s, restoring {cost['restore_seconds']:.0f} s"
    return "\n".join(["", *header, *lines, "", f"  {seconds}", ""])
