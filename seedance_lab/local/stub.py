"""An instant renderer for tests and benchmarks: a real H.264 MP4 of the right size and length, one colour."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable

from seedance_lab.endpoints import FPS
from seedance_lab.local.renderer import IDENTITY, Job, Rendered


class StubRenderer:
    """Writes a still clip, made once for each size and length and then copied.

    A `free` box at the end of the file names prompt and seed, so that different requests give different
    bytes and equal requests equal ones, as the real renderer does.

    Attributes:
        pad_bytes: Zeros that the box holds besides, for files of a size that is to be tested.
    """

    pad_bytes = 0

    def __init__(self) -> None:
        self._clips: dict[tuple[int, int, int], bytes] = {}

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        """Write `job.out`."""
        began = time.perf_counter()
        shape = (job.width, job.height, job.seconds)
        clip = self._clips.get(shape)
        if clip is None:
            clip = self._clips[shape] = await asyncio.to_thread(_still, *shape)
        data = clip + _free_box(job, self.pad_bytes)
        with job.out.open("wb") as file:
            file.write(data)
            file.truncate(len(data) + self.pad_bytes)  # zeros that take no room on the disk
        on_progress(1.0)
        return Rendered(job.seconds * FPS, len(data) + self.pad_bytes, time.perf_counter() - began)

    async def aclose(self) -> None:
        """Nothing runs."""


def _free_box(job: Job, pad_bytes: int) -> bytes:
    said = json.dumps({"engine": IDENTITY, "prompt": job.prompt, "seed": job.seed}).encode()
    return (len(said) + 8 + pad_bytes).to_bytes(4, "big") + b"free" + said


def _still(width: int, height: int, seconds: int) -> bytes:
    """`seconds` of mid-grey at 24 frames per second."""
    # The server process must not load a codec library unless it is asked for this stand-in.
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["comment"] = IDENTITY
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "40", "x264-params": "cpu-independent=1:threads=1"}
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        for index in range(seconds * FPS):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
