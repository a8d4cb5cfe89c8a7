"""Formulas as MathML, which every current browser draws: no script, no font and no network when the pages are read."""

from __future__ import annotations

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

_BARE_FRACTION = re.compile(r"\\[dt]?frac\s*[^\s{]")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(f'<span class="math">{_mathml(node, block=False)}</span>')
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula."""
    translator.body.append(f'<div class="math">{_mathml(node, block=True)}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, block: bool) -> str:
    if _BARE_FRACTION.search(node.astext()):
        logger.warning(r"docutils reads \frac12 as a fraction of 12: write \frac{1}{2}", location=node)
    try:
        return tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("docutils cannot turn this formula into MathML: %s", error, location=node)
        return html.escape(node.astext())
