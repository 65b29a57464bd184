"""The same layout as a table of text, for a terminal: what each clip is, and where its file lies."""

from __future__ import annotations

import os
import sys

from seedance_lab.view.layout import Entry, Layout, label


def table(layout: Layout, *, width: int | None = None) -> str:
    """One line a request, with what varies, what it took, and the file or why there is none.

    Args:
        layout: From `layout.arrange`.
        width: Columns; the terminal's by default.
    """
    # rich is for terminals only; a notebook that shows clips need not load it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = [*layout.rows.names, *layout.cols.names, *layout.rest]
    names = [name for name in names if name != "file"]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        drawn.add_column(name, no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("latency_s", "cost_usd"):
        drawn.add_column(name, no_wrap=True, justify="right")
    drawn.add_column("file", overflow="fold")
    for entry in layout.entries:
        cells = [label(name, entry.settings.get(name)) for name in names]
        drawn.add_row(*(Text(cell) for cell in (*cells, *_facts(entry))))
    # A file path that is folded cannot be copied, so what is not a screen gets room.
    console = Console(width=width or (None if sys.stdout.isatty() else 200))
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip("\n")


def _facts(entry: Entry) -> tuple[str, str, str]:
    if entry.clip is None:
        return "", "", f"{entry.stage}: {entry.why}".removesuffix(": ")
    path, record = os.path.relpath(entry.clip.path), entry.clip.record
    if path.startswith(".."):
        path = str(entry.clip.path)
    if not entry.clip.path.exists():
        path = f"missing: {path}"
    if record is None:
        return "", "", path
    latency = "" if record.latency_s is None else f"{record.latency_s:.1f}"
    return latency, "unknown" if record.cost_usd is None else f"{record.cost_usd:.2f}", path
