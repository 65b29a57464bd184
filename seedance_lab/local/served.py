"""A served engine in a process of its own: to be started, killed and started again.

    from seedance_lab.local.served import Served

    with Served(folder, "--stub") as engine:
        httpx.get(engine.url)
        engine.kill()  # as `kill -9` would, at whatever moment
        engine.restart()  # the same folder, the same URL

For tests of whatever speaks fal's protocol, and for benchmarks of the server. The engine is started as a command, so
nothing heavy is loaded here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from seedance_lab.errors import EngineError
from seedance_lab.local.pool import surroundings

COMMAND = (sys.executable, "-m", "seedance_lab.local.serve")
_START_S = 60.0
_STOP_S = 15.0
_TAIL = 2000


class Served:
    """An engine on a loopback port, and its process.

    Args:
        folder: The engine's folder; made when missing, left behind.
        options: Of `seedance-lab serve`, such as `--stub`, `--slots 1`, `--fault submit:drop-after@2`.
        port: 0 takes a free one at the first start; later starts take the same.
        command: What to start; replaced in tests of the engine itself.
        start_s: Seconds within which it must answer.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *options: str,
        port: int = 0,
        command: Sequence[str] = COMMAND,
        start_s: float = _START_S,
    ) -> None:
        self.folder = Path(folder)
        self.options = options
        self.port = port
        self._command = tuple(command)
        self._start_s = start_s
        self._url = ""
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None
        self._leaving: weakref.finalize[..., Served] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end. Stays the same over restarts.

        Raises:
            EngineError: It was never started.
        """
        if not self._url:
            raise EngineError(
                "The engine was not started. Nothing was sent. Call start(), or use it in a `with`."
            )
        return self._url

    @property
    def pid(self) -> int | None:
        """Its process, dead or alive; None before the first start."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What it has written to the terminal since its last start, besides its URL. Normally nothing."""
        if self._said is None:
            return ""
        self._said.seek(0)
        return self._said.read().removeprefix(f"{self._url}\n" if self._url else "")

    def start(self) -> Self:
        """Start it and wait until it answers; does nothing when it runs.

        Raises:
            EngineError: It ended instead, or did not answer in time; with the end of what it wrote.
        """
        if self.is_running:
            return self
        self._forget()
        said = self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # closed in _forget
        command = [*self._command, "--folder", str(self.folder), "--port", str(self.port), *self.options]
        process = subprocess.Popen(  # noqa: S603  # our own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=surroundings(),
            start_new_session=True,  # for a group of its own: an interrupt of ours is not its end
        )
        self._process = process
        self._leaving = weakref.finalize(
            self, _kill, process
        )  # also when the interpreter ends without a stop
        assert process.stdout is not None
        late = threading.Timer(self._start_s, process.kill)
        late.daemon = True
        late.start()
        try:
            line = process.stdout.readline().strip()
        finally:
            late.cancel()
            late.join()  # whoever forks next has no thread of ours
        if not line.startswith("http"):
            process.kill()
            rest, _ = process.communicate()
            told = f"{line}\n{rest}\n{self.output}".strip()[-_TAIL:] or "nothing"
            raise EngineError(
                f"The engine on {self.folder} did not start (exit code {process.returncode}). Nothing was sent. "
                f"It said: {told}"
            )
        self._url = line
        self.port = urllib.parse.urlsplit(line).port or self.port
        return self

    def kill(self) -> None:
        """End it as `kill -9` would, its workers included: it cannot tidy up. Nothing when it does not run."""
        if self._process is not None:
            _kill(self._process)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait until it has; one that does not is killed. Returns its exit code (-9: killed)."""
        if self._process is None:
            return 0
        if self.is_running:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        _kill(self._process)
        return self._process.returncode

    def restart(self) -> Self:
        """Start it again on the same folder and port, after a stop if it runs.

        Raises:
            EngineError: As of `start`.
        """
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()
        self._forget()

    def _forget(self) -> None:
        if self._leaving is not None:
            self._leaving()
            self._leaving = None
        if self._said is not None:
            self._said.close()
            self._said = None


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a server and its workers, which have groups of their own; then reap it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            # Held still first: it must not start a worker between the count and the kill.
            process.send_signal(signal.SIGSTOP)
            workers = _children(process.pid)
            os.killpg(process.pid, signal.SIGKILL)
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _children(pid: int) -> list[int]:
    listed = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if listed:
        return [int(child) for path in listed for child in path.read_text().split()]
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)  # noqa: S607  # wherever the system has it
    pairs = (line.split() for line in done.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]
