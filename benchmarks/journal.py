"""How long a long journal takes to open: read, parse, check, fold; and what it holds in memory.

    python benchmarks/journal.py --lines 100000

The lines are those of a real study, four to a request. Beside it, in the same run, the same file by the standard
library's `json` alone, which is the least that any reader of JSON lines has to do without another parser.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seedance_lab.engine import place_of
from seedance_lab.journal import Journal
from seedance_lab.plan import sweep
from seedance_lab.running.book import Book

PICTURE = Path(__file__).parent.parent / "data" / "street.jpg"


def write(folder: Path, n_lines: int) -> int:
    """A journal of about so many lines; returns how many bytes it has."""
    plan = sweep(image=PICTURE, prompt="the boats drift apart, slow push in", seed=range(n_lines // 4))
    at = "2026-11-23T12:00:00.000+00:00"
    lines: list[dict[str, object]] = [
        {"at": at, "kind": "study", "version": 1, "engine": "local"},
        {"at": at, "kind": "run", "run": "r", "n_requests": len(plan), "engine_id": "x", "version": "0"},
    ]
    for n, request in enumerate(plan):
        request_id = f"764cabcf-b745-4b3e-ae38-{n:012d}"
        base = f"https://queue.fal.run/fal-ai/bytedance/requests/{request_id}"
        urls = {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        wire = request.wire("https://v3.fal.media/files/b/0a8d1f2e/pQ2kX_harbour.jpg", None)
        common = {"at": at, "key": request.key, "run": "r"}
        video = {"url": f"https://v3.fal.media/files/b/0a8d1f2e/{n}_video.mp4", "file_size": 2_000_000}
        facts = {"width": 1248, "height": 704, "fps": 24.0, "n_frames": 120, "seconds": 5.0, "codec": "h264"}
        lines += [
            {**common, "kind": "sending", "request": request.record(), "wire": wire, "usd": request.usd},
            {**common, "kind": "accepted", "request_id": request_id, "urls": urls, "position": 0},
            {**common, "kind": "finished", "result": {"video": video, "seed": n}, "metrics": {"inference_time": 38.2}},
            {**common, "kind": "saved", "file": f"clips/{n}.mp4", "sha256": "0" * 64, "download_s": 0.4, **facts},
        ]  # fmt: skip
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "journal.jsonl").write_text(text)
    return len(text)


def opened(folder: Path) -> None:
    """What a pass does before anything else."""
    with Journal(folder) as journal:
        Book(journal, place_of("local"), "r", lambda *_: None)


def parsed(folder: Path) -> None:
    """The standard library alone."""
    [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


def seconds(work: Callable[[Path], None], folder: Path) -> float:
    """How long it takes once."""
    began = time.perf_counter()
    work(folder)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        size = write(folder, options.lines)
        ours, theirs = [], []
        for _ in range(options.rounds):  # side by side: the machine's mood is the same for both
            ours.append(seconds(opened, folder))
            theirs.append(seconds(parsed, folder))
    table = Table(title=f"A journal of {options.lines:,} lines, {size / 1e6:.0f} MB")
    for name in ("", "median s", "least s", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    table.add_row("opened and folded", f"{statistics.median(ours):.2f}", f"{min(ours):.2f}", f"{ratio:.2f}")
    table.add_row("json.loads alone", f"{statistics.median(theirs):.2f}", f"{min(theirs):.2f}", "1")
    Console().print(table)


if __name__ == "__main__":
    main()
