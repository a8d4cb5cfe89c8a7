"""Figures as SVG within a page: sharp at every width, in the page's own font and in its colours, light or dark."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from monai_unlearn.visualize.palette import SUBSET_COLORS, TERM_COLORS

__all__ = ["THEME", "inline_svg"]

THEME = {
    "#000000": "currentColor",
    "#222222": "var(--ink)",
    "#888888": "var(--quiet)",
    "#b0b0b0": "var(--quiet)",  # the lines of a grid, which are nearly transparent
    **{color.lower(): f"var(--{subset})" for subset, color in SUBSET_COLORS.items()},
    TERM_COLORS[3].lower(): "var(--orange)",
    TERM_COLORS[5].lower(): "var(--sky)",
}
"""Which variable of the page stands for a colour of a figure; every other colour stays as it is."""

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font:[^;]*?([\d.]+)px[^;]*")  # up to matplotlib 3.9; later ones write the family by itself
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_NUMERIC = ("d", "x", "y", "x1", "x2", "y1", "y2", "points", "transform")
_DROPPED = ("metadata", "style", "clipPath")


def inline_svg(figure: Figure, *, name: str, label: str) -> str:
    """Return a figure as an ``<svg>`` element for a page that defines the variables of :data:`THEME`.

    The element names no other file and no address. Lines must stay within their axes: nothing is clipped.

    Args:
        figure: from any ``draw_…`` function of this room but those with pictures.
        name: starts every identifier within the element; letters, digits and hyphens, unique on the page.
        label: what the figure shows, for those who cannot see it.

    Raises:
        ValueError: if the name is not fit for identifiers.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise ValueError(
            f"the name of a figure in a page starts with a letter, with letters and digits after: {name!r}"
        )
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):  # text stays text; the same figure, the same bytes
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format")))
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        _clean(element, name)
    used = {element.attrib.get("href", "").removeprefix("#") for element in root.iter()}
    for element in root.iter():
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
        _share_style(element)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _clean(element: ElementTree.Element, name: str) -> None:
    """Take away namespaces, clipping and what holds for a whole page; put the page's font and colours in."""
    for child in [child for child in element if _bare(child.tag) in _DROPPED]:
        element.remove(child)
    element.tag = _bare(element.tag)
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        key = _bare(key)
        if key == "clip-path":
            continue
        if key in ("id", "href"):
            value = value.replace("#", f"#{name}-") if key == "href" else f"{name}-{value}"
        if key in ("style", "fill", "stroke"):
            value = _COLOR.sub(lambda found: THEME.get(found[0].lower(), found[0]), value)
            value = _FAMILY.sub("", _FONT.sub(r"font-size: \1px", value))
        if key in _NUMERIC:
            value = _DECIMALS.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value).strip()
        element.attrib[key] = value


def _share_style(group: ElementTree.Element) -> None:
    """Say a style once that all marks of a group have: thousands of cases then need a few characters each."""
    styles = {child.attrib.get("style") for child in group}
    if len(group) > 1 and {child.tag for child in group} == {"use"} and len(styles) == 1 and (style := styles.pop()):
        group.attrib["style"] = style
        for child in group:
            del child.attrib["style"]


def _bare(name: str) -> str:
    return name.rsplit("}", 1)[-1]
