"""The report in a browser, headless Chromium, at the width of a desk and of a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_unlearn.visualize import render_report
from tests.visualize.report_material import HISTORY, audit_with_curves, make_losses, make_rows

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 360)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed: none of chromium, google-chrome")

# What is seen, told by the page itself. It lies in a frame: a browser's window may not be as narrow as a phone. It
# tells the page around, whose DOM the browser dumps.
PROBE = """
<script>
const inside = (node) => node.closest(".scroll, svg") !== null;
const wide = [...document.body.querySelectorAll("*")].filter((node) =>
  !inside(node) && node.getClientRects().length && node.getBoundingClientRect().right > innerWidth + 0.5);
const range = document.querySelector("input[type=range]"), views = document.querySelector(".views");
const [teacher, student] = views.querySelectorAll(".view");
const look = () => ({
  clip: getComputedStyle(student).clipPath, says: range.getAttribute("aria-valuetext"), value: range.value
});
const set = (value) => { range.value = value; range.dispatchEvent(new Event("input")); return look(); };
const box = views.getBoundingClientRect();
const press = (share) => {
  views.setPointerCapture = () => {};
  views.dispatchEvent(new PointerEvent("pointerdown", {pointerId: 7, clientX: box.left + share * box.width}));
  return look();
};
range.focus();
const found = {
  width: innerWidth, scroll: document.documentElement.scrollWidth,
  wide: wide.map((node) => node.outerHTML.slice(0, 90)),
  start: look(), low: set(0), high: set(100), pressed: press(0.25),
  stacked: Math.abs(teacher.getBoundingClientRect().left - student.getBoundingClientRect().left) < 1,
  focus: document.activeElement === range, images: [...document.images].every((image) => image.naturalWidth > 0),
  dark: getComputedStyle(document.body).backgroundColor, grid: document.querySelectorAll("figure.chart svg").length,
};
parent.postMessage(JSON.stringify(found), "*");
</script>
"""
FRAME = """<!DOCTYPE html><html><body style="margin:0"><pre></pre>
<script>addEventListener("message", (event) => { document.querySelector("pre").textContent = event.data; });</script>
<iframe src="framed.html" style="width:{width}px;height:{height}px;border:0;display:block"></iframe></body></html>
"""


def browse(folder: Path, address: Path, *flags: str) -> str:
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
        *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", *flags, address.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def frame(folder: Path, page: str, width: int, height: int = 900) -> Path:
    (folder / "framed.html").write_text(page, encoding="utf-8")
    around = folder / "around.html"
    around.write_text(FRAME.replace("{width}", str(width)).replace("{height}", str(height)), encoding="utf-8")
    return around


def probe(folder: Path, page: str, width: int, *flags: str) -> dict[str, Any]:
    around = frame(folder, page.replace("</body>", PROBE + "</body>"), width)
    dump = browse(folder, around, "--window-size=1400,1000", "--dump-dom", *flags)
    found = re.search(r"<pre>(.+?)</pre>", dump, re.DOTALL)
    assert found is not None, dump[-2000:]
    content: dict[str, Any] = json.loads(html.unescape(found[1]))
    return content


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(audit_with_curves(), title="A" * 90, losses=make_losses(), cases=make_rows(1), history=HISTORY)


@pytest.fixture(scope="module", params=WIDTHS)
def seen(request: pytest.FixtureRequest, page: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"asked": request.param, **probe(tmp_path_factory.mktemp("browser"), page, request.param)}


def test_nothing_is_wider_than_the_page(seen):
    assert seen["width"] == seen["asked"]
    assert seen["scroll"] <= seen["width"]
    assert seen["wide"] == []


def test_the_slider_wipes_between_teacher_and_student(seen):
    assert seen["stacked"]
    assert [seen[step]["clip"] for step in ("start", "low", "high")] == [
        "inset(0px 0px 0px 50%)",
        "inset(0px 0px 0px 0%)",
        "inset(0px 0px 0px 100%)",
    ]
    assert seen["low"]["says"] == "teacher 0 %, student 100 %"
    assert seen["focus"], "the keyboard reaches it"


def test_a_finger_on_the_picture_moves_the_slider_as_well(seen):
    assert seen["pressed"]["value"] == "25"
    assert seen["pressed"]["clip"] == "inset(0px 0px 0px 25%)"


def test_every_picture_and_chart_is_there(seen):
    assert seen["images"]
    assert seen["grid"] == 2 + 2 + 3 + 1  # scatters, attack curves, series, losses of the phases


def test_a_dark_screen_gets_a_dark_page(page, tmp_path):
    grounds = {
        scheme: probe(tmp_path, page, 800, f"--blink-settings=preferredColorScheme={number}")["dark"]
        for number, scheme in enumerate(("dark", "light"))
    }
    assert grounds == {"dark": "rgb(18, 22, 28)", "light": "rgb(246, 247, 249)"}


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_seen_changes_with_the_slider(page, tmp_path, width):
    """The case of forget, of which the student sees next to nothing: all teacher is blue there, all student is not."""
    shown = {}
    for value in (0, 100):
        script = (
            f"<script>const r = document.querySelectorAll('input[type=range]')[1]; r.value = {value};"
            "r.dispatchEvent(new Event('input'));"
            "document.body.replaceChildren(document.querySelectorAll('.views')[1]);</script></body>"
        )
        picture = tmp_path / f"{value}.png"
        around = frame(tmp_path, page.replace("</body>", script), width)
        browse(tmp_path, around, "--window-size=1400,1000", f"--screenshot={picture}")
        shown[value] = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    blue = {value: int((image[..., 2] - image[..., 0] > 60).sum()) for value, image in shown.items()}
    assert blue[100] > 1000 > 10 * blue[0]
