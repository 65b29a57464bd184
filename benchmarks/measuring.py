"""What measuring a clip costs: beside decoding alone, beside FFmpeg's filters, by worker, and in memory.

    python benchmarks/measuring.py                          # everything; about 10 minutes on 2 cores
    python benchmarks/measuring.py --rounds 3 --clips 40    # quicker
    python benchmarks/measuring.py --only throughput

The clips are the embedded engine's: 5 s, 16:9, from the shipped picture, at about 1 Mb/s; the 720p one once more with
film grain at 5 Mb/s, which takes twice as long to decode. One decoding pass: each round times every row
in turn, in a process of its own that was warmed up, so that a noisy machine disturbs them alike; `ratio` is the median
over the rounds of a row's time by that of decoding alone (PyAV, threads AUTO, frames thrown away), which has all cores
to itself; a pass shares them out as it does for a single file. FFmpeg's filters run in process, in PyAV's filter graph.

Live: the same sweep on the embedded engine, measured as it goes and not, in turn. It is the hard case: the engine draws
on the cores that measure; a real service draws elsewhere.

Throughput: that many 720p clips through worker processes, once with one worker that may use one core only, once with a
worker for each core. Memory: the most that a worker ever held, by the operating system, with a 1080p 12 s clip.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import seedance_lab as lab
from seedance_lab.clip import Clip
from seedance_lab.endpoints import ratio_value
from seedance_lab.local.render import Job as Drawing
from seedance_lab.local.render import render
from seedance_lab.measuring import jobs
from seedance_lab.measuring.catalog import FULL, PARTS, STANDARD
from seedance_lab.measuring.cores import n_cores
from seedance_lab.measuring.workers import Workers
from seedance_lab.request import Request

PICTURE = Path(__file__).resolve().parent.parent / "seedance_lab" / "pictures" / "harbour.jpg"
PROMPT = "the boats drift apart, the water glitters, slow pan left"
FILTERS = ("siti", "blockdetect", "blurdetect", "freezedetect", "scdet", "signalstats")
RESOLUTIONS = ("480p", "720p", "1080p")
MOST_STANDARD, MOST_FULL, LEAST_SPEEDUP, MOST_MB = 2.0, 3.0, 1.8, 400


class Took(NamedTuple):
    """Seconds on the wall, and of all processors together."""

    wall: float
    cpu: float


def made(folder: Path, resolution: str, seconds: int, seed: int = 1) -> Clip:
    """A clip of the embedded engine, and what it was asked to be."""
    request = Request(
        image=PICTURE, prompt=PROMPT, resolution=resolution, aspect_ratio="16:9", duration=seconds, seed=seed
    )
    path = folder / f"{resolution}-{seconds}-{seed}.mp4"
    drawing = Drawing(
        image=PICTURE,
        end_image=None,
        prompt=PROMPT,
        width=request.size.width,
        height=request.size.height,
        ratio=ratio_value("16:9"),
        seconds=seconds,
        seed=seed,
        camera_fixed=False,
    )
    render(drawing, path)
    return Clip(path=path, request=request)


def grained(clip: Clip, bit_rate: int) -> Clip:
    """The same with film grain, encoded at a rate that filmed material needs; the engine's own clips need a fifth."""
    rng = np.random.default_rng(1)
    path = clip.path.with_name(f"{clip.path.stem} at {bit_rate / 1e6:g} Mb per s.mp4")
    with av.open(str(clip.path)) as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=24, options={"preset": "medium"}, bit_rate=bit_rate)
        for index, frame in enumerate(source.decode(video=0)):
            picture = frame.to_ndarray(format="bgr24")
            grain = rng.normal(0, 4, (*picture.shape[:2], 1))
            grainy = np.clip(picture + grain, 0, 255).astype(np.uint8)
            out = av.VideoFrame.from_ndarray(grainy, format="bgr24").reformat(format="yuv420p")
            if index == 0:
                stream.width, stream.height, stream.pix_fmt = out.width, out.height, "yuv420p"
            out.pts = index
            sink.mux(stream.encode(out))
        sink.mux(stream.encode(None))
    return Clip(path=path, request=clip.request)


# ── one pass ────────────────────────────────────────────────────────────────────────────────────────────


def decoded(path: Path) -> None:
    """Decode the whole file, and look at nothing."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def filtered(path: Path, name: str) -> None:
    """Decode the whole file through one of FFmpeg's filters."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        graph = av.filter.Graph()
        graph.link_nodes(
            graph.add_buffer(template=stream), graph.add(name), graph.add("buffersink")
        ).configure()
        for frame in container.decode(stream):
            graph.vpush(frame)
            while True:
                try:
                    graph.vpull()
                except (av.BlockingIOError, av.EOFError):
                    break


def rows_of(clip: Clip) -> dict[str, Callable[[], object]]:
    """What is timed, by its name."""
    rows: dict[str, Callable[[], object]] = {
        "decode alone": lambda: decoded(clip.path),
        f"standard ({len(STANDARD)} measures)": lambda: jobs.take(jobs.Job(clip)),
        f"full ({len(FULL)} measures)": lambda: jobs.take(jobs.Job(clip, frozenset(FULL))),
    }
    for part in PARTS:
        names = frozenset(m.name for m in part.measures) & STANDARD
        if names:
            rows[f"  alone: {part.collector.__module__.rsplit('.', 1)[-1]} ({len(names)})"] = (
                lambda names=names: jobs.take(jobs.Job(clip, names))  # type: ignore[misc]
            )
    for name in FILTERS:
        rows[f"ffmpeg {name}"] = lambda name=name: filtered(clip.path, name)  # type: ignore[misc]
    return rows


def timed(work: Callable[[], object]) -> Took:
    """Do it once and look at both clocks."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def read(clip: Clip, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Every row, in turn, that many times; in a worker, which does not know this module's types."""
    cv2.setNumThreads(n_cores())
    rows = rows_of(clip)
    for work in rows.values():
        work()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, work in rows.items():
            taken[name].append(tuple(timed(work)))
    return taken


def by_measure_cost(clips: Iterable[Clip], rounds: int, console: Console) -> None:
    """The table of one pass."""
    for clip in clips:
        with Workers(1, threads=n_cores()) as who:
            told = who.submit(read, clip, rounds).result()
        taken = {name: [Took(*one) for one in all_of] for name, all_of in told.items()}
        table = Table(title=f"One decoding pass, {clip.path.stem}, median of {rounds}", box=None)
        for name in ("", "wall ms", "ratio", "cpu ms", "cpu ratio"):
            table.add_column(name, justify="left" if not name else "right")
        alone = taken["decode alone"]
        for name, all_of in taken.items():
            table.add_row(
                name,
                f"{1000 * statistics.median(t.wall for t in all_of):.0f}",
                f"{statistics.median(t.wall / a.wall for t, a in zip(all_of, alone, strict=True)):.2f}",
                f"{1000 * statistics.median(t.cpu for t in all_of):.0f}",
                f"{statistics.median(t.cpu / a.cpu for t, a in zip(all_of, alone, strict=True)):.2f}",
            )
        console.print(table)
    console.print(f"Wanted at 720p: standard at most {MOST_STANDARD}, full at most {MOST_FULL}.\n")


# ── many clips ──────────────────────────────────────────────────────────────────────────────────────────


def cost(clip: Clip) -> float:
    """Measure one clip; seconds of all processors together."""
    began = time.process_time()
    jobs.take(jobs.Job(clip))
    return time.process_time() - began


def rate(clips: list[Clip], workers: int, cores: set[int]) -> Took:
    """Seconds a clip of so many workers on these cores; starting them is not in it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the workers inherit it
    try:
        with Workers(workers) as who:
            list(who.map(cost, clips[: 2 * workers]))
            began = time.perf_counter()
            cpu = sum(who.map(cost, clips))
            return Took((time.perf_counter() - began) / len(clips), cpu / len(clips))
    finally:
        os.sched_setaffinity(0, before)


def throughput(clips: list[Clip], rounds: int, console: Console) -> None:
    """One core against all of them, in turn."""
    cores = os.sched_getaffinity(0)
    ones, alls = [], []
    for _ in range(rounds):
        ones.append(rate(clips, 1, {min(cores)}))
        alls.append(rate(clips, len(cores), cores))
    ratios = [one.wall / all_of.wall for one, all_of in zip(ones, alls, strict=True)]
    table = Table(title=f"{len(clips)} clips of 720p 5 s, standard set, median of {rounds}", box=None)
    for name in ("", "clips/s", "cpu ms a clip"):
        table.add_column(name, justify="left" if not name else "right")
    for name, took in (
        ("one worker on one core", ones),
        (f"{len(cores)} workers on {len(cores)} cores", alls),
    ):
        wall, cpu = statistics.median(t.wall for t in took), statistics.median(t.cpu for t in took)
        table.add_row(name, f"{1 / wall:.2f}", f"{1000 * cpu:.0f}")
    console.print(table)
    told = ", ".join(f"{r:.2f}" for r in ratios)
    console.print(f"× {statistics.median(ratios):.2f} (rounds: {told}); wanted at least {LEAST_SPEEDUP}.\n")


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────


def peak_mb() -> float:
    """The most that this process ever held."""
    with contextlib.suppress(OSError):  # Linux counts what the parent held at the fork into the other number
        line = next(t for t in Path("/proc/self/status").read_text().splitlines() if t.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def memory(clip: Clip, console: Console) -> None:
    """Of a worker with nothing done, after the standard set and after all of it."""
    with Workers(n_cores()) as who:
        told: dict[str, Any] = {"at start": who.submit(peak_mb).result()}
        who.submit(jobs.take, jobs.Job(clip)).result()
        told["standard"] = who.submit(peak_mb).result()
        who.submit(jobs.take, jobs.Job(clip, frozenset(FULL))).result()
        told["full"] = who.submit(peak_mb).result()
    said = ", ".join(f"{name} {value:.0f} MB" for name, value in told.items())
    console.print(f"Most memory of a worker, {clip.path.stem}: {said}; wanted at most {MOST_MB} MB.\n")


# ── live ────────────────────────────────────────────────────────────────────────────────────────────────


class Ran(NamedTuple):
    """Seconds of a run until its last clip was there, and until it was over, its last measures included."""

    last_clip: float
    over: float


def ran(n: int, *, live: bool) -> Ran:
    """A sweep of that many clips of 480p, 5 s, on the embedded engine; every one must be there, and measured."""
    plan = lab.sweep(image=PICTURE, prompt=PROMPT, resolution="480p", duration=5, seed=range(n))
    with tempfile.TemporaryDirectory() as home:
        study = lab.Study(Path(home) / "study", track=False, measure=live)
        began = time.perf_counter()
        study.run(plan, progress=False)
        over = time.perf_counter() - began
        told = study.records().values()
        if live and study.frame()["mean_luma"].isna().any():
            raise RuntimeError("not every clip was measured")
    sent, saved = [r.sent_at for r in told if r.sent_at], [r.saved_at for r in told if r.saved_at]
    if len(saved) < n:
        raise RuntimeError("not every clip was made")
    return Ran((max(saved) - min(sent)).total_seconds(), over)


def live_cost(n: int, rounds: int, console: Console) -> None:
    """With live measuring and without, in turn, each first in every other round."""
    ran(1, live=True)
    taken: dict[bool, list[Ran]] = {False: [], True: []}
    for i in range(rounds):
        for live in (False, True) if i % 2 else (True, False):
            taken[live].append(ran(n, live=live))
    table = Table(title=f"A run of {n} clips of 480p 5 s, embedded engine, median of {rounds}", box=None)
    for name in ("", "last clip s", "over s"):
        table.add_column(name, justify="left" if not name else "right")
    for live, name in ((False, "clips alone"), (True, "measured live")):
        last, over = (statistics.median(column) for column in zip(*taken[live], strict=True))
        table.add_row(name, f"{last:.2f}", f"{over:.2f}")
    console.print(table)
    for what, i in (("last clip", 0), ("over", 1)):
        ratios = sorted(on[i] / off[i] for on, off in zip(taken[True], taken[False], strict=True))
        told = ", ".join(f"{r:.2f}" for r in ratios)
        console.print(f"{what}: × {statistics.median(ratios):.2f} with live measuring (rounds: {told})")
    console.print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=200, help="for the throughput")
    parser.add_argument("--throughput-rounds", type=int, default=1)
    parser.add_argument("--only", choices=["pass", "live", "throughput", "memory"])
    parser.add_argument("--live-clips", type=int, default=16, help="of each run")
    args = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory(prefix="seedance_lab-measuring-") as name:
        folder = Path(name)
        if args.only in {None, "pass"}:
            clips = [made(folder, r, 5) for r in RESOLUTIONS]
            by_measure_cost([*clips, grained(clips[1], 5_000_000)], args.rounds, console)
        if args.only in {None, "live"}:
            live_cost(args.live_clips, args.rounds, console)
        if args.only in {None, "throughput"}:
            some = [made(folder, "720p", 5, seed) for seed in range(2, 10)]
            throughput([some[i % len(some)] for i in range(args.clips)], args.throughput_rounds, console)
        if args.only in {None, "memory"}:
            memory(made(folder, "1080p", 12), console)


if __name__ == "__main__":
    main()
