"""Deletes, now and then, what is no longer to be had: expired files, and outputs that belong to no history.

Nothing depends on when: what has expired is not handed out, deleted or not.
"""

from __future__ import annotations

import asyncio
import logging

from seedance_lab.local.disk import Disk
from seedance_lab.local.latency import Clock
from seedance_lab.local.store import Store

log = logging.getLogger(__name__)

_EVERY_S = 30.0


class Tidy:
    """Does it every half minute of the service's clock.

    Args:
        store: Has the outputs.
        disk: Has the files.
        clock: A movable one.
        retention_s: How long a result can be had after its end; None for ever.
    """

    def __init__(self, store: Store, disk: Disk, clock: Clock, *, retention_s: float | None) -> None:
        self._store = store
        self._disk = disk
        self._clock = clock
        self._retention_s = retention_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, and go on until it is closed."""
        self._tidy()
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _go_on(self) -> None:
        while True:
            await self._clock.until(self._clock() + _EVERY_S)
            try:
                self._tidy()
            except Exception:  # a database that is locked for a moment is no reason never to do it again
                log.exception("tidying up")

    def _tidy(self) -> None:
        self._disk.tidy()
        if self._retention_s is not None:
            self._store.forget_outputs(self._clock() - self._retention_s)
