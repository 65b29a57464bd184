"""Ctrl-C, counted instead of thrown: one that is thrown can be lost, and the paid sweep would go on.

Python throws `KeyboardInterrupt` at whatever the main thread is at. If that is a finalizer or the callback of a weak
reference, which the garbage collector calls at any time, it is printed as ignored and nobody hears of it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupts:
    """How often Ctrl-C was pressed, and how often that was heard of."""

    def __init__(self) -> None:
        self._n_pressed = self._n_heard = 0

    def press(self, *_: object) -> None:
        """One more; takes what a signal's handler is given."""
        self._n_pressed += 1

    def check(self) -> None:
        """Throw the next one that nobody has heard of, here.

        Raises:
            KeyboardInterrupt: It was pressed.
        """
        if self._n_heard < self._n_pressed:
            self._n_heard += 1
            raise KeyboardInterrupt


@contextlib.contextmanager
def counted() -> Iterator[Interrupts]:
    """Count interrupts until the end of the block; where the program has a handler of its own, that one decides."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.press)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
