"""All measures of one clip, in one pass through its file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

from seedance_lab.measuring import decode
from seedance_lab.measuring.aside import Aside
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.catalog import PARTS
from seedance_lab.measuring.parts import Collector, Part
from seedance_lab.measuring.spec import Floats, Found


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
    with decode.opened(path) as reader, contextlib.ExitStack() as threads:
        parts: list[tuple[Part, Collector]] = []
        for part in (*PARTS, *more):
            if any(m.name in wanted for m in part.measures):
                collector = part.collector(reader.video, asked, wanted)
                if part.aside:
                    collector = Aside(collector)
                    threads.callback(collector.close)
                parts.append((part, collector))
        for frame in reader.frames():
            for _, collector in parts:
                collector.see(frame)
    for part, collector in parts:
        found = collector.found()
        series |= found.series
        for name in (m.name for m in part.measures if m.name in wanted):
            value = found.values.get(name, math.nan)
            if math.isfinite(value):
                values[name] = float(value)
            else:
                missing[name] = found.missing.get(name, "the clip gives no number for it")
    return Found(values, missing, series)
