"""`show`: a grid of clips in a notebook, a table of them in a terminal."""

from __future__ import annotations

from typing import Any

from seedance_lab.pages.sheet import Embed
from seedance_lab.view.grid import Asked, Grid


def show(
    what: Any,
    *,
    rows: Asked = None,
    cols: Asked = None,
    pages: Asked = (),
    embed: Embed = "poster",
) -> Grid:
    """Show clips: in a notebook as a grid of videos on one clock, in a terminal as a table of files.

    While a run goes on, in this kernel or elsewhere, the grid fills by itself. Below it, hidden as long as it lives,
    is a plain sheet with the pictures, which is what a saved notebook shows without a kernel. A request without a clip
    has a cell that says why.

    Args:
        what: A study, a run, a clip, the path of an MP4 or of a folder of them, a frame of runs (from `lab.runs`,
            `study.frame` or any MLflow), or a list of these.
        rows: Settings that run down, by the API's names, one or several: `rows="seed"`.
        cols: Settings that run across: `cols=("resolution", "duration")`. What is left out is chosen from
            what varies. Clips that fall into one cell are stacked, with what tells them apart below.
        pages: Settings of which one combination is seen at a time.
        embed: What of each clip goes into the notebook's file: `poster` (a picture, 300 kB for all of them together),
            `proxy` (also a small copy that plays, about 70 kB each), `full` (the file), `relative` (also a link to the
            file from where the notebook lies) or `remote` (also a link to the service's copy).

    Returns:
        The grid, shown already: lay it out anew with `grid.assign`, `hide`, `filter`, `sort` and `compare`, keep it
        with `grid.save("grid.html")`.

    Raises:
        LabError: No such setting, or something that cannot be shown.
    """
    grid = Grid.of(what, rows=rows, cols=cols, pages=pages, embed=embed)
    grid.show()
    return grid
