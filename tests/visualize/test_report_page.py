"""The report as a page: whole in itself, valid, accessible, small, and safe from what stands in it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import monai_unlearn.visualize
from monai_unlearn.visualize import ComparisonRow, render_report
from tests.visualize.report_material import (
    AUDIT,
    HISTORY,
    Reader,
    audit_with,
    audit_with_curves,
    figure,
    make_classified,
    make_losses,
    make_rows,
)

TEMPLATES = Path(monai_unlearn.visualize.__file__).parent / "templates"
EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(audit_with_curves(), title="Audit", losses=make_losses(), cases=make_rows(), history=HISTORY)


@pytest.fixture(scope="module")
def reader(page) -> Reader:
    return Reader(page)


@pytest.fixture(scope="module")
def classified() -> Reader:
    values = {"accuracy": 0.9, "f1_macro": 0.8, "n": 5, "f1_per_class": [0.7, None, 0.9], "loss": 0.1}
    models = {model: {"forget": values, "retain": values} for model in ("teacher", "student")}
    audit = audit_with(models=models, tests={}, data=AUDIT["data"] | {"class_names": ["a", "b", "c"]})
    return Reader(render_report(audit, title="Audit", cases=make_classified()))


def test_the_page_needs_no_network_and_no_other_file(page, reader):
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bimport\b|fetch\(|XMLHttp", text)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in reader.elements}
    for tag, attributes in reader.elements:
        if "src" in attributes:
            assert tag == "img"
            assert re.match(r"data:image/(png|jpeg);base64,", attributes["src"])
        if "href" in attributes:
            assert tag == "use"
            assert attributes["href"].startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert page.count("<script>") == 1


@pytest.mark.parametrize("which", ["reader", "classified"])
def test_identifiers_are_unique_and_whatever_refers_to_one_finds_it(which, request):
    reader = request.getfixturevalue(which)
    ids = reader.attributes("id")
    assert len(ids) == len(set(ids))
    wanted = {*reader.attributes("aria-labelledby"), *reader.attributes("aria-describedby"), *reader.attributes("for")}
    wanted |= {value.removeprefix("#") for value in reader.attributes("href")}
    assert wanted <= set(ids)


@pytest.mark.parametrize("which", ["reader", "classified"])
def test_headings_go_down_one_step_at_a_time_and_there_is_one_of_the_first(which, request):
    levels = [int(tag[1]) for tag, _ in request.getfixturevalue(which).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("which", ["reader", "classified"])
def test_whatever_is_seen_has_words_for_those_who_do_not_see_it(which, request):
    for tag, attributes in request.getfixturevalue(which).elements:
        if tag == "html":
            assert attributes["lang"] == "en"
        if tag == "img":
            assert attributes["alt"]
            assert int(attributes["width"]) > 0
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "input" or attributes.get("role") == "region":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0", "what scrolls can be scrolled by keyboard"


def test_it_adapts_to_light_and_dark_to_paper_and_to_a_phone(page):
    for part in (
        "prefers-color-scheme: dark",
        "@media print",
        "max-width: 40rem",
        'name="viewport"',
        "@media screen {",
    ):
        assert part in page
    assert "break-inside: avoid" in page


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def palettes() -> dict[str, dict[str, str]]:
    """The colours of light, of dark and of paper, as the style sheet gives them."""
    blocks = re.findall(r":root \{([^}]*)\}", (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", block)) for block in blocks]
    light, dark, paper = found
    return {"light": light, "dark": light | dark, "paper": light | paper}


@pytest.mark.parametrize("name", ["light", "dark", "paper"])
def test_every_text_stands_out_from_its_ground(name):
    """WCAG 2.1, 1.4.3: a contrast of 4.5 at least."""
    colors = {
        key: "#" + "".join(2 * c for c in value[1:]) if len(value) == 4 else value
        for key, value in palettes()[name].items()
    }
    grounds = [colors["card"], colors["page"]]
    for ink in ("ink", "quiet", "forget", "retain", "reference", "unseen", "good", "mixed", "bad"):
        for ground in grounds:
            bright, dim = sorted((luminance(colors[ink]), luminance(ground)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{ink} on {ground}"
    assert 1.05 / (luminance(colors["alarm"]) + 0.05) >= 4.5, "the banner's text is white"


def test_what_comes_from_outside_is_shown_as_text():
    values = {"accuracy": 0.9, "f1_macro": 0.8, "n": 5, "f1_per_class": [0.7, 0.9, 0.8], "loss": 0.1}
    audit = audit_with(
        bundle=EVIL,
        device=EVIL,
        models={"teacher": {"forget": values}, "student": {"forget": values}},
        data=AUDIT["data"] | {"name": EVIL, "class_names": [EVIL, "b", EVIL]},
        request={"classes": [0], "named": 0, "random": False},
        tests={
            EVIL: {
                "tier": 0,
                "seconds": 1.0,
                "figures": {
                    EVIL: figure(
                        0.5,
                        sentence=EVIL,
                        forgotten=EVIL,
                        reason=EVIL,
                        axis=EVIL,
                        series={EVIL: [0.1, 0.2]},
                        details={EVIL: EVIL},
                    )
                },
            }
        },
        verdict=AUDIT["verdict"] | {"sentences": [EVIL], "outcome": EVIL},
    )
    page = render_report(audit, title=EVIL, cases=make_classified(), history=[*HISTORY, {**HISTORY[0], "name": EVIL}])
    assert page.count("<script") == 1, "our own"
    assert "alert(" in Reader(page).text
    assert '"' + EVIL not in page
    assert page.count("&lt;script&gt;") > 15


def test_many_cases_and_large_noisy_pictures_stay_below_five_megabytes():
    rng = np.random.default_rng(0)
    size = 320
    rows = [
        ComparisonRow(
            subset=subset,
            name=f"{number}",
            image=rng.random((size, size, 3)),
            truth=rng.random((size, size)) > 0.999,
            teacher=rng.random((size, size)),
            student=rng.random((size, size)),
        )
        for subset in ("retain", "forget")
        for number in range(3)
    ]
    page = render_report(
        audit_with_curves(), title="Audit", losses=make_losses(2500, 2500), cases=rows, history=HISTORY
    )
    assert len(page.encode("utf-8")) < 5_000_000


def test_the_templates_are_files_of_the_package():
    assert {path.name for path in TEMPLATES.iterdir()} == {
        *("report.html.j2", "verdict.html.j2", "scores.html.j2", "cases.html.j2", "attacks.html.j2", "tests.html.j2"),
        *("making.html.j2", "report.css", "report.js"),
    }
