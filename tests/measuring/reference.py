"""FFmpeg's own filters, run in this process: what our measures are held against.

PyAV brings the filters with it, so no `ffmpeg` need be installed. What a filter notes on a frame is read by way of
FFmpeg's `metadata` filter and a file, which every version of PyAV can do.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from pathlib import Path

import av
import numpy as np

from seedance_lab.measuring.spec import Floats

_FRAME = re.compile(r"frame:(\d+)\s+pts:\S+\s+pts_time:(\S+)")


def by_filter(path: Path, name: str, options: str = "") -> list[dict[str, str]]:
    """What FFmpeg's filter notes on each frame of a file.

    Args:
        path: The video.
        name: `siti`, `scdet`, `freezedetect`, `blackdetect`, `blurdetect`, `blockdetect` or `signalstats`.
        options: As after `=` on ffmpeg's command line.

    Returns:
        One dictionary a frame, in the order of showing: `time` in seconds, and the filter's own keys by their last
        part (`lavfi.siti.si` is `si`).
    """
    with tempfile.TemporaryDirectory() as folder, av.open(str(path)) as container:
        notes = Path(folder) / "notes.txt"
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        steps = [
            graph.add_buffer(template=stream),
            graph.add(name, options) if options else graph.add(name),
            graph.add("metadata", f"mode=print:file={notes}:direct=1"),
            graph.add("buffersink"),
        ]
        for one, other in itertools.pairwise(steps):
            one.link_to(other)
        graph.configure()
        times = []
        for frame in container.decode(stream):
            times.append(float(frame.time or 0.0))
            graph.vpush(frame)
            _drain(graph)
        graph.vpush(None)
        _drain(graph)
        text = notes.read_text() if notes.exists() else ""
    rows: list[dict[str, str]] = [{"time": repr(time)} for time in times]
    at = 0
    for line in text.splitlines():
        if head := _FRAME.match(line):
            at = int(head[1])
        elif "=" in line:
            key, value = line.split("=", 1)
            rows[at][key.rsplit(".", 1)[-1]] = value
    return rows


def column(path: Path, name: str, key: str, options: str = "") -> Floats:
    """One number a frame, shape (n,), of the frames on which the filter noted it."""
    return np.array([float(row[key]) for row in by_filter(path, name, options) if key in row])


def _drain(graph: av.filter.Graph) -> None:
    with contextlib.suppress(av.BlockingIOError, av.EOFError):
        while True:
            graph.vpull()
