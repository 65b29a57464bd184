"""A sweep by this lab beside the same sweep by a thread pool over `fal_client.subscribe`, and what each costs.

    python benchmarks/sweeping.py makespan     1,000 requests of 1 s, 64 slots: how long in all
    python benchmarks/sweeping.py quiet        requests of 40 s: HTTP requests and CPU a clip
    python benchmarks/sweeping.py memory       10,000 requests with files of 2 MB: the lab's peak memory

The engine is served, with stub clips, in a process of its own; each contender is a process of its own too, and
does the same: upload the picture, submit, wait, fetch the result and the file. The lab also writes its journal.
HTTP requests are counted where httpx sends them. Goals: makespan at most 1.03 of the ideal; at most 8 HTTP requests
a clip; a tenth of fal_client's CPU; under 300 MB above the import.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import io
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import httpx
import PIL.Image
from rich.console import Console
from rich.table import Table

import seedance_lab as lab
from seedance_lab.local import serve as serving
from seedance_lab.local.served import Served
from seedance_lab.local.stub import StubRenderer

PADDED_BYTES = 2_000_000
SETTINGS: dict[str, Any] = {"prompt": "run", "duration": 2, "resolution": "480p"}
ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video"


def picture() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (640, 480), (3, 90, 200)).save(buffer, "PNG")
    return buffer.getvalue()


class Counted:
    """How many requests httpx sends, whoever asks it to."""

    def __init__(self) -> None:
        self.n = 0
        for kind, name in (
            (httpx.HTTPTransport, "handle_request"),
            (httpx.AsyncHTTPTransport, "handle_async_request"),
        ):
            self._count(kind, name)

    def _count(self, kind: type, name: str) -> None:
        send = getattr(kind, name)

        def counting(transport: Any, request: httpx.Request) -> Any:
            self.n += 1
            return send(transport, request)

        setattr(kind, name, counting)


def by_lab(url: str, n: int, home: Path, _: int, keep: bool) -> Callable[[], None]:
    """The sweep by this lab; it finds out about the slots by itself."""
    study = lab.Study(home / "study", engine=url, track=False, measure=False)
    plan = lab.sweep(image=picture(), seed=range(n), **SETTINGS)
    n_saved = 0

    def hear(event: Any, record: Any) -> None:
        nonlocal n_saved
        n_saved += event.kind == "saved"
        if event.kind == "saved" and not keep:
            (study.folder / record.clip["file"]).unlink()

    def go() -> None:
        run = study.start(plan, listener=hear)
        run.wait()
        run.check()
        if n_saved != n:
            raise RuntimeError(repr(run))

    return go


def by_fal_client(url: str, n: int, home: Path, slots: int, keep: bool) -> Callable[[], None]:
    """The sweep by a thread pool with as many threads as there are slots."""
    fal_client.client.QUEUE_URL_FORMAT = f"{url}/queue/"
    fal_client.client.REST_URL = f"{url}/rest"
    fal_client.client.CDN_URL = f"{url}/cdn"
    client, files = fal_client.SyncClient(key="any:key"), httpx.Client()

    def go() -> None:
        image_url = client.upload(picture(), "image/png")

        def one(seed: int) -> None:
            arguments = {**SETTINGS, "duration": str(SETTINGS["duration"]), "seed": seed}
            result = client.subscribe(ENDPOINT, {**arguments, "image_url": image_url})
            file = home / f"{seed}.mp4"
            file.write_bytes(files.get(result["video"]["url"]).content)
            if not keep:
                file.unlink()

        with concurrent.futures.ThreadPoolExecutor(slots) as pool:
            list(pool.map(one, range(n)))

    return go


CONTENDERS = {"this lab": by_lab, "fal_client.subscribe": by_fal_client}


def contend(name: str, url: str, n: int, slots: int, keep: bool) -> None:
    """In a process of its own: run one sweep, print what it took."""
    counted = Counted()
    with tempfile.TemporaryDirectory() as home:
        # What is imported at first use is there before the clock starts, for both.
        (Path(home) / "warm").mkdir()
        CONTENDERS[name](url, 1, Path(home) / "warm", slots, keep)()
        go = CONTENDERS[name](url, n, Path(home), slots, keep)
        counted.n = 0
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        go()
        wall_s = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_mb = (after.ru_maxrss - before.ru_maxrss) / 1024
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "n_http": counted.n, "peak_mb": peak_mb}))


def measured(name: str, url: str, n: int, slots: int, *, keep: bool = True) -> dict[str, float]:
    """What one contender's process says."""
    command = [
        sys.executable,
        __file__,
        "contend",
        name,
        url,
        str(n),
        str(slots),
        *([] if keep else ["--drop"]),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(
    title: str, *, n: int, seconds: float, slots: int, lab_only: bool = False, padded: bool = False
) -> None:
    """Run both, one after the other at an engine of its own, and print the table."""
    ideal_s = math.ceil(n / slots) * seconds
    command = (sys.executable, __file__, "serve") if padded else None
    table = Table(title=title)
    for column in ("", "wall s", "of the ideal", "HTTP a clip", "CPU ms a clip", "peak MB above the import"):
        table.add_column(column, justify="right" if column else "left")
    for name in CONTENDERS:
        if lab_only and name != "this lab":
            continue
        with tempfile.TemporaryDirectory() as home:
            options = ("--stub", "--slots", str(slots), "--latency", str(seconds))
            with Served(
                Path(home) / "engine", *options, **({"command": command} if command else {})
            ) as engine:
                said = measured(name, engine.url, n, slots, keep=not padded)
        table.add_row(
            name,
            f"{said['wall_s']:.2f}",
            f"{said['wall_s'] / ideal_s:.3f}" if ideal_s else "",
            f"{said['n_http'] / n:.1f}",
            f"{said['cpu_s'] / n * 1000:.1f}",
            f"{said['peak_mb']:.0f}",
        )
    Console(width=110).print(table)


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["serve"]:
        StubRenderer.pad_bytes = PADDED_BYTES
        del sys.argv[1]
        serving._main()  # noqa: SLF001  # the command itself, with larger files
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    for name, n, seconds, slots in (
        ("makespan", 1000, 1.0, 64),
        ("quiet", 16, 40.0, 8),
        ("memory", 10_000, 0.0, 64),
    ):
        step = steps.add_parser(name)
        step.add_argument("--requests", type=int, default=n)
        step.add_argument("--seconds", type=float, default=seconds)
        step.add_argument("--slots", type=int, default=slots)
    child = steps.add_parser("contend")
    for name, kind in (("name", str), ("url", str), ("requests", int), ("slots", int)):
        child.add_argument(name, type=kind)
    child.add_argument("--drop", action="store_true")
    args = parser.parse_args()
    n, slots = args.requests, args.slots
    if args.step == "contend":
        contend(args.name, args.url, n, slots, not args.drop)
        return 0
    title = f"{n:,} requests of {args.seconds:g} s, {slots} slots"
    memory = args.step == "memory"
    if memory:
        title += f", files of {PADDED_BYTES / 1e6:g} MB (each deleted once it is saved)"
    compare(title, n=n, seconds=args.seconds, slots=slots, lab_only=memory, padded=memory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
