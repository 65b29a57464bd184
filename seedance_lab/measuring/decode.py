"""One pass through a video file, frame by frame; no clip is ever held whole.

Frames come as they stand in the file: 8-bit limited-range Y'CbCr, 4:2:0, upright. Another pixel format (10 bits,
4:4:4, full range) is converted to that one first, and a rotation that the file asks its players for is applied.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from seedance_lab import media
from seedance_lab.errors import ClipError
from seedance_lab.measuring.spec import Bytes

SMALL_SIDE = 176
"""About the short side of `Frame.small`, in pixels: where dense flow is both quick and right."""

_AS_IS = "yuv420p"


class Video(NamedTuple):
    """What is known of a file before it is decoded.

    Attributes:
        facts: What its headers say; `width` and `height` as stored.
        width, height: Pixels as shown, rotation applied.
        rotation: Degrees that players turn it by, counter-clockwise: 0, 90, 180, 270.
        n_frames: By the count of packets.
        transfer: The transfer function as FFmpeg numbers it (1: BT.709, 16: PQ, 18: HLG); 2: not said.
        bit_depth: Bits a sample.
        n_audio: Audio streams.
        bit_rate: Bits per second of the video stream.
        times: Time of each frame in seconds from the first, in the order of showing.
        faststart: Whether the index comes before the pictures; None for what is no MP4.
    """

    facts: media.FileFacts
    width: int
    height: int
    rotation: int
    n_frames: int
    transfer: int
    bit_depth: int
    n_audio: int
    bit_rate: float
    times: tuple[float, ...]
    faststart: bool | None

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)

    @property
    def reduction(self) -> int:
        """How many pixels of the clip become one of `Frame.small`, in each direction."""
        return max(1, round(self.short_side / SMALL_SIDE))


class Frame:
    """One picture of the clip; its planes are only good until the next one is asked for.

    Attributes:
        index: 0, 1, …
        time: Seconds from the first frame.
        luma: Shape (h, w), uint8.
        u, v: Shape (h/2, w/2), uint8.
    """

    def __init__(self, index: int, time: float, planes: tuple[Bytes, Bytes, Bytes], reduction: int) -> None:
        self.index, self.time, self._reduction = index, time, reduction
        self.luma, self.u, self.v = planes

    @functools.cached_property
    def small(self) -> Bytes:
        """The luma reduced by the mean of whole blocks, short side about 176 px; may be kept."""
        k = self._reduction
        if k == 1:
            return self.luma.copy()
        height, width = self.luma.shape[0] // k, self.luma.shape[1] // k
        whole = self.luma[: height * k, : width * k]
        return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    @functools.cached_property
    def bgr(self) -> Bytes:
        """Shape (h, w, 3), uint8: as OpenCV converts it (BT.601, limited range), which VBench reads too."""
        height, width = self.luma.shape
        if height % 2 or width % 2:
            even = (self.luma[: height // 2 * 2, : width // 2 * 2], self.u, self.v)
            return Frame(self.index, self.time, even, self._reduction).bgr
        chroma = np.concatenate([self.u.reshape(-1), self.v.reshape(-1)]).reshape(-1, width)
        return np.asarray(cv2.cvtColor(np.vstack([self.luma, chroma]), cv2.COLOR_YUV2BGR_I420), np.uint8)


class Reader:
    """An open file.

    Attributes:
        video: What is known of it.
    """

    def __init__(self, path: Path, container: av.container.InputContainer) -> None:
        self._path = path
        stream = media.video_stream(container, path)
        packets = [(p.pts, p.size) for p in container.demux(stream) if p.size and p.pts is not None]
        facts = media.facts_of(container, path, len(packets))
        if not packets:
            raise ClipError(f"{path} has no frame in it.")
        container.seek(0)
        stream.thread_type = "AUTO"
        self._pictures = container.decode(stream)
        first = next(self._pictures, None)
        if first is None:
            raise ClipError(f"{path} has no frame in it.")
        self._first = first
        self.video = _video(path, container, facts, packets, round(first.rotation) % 360)

    def frames(self) -> Iterator[Frame]:
        """The frames, in the order of showing; once.

        Raises:
            ClipError: The file cannot be decoded to its end.
        """
        fps, start = self.video.facts.fps or 24.0, self._first.time or 0.0
        try:
            for index, picture in enumerate(itertools.chain([self._first], self._pictures)):
                time = picture.time - start if picture.time is not None else index / fps
                yield Frame(index, time, _planes(picture, self.video.rotation), self.video.reduction)
        except (OSError, av.FFmpegError) as error:
            raise ClipError(f"{self._path} cannot be decoded to its end ({error}).") from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """The file, ready to be decoded.

    Raises:
        ClipError: It is not a video that can be read, has no frame, or ends before its time.
    """
    try:
        with av.open(str(path)) as container:
            yield Reader(path, container)
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{path} is not a video that can be read ({error}).") from error


def _video(
    path: Path,
    container: av.container.InputContainer,
    facts: media.FileFacts,
    packets: list[tuple[int, int]],
    rotation: int,
) -> Video:
    stream = container.streams.video[0]
    base = stream.time_base or Fraction(1, 90_000)
    stamps = sorted(pts for pts, _ in packets)
    times = tuple(float((pts - stamps[0]) * base) for pts in stamps)
    per_frame = times[-1] / (len(times) - 1) if len(times) > 1 else 1 / (facts.fps or 24.0)
    across = rotation in {90, 270}
    pixels = stream.codec_context.format
    return Video(
        facts=facts,
        width=facts.height if across else facts.width,
        height=facts.width if across else facts.height,
        rotation=rotation,
        n_frames=len(packets),
        transfer=int(stream.codec_context.color_trc or 2),
        bit_depth=pixels.components[0].bits if pixels else 8,
        n_audio=len(container.streams.audio),
        bit_rate=8 * sum(size for _, size in packets) / (times[-1] + per_frame),
        times=times,
        faststart=_is_faststart(path),
    )


def _is_faststart(path: Path) -> bool | None:
    """Whether `moov` comes before `mdat`, by the boxes at the top of the file (ISO/IEC 14496-12)."""
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind in {b"moov", b"mdat"}:
                return kind == b"moov"
            if length == 1:
                length = int.from_bytes(file.read(8), "big") - 8
            if length < 8:
                return None
            file.seek(length - 8, 1)
    return None


def _planes(picture: av.VideoFrame, rotation: int) -> tuple[Bytes, Bytes, Bytes]:
    full = picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
    if picture.format.name != _AS_IS or full:
        picture = picture.reformat(
            format=_AS_IS,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
        )
    planes = [_plane(picture.planes[i]) for i in range(3)]
    if rotation:
        planes = [np.ascontiguousarray(np.rot90(plane, rotation // 90)) for plane in planes]
    return planes[0], planes[1], planes[2]


def _plane(plane: Any) -> Bytes:
    """The plane's own memory, without the padding at the end of its lines."""
    whole: Bytes = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return whole[: plane.height, : plane.width]
