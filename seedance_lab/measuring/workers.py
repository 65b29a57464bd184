"""Processes that measure, behind the interface of `concurrent.futures`.

Not a `ProcessPoolExecutor`: a spawned one runs a user's unguarded script again in every worker, a forked one
copies the threads of FFmpeg and OpenCV, and one worker that a broken file takes down ends all of its work. Here a
dead worker costs the file that it was at. Workers have a session of their own, because a notebook's interrupt goes to
the whole process group; they end when this process does, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import IO, Any, NamedTuple, ParamSpec, TypeVar

from seedance_lab.errors import MeasureError
from seedance_lab.local.pool import surroundings
from seedance_lab.measuring import cores, worker

P = ParamSpec("P")
T = TypeVar("T")

_END_S = 2.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDied(MeasureError):
    """The process that was at it ended."""


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Workers(Executor):
    """Runs calls in processes of their own, started when they are first needed.

    Args:
        n: How many; one a core by default.
        niceness: What is added to their niceness; 19 leaves the processor to everybody else.
        threads: Cores that each may keep busy, and threads of OpenCV; by default the cores are shared out.

    Raises:
        MeasureError: `n` is less than 1.
    """

    def __init__(self, n: int | None = None, *, niceness: int = 0, threads: int | None = None) -> None:
        all_ = cores.n_cores()
        self.n = all_ if n is None else n
        if self.n < 1:
            raise MeasureError(f"{n} workers measure nothing: ask for at least 1.")
        own = str(threads or max(1, all_ // self.n))
        self._command = [sys.executable, "-m", worker.__name__, str(niceness), own]
        self._surroundings = {cores.SHARE: own}
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._n_waiting = 0
        self._closed = self._killed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have the next free worker call this.

        Args:
            fn: A function; one of a script or a notebook is sent whole. What it takes and gives must pickle.
            *args: Of it.
            **kwargs: Of it.

        Returns:
            Fails with `WorkerDied` when the process ends over it.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("These workers were shut down.")
            self._n_waiting += 1
            self._calls.put(_Call(future, fn, args, kwargs))
            if len(self._threads) < min(self.n, self._n_waiting):
                thread = threading.Thread(target=self._serve, name="seedance_lab measuring", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: Whether to return only when all are done.
            cancel_futures: Whether to drop the calls that were not begun, and to end the processes at once.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._calls.put(None)
            if cancel_futures:
                self._killed = True
                for process in self._processes:
                    process.kill()
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        """One worker's end here: a thread that waits for it."""
        process: subprocess.Popen[bytes] | None = None
        while (call := self._calls.get()) is not None:
            if self._killed:
                call.future.cancel()
            elif call.future.set_running_or_notify_cancel():
                process = self._do(call, process)
            with self._lock:
                self._n_waiting -= 1
            del call  # it holds what was asked and what came
        if process is not None:
            self._end(process)

    def _do(self, call: _Call, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes] | None:
        """One call; returns the worker, None when it is no more."""
        import cloudpickle  # type: ignore[import-untyped]  # here, because every run loads this module

        try:
            message = cloudpickle.dumps((call.function, call.args, call.kwargs))
            process = process or self._started()
        except Exception as error:  # noqa: BLE001  # it is the caller's
            call.future.set_exception(error)
            return process
        try:
            into, out = _ends(process)
            worker.write(into, message)
            is_well, value = worker.read(out)
        except (OSError, EOFError):
            self._end(process)
            said = "" if self._killed else f" (exit code {process.returncode})"
            call.future.set_exception(WorkerDied(f"The process that measured it died{said}."))
            return None
        except Exception as error:  # noqa: BLE001  # an answer that does not unpickle here
            call.future.set_exception(error)
            return process
        if is_well:
            call.future.set_result(value)
        else:
            call.future.set_exception(value)
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  # our own module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**dict.fromkeys(_ONE_THREAD, "1"), **surroundings(), **self._surroundings},
            start_new_session=True,
        )
        with self._lock:
            self._processes.add(process)
            if self._killed:
                process.kill()
        with contextlib.suppress(OSError):  # it died at once: the call will tell
            worker.write(_ends(process)[0], pickle.dumps([path or os.getcwd() for path in sys.path]))  # noqa: PTH109  # as text
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        into, out = _ends(process)
        with contextlib.suppress(OSError):
            into.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        out.close()
        with self._lock:
            self._processes.discard(process)


def _ends(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
