"""One loop, one thread, whoever calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seedance_lab import portal

REPO = Path(__file__).parent.parent


async def where() -> str:
    return threading.current_thread().name


async def wrong() -> None:
    raise KeyError("told")


async def loop_of() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_call_waits_for_the_result_from_the_portals_thread() -> None:
    assert portal.call(where()) == "seedance-lab"


def test_start_returns_a_future_before_the_work_is_done() -> None:
    gate = threading.Event()

    async def work() -> int:
        await asyncio.to_thread(gate.wait)
        return 3

    future = portal.start(work())
    assert not future.done()
    gate.set()
    assert future.result(10) == 3


def test_an_error_of_the_work_reaches_the_caller() -> None:
    with pytest.raises(KeyError, match="told"):
        portal.call(wrong())


def test_an_error_does_not_end_the_loop() -> None:
    with pytest.raises(KeyError):
        portal.call(wrong())
    assert portal.call(where()) == "seedance-lab"


def test_call_from_its_own_thread_is_refused_instead_of_waiting_for_ever() -> None:
    async def inside() -> str:
        return portal.call(where())

    with pytest.raises(RuntimeError, match="own thread"):
        portal.start(inside()).result(10)


def test_call_works_while_the_callers_own_loop_runs() -> None:
    """A notebook's cell runs inside such a loop."""

    async def cell() -> str:
        return portal.call(where())

    assert asyncio.run(cell()) == "seedance-lab"


def test_a_started_work_can_be_awaited_on_another_loop() -> None:
    async def cell() -> str:
        return await asyncio.wrap_future(portal.start(where()))

    assert asyncio.run(cell()) == "seedance-lab"


def test_threads_that_come_first_together_get_one_loop() -> None:
    gate = threading.Barrier(8)

    def first() -> asyncio.AbstractEventLoop:
        gate.wait()
        return portal.call(loop_of())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loops = {future.result(10) for future in [pool.submit(first) for _ in range(8)]}
    assert loops == {portal.loop()}


def test_cancelling_the_future_cancels_the_work() -> None:
    cancelled = threading.Event()
    running = threading.Event()

    async def work() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    future = portal.start(work())
    assert running.wait(10)
    future.cancel()
    assert cancelled.wait(10)


def test_a_closed_loop_is_replaced() -> None:
    old = portal.loop()
    old.call_soon_threadsafe(old.stop)
    for thread in threading.enumerate():
        if thread.name == "seedance-lab":
            thread.join(10)
    old.close()
    assert portal.call(where()) == "seedance-lab"


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    """The thread is not in the child, so its loop would never turn there."""
    script = """
import os, sys
from seedance_lab import portal
async def one(): return 1
portal.call(one())
parents = portal.loop()
pid = os.fork()
if pid == 0:
    future = portal.start(one())
    os._exit(0 if future.result(10) == 1 and portal.loop() is not parents else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=REPO, timeout=30, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
