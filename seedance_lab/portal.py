"""One event loop in a daemon thread: the sync and the async door to the same core.

A notebook's own loop cannot be blocked on, and an async client must never be used from two loops (fal's
raises after the paid POST went out). So all of the core runs here, whoever calls.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_pid: int | None = None


def loop() -> asyncio.AbstractEventLoop:
    """The loop, started at first use; a forked child gets its own."""
    global _loop, _pid
    with _lock:
        if _loop is None or _loop.is_closed() or _pid != os.getpid():
            _loop, _pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_run, args=(_loop,), name="seedance-lab", daemon=True).start()
        return _loop


def _run(own: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(own)
    own.run_forever()


def start(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Schedule the coroutine on the loop and return at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on the loop and wait for its result; for short work only."""
    if threading.current_thread().name == "seedance-lab":
        coroutine.close()
        raise RuntimeError("portal.call() on the portal's own thread would wait for itself.")
    return start(coroutine).result()
