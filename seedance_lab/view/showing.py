"""`show`: a grid of clips in a notebook, a table of them in a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, get_args

from seedance_lab.errors import LabError
from seedance_lab.frontend import frontend
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view.layout import arrange, entries_of
from seedance_lab.view.sheet import Embed, sheet
from seedance_lab.view.terminal import table


def show(
    what: Any,
    *,
    rows: str | Sequence[str] | None = None,
    cols: str | Sequence[str] | None = None,
    embed: Embed = "proxy",
    return_html: bool = False,
) -> str | None:
    """Show clips: in a notebook as a grid of videos, in a terminal as a table of files.

    The grid is plain HTML that plays from the saved notebook, without a kernel. A request without a clip has
    a cell that says why.

    Args:
        what: A study, a run, a clip, the path of an MP4, or a list of clips or paths.
        rows: Settings that run down, by the API's names, one or several: `rows="seed"`.
        cols: Settings that run across: `cols=("resolution", "duration")`. What is left out is chosen from
            what varies. Clips that fall into one cell are stacked, with what tells them apart below.
        embed: What of each clip goes into the notebook: `proxy` (320 px, about 70 kB each; pictures only
            above 40 clips), `poster` (a picture) or `full` (the file).
        return_html: Give back the HTML and show nothing.

    Returns:
        The HTML with `return_html=True`; else None.

    Raises:
        LabError: No such setting, or something that cannot be shown.
    """
    if embed not in get_args(Embed):
        raise LabError(f"embed={embed!r} is not known; it is one of {', '.join(get_args(Embed))}.")
    layout = arrange(entries_of(what), rows=rows, cols=cols)
    nothing = "" if layout.entries else _nothing(what)
    if return_html or frontend() != "text":
        drawn = f"<div>{html.escape(nothing)}</div>" if nothing else sheet(layout, embed=embed)
        if return_html:
            return drawn
        plain = nothing or f"{layout.n_clips} clips of {len(layout.entries)} requests"
        _display({"text/html": drawn, "text/plain": plain})
    else:
        print(nothing or table(layout))  # noqa: T201  # a terminal is where this goes
    return None


def _nothing(what: Any) -> str:
    if isinstance(what, Study):
        return (
            f"The study {what.folder} has no clips yet. Make some: "
            "study.run(lab.sweep(image=…, prompt=…, seed=range(3)))"
        )
    return "The run's plan is empty." if isinstance(what, Run) else "There are no clips in this list."


def _display(bundle: dict[str, str]) -> None:
    # Only a notebook comes here, and it has IPython loaded.
    from IPython.display import display

    display(bundle, raw=True)
