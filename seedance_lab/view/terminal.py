"""The same view as a table of text, for a terminal: what each clip is, and where its file lies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from seedance_lab.pages import Snapshot, words
from seedance_lab.pages.places import arrange

_FACTS = ("latency_s", "cost_usd")


def table(snapshot: Snapshot, where: Callable[[str], str], *, width: int | None = None) -> str:
    """One line a cell, with what varies, what it took, and the file or why there is none; above them what is the same.

    Args:
        snapshot: What is shown, and in which view.
        where: From a cell's id to its file or address.
        width: Columns; the terminal's by default.
    """
    # rich is for terminals only; a notebook that shows clips need not load it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    places = arrange(snapshot)
    names = [*places.pages.names, *places.rows.names, *places.cols.names, *places.rest]
    names = [name for name in names if name != "file"]
    facts = [name for name in _FACTS if any(name in cell["values"] for cell in places.cells)]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        drawn.add_column(name, no_wrap=True, overflow="ellipsis", max_width=40)
    for name in facts:
        drawn.add_column(name, no_wrap=True, justify="right")
    drawn.add_column("file", overflow="fold")
    for cell in places.cells:
        said = [places.label(name, cell["settings"].get(name)) for name in names]
        said += [_number(name, cell) for name in facts]
        drawn.add_row(*(Text(word) for word in (*said, _file(cell, where))))
    title = f"{snapshot['title']}: " if snapshot.get("title") else ""
    same = ", ".join(" ".join(filter(None, pair)) for pair in words.same(places))
    lines = [f"{title}{words.counts(places)}", same, (snapshot.get("live") or {}).get("line", "")]
    # A file path that is folded cannot be copied, so what is not a screen gets room.
    console = Console(width=width or (None if sys.stdout.isatty() else 200))
    with console.capture() as captured:
        for line in filter(None, lines):
            console.print(Text(line))
        console.print(drawn)
    return captured.get().rstrip("\n")


def _number(name: str, cell: Mapping[str, Any]) -> str:
    value = cell["values"].get(name)
    if cell["state"] != "saved":
        return ""
    if value is None:
        return "unknown" if name == "cost_usd" else ""
    return f"{value:.2f}" if name == "cost_usd" else f"{value:.1f}"


def _file(cell: Mapping[str, Any], where: Callable[[str], str]) -> str:
    if cell["state"] != "saved":
        return f"{cell['state']}: {cell['why']}".removesuffix(": ")
    path = where(cell["id"])
    if "://" in path:
        return path
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
