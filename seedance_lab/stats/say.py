"""Numbers and tables as people write them: as many digits as the interval carries, the unit beside them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence


def decimals(half_width: float, value: float = 0.0) -> int:
    """Places after the point that keep two digits of half an interval's width.

    Where the interval has no width, as with prices: three digits of the value, but at least 2 places.
    """
    if math.isfinite(half_width) and half_width > 1e-9 * abs(value) and half_width > 0:
        return min(9, max(0, 1 - math.floor(math.log10(half_width))))
    if not math.isfinite(value) or value == 0:
        return 2
    return min(9, max(2, 2 - math.floor(math.log10(abs(value)))))


def number(value: float, places: int, *, signed: bool = False) -> str:
    """`12.3`, `−0.40`; with `signed` also `+12.3`. A missing value is `–`."""
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):,.{places}f}"
    negative = value < 0 and float(text.replace(",", "")) > 0
    return ("−" if negative else "+" if signed else "") + text


def quantity(value: float, places: int, unit: str, *, signed: bool = False) -> str:
    """A number with its unit: `12.3 s`, `$0.24`."""
    text = number(value, places, signed=signed)
    if unit == "USD":
        head = text[0] if text[0] in "−+" else ""
        return f"{head}${text[len(head) :]}"
    return f"{text} {unit}" if unit else text


def span(
    low: float, high: float, places: int, unit: str, *, signed: bool = False, between: bool = False
) -> str:
    """Two numbers with one unit: `10.1 to 14.5 s`; with `between`, `10.1 and 14.5 s`."""
    first = quantity(low, places, "USD" if unit == "USD" else "", signed=signed)
    return f"{first} {'and' if between else 'to'} {quantity(high, places, unit, signed=signed)}"


def percent(share: float) -> str:
    """A share as `62 %`; `under 1 %` for what is small, `–` for what is missing."""
    if not math.isfinite(share):
        return "–"
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def p_value(p: float) -> str:
    """`0.032`, `< 0.001`; `–` for a missing one."""
    return "–" if not math.isfinite(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def block(
    sentence: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[str] = ()
) -> str:
    """A sentence over a small table over its notes, in HTML that the notebook's sanitiser leaves alone."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    said = "".join(f"<div>Note: {html.escape(note)}</div>" for note in notes)
    # JupyterLab would typeset whatever stands between two dollar signs.
    return (
        f"<div class='tex2jax_ignore mathjax_ignore'><b>{html.escape(sentence)}</b>"
        f"<table><tr>{top}</tr>{body}</table>{said}</div>"
    )


def text(sentence: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """The same for a terminal."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([sentence, *(f"  {line}" for line in lines), *(f"  note: {note}" for note in notes)])


def sweep_line(axes: Mapping[str, Sequence[object]], seeds: int = 4) -> str:
    """What to type next: a full crossing of these values over some seeds.

    Args:
        axes: The values to cross, by setting; up to 6 of each are written out.
        seeds: How many seeds; 0 leaves them to the reader.
    """
    parts = []
    for name, values in axes.items():
        shown = ", ".join(repr(v) for v in values[:6]) + (", …" if len(values) > 6 else "")
        parts.append(f"{name}=[{shown}]")
    return f"lab.sweep(…, {', '.join([*parts, *([f'seed=range({seeds})'] if seeds else [])])})"
