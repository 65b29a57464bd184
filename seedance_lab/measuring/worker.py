"""A process that measures: one pickled call after another on stdin, its outcome on stdout.

    python -m seedance_lab.measuring.worker NICENESS THREADS

Each message is its length in 8 bytes, big-endian, and then a pickle. The first one in is the parent's `sys.path`;
the others are `(function, args, kwargs)`, answered by `(True, value)` or `(False, exception)`. It ends when stdin
does, which is how it learns that its parent is gone. Ctrl-C belongs to the parent.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import IO, Any

_LENGTH = 8
_GROUP_NICENESS = 10
"""A tenth of a core beside one other session that is busy. With 19 it is a 66th, and where other programs keep the
machine busy a run waited 30 s for the last measures of four clips."""


def read(stream: IO[bytes]) -> Any:
    """The next message.

    Raises:
        EOFError: There is none.
    """
    return pickle.loads(_exactly(stream, int.from_bytes(_exactly(stream, _LENGTH), "big")))  # noqa: S301  # from the parent


def write(stream: IO[bytes], message: bytes) -> None:
    """Send a pickled message.

    Raises:
        OSError: Nobody reads.
    """
    stream.write(len(message).to_bytes(_LENGTH, "big") + message)
    stream.flush()


def _exactly(stream: IO[bytes], n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError("the other side is gone")
    return data


def main(niceness: int, threads: int) -> None:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if niceness:
        _yield_to_others(niceness)
    into, out = _wire()
    sys.path[:] = read(into)

    import cv2

    cv2.setNumThreads(threads)
    try:
        while True:
            write(out, _outcome(into))
    except (EOFError, OSError):
        pass
    os._exit(0)  # no interpreter shutdown: threads of FFmpeg and OpenCV may hold it up


def _yield_to_others(niceness: int) -> None:
    """Lower the priority of this process, and that of its session.

    Linux shares the processors out among sessions first where it groups them (autogroup, sched(7), the default of
    most distributions); a worker is the only one in its own, and would get as much as all of the run by its niceness
    alone.
    """
    os.nice(niceness)
    with contextlib.suppress(OSError):  # another system, or one without groups
        Path("/proc/self/autogroup").write_text(str(min(niceness, _GROUP_NICENESS)), encoding="ascii")


def _wire() -> tuple[IO[bytes], IO[bytes]]:
    """The two ends of the conversation, out of reach of what a measure prints or asks for."""
    into, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return into, out


def _outcome(into: IO[bytes]) -> bytes:
    """Do the next call; its outcome, pickled."""
    data = _exactly(into, int.from_bytes(_exactly(into, _LENGTH), "big"))
    try:
        function, args, kwargs = pickle.loads(data)  # noqa: S301  # from the parent
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:  # noqa: BLE001  # it is the caller's
        try:
            return pickle.dumps((False, error))
        except Exception:  # noqa: BLE001  # an exception that does not pickle
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
