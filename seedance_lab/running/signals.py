"""What a person may say to a pass under way: stop, pause, resume, cancel, leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Left(Exception):  # no error: a way out, caught in this package
    """The pass is to end now; what is at the service is in the journal and is fetched by the next one."""


class Signals:
    """The state of a pass's control; use it on the pass's loop.

    Args:
        told: Called at every change.

    Attributes:
        stopping: Nothing new begins; what is at the service is waited for.
        paused: Nothing new begins until `resume`.
        cancelling: The service is asked to take back what it has.
        leaving: Nothing is waited for.
        why: What stopped it, where it was not a person; None otherwise.
    """

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self._told = told
        self.why: str | None = None
        self.stopping = self.paused = self.cancelling = self.leaving = False
        self._changed = asyncio.Event()

    def stop(self, why: str | None = None) -> None:
        """Begin nothing new, ever."""
        self.why = self.why or why
        self._set(stopping=True, paused=False)

    def pause(self) -> None:
        """Begin nothing new for now."""
        if not self.stopping:
            self._set(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self._set(paused=False)

    def cancel(self) -> None:
        """Stop, and have the service asked to take back what it has."""
        self._set(stopping=True, paused=False, cancelling=True)

    def leave(self) -> None:
        """Stop, and wait for nothing."""
        self._set(stopping=True, paused=False, leaving=True)

    def _set(self, **values: bool) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        # Everyone who waits wakes; who comes later waits for the next change.
        before, self._changed = self._changed, asyncio.Event()
        before.set()
        self._told()

    def changed(self) -> Coroutine[Any, Any, object]:
        """Until anything changes, from this call on, whenever it is awaited."""
        return self._changed.wait()

    async def nap(self, seconds: float) -> None:
        """Sleep, but wake for any change.

        Raises:
            Left: The pass is to end.
        """
        if not self.leaving:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        if self.leaving:
            raise Left

    async def rest(self, seconds: float = 0.0) -> None:
        """Sleep before something new begins: longer while paused, and no longer once nothing new may begin.

        Raises:
            Left: The pass is to end.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self.stopping and ((left := until - loop.time()) > 0 or self.paused):
            if left > 0:
                await self.nap(left)
            else:
                await self.changed()
        if self.leaving:
            raise Left

    async def unless_left(self, work: Awaitable[T]) -> T:
        """What the work returns; it is given up when the pass is to end.

        Raises:
            Left: The pass is to end.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                if self.leaving:
                    raise Left
                change = asyncio.ensure_future(self.changed())
                await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self.leaving and task.cancelled():
            raise Left
        return task.result()

    async def sleep(self, seconds: float) -> None:
        """Sleep through everything but a cancellation that came meanwhile.

        Raises:
            Left: The pass is to end.
        """
        loop = asyncio.get_running_loop()
        until, cancelling = loop.time() + seconds, self.cancelling
        while (left := until - loop.time()) > 0 and cancelling == self.cancelling:
            await self.nap(left)
