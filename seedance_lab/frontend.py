"""What is looking: a notebook that can run widgets, a notebook that nobody watches, or a terminal.

A notebook that is executed by nbclient, papermill or nbmake has a kernel and no browser: widgets there only
bloat the saved file and show nothing. The one sign of it is that the kernel was told not to ask for input.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Literal, cast, get_args

Frontend = Literal["widget", "static", "text"]

ENV = "SEEDANCE_LAB_UI"
"""Environment variable that overrides the choice: `widget`, `static` or `text`."""


def frontend() -> Frontend:
    """Where output goes.

    Returns:
        `widget`: a kernel with a live front end. `static`: a kernel without one; only plain HTML makes
        sense. `text`: no kernel. A value of `SEEDANCE_LAB_UI` that is none of these is ignored.
    """
    asked = os.environ.get(ENV, "").strip().lower()
    if asked in get_args(Frontend):
        return cast("Frontend", asked)
    kernel = getattr(shell(), "kernel", None)
    if kernel is None:
        return "text"
    # Private, but there is no other sign; a kernel without it is taken to be watched.
    return "widget" if getattr(kernel, "_allow_stdin", True) else "static"


def shell() -> Any:
    """IPython's shell, or None; IPython is not imported for the question."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def cell_number() -> int | None:
    """The number of the notebook's cell that runs; None where there is none."""
    count = getattr(shell(), "execution_count", None)
    return count if isinstance(count, int) else None
