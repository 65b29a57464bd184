"""All measures of one clip, in one pass through its file."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from seedance_lab.measuring import decode
from seedance_lab.measuring.ahead import read_ahead
from seedance_lab.measuring.aside import Aside
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.catalog import PARTS
from seedance_lab.measuring.cores import for_a_pass
from seedance_lab.measuring.parts import Collector, Part
from seedance_lab.measuring.spec import Floats, Found

_guard = threading.Lock()
_n_passes, _n_threads = 0, 1


def measured(path: Path, asked: Asked, wanted: frozenset[str], more: Sequence[Part] = ()) -> Found:
    """The wanted measures of one file: each has a value, or the reason why it has none.

    Args:
        path: The video.
        asked: What it was asked to be.
        wanted: Names of measures.
        more: Parts beside the built-in ones.

    Raises:
        ClipError: The file cannot be read to its end.
    """
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    series: dict[str, Floats] = {}
    takes = [part for part in (*PARTS, *more) if any(m.name in wanted for m in part.measures)]
    # Decoding on all cores would take half of its time from what has a thread of its own, and both would be slower.
    n = max(1, for_a_pass() - any(part.aside for part in takes))
    with (
        decode.opened(path, threads=n) as reader,
        _single_threaded_opencv(),
        contextlib.ExitStack() as threads,
    ):
        parts: list[tuple[Part, Collector]] = []
        for part in takes:
            collector = part.collector(reader.video, asked, wanted)
            if part.aside:
                collector = Aside(collector)
                threads.callback(collector.close)
            parts.append((part, collector))
        for frame in threads.enter_context(read_ahead(reader.frames())):
            for _, collector in parts:
                collector.see(frame)
        # What is on a thread of its own comes last: it still has frames to go, and the others find meanwhile.
        told = {part: collector.found() for part, collector in sorted(parts, key=lambda one: one[0].aside)}
    for part, _ in parts:
        found = told[part]
        series |= found.series
        for name in (m.name for m in part.measures if m.name in wanted):
            value = found.values.get(name, math.nan)
            if math.isfinite(value):
                values[name] = float(value)
            else:
                missing[name] = found.missing.get(name, "the clip gives no number for it")
    return Found(values, missing, series)


@contextlib.contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """While passes are under way, OpenCV works on the thread that calls it.

    The cores have enough to do with decoding, motion and the rest; sharing out such small pictures costs a tenth more.
    """
    global _n_passes, _n_threads
    with _guard:
        if _n_passes == 0:
            _n_threads = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _n_passes += 1
    try:
        yield
    finally:
        with _guard:
            _n_passes -= 1
            if _n_passes == 0:
                cv2.setNumThreads(_n_threads)
