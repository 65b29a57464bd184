"""Keeps a grid up to date: often while something is under way and somebody looks, else hardly ever.

One thread a grid. It asks the source for its stamp, which is a look at a few files' times, and reads only when that is
another one. It takes a tenth of the time of whatever it does at most, so that a large study that is read again and
again leaves the run that fills it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from seedance_lab.errors import LabError
from seedance_lab.view.cells import GridModel

QUICK_S = 0.25
"""Between two looks while something is under way."""
IDLE_S = 2.0
"""Between two looks at something that may begin."""
UNSEEN_S = 30.0
"""Between two looks where nobody would see what has changed."""
GONE_S = 10.0
"""A page that is seen tells so every 2 s; after this long without a word nobody is looking."""
SHEET_S = 5.0
"""Least time between two plain sheets while something is under way."""
COMING_UP_S = 6.0
"""What the first sheet waits for a page that comes up: until it says that all is drawn, or for so long."""
UNHEARD_S = 2.0
"""The same where no page has said anything: there may be none, or the kernel cannot hear it."""

_TWO_BEATS_S = 4.5
"""Of the page's heart, and a little."""
_SHARE = 10
"""A look that takes a second is followed by ten without one."""
_LOG = logging.getLogger(__name__)


class Ear:
    """Whether somebody looks, by the page's heartbeat.

    A kernel that runs a cell may hear nothing meanwhile, so just that time counts in which it could have heard.

    Attributes:
        is_deaf: Whether the kernel heard nothing between the last two looks.
    """

    def __init__(self) -> None:
        self.is_deaf = False
        self._silent_s = 0.0
        self._asked_s = time.monotonic()
        self._heard_s = float("-inf")
        self._has_answered = True
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # no kernel
            self._loop = None

    def heard(self) -> None:
        """The page has said that it is seen."""
        self._silent_s = 0.0
        self._heard_s = time.monotonic()

    def is_watched(self) -> bool:
        """Whether somebody looks, as far as can be known; it asks the kernel whether it could have heard."""
        now = time.monotonic()
        # A kernel that runs a cell and hears messages aside is not deaf.
        self.is_deaf = not self._has_answered and now - self._heard_s > _TWO_BEATS_S
        if self._has_answered:
            self._silent_s += now - self._asked_s
        self._asked_s = now
        if self._loop is not None and not self._loop.is_closed():
            self._has_answered = False
            with contextlib.suppress(RuntimeError):  # it was closed just now
                self._loop.call_soon_threadsafe(self._answer)  # when the kernel's own loop goes on
        return self._silent_s < GONE_S

    def _answer(self) -> None:
        self._has_answered = True


class Watcher:
    """Looks at a model's source, and has the plain sheet drawn again when it is another one.

    Args:
        model: What is looked at.
        redraw: Draws the sheet; None where there is none.
        deaf: Called now and then while the kernel hears nothing, so that the page is told unasked.
        until_quiet: Ends when nothing is under way any more: nobody can look later.
    """

    def __init__(
        self,
        model: GridModel,
        *,
        redraw: Callable[[], None] | None = None,
        deaf: Callable[[], None] | None = None,
        until_quiet: bool = False,
    ) -> None:
        self._model = model
        self._redraw = redraw
        self._deaf = deaf
        self._until_quiet = until_quiet
        self._ear = Ear()
        self._over = threading.Event()
        self._wake = threading.Event()
        self._is_stale = False
        self._waits_from_s: float | None = None
        self._was_heard = False
        self._drawn_s = time.monotonic()
        self._resting_s = 0.0
        model.on_change(self._changed)
        self._thread = threading.Thread(target=self._watch, name="seedance-lab grid", daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """The page has said that it is seen."""
        self._was_heard = True
        self._ear.heard()
        self._wake.set()

    def wait_for_page(self) -> None:
        """Have the sheet drawn when a page that was shown the view now has come up."""
        self._waits_from_s, self._was_heard = time.monotonic(), False
        self.redraw()

    def came_up(self) -> None:
        """The page has said that all it shows is drawn."""
        self._waits_from_s = None
        self._wake.set()

    def close(self) -> None:
        """Look no more."""
        self._model.off_change(self._changed)
        self._over.set()
        self._wake.set()

    @property
    def is_over(self) -> bool:
        """Whether it looks no more."""
        return not self._thread.is_alive()

    def redraw(self) -> None:
        """Have the sheet drawn anew, soon."""
        self._changed()

    def _changed(self, **_: object) -> None:
        self._is_stale = self._redraw is not None
        if threading.current_thread() is not self._thread:
            self._wake.set()

    def _watch(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            began = time.monotonic()
            is_watched = self._until_quiet or self._ear.is_watched()
            is_deaf = self._ear.is_deaf
            self._look(is_watched=is_watched, is_deaf=is_deaf)
            is_live = self._model.is_live
            if self._until_quiet and not (is_live or self._is_stale):
                return
            rest_s = max(QUICK_S, _SHARE * (time.monotonic() - began))
            # Whatever wakes it, it wakes no more often than this.
            if self._over.wait(rest_s):
                return
            whole_s = UNSEEN_S if not is_watched else QUICK_S if is_live or self._is_stale else IDLE_S
            self._wake.wait(max(0.0, whole_s - rest_s))

    def _look(self, *, is_watched: bool, is_deaf: bool) -> None:
        try:
            self._model.refresh()
            if self._deaf is not None and is_watched and is_deaf:
                self._deaf()
            # The first sheet in which nothing runs any more is the one that is kept: it does not wait.
            least_s = 0.0 if not self._model.is_live else SHEET_S if is_watched else UNSEEN_S
            since_s = time.monotonic() - self._drawn_s
            if self._redraw and self._is_coming_up():
                return
            if self._redraw and self._is_stale and since_s >= max(least_s, self._resting_s):
                self._draw(self._redraw)
        except (LabError, OSError) as error:
            self._model.complain(str(error))
        except Exception:  # noqa: BLE001  # a fault of ours, which must not end the thread
            _LOG.exception("the grid could not be brought up to date")
            self._over.wait(UNSEEN_S)

    def _is_coming_up(self) -> bool:
        if self._waits_from_s is None:
            return False
        most_s = COMING_UP_S if self._was_heard else UNHEARD_S
        return time.monotonic() - self._waits_from_s < most_s

    def _draw(self, redraw: Callable[[], None]) -> None:
        began = time.monotonic()
        self._is_stale, self._waits_from_s = False, None
        redraw()
        self._drawn_s = time.monotonic()
        self._resting_s = _SHARE * (self._drawn_s - began)
