"""What the renderer costs beside the encoder: `python benchmarks/render.py [rounds] [seconds]`.

Each round times both in turn, so that a noisy machine disturbs them alike: a whole job (picture to
file), and the same job's frames, drawn beforehand and kept in memory, through the same encoder.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av

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


def main() -> None:
    """Print one line a size."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    plain_opencv()
    titles = ("size", "frames", "job s", "encode s", "job fps", "enc fps", "draw ms", "ratio")
    print("".join(f"{title:>9}" for title in titles))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "clip.mp4"
        for name, width, height in SIZES:
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
            for _ in range(rounds):
                started = time.perf_counter()
                render(job, out)
                whole.append(time.perf_counter() - started)
                started = time.perf_counter()
                encode(again(frames), out, width=width, height=height, total=job.frames)
                bare.append(time.perf_counter() - started)
            a, b = statistics.median(whole), statistics.median(bare)
            ratio = statistics.median(x / y for x, y in zip(whole, bare, strict=True))
            cells = (f"{a:.2f}", f"{b:.2f}", f"{job.frames / a:.0f}", f"{job.frames / b:.0f}")
            cells = (f"{a:.2f}", f"{b:.2f}", f"{job.frames / a:.0f}", f"{job.frames / b:.0f}")
            print(
                "".join(f"{cell:>9}" for cell in (name, job.frames, *cells, f"{draw_ms:.2f}", f"{ratio:.2f}"))
            )


if __name__ == "__main__":
    main()
