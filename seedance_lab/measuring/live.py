"""Measures the clips of a run as they arrive, out of its way.

In processes of the lowest priority that all runs of this process share, one fewer than there are cores: the engine,
the service's answers and the person go first. Nothing that goes wrong here reaches the run: it is the reason why a clip
has no measures, and one warning. What is unmeasured when the process ends is measured by the next `measure`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path

from seedance_lab import measuring
from seedance_lab.clip import Clip
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.cores import n_cores
from seedance_lab.measuring.store import Store, Taken
from seedance_lab.measuring.workers import Workers

VARIABLE = "SEEDANCE_LAB_MEASURE"
"""`off` keeps runs from measuring what they make, unless the study says otherwise."""

_NICENESS = 19

Listener = Callable[[Clip, Mapping[str, float]], None]


class MeasuringWarning(UserWarning):
    """Some clips of a run have no measures yet."""


class Live:
    """Measures what one run makes.

    Args:
        folder: The study's.
        listener: Told of each clip and its values, on a thread of the worker's.
        workers: Who measures; those that all runs of this process share if not given.

    Attributes:
        warning: One sentence for people when something could not be measured, else None.
    """

    def __init__(self, folder: Path, listener: Listener, workers: Executor | None = None) -> None:
        self.warning: str | None = None
        self._store, self._listener, self._workers = Store(folder), listener, workers
        self._lock = threading.Lock()
        self._left: set[Future[Taken]] = set()

    @property
    def n_left(self) -> int:
        """Clips that are here and not measured yet."""
        return len(self._left)

    def put(self, clip: Clip) -> None:
        """Measure this one when there is time; never blocks, never raises."""
        try:
            future = (self._workers or _shared()).submit(_take, clip, _own())
        except Exception as error:  # noqa: BLE001  # a machine without processes or threads to spare
            self._warn(f"{type(error).__name__}: {error}")
            return
        with self._lock:
            self._left.add(future)
        future.add_done_callback(lambda done: self._came(clip, done))

    def leave(self) -> None:
        """Drop what was not begun."""
        for future in list(self._left):
            future.cancel()

    def _came(self, clip: Clip, future: Future[Taken]) -> None:
        try:
            if not future.cancelled():
                self._keep(clip, future.result())
        except Exception as error:  # noqa: BLE001  # see the module's docstring
            self._warn(str(error) or type(error).__name__)
        finally:
            with self._lock:
                self._left.discard(future)

    def _keep(self, clip: Clip, taken: Taken) -> None:
        sha256 = ((clip.record.clip if clip.record else None) or {}).get("sha256")
        if sha256 is None:
            return
        self._store.add(taken, sha256=str(sha256), key=clip.key, asked=Asked.of(clip).digest)
        if taken.failed and not taken.values:
            self._warn(next(iter(taken.failed.values())))
        self._listener(clip, taken.values)

    def _warn(self, why: str) -> None:
        """Once."""
        if self.warning is not None:
            return
        self.warning = (
            f"Not every clip was measured ({why.rstrip('.')}); the clips are complete, and study.measure() measures "
            "what is missing"
        )
        with contextlib.suppress(Warning):  # where warnings are errors the run must not suffer
            warnings.warn(self.warning, MeasuringWarning, stacklevel=2)


def _take(clip: Clip, own: Mapping[str, bytes]) -> Taken:
    """The standard measures and your own; the worker loads OpenCV for it, never the event loop of a run."""
    return measuring.take_standard(clip, own)


def _own() -> dict[str, bytes]:
    """What was declared in this process; where nothing was, the module that knows is not loaded for it."""
    custom = sys.modules.get(f"{measuring.__name__}.custom")
    return custom.packed(custom.OWN) if custom else {}


def is_on(asked: bool | None) -> bool:
    """Whether runs measure what they make: what was asked for, else what the environment says."""
    return os.environ.get(VARIABLE, "").lower() not in {"off", "0", "false", "no"} if asked is None else asked


_guard = threading.Lock()
_workers: tuple[int, Workers] | None = None


def _shared() -> Workers:
    """The workers of this process; a forked child gets its own."""
    global _workers
    with _guard:
        if _workers is None or _workers[0] != os.getpid():
            _workers = (os.getpid(), Workers(max(1, n_cores() - 1), niceness=_NICENESS, threads=1))
        return _workers[1]
