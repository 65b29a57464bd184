"""Motion and camera measures against what was planted: `python benchmarks/planted_motion.py [planted|engine|cost]`.

`planted` moves a camera over a made-up picture by known amounts, at several sizes, rates, with noise and compression,
and prints what is read beside what is true. `engine` has the embedded engine render camera commands over pictures of
`data/` at 480p, 2 s, and prints the labels found. `cost` times the measures beside decoding alone, on a 720p clip of
5 s; the figures are medians of the rounds, wall and processor time of this thread.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seedance_lab.local.render import Job, render
from seedance_lab.measuring import camera, decode, motion, one_pass
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.spec import Bytes

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.measuring.films import texture, view, write  # noqa: E402  the tests' own films

NAMES = frozenset(m.name for m in motion.MEASURES)
SIZES = ((320, 180, 24), (640, 360, 30), (864, 480, 24), (1248, 704, 24), (1248, 704, 30))
SPEEDS = (0.5, 1, 2, 5, 10, 20, 40)
PROMPTS = (
    ("camera pans left", "pan_left", False),
    ("camera pans right", "pan_right", False),
    ("camera tilts up", "tilt_up", False),
    ("camera tilts down", "tilt_down", False),
    ("camera zooms in", "zoom_in", False),
    ("camera zooms out", "zoom_out", False),
    ("camera pushes in", "zoom_in", False),
    ("camera rolls clockwise", "roll_clockwise", False),
    ("the boats drift, grass sways", "static", True),
)
PICTURES = ("harbour_dusk", "still_life", "street", "coffee")


class Case(NamedTuple):
    """Something planted: what the camera does in each frame, and what should be read."""

    title: str
    measure: str
    truth: float
    pose: Callable[[int], dict[str, float]]


def cases(height: int, fps: int, n: int) -> Iterator[Case]:
    """Pans by pixels a frame; zooms, rolls and a tilt by rates."""
    for speed in SPEEDS:
        truth = 100 * speed * fps / height
        yield Case(f"pan {speed} px/frame", "camera_pan", truth, lambda i, s=speed: {"dx": s * (i - n / 2)})
    yield Case(
        "tilt down 3 px/frame", "camera_tilt", -300 * fps / height, lambda i: {"dy": 3.0 * (i - n / 2)}
    )
    for rate in (2, 10, 30, -10):
        yield Case(
            f"zoom {rate} %/s", "camera_zoom", rate, lambda i, r=rate: {"zoom": math.exp(r / 100 * i / fps)}
        )
    for rate in (1, 5, 20, -5):
        yield Case(f"roll {rate} deg/s", "camera_roll", rate, lambda i, r=rate: {"roll_deg": r * i / fps})


def film(canvas: Bytes, width: int, height: int, case: Case, n: int, noise: float) -> Iterator[Bytes]:
    """Its frames."""
    rng = np.random.default_rng(5)
    for i in range(n):
        frame = view(canvas, width, height, **case.pose(i))
        if noise:
            frame = np.clip(frame + rng.normal(0, noise, frame.shape), 0, 255).astype(np.uint8)
        yield frame


def planted(folder: Path) -> None:
    """One line a case: what is true, and what is read of it clean, with grain at crf 23, and without at crf 32."""
    titles = ("size", "fps", "planted", "measure", "true", "clean", "noisy", "crf 32", "flow_mean")
    print("{:>10}{:>5}  {:<22}{:<13}{:>9}{:>9}{:>9}{:>9}{:>11}".format(*titles))
    for width, height, fps in SIZES:
        n = fps * 3 // 4
        canvas = texture(width + 40 * n + 60, height + 4 * n + 60, 1, detail=0.75)
        for case in cases(height, fps, n):
            read = []
            for noise, crf in ((0.0, 14), (6.0, 23), (0.0, 32)):
                path = write(
                    folder / "clip.mp4", film(canvas, width, height, case, n, noise), fps=fps, crf=crf
                )
                read.append(one_pass.measured(path, Asked(), NAMES).values)
            clean, noisy, coarse = (values.get(case.measure, math.nan) for values in read)
            print(
                f"{width:>5}x{height:<4}{fps:>5}  {case.title:<22}{case.measure:<13}{case.truth:>9.2f}{clean:>9.2f}"
                f"{noisy:>9.2f}{coarse:>9.2f}{read[0].get('flow_mean', math.nan):>11.2f}"
            )


def engine(folder: Path) -> None:
    """One line a picture and prompt."""
    right = total = 0
    columns = "".join(f"{m:>8}" for m in ("pan", "tilt", "zoom", "roll", "drift"))
    print(f"{'picture':<14}{'prompt':<30}{'as asked':>12}{columns}  labels")
    for picture in PICTURES:
        for k, (prompt, label, fixed) in enumerate(PROMPTS):
            job = Job(
                image=ROOT / "data" / f"{picture}.jpg",
                end_image=None,
                prompt=prompt,
                width=864,
                height=480,
                ratio=16 / 9,
                seconds=2,
                seed=11 + k,
                camera_fixed=fixed,
            )
            render(job, folder / "clip.mp4")
            asked = Asked(prompt=prompt, camera_fixed=fixed)
            values = one_pass.measured(folder / "clip.mp4", asked, NAMES).values
            found = camera.labels(values)
            hit = values.get("camera_fixed_ok" if fixed else "camera_as_prompted", 0.0)
            right, total = right + (found[:1] == (label,)), total + 1
            rates = "".join(
                f"{values.get(f'camera_{m}', math.nan):>8.2f}"
                for m in ("pan", "tilt", "zoom", "roll", "drift")
            )
            print(f"{picture:<14}{prompt:<30}{hit:>12.0f}{rates}  {' '.join(found)}")
    print(f"{right} of {total} have the commanded move as their first label")


def cost(folder: Path, rounds: int = 9) -> None:
    """Decoding alone and with the measures, in turn."""
    job = Job(
        image=ROOT / "data" / "harbour_dusk.jpg",
        end_image=None,
        prompt="the camera pans right, the boats drift",
        width=1248,
        height=704,
        ratio=16 / 9,
        seconds=5,
        seed=3,
        camera_fixed=False,
    )
    path = folder / "clip.mp4"
    render(job, path)
    walls: dict[str, list[float]] = {"decode": [], "and small": [], "and motion": []}
    cpus: list[float] = []
    for _ in range(rounds):
        for name, times in walls.items():
            begun, used = time.perf_counter(), 0.0
            with decode.opened(path) as reader:
                collector = motion.Collector(reader.video, Asked(), NAMES)
                for frame in reader.frames():
                    if name != "decode":
                        _ = frame.small
                    if name == "and motion":
                        before = time.thread_time()
                        collector.see(frame)
                        used += time.thread_time() - before
            times.append(1000 * (time.perf_counter() - begun))
        cpus.append(1000 * used)
    for name, times in walls.items():
        print(f"{name:<12}{statistics.median(times):>8.0f} ms wall, best {min(times):.0f}")
    print(f"{'motion':<12}{statistics.median(cpus):>8.0f} ms CPU, best {min(cpus):.0f}")


def main() -> None:
    """All of it, or what is named."""
    parts = {"planted": planted, "engine": engine, "cost": cost}
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or parts:
            parts[name](Path(folder))
            print()


if __name__ == "__main__":
    main()
