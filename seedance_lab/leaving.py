"""What is under way when the process ends is left: nothing more is sent, and only answers on their way are waited for.

They are still written down. What a sudden death leaves behind is settled by the next run; this saves it the settling.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # what is registered last is called first, and it ends all pools
import contextlib
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

LEAVING_S = 5.0
"""Longest wait for the answers that are on their way when the process ends."""


class Leavable(Protocol):
    """A run, as far as this module is concerned."""

    @property
    def done(self) -> bool:
        """Whether it is over."""

    def leave(self) -> None:
        """Stop, and wait for nothing."""

    def wait(self, timeout_s: float | None = None, /) -> bool:
        """Wait until it is over; False when the time ran out first."""


_begun: weakref.WeakSet[Leavable] = weakref.WeakSet()


def begun(run: Leavable) -> None:
    """Have this one left when the process ends."""
    _begun.add(run)


def under_way() -> list[Leavable]:
    """The runs of this process that are not over."""
    return [run for run in list(_begun) if not run.done]


def leave_all() -> None:
    """Leave every run that is under way: a script that ends, or a kernel that closes, does not wait for clips."""
    left = under_way()
    for run in left:
        run.leave()
    deadline = time.monotonic() + LEAVING_S
    for run in left:
        run.wait(max(0.0, deadline - time.monotonic()))


# Where Python has it: at `atexit` its thread pools are gone, and the pass needs them to bring its lines to the disk.
getattr(threading, "_register_atexit", atexit.register)(leave_all)


@contextlib.contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Leave the runs before SIGTERM ends the process; a handler of the program's own is left alone."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def end(number: int, _: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        leave_all()
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
