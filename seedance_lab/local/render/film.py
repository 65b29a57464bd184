"""A job from end to end: pictures in, file out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from seedance_lab.local.render import paint
from seedance_lab.local.render.cast import Cast
from seedance_lab.local.render.encode import encode
from seedance_lab.local.render.fit import Canvas, fit, load
from seedance_lab.local.render.job import FPS, Job, Rendered
from seedance_lab.local.render.morph import Morph
from seedance_lab.local.render.pipeline import drawn
from seedance_lab.local.render.planes import Planes
from seedance_lab.local.render.shot import Shot
from seedance_lab.local.render.warp import Grid
from seedance_lab.local.render.weather import Weather
from seedance_lab.local.render.words import parse


def render(job: Job, out: Path, *, progress: Callable[[float], None] | None = None) -> Rendered:
    """Draw a job into an MP4 file.

    Args:
        job: What to draw. Equal jobs give equal bytes in any process, on any number of threads.
        out: The file; written beside itself and moved into place when whole.
        progress: Called in this thread with the share done, 0 to 1; what it raises ends the work.

    Raises:
        PictureError: A picture cannot be read.
    """
    total = job.frames

    def seen(done: int) -> None:
        if progress is not None:
            progress(done / total)

    with drawn(lambda: drawing(job), frames=total, width=job.width, height=job.height) as frames:
        size = encode(
            frames,
            out,
            width=job.width,
            height=job.height,
            total=total,
            keep_last=job.end_image is not None,
            seen=seen,
        )
    return Rendered(frames=total, width=job.width, height=job.height, fps=FPS, size_bytes=size)


def drawing(job: Job) -> Callable[[int, Planes], None]:
    """What writes the job's frame number i into given planes."""
    direction = parse(job.prompt)
    grid = Grid(job.width, job.height)
    end = None if job.end_image is None else fit(load(job.end_image), job.width, job.height, job.ratio)
    cast = Cast(job, direction)
    if job.image is None:  # what is done is done by the cast, not by whatever stands out in the scenery
        direction = dataclasses.replace(direction, acts=())
    start = _first(job)
    if end is not None:  # a figure of its own would stay behind while the picture turns into another
        start = cast.painted(start)
    shot = Shot(job, start, direction, grid)
    picture = shot if end is None else Morph(job, shot, Shot(job, end, direction, grid, path=shot.camera))
    weather = Weather(job, direction, shot)

    def draw(frame: int, out: Planes) -> None:
        seen = picture.draw(frame, out)
        if end is None:
            cast.draw(frame, out, shot)
        weather.draw(frame, out, seen)

    return draw


def _first(job: Job) -> Canvas:
    if job.image is not None:
        return fit(load(job.image), job.width, job.height, job.ratio)
    return paint.scene(job.prompt, job.seed, job.width, job.height)
