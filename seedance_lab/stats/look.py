"""How figures look: one light panel, colours that colour-blind readers tell apart, and how results look as HTML.

The panel is white wherever it is shown: a figure ends up in reports and on slides, and on a dark page black
text on a white panel is read better than any grey that has to do for both. Colours: Okabe and Ito, "Color
Universal Design", 2008; black is left to text.
"""

from __future__ import annotations

import functools
import html
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""In this order neighbours differ in lightness too, so that they differ in a grey print."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""One a colour: nothing is told by colour alone."""

INK, QUIET, GRID, PANEL = "#1a1a1a", "#595959", "#d9d9d9", "#ffffff"

WIDTH = 6.0
"""Of every figure, in inches: with 10-point type it can still be read when shown 400 pixels wide."""

_DPI = 200
_SHOWN_ROWS = 40
_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Arial Unicode MS",
)
"""Asked for where DejaVu Sans has no letter, such as in a Chinese prompt; only those that are installed."""


@contextmanager
def style() -> Iterator[None]:
    """Our own settings while a figure is built, whatever the notebook's are; they are put back afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(
        {
            "font.family": [*_fonts()],
            "font.size": 10,
            "axes.labelsize": 10,
            "xtick.labelsize": 9.5,
            "ytick.labelsize": 9.5,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "text.color": INK,
            "text.usetex": False,
            "axes.labelcolor": INK,
            "axes.edgecolor": QUIET,
            "axes.facecolor": PANEL,
            "axes.linewidth": 0.8,
            "axes.axisbelow": True,
            "axes.grid": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.unicode_minus": True,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "grid.linestyle": "-",
            "xtick.color": QUIET,
            "ytick.color": QUIET,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "figure.facecolor": PANEL,
            "figure.edgecolor": PANEL,
            "figure.dpi": 100,
            "savefig.facecolor": "auto",
            "hatch.color": "#8c8c8c",
            "hatch.linewidth": 0.7,
            "lines.linewidth": 1.6,
        }
    ):
        yield


@functools.cache
def _fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _FONTS if name in installed))


def figure(height: float) -> Figure:
    """An empty figure of our width that shows itself in a notebook, with no part in pyplot's state.

    Args:
        height: In inches.
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained")
    # A notebook knows how to show figures only once pyplot was imported there. It looks at the object itself
    # for this method, so none of its settings are touched. A partial, because figures are pickled and copied.
    made._repr_png_ = functools.partial(_png, made)  # type: ignore[attr-defined]
    return made


def _png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Sharp on a dense screen, at the size that the figure has."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    width, height = figure.get_size_inches()
    return buffer.getvalue(), {"width": round(100 * width), "height": round(100 * height)}


def missing(value: object) -> bool:
    """Whether it is one of the ways in which a frame says nothing: None, NaN, NA, NaT. The text "nan" is not."""
    return value is None or (not isinstance(value, str) and str(value) in {"nan", "<NA>", "NaT"})


def short(value: object, most: int = 32) -> str:
    """One line of at most `most` characters, the rest cut with …; whole numbers without `.0`."""
    if isinstance(value, tuple):
        text = " · ".join(short(v, most) for v in value)
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def drawn(value: object, most: int = 32) -> str:
    """The same for a figure: a letter that no font here has becomes □, without a warning a letter."""
    return "".join(c if ord(c) in _letters() else "□" for c in short(value, most))


@functools.cache
def _letters() -> frozenset[int]:
    from matplotlib import font_manager

    paths = (font_manager.findfont(name, fallback_to_default=False) for name in _fonts())
    return frozenset().union(*(font_manager.get_font(path).get_charmap() for path in paths))


def plain(*texts: Any) -> None:
    """Dollars in these matplotlib texts are dollars, not formulas."""
    for text in texts:
        text.set_parse_math(False)


def number(value: float) -> str:
    """Three significant digits, as a person would write them; – for missing.

    No exponent from 0.0001 to a million.
    """
    if value != value:
        return "–"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.2g}".replace("-", "−")
    if abs(value) >= 100:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.3g}"
    return text.replace("-", "−")


def as_html(sentence: str, table: pd.DataFrame, notes: tuple[str, ...] = ()) -> str:
    """A result as plain HTML: its sentence, its notes, its table's first 40 rows.

    No style sheet and no script: the notebook's sanitiser would take them out.
    """
    told = "".join(f"<div>Note: {html.escape(note)}</div>" for note in notes)
    flat = table.reset_index() if table.index.names != [None] else table
    head = "".join(f"<th style='text-align:left'>{html.escape(short(name))}</th>" for name in flat.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(_cell(v))}</td>" for v in row) + "</tr>"
        for row in flat.head(_SHOWN_ROWS).itertuples(index=False, name=None)
    )
    more = f"<div>… and {len(flat) - _SHOWN_ROWS} more rows: .table</div>" if len(flat) > _SHOWN_ROWS else ""
    # JupyterLab would typeset whatever stands between two dollar signs.
    return (
        f"<div class='tex2jax_ignore mathjax_ignore'><b>{html.escape(sentence)}</b>{told}"
        f"<table><tr>{head}</tr>{rows}</table>{more}</div>"
    )


def as_text(sentence: str, table: pd.DataFrame, notes: tuple[str, ...] = ()) -> str:
    """A result for a terminal: its sentence, its notes, its table."""
    flat = table.reset_index() if table.index.names != [None] else table
    shown = flat.head(_SHOWN_ROWS).map(_cell)
    told = "".join(f"\nNote: {note}" for note in notes)
    return f"{sentence}{told}\n{shown.to_string(index=False)}"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if missing(value):
        return "–"
    if isinstance(value, float):
        return number(float(value))
    return short(value)
