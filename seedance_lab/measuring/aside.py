"""A collector on a thread of its own: the decoder and the other measures go on meanwhile, on another core."""

from __future__ import annotations

import queue
import threading

from seedance_lab.measuring.decode import Frame
from seedance_lab.measuring.parts import Collector
from seedance_lab.measuring.spec import Found

_WAITING = 32
"""Frames that wait at most; each is only its reduced luma."""


class Aside:
    """Gives reduced frames to a collector that needs no more, in their order.

    Args:
        collector: It may use `Frame.small`, `index` and `time`.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._frames: queue.Queue[Frame | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="seedance_lab aside", daemon=True)
        self._thread.start()

    def see(self, frame: Frame) -> None:
        """One more frame; waits where the collector is far behind.

        Raises:
            Exception: What the collector raised on an earlier one.
        """
        if self._error is not None:
            raise self._error
        self._frames.put(frame.reduced())

    def found(self) -> Found:
        """What the collector found, once it has seen everything.

        Raises:
            Exception: What the collector raised.
        """
        self.close()
        if self._error is not None:
            raise self._error
        return self._collector.found()

    def close(self) -> None:
        """End the thread; what waits is still seen."""
        if self._thread.is_alive():
            self._frames.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (frame := self._frames.get()) is not None:
            if self._error is None:
                try:
                    self._collector.see(frame)
                except BaseException as error:  # noqa: BLE001  # raised again where the frames come from
                    self._error = error
