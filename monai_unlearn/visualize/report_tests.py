"""The tests of the audit as the report shows them: by tier, in words, with their curves; whatever tests there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_unlearn.visualize.inline_svg import inline_svg
from monai_unlearn.visualize.report_wording import plain_words
from monai_unlearn.visualize.series import draw_series

__all__ = ["TIERS", "gather_tests", "leading_curves"]

TIERS = {
    0: "minutes, no retraining",
    1: "against the oracle",
    2: "shadow models on a small surrogate",
    3: "planted canaries and backdoors",
}
_LEADING = ("retain_relearning", "few_shot_relearning")


def gather_tests(audit: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Group the tests by tier, in the order in which they ran.

    Returns:
        By tier: ``name``, ``title``, ``seconds`` and ``figures`` of each test; a figure has what
        :class:`monai_unlearn.audit.Finding` has, a ``title``, and ``chart``: its curves as SVG, or empty.
    """
    tiers: dict[int, list[dict[str, Any]]] = {}
    for name, test in (audit.get("tests") or {}).items():
        figures = [
            {**figure, "title": plain_words(key), "chart": _chart(f"{name}-{key}", figure)}
            for key, figure in test["figures"].items()
        ]
        shown = {"name": name, "title": plain_words(name), "seconds": test.get("seconds"), "figures": figures}
        tiers.setdefault(test["tier"], []).append(shown)
    return dict(sorted(tiers.items()))


def leading_curves(tiers: Mapping[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Take out the curves that stand beside the scatter and the attack: relearning, and similarity stage by stage.

    Each is shown once: the figure's own ``chart`` is emptied, and ``above`` says that it stands further up.
    """
    taken = []
    for test in (test for tests in tiers.values() for test in tests):
        for figure in test["figures"]:
            if figure["chart"] and (test["name"] in _LEADING or "stage" in (figure.get("axis") or "")):
                taken.append({**figure, "test": test["title"]})
                figure["chart"], figure["above"] = "", True
    return taken


def _chart(name: str, figure: Mapping[str, Any]) -> str:
    series = figure.get("series") or {}
    if not series or max(map(len, series.values())) < 2:  # one point is the value itself
        return ""
    taught = (figure.get("details") or {}).get("teacher_measure")
    drawn = draw_series(series, axis=figure.get("axis") or "step", taught=taught)
    return inline_svg(drawn, name="curve-" + "".join(c if c.isalnum() else "-" for c in name), label=figure["sentence"])
