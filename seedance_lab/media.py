"""What a video file is, and small stand-ins for it: a poster and a proxy.

PyAV is imported where it is used: it costs a quarter of a second, and planning needs none of it.
"""

from __future__ import annotations

import io
import uuid
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seedance_lab.errors import ClipError

if TYPE_CHECKING:
    import av

PROXY_SIDE = 320
"""Longer side of a proxy, in pixels: 64 such clips play in step on two cores."""

SHOWN_BY_BROWSERS = frozenset({"h264", "vp8", "vp9", "av1"})
"""Codecs that Chrome, Firefox and Safari play. Others, HEVC first, may stay black without an error."""

_TICK = Fraction(1, 90_000)
"""The usual clock of video: every common rate has whole ticks."""

_FORMATS = frozenset({"mp4", "mov", "webm", "matroska", "avi"})


class FileFacts(NamedTuple):
    """What a video file says of itself.

    Attributes:
        width, height: Pixels.
        fps: Frames per second, from the stream's average rate.
        n_frames: As the container counts them.
        seconds: Length of the video stream.
        codec: Such as `h264`.
        pix_fmt: Such as `yuv420p`.
        size_bytes: Length of the file.
    """

    width: int
    height: int
    fps: float
    n_frames: int
    seconds: float
    codec: str
    pix_fmt: str
    size_bytes: int


def facts(path: Path) -> FileFacts:
    """Open the file and read its headers.

    Raises:
        ClipError: It is not a video that can be read.
    """
    import av  # see the module's docstring

    try:
        with av.open(str(path)) as container:
            stream = video_stream(container, path)
            n_packets = sum(1 for packet in container.demux(stream) if packet.size)
            return facts_of(container, path, n_packets)
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{path} is not a video that can be read ({error}).") from error


def facts_of(container: av.container.InputContainer, path: Path, n_packets: int) -> FileFacts:
    """The facts of an open file whose packets were counted.

    Raises:
        ClipError: It holds fewer than its headers promise.
    """
    import av

    stream = container.streams.video[0]
    fps = float(stream.average_rate or 0)
    seconds = (
        float(stream.duration * stream.time_base)
        if stream.duration is not None and stream.time_base is not None
        else float(container.duration or 0) / av.time_base
    )
    if n_packets < stream.frames:
        raise ClipError(f"{path} ends after {n_packets} of its {stream.frames} frames.")
    return FileFacts(
        width=stream.width,
        height=stream.height,
        fps=fps,
        n_frames=stream.frames or round(seconds * fps),
        seconds=seconds,
        codec=stream.codec_context.name,
        pix_fmt=stream.pix_fmt or "",
        size_bytes=path.stat().st_size,
    )


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The pictures of an open file.

    Raises:
        ClipError: It is no video file, or has only sound.
    """
    # FFmpeg also plays pictures, and text as ANSI art.
    if not _FORMATS & set(container.format.name.split(",")):
        raise ClipError(f"{path} is not a video file; it looks like {container.format.name}.")
    if not container.streams.video:
        raise ClipError(f"{path} has no video in it.")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise ClipError(f"{path} is cut short or damaged: its index does not say how the pictures are coded.")
    return stream


def poster(path: Path, *, side: int = PROXY_SIDE, at: float = 0.0) -> bytes:
    """One frame as JPEG.

    Args:
        path: The video.
        side: Longer side in pixels.
        at: Share of the clip, 0 (first frame) to 1.

    Raises:
        ClipError: It is not a video that can be read.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = video_stream(container, path)
            wanted = int(at * max(0, (stream.frames or 1) - 1))
            picture = None
            for i, frame in enumerate(container.decode(stream)):
                picture = frame
                if i >= wanted:
                    break
            if picture is None:
                raise ClipError(f"{path} has no frame in it.")
            width, height = _fitted(picture.width, picture.height, side)
            out = io.BytesIO()
            picture.to_image(width=width, height=height).save(out, format="JPEG", quality=82)
            return out.getvalue()
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{path} is not a video that can be read ({error}).") from error


def proxy(path: Path, to: Path, *, side: int = PROXY_SIDE) -> None:
    """A small H.264 copy for the grid, about 70 kB for 5 s, written whole or not at all.

    It has the frames and the times of the file, no sound, and a key frame at least every second, so that a seek
    decodes little. Two processes may make it at once: the last one to finish stays, and both are whole.

    Raises:
        ClipError: It is not a video that can be read.
    """
    import av

    part = to.with_name(f".{to.name}.{uuid.uuid4().hex}.part.mp4")
    try:
        with (
            av.open(str(path)) as source,
            av.open(str(part), "w", options={"movflags": "+faststart"}) as sink,
        ):
            stream = video_stream(source, path)
            stream.thread_type = "AUTO"
            width, height = _fitted(stream.width, stream.height, side)
            rate = stream.average_rate or Fraction(24)
            small = sink.add_stream("libx264", rate=rate)
            assert isinstance(small, av.VideoStream)
            small.width, small.height, small.pix_fmt = width, height, "yuv420p"
            small.options = {"crf": "28", "preset": "veryfast", "g": str(max(1, int(rate)))}
            small.codec_context.time_base = _TICK
            first, last = None, -1
            for i, frame in enumerate(source.decode(stream)):
                at = float(i / rate) if frame.time is None else frame.time
                first = at if first is None else first
                # Two frames at one time would end the file; a rate that is not constant is kept as it is.
                last = max(last + 1, round((at - first) / _TICK))
                scaled = frame.reformat(width=width, height=height, format="yuv420p")
                scaled.pts, scaled.time_base = last, _TICK
                scaled.pict_type = av.video.frame.PictureType.NONE
                for packet in small.encode(scaled):
                    sink.mux(packet)
            if first is None:
                raise ClipError(f"{path} has no frame in it.")
            for packet in small.encode(None):
                sink.mux(packet)
        part.replace(to)
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{path} is not a video that can be read ({error}).") from error
    finally:
        part.unlink(missing_ok=True)


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """The size with the longer side at most `side`, both even."""
    scale = min(1.0, side / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
