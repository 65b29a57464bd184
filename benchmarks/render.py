"""What the renderer costs beside the encoder: `python benchmarks/render.py [rounds] [seconds] [sizes]`.

Each round times both in turn, so that a noisy machine disturbs them alike: a whole job (picture to
file), and the same job's frames, drawn beforehand and kept in memory, through the same encoder with
the same settings. `ratio` is the median over the rounds of job time by encode time; `best` that of
the quickest job by the quickest encoding; `cpu` compares processor time, which other programs
disturb least. OpenCV has one thread, as in the worker.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2

from seedance_lab.local.render import Job, render
from seedance_lab.local.render.encode import blank, encode
from seedance_lab.local.render.film import drawing
from seedance_lab.local.render.warp import plain_opencv

PICTURE = Path(__file__).resolve().parent.parent / "seedance_lab" / "pictures" / "harbour.jpg"
SIZES = (("480p", 864, 480), ("720p", 1248, 704), ("1080p", 1920, 1088))


def ready(job: Job) -> list[av.VideoFrame]:
    """Every frame of a job, drawn."""
    draw, frames = drawing(job), []
    for i in range(job.frames):
        frame, planes = blank(job.width, job.height)
        draw(i, planes)
        frames.append(frame)
    return frames


def again(frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same frames for another encoding."""
    for frame in frames:
        frame.pts = None
        yield frame


class Took(NamedTuple):
    """Seconds that a piece of work took, on the wall and of all processors together."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Took:
    """Do it once and look at both clocks."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def bare_encode(frames: list[av.VideoFrame], job: Job, out: Path) -> None:
    """Ready frames through the job's encoder."""
    encode(again(frames), out, width=job.width, height=job.height, total=job.frames)


def main() -> None:
    """Print one line a size."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sizes = sys.argv[3].split(",") if len(sys.argv) > 3 else [name for name, _, _ in SIZES]
    plain_opencv()
    cv2.setNumThreads(1)
    titles = ("size", "frames", "job s", "encode s", "job fps", "enc fps", "draw ms", "cpu", "best", "ratio")
    print("".join(f"{title:>9}" for title in titles))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "clip.mp4"
        for name, width, height in SIZES:
            if name not in sizes:
                continue
            job = Job(
                image=PICTURE,
                end_image=None,
                prompt="slow push in, the boats drift",
                width=width,
                height=height,
                ratio=16 / 9,
                seconds=seconds,
                seed=0,
                camera_fixed=False,
            )
            started = time.perf_counter()
            frames = ready(job)
            draw_ms = (time.perf_counter() - started) * 1000 / job.frames
            whole, bare = [], []
            render(job, out)
            for _ in range(rounds):
                whole.append(timed(lambda job=job: render(job, out)))
                bare.append(timed(lambda job=job, frames=frames: bare_encode(frames, job, out)))
            a, b = (statistics.median(took.wall for took in many) for many in (whole, bare))
            ratio = statistics.median(x.wall / y.wall for x, y in zip(whole, bare, strict=True))
            best = min(x.wall for x in whole) / min(y.wall for y in bare)
            cpu = statistics.median(x.cpu / y.cpu for x, y in zip(whole, bare, strict=True))
            cells = (f"{a:.2f}", f"{b:.2f}", f"{job.frames / a:.0f}", f"{job.frames / b:.0f}", f"{draw_ms:.2f}",
                     f"{cpu:.2f}", f"{best:.2f}", f"{ratio:.2f}")  # fmt: skip
            print("".join(f"{cell:>9}" for cell in (name, job.frames, *cells)), flush=True)


if __name__ == "__main__":
    main()
