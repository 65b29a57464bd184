"""A page's messages are heard while a cell runs, where the kernel can do that.

ipykernel 7 takes them on a thread of their own, a subshell, as the front end asks it to. Since 7.4 it takes them rather
where the last word on that widget's connection was said, so that code which waits there for an answer gets it. Of a
widget that a cell made, that is the cell's own thread, which hears nothing before the cell ends: a stop would come
after the run. No view of ours waits for an answer, so theirs are taken where the front end asks. Other kernels have
one thread for both, and nothing is changed there.
"""

from __future__ import annotations

from typing import Any

_ROUTE = "_reply_subshell_for"
"""ipykernel's own, read in 7.4.0: (the message's data, where the front end wants it) → where it is taken."""


def heard_aside(widget: Any) -> Any:
    """The widget, whose messages are taken where the front end asks.

    Args:
        widget: Any of ipywidgets; one whose connection is closed or never was is left alone.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, _ROUTE):
        setattr(comm, _ROUTE, _as_asked)
    return widget


def all_heard_aside(box: Any) -> None:
    """The same for a box and everything in it."""
    heard_aside(box)
    for child in getattr(box, "children", ()):
        all_heard_aside(child)


def _as_asked(_: Any, asked: str | None) -> str | None:
    return asked
