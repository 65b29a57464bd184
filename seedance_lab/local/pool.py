"""Worker processes that render, kept apart so that a crash in a codec costs one process and no request.

A worker reads one JSON job a line and answers in JSON lines (`worker`). It ends when its standard input
closes, which the operating system does for us when this process is killed. Workers get a session of their
own: a notebook's interrupt goes to the whole process group, and must not stop a video that is being made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from seedance_lab.errors import EngineError
from seedance_lab.local.renderer import Job, Rendered, RenderError

_ATTEMPTS = 2
_SILENCE_S = 300.0
_LOG_BYTES = 1_000_000
_END_S = 5.0


class _DeadWorkerError(Exception):
    """The process ended, or said something that is not the protocol."""


class WorkerPool:
    """Renders in up to `workers` processes, started when they are first needed.

    Args:
        workers: Default: one for each processor.
        log: Gets the workers' standard error; discarded without it.
        command: What to start; replaced in tests.
        silence_s: A worker that says nothing for so long is taken for dead.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        log: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "seedance_lab.local.worker"),
        silence_s: float = _SILENCE_S,
    ) -> None:
        n_workers = workers if workers is not None else os.cpu_count() or 1
        if n_workers < 1:
            raise EngineError(f"workers={workers} must be at least 1. Nothing was sent.")
        self._command = tuple(command)
        self._log = log
        self._silence_s = silence_s
        self._room = asyncio.Semaphore(n_workers)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._closed = False

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        """Render in the next free worker; a job whose worker dies is tried once more.

        Raises:
            RenderError: The worker refused the job, or died of it twice.
        """
        async with self._room:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return await self._attempt(job, on_progress)
                except _DeadWorkerError as error:
                    if attempt == _ATTEMPTS:
                        raise RenderError(f"the worker died {_ATTEMPTS} times: {error}") from error
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Kill every worker."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(self._end(process) for process in tuple(self._all)))

    async def _attempt(self, job: Job, on_progress: Callable[[float], None]) -> Rendered:
        process = await self._worker()
        try:
            rendered = await self._converse(process, job, on_progress)
        except RenderError:
            self._idle.append(process)
            raise
        except BaseException:
            # Dead, or (when cancelled) busy with a job that nobody wants: the next one gets a fresh process.
            await self._end(process)
            raise
        self._idle.append(process)
        return rendered

    async def _worker(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            await self._end(process)
        if self._closed:
            raise RenderError("the pool is closed")
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_log_file(self._log)) if self._log else asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=surroundings(),
                start_new_session=True,
            )
        self._all.add(process)
        return process

    async def _converse(
        self, process: asyncio.subprocess.Process, job: Job, on_progress: Callable[[float], None]
    ) -> Rendered:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(_line(job))
            await process.stdin.drain()
            while True:
                line = await asyncio.wait_for(process.stdout.readline(), self._silence_s)
                if not line:
                    raise _DeadWorkerError("its output ended")
                said = _message(line)
                if said.get("id") != job.id:
                    raise _DeadWorkerError(f"an answer to another job: {line[:200]!r}")
                if "done" in said:
                    return _rendered(said["done"])
                if "error" in said:
                    picture = said.get("kind") == "image_load_error"
                    raise RenderError(str(said["error"]), "image_load_error" if picture else "internal")
                if isinstance(progress := said.get("progress"), (int, float)):
                    on_progress(float(progress))
        except (ConnectionError, TimeoutError, ValueError) as error:
            # ValueError: a line longer than the reader's buffer.
            raise _DeadWorkerError(f"{type(error).__name__}: {error}") from error

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Kill a worker and see its pipes closed, so that no transport outlives the event loop."""
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError, ConnectionError, ValueError):
            async with asyncio.timeout(_END_S):
                await process.stdout.read()
                await process.wait()
                await process.stdin.wait_closed()
        # Last: if this is itself cut short, closing the pool does it again.
        self._all.discard(process)


def _line(job: Job) -> bytes:
    fields: dict[str, Any] = job._asdict()
    for name in ("out", "image", "end_image"):
        fields[name] = None if fields[name] is None else str(fields[name])
    return json.dumps(fields).encode() + b"\n"


def _message(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise _DeadWorkerError(f"not JSON: {line[:200]!r}") from error
    if not isinstance(said, dict):
        raise _DeadWorkerError(f"not an object: {line[:200]!r}")
    return said


def _rendered(done: Any) -> Rendered:
    try:
        return Rendered(int(done["frames"]), int(done["size_bytes"]), float(done["seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _DeadWorkerError(f"an incomplete answer: {done!r}") from error


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[BinaryIO]:
    """The log, opened to append; begun anew once it is long."""
    long = path.exists() and path.stat().st_size > _LOG_BYTES
    with path.open("wb" if long else "ab") as file:
        yield file


def surroundings() -> dict[str, str]:
    """A child's environment: ours, and the place of this package when it is used without being installed."""
    environment = dict(os.environ)
    root = Path(__file__).parents[2]
    if root.name not in {"site-packages", "dist-packages"}:
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [environment.get("PYTHONPATH", ""), str(root)])
        )
    return environment
