"""The plain sheet of a grid as an output of a notebook's cell, updated in place.

It stands below the living view, which hides it, and is all there is where nobody looks, so that a notebook's file
always has the pictures: reopened, converted, mailed, or executed by a program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

PATIENCE_S = 2.0
"""What a cell waits for the pictures; a sheet that takes longer is put in its place when it is there."""


class PlainSheet:
    """One output; nothing until it is shown. Shown again it is another one, and the one before stays as it is.

    Args:
        name: Of the output, unique in the kernel.
        draw: Makes the HTML.
        line: What stands in its place where no HTML is shown.
        early: What stands there until the first sheet is drawn.
    """

    def __init__(
        self, name: str, *, draw: Callable[[], str], line: Callable[[], str], early: Callable[[], str]
    ) -> None:
        self._name, self._n_shown = name, 0
        self._draw, self._line, self._early = draw, line, early
        self._drawing = threading.Lock()
        self._is_out = False
        self._is_held = False

    def hold(self) -> None:
        """Keep its place below the cell that runs, with nothing in it, until it is drawn by `redraw`.

        A page that draws a living view has no time to draw the sheet, too, which nobody sees meanwhile.
        """
        self.fill()
        self._n_shown += 1
        # Without HTML: at the first of a page JupyterLab loads what typesets formulas, even if it is empty.
        display({"text/plain": ""}, display_id=self._id)
        self._is_out = self._is_held = True

    def fill(self) -> None:
        """Draw it now if its place is kept and nothing is in it yet."""
        if self._is_held:
            self.redraw()

    def show(self, *, patience_s: float | None = PATIENCE_S) -> None:
        """Put it below the cell that runs.

        Args:
            patience_s: How long to wait for the pictures; None waits for all of them.
        """
        drawn: Future[str] = Future()
        # A daemon: a file that is fetched from afar must not keep a kernel from ending.
        threading.Thread(target=_fulfil, args=(drawn, self._draw), daemon=True).start()
        try:
            html = drawn.result(timeout=patience_s)
            is_late = False
        except TimeoutError:
            html, is_late = self._early(), True
        self._n_shown += 1
        display(self._bundle(html), display_id=self._id)
        self._is_out = True
        if is_late:
            drawn.add_done_callback(lambda _: self.redraw())

    def redraw(self) -> None:
        """Draw it anew, in its place."""
        if not self._is_out:
            return
        from IPython.display import update_display

        with self._drawing:  # the last one drawn is the last one sent
            self._is_held = False
            update_display(self._bundle(self._draw()), raw=True, display_id=self._id)

    @property
    def _id(self) -> str:
        return f"{self._name}-{self._n_shown}"

    def _bundle(self, html: str) -> dict[str, str]:
        return {"text/html": html, "text/plain": self._line()}


def display(data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, **options: Any) -> None:
    """Show a bundle below the cell that runs."""
    # Only a notebook comes here, and it has IPython loaded.
    import IPython.display

    IPython.display.display(dict(data), metadata=dict(metadata or {}), raw=True, **options)


def _fulfil(future: Future[str], work: Callable[[], str]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised again where the result is asked for
        future.set_exception(error)
