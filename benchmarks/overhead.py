"""What the lab itself costs: CPU seconds per request, against an engine that answers at once with a stub clip.

    python benchmarks/overhead.py [--requests 1000] [--in-flight 16]

The engine is a process of its own, so this process's CPU time is the lab's: planning, journal (three fsyncs
and one more a request), fal_client, HTTP, looking at the file. The same plan is then run again, when there is
nothing to do. Wall time is printed for orientation only; it depends on the disk and the neighbours.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
from rich.console import Console
from rich.table import Table

import seedance_lab as lab
from seedance_lab.local.served import Served


def cpu_s() -> float:
    """CPU seconds of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, CPU seconds and wall seconds."""
    cpu, wall = cpu_s(), time.perf_counter()
    result = work()
    return result, cpu_s() - cpu, time.perf_counter() - wall


def picture() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (640, 480), (3, 90, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=16)
    args = parser.parse_args()
    n = args.requests
    with tempfile.TemporaryDirectory() as home, Served(f"{home}/engine", "--stub") as engine:
        study = lab.Study(Path(home) / "study", engine=engine.url, track=False, measure=False)
        warm = lab.sweep(image=picture(), prompt="warm", duration=2, resolution="480p", seed=range(8))
        study.run(warm, progress=False)

        def build() -> lab.Plan:
            return lab.sweep(image=picture(), prompt="run", duration=2, resolution="480p", seed=range(n))

        plan, *planning = timed(build)
        run, *running = timed(lambda: study.run(plan, in_flight=args.in_flight, progress=False))
        assert len(run.clips) == n, run
        _, *again = timed(lambda: study.run(plan, in_flight=args.in_flight, progress=False))
        _, *framing = timed(study.frame)
    table = Table(title=f"{n:,} requests, {args.in_flight} in flight, served stub engine, no tracking")
    for name in ("step", "CPU s", "CPU ms a request", "wall s"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for name, (cpu, wall) in {
        "build the plan": planning,
        "run it: submit, wait, fetch, journal": running,
        "run it again: nothing to do": again,
        "frame": framing,
    }.items():
        table.add_row(name, f"{cpu:.2f}", f"{cpu / n * 1000:.2f}", f"{wall:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
