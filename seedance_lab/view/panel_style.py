"""How the panel looks: `panel.css`, which goes into the notebook with the panel.

It comes as a part of the panel and not with the picture field's script, so that a front end that cannot load that
script shows a panel all the same. The widgets are another library's; the style is held to their class names.
"""

from __future__ import annotations

import functools
from pathlib import Path

from seedance_lab.pages.sheet import IGNORED_BY_MATHJAX


@functools.cache
def style_html() -> str:
    """The style, for an HTML widget."""
    css = (Path(__file__).parent / "panel.css").read_text(encoding="utf-8")
    return f"<style>{css}</style>"


__all__ = ["IGNORED_BY_MATHJAX", "style_html"]
