"""Frames are read on a thread of their own, a few ahead: the decoder works on while others are looked at."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

from seedance_lab.measuring.decode import Frame

WAITING = 16
"""Frames that wait at most; at 1080p each is 3 MB."""


@contextlib.contextmanager
def read_ahead(frames: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    """The same frames in the same order; what reading them raises is raised where they are taken.

    The thread has ended when the block is left, however much was taken.
    """
    told: queue.SimpleQueue[Frame | BaseException | None] = queue.SimpleQueue()
    room, over = threading.Semaphore(WAITING), threading.Event()

    def work() -> None:
        try:
            while room.acquire() and not over.is_set():
                told.put(frame := next(frames, None))
                if frame is None:
                    return
        except BaseException as error:  # noqa: BLE001  # raised again where the frames are taken
            told.put(error)

    def taken() -> Iterator[Frame]:
        while (one := told.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            room.release()
            yield one

    thread = threading.Thread(target=work, name="seedance_lab reading", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        over.set()
        room.release()
        thread.join()
