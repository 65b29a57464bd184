"""Frames to an MP4 whose bytes depend on the frames alone.

x264 gives other bytes from run to run unless `cpu-independent=1` is set and the kind and number of
threads are pinned (measured: 2 to 5 different streams in 8 encodes of the same frames without).
The file is written beside its destination and moved there when it is whole.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from seedance_lab.local.render.job import FPS
from seedance_lab.local.render.planes import Planes

# One more whenever equal jobs give other bytes than before; a release that draws the same keeps it.
REVISION = 3
ENGINE = f"local-2.5d/{REVISION}"
COMMENT = "seedance-lab simulator, not Seedance"
_LAYOUT = "nv12"  # 4:2:0, colours side by side, as x264 keeps them; the file is yuv420p like any other
_X264 = {
    "preset": "veryfast",
    "crf": "20",
    "g": "48",  # a key frame every 2 s, so that scrubbing in a grid of videos stays quick
    "x264-params": "cpu-independent=1:chromaloc=1",  # chroma lies amid its four pixels
}


def blank(width: int, height: int) -> tuple[av.VideoFrame, Planes]:
    """A new frame and its planes as writable arrays over the frame's own memory."""
    frame = av.VideoFrame(width, height, _LAYOUT)
    y, uv = (np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, :width] for plane in frame.planes)
    return frame, Planes(y[:height], uv[: height // 2].reshape(height // 2, width // 2, 2))


def encode(
    frames: Iterable[av.VideoFrame],
    out: Path,
    *,
    width: int,
    height: int,
    total: int,
    keep_last: bool = False,
    seen: Callable[[int], None] | None = None,
) -> int:
    """Write frames, 24 a second, as H.264 with the index in front; returns the file's size in bytes.

    Args:
        frames: As `blank` makes them, BT.709 limited range.
        out: Destination; its folder must exist. Replaced in one step, and untouched if anything fails.
        width: Pixels.
        height: Pixels.
        total: How many frames there will be.
        keep_last: Spend more bits on the last frame, because somebody chose that picture.
        seen: Called with the number of frames encoded so far; what it raises ends the encoding.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as file:
            file.metadata.update(title=ENGINE, comment=COMMENT)
            stream = file.add_stream("libx264", rate=FPS, options=dict(_X264))
            stream.width, stream.height, stream.pix_fmt = width, height, _LAYOUT
            context = stream.codec_context
            context.thread_count, context.thread_type = 2, "FRAME"
            context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
            context.color_range = 1  # limited
            file.start_encoding()  # it takes milliseconds, in which the first frame can be drawn
            for i, frame in enumerate(frames):
                frame.pts = i
                if i + 1 == total and keep_last:
                    frame.pict_type = PictureType.I
                file.mux(stream.encode(frame))
                if seen is not None:
                    seen(i + 1)
            file.mux(stream.encode(None))
        size = part.stat().st_size
        part.replace(out)
        return size
    finally:
        part.unlink(missing_ok=True)
