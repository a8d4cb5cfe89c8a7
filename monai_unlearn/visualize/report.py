"""The audit as one page: a self-contained HTML file for whoever asked that something be forgotten."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monai_unlearn.files import write_whole
from monai_unlearn.visualize.classified import ClassifiedCase
from monai_unlearn.visualize.comparison import ComparisonRow
from monai_unlearn.visualize.loss_panels import CaseLosses
from monai_unlearn.visualize.report_cases import show_cases
from monai_unlearn.visualize.report_charts import attack_charts, case_charts, class_chart, history_chart
from monai_unlearn.visualize.report_finite import find_not_finite
from monai_unlearn.visualize.report_tables import SUBSETS, by_model, class_tables, first_score, score_table
from monai_unlearn.visualize.report_tests import TIERS, gather_tests, leading_curves
from monai_unlearn.visualize.report_verdict import summarise_verdict
from monai_unlearn.visualize.report_wording import detail, duration, interval, plain_words, quantity, score

__all__ = ["render_report", "write_report"]


def render_report(
    audit: Mapping[str, Any],
    *,
    title: str,
    losses: CaseLosses | None = None,
    cases: Sequence[ComparisonRow | ClassifiedCase] = (),
    history: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Render the audit as HTML that needs no other file and no network; scripts only add comfort.

    What the audit lacks is left out, never made up; a figure that is null stands as a dash, with its reason. The
    templates lie in ``templates/`` beside this module.

    Args:
        audit: the content of ``audit.json`` (schema 1).
        title: heading of the page.
        losses: of each case that was to be forgotten and each unseen one, by model.
        cases: what may be shown of single cases; none, and the page says that none is shown.
        history: the losses of the phases, as :func:`draw_loss_curves` takes them.

    Returns:
        The page. A banner runs across its top if the images were synthetic.

    Raises:
        ValueError: if the schema is not 1, a number is not finite, or ``data.synthetic`` is not said.
    """
    if audit.get("schema") != 1:
        raise ValueError(f"the report reads audits of schema 1, not {audit.get('schema')!r}")
    if broken := find_not_finite(audit, "audit"):
        raise ValueError(f"{broken}: an audit holds finite numbers, or null for what is absent")
    data = audit["data"]
    if not isinstance(data.get("synthetic"), bool):
        raise ValueError(f"audit.data.synthetic must be true or false, not {data.get('synthetic')!r}")
    losses, scores, tiers = losses or {}, score_table(audit), gather_tests(audit)
    curves = leading_curves(tiers)
    names = [str(name) for name in data.get("class_names") or ()]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            audit=audit,
            data=data,
            request=audit.get("request") or {},
            counts={subset: data[subset] for subset in (*SUBSETS, "excluded") if data.get(subset) is not None},
            verdict=summarise_verdict(audit),
            scores=scores,
            key=first_score(scores),
            class_scores=class_tables(audit),
            class_names=names,
            class_chart=class_chart(audit),
            cases=show_cases(cases, class_names=names),
            membership=by_model(audit.get("membership")),
            case_charts=case_charts(losses),
            attack_charts=attack_charts(losses),
            curves=curves,
            relearning=by_model(audit.get("relearning")),
            tiers=tiers,
            tier_names=TIERS,
            history_chart=history_chart(history),
            cost={name: value for name, value in (audit.get("cost") or {}).items() if value is not None},
        )
    )


def write_report(
    path: str | os.PathLike[str],
    audit: Mapping[str, Any],
    *,
    title: str,
    losses: CaseLosses | None = None,
    cases: Sequence[ComparisonRow | ClassifiedCase] = (),
    history: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write :func:`render_report`'s page, whole or not at all.

    Args:
        path: the HTML file.
        audit: the content of ``audit.json``.
        title: heading of the page.
        losses: by model, of the forget and of the unseen cases.
        cases: what may be shown of single cases.
        history: the losses of the phases.

    Returns:
        The path.
    """
    page = render_report(audit, title=title, losses=losses, cases=cases, history=history)
    return write_whole(path, page.encode("utf-8"))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("monai_unlearn.visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {"score": score, "interval": interval, "duration": duration, "quantity": quantity, "plain": plain_words}
    environment.filters.update(words, detail=detail, drawn=Markup)  # `drawn`: our own SVG, whose texts are escaped
    return environment
