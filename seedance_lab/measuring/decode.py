"""One pass through a video file, frame by frame; no clip is ever held whole.

Frames come as they stand in the file: 8-bit limited-range Y'CbCr, 4:2:0, upright. Another pixel format (10 bits,
4:4:4, full range) is converted to that one first, and a turn or a mirroring that the file asks its players for is
applied. Nothing else is: the samples of an HDR file are those of its own curve, with no tone mapping, and the two
fields of an interlaced one stay woven.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
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

_AS_IS = ("yuv420p", "yuvj420p")  # the same planes, of limited and of full range
_LEVELS = np.arange(256)
_LIMITED = (  # a full-range sample → the limited-range one: luma, chroma (ITU-T H.273, 8.3)
    np.round(16 + _LEVELS * 219 / 255).astype(np.uint8),
    np.round(128 + (_LEVELS - 128) * 224 / 255).astype(np.uint8),
)
_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_MOST_BOXES = 1000  # a file that is no MP4 could be read as very many


class Video(NamedTuple):
    """What is known of a file before it is decoded.

    Attributes:
        facts: What its headers say; `width` and `height` as stored.
        width, height: Pixels as shown, rotation applied.
        rotation: Degrees that players turn it by, counter-clockwise: 0, 90, 180, 270.
        n_frames: Frames that are shown, by the count of packets.
        transfer: The transfer function as FFmpeg numbers it (1: BT.709, 16: PQ, 18: HLG); 2: not said.
        bit_depth: Bits a sample.
        n_audio: Audio streams.
        bit_rate: Bits per second of the video stream.
        times: Time of each frame in seconds from the first, in the order of showing.
        faststart: Whether the index comes before the pictures; None for what is no MP4.
        mirrored: Whether players flip it left to right, after the rotation.
        matrix: What Y'CbCr means, as FFmpeg numbers it (1: BT.709, 5 and 6: BT.601); 2: not said.
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
    mirrored: bool = False
    matrix: int = 2

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)

    @property
    def reduction(self) -> int:
        """How many pixels of the clip become one of `Frame.small`, in each direction."""
        return max(1, round(self.short_side / SMALL_SIDE))


class Planes(NamedTuple):
    """The samples of a picture: the decoder's own memory, which it does not use again while they are held.

    Attributes:
        luma: Shape (h, w), uint8.
        u, v: Shape (h/2, w/2), rounded up where a side is odd, uint8.
    """

    luma: Bytes
    u: Bytes
    v: Bytes


class Frame:
    """One picture of the clip. What several parts of the pass want to know of it is reckoned once.

    Attributes:
        index: 0, 1, …
        time: Seconds from the first frame.
        planes: Its samples; `luma`, `u` and `v` one by one.
        before: Those of the frame before; None for the first one.
    """

    def __init__(
        self, index: int, time: float, planes: Planes, reduction: int, before: Planes | None = None
    ) -> None:
        self.index, self.time, self._reduction = index, time, reduction
        self.planes, self.before = planes, before
        self.luma, self.u, self.v = planes

    @functools.cached_property
    def mean_luma(self) -> float:
        """In levels."""
        return mean(self.luma)

    @functools.cached_property
    def luma_change(self) -> float:
        """Mean |ΔY| from the frame before, in levels; 0 for the first one."""
        return difference(self.before.luma, self.luma) if self.before else 0.0

    @functools.cached_property
    def small(self) -> Bytes:
        """The luma reduced by the mean of whole blocks, short side about 176 px, to within a level; may be kept."""
        k = self._reduction
        if k == 1:
            return self.luma.copy()
        height, width = self.luma.shape[0] // k, self.luma.shape[1] // k
        reduced = self.luma[: height * k, : width * k]
        while (
            k > 1
        ):  # by halves first: they have vector instructions, which makes a quarter seven times as fast
            step = k if k % 2 else 2
            k //= step
            reduced = cv2.resize(reduced, (width * k, height * k), interpolation=cv2.INTER_AREA)
        return reduced

    def reduced(self) -> Frame:
        """The same without its planes: may be kept, and has `small` only."""
        nothing = np.empty((0, 0), np.uint8)
        frame = Frame(self.index, self.time, Planes(nothing, nothing, nothing), self._reduction)
        frame.__dict__["small"] = self.small
        return frame


def mean(plane: Bytes) -> float:
    """Of the samples: three times as fast as `cv2.mean`."""
    return float(cv2.norm(plane, cv2.NORM_L1)) / plane.size


def difference(a: Bytes, b: Bytes) -> float:
    """Mean absolute difference of the samples, in levels."""
    return float(cv2.norm(a, b, cv2.NORM_L1)) / a.size


class Reader:
    """An open file.

    Attributes:
        video: What is known of it.
    """

    def __init__(self, path: Path, container: av.container.InputContainer, threads: int) -> None:
        self._path = path
        stream = media.video_stream(container, path)
        if getattr(stream, "disposition", 0) & _COVER:  # not told by PyAV 14.0
            raise ClipError(f"{path} has no video in it, only a cover picture.")
        if stream.codec_context is None:
            raise ClipError(
                f"{path} is cut short or damaged: its index does not say how the pictures are coded."
            )
        packets = list(_packets(container, stream, path))
        facts = media.facts_of(container, path, len(packets))
        shown = [packet for packet in packets if packet.is_shown]
        if not shown:
            raise ClipError(f"{path} has no frame in it.")
        container.seek(0)
        stream.thread_type = "AUTO"
        stream.thread_count = threads
        self._pictures = container.decode(stream)
        try:
            first = next(self._pictures, None)
        except av.FFmpegError as error:
            raise ClipError(f"{path} cannot be decoded ({error.strerror}).") from error
        if first is None:
            raise ClipError(f"{path} has no frame in it.")
        self._first = first
        self.video = _video(path, container, facts, shown, _turn(first, path))

    def frames(self) -> Iterator[Frame]:
        """The frames, in the order of showing; once.

        Raises:
            ClipError: The file cannot be decoded to its end.
        """
        video, start, n = self.video, self._first.time or 0.0, 0
        fps = video.facts.fps or 24.0
        turn = Turn(video.rotation // 90, video.mirrored)
        before: Planes | None = None
        try:
            for index, picture in enumerate(itertools.chain([self._first], self._pictures)):
                time = picture.time - start if picture.time is not None else index / fps
                planes = _planes(picture, turn)
                yield Frame(index, time, planes, video.reduction, before)
                before = planes
                n = index + 1
        except av.FFmpegError as error:
            raise ClipError(f"{self._path} cannot be decoded to its end ({error.strerror}).") from error
        if n < video.n_frames:  # a damaged frame is now and then dropped without a word
            raise ClipError(
                f"{self._path} is damaged: only {n} of its {video.n_frames} frames can be decoded."
            )


@contextlib.contextmanager
def opened(path: Path, *, threads: int = 0) -> Iterator[Reader]:
    """The file, ready to be decoded.

    Args:
        path: The file.
        threads: Of the decoder; 0 has FFmpeg choose, about one a core.

    Raises:
        ClipError: It is not a video that can be read, has no frame, or ends before its time.
    """
    with contextlib.ExitStack() as stack:
        try:
            reader = Reader(path, stack.enter_context(av.open(str(path))), threads)
        except (OSError, av.FFmpegError) as error:
            raise ClipError(_why_not(path, error)) from error
        except ClipError as error:
            if said := _cut_short(path):
                raise ClipError(said) from error
            raise
        yield reader


class Packet(NamedTuple):
    """What is kept of a packet; its bytes are not.

    Attributes:
        pts: Time stamp in the stream's units.
        size: Bytes.
        is_shown: Whether the file's edit list shows it.
    """

    pts: int
    size: int
    is_shown: bool


class Turn(NamedTuple):
    """How players turn the stored picture.

    Attributes:
        quarters: Quarter turns, counter-clockwise.
        mirrored: Whether it is then flipped left to right.
    """

    quarters: int
    mirrored: bool


def _packets(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> Iterator[Packet]:
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise ClipError(f"{path} is cut short: a frame has only part of its bytes.")
        if packet.size and packet.pts is not None:
            yield Packet(packet.pts, packet.size, not packet.is_discard)


def _video(
    path: Path,
    container: av.container.InputContainer,
    facts: media.FileFacts,
    packets: list[Packet],
    turn: Turn,
) -> Video:
    stream = container.streams.video[0]
    base = stream.time_base or Fraction(1, 90_000)
    stamps = sorted(packet.pts for packet in packets)
    times = tuple(float((pts - stamps[0]) * base) for pts in stamps)
    per_frame = times[-1] / (len(times) - 1) if len(times) > 1 else 1 / (facts.fps or 24.0)
    across = turn.quarters % 2
    context = stream.codec_context
    pixels, order = context.format, [box.kind for box in _boxes(path)]
    return Video(
        facts=facts,
        width=facts.height if across else facts.width,
        height=facts.width if across else facts.height,
        rotation=90 * turn.quarters,
        n_frames=len(packets),
        transfer=int(context.color_trc or 2),
        bit_depth=pixels.components[0].bits if pixels else 8,
        n_audio=len(container.streams.audio),
        bit_rate=8 * sum(packet.size for packet in packets) / (times[-1] + per_frame),
        times=times,
        faststart=order.index(b"moov") < order.index(b"mdat") if {b"moov", b"mdat"} <= set(order) else None,
        mirrored=turn.mirrored,
        matrix=int(context.colorspace),
    )


class Box(NamedTuple):
    """A box at the top of an MP4.

    Attributes:
        kind: Four letters, such as `moov`.
        end: Where it ends, in bytes from the start of the file; beyond the file's end if that was cut.
    """

    kind: bytes
    end: int


def _boxes(path: Path) -> list[Box]:
    """The boxes at the top of an MP4 (ISO/IEC 14496-12), in order; of another file nothing that makes sense."""
    found: list[Box] = []
    at = 0
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8 and len(found) < _MOST_BOXES:
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            found.append(Box(kind, at + length))
            if length < 8:
                break
            at += length
            file.seek(at)
    return found


def _why_not(path: Path, error: OSError | av.FFmpegError) -> str:
    """Why FFmpeg could not open a file, in words that say more than its own."""
    if not path.exists():
        return f"{path} is not there."
    if path.is_dir():
        return f"{path} is a folder, not a video."
    if not path.stat().st_size:
        return f"{path} is empty."
    return _cut_short(path) or f"{path} is not a video that can be read ({error.strerror})."


def _cut_short(path: Path) -> str:
    """What an MP4 that ends before its last box does lacks; empty for a whole one, and for another kind of file."""
    boxes = _boxes(path)
    if not boxes or boxes[0].kind != b"ftyp":
        return ""
    if (lost := boxes[-1].end - path.stat().st_size) > 0:
        return f"{path} is cut short: {lost} bytes or more are not there."
    if b"moov" not in {box.kind for box in boxes}:
        return f"{path} is cut short: its index, which was to come last, is not there."
    return ""


def _turn(picture: av.VideoFrame, path: Path) -> Turn:
    """How players turn the picture, by its display matrix.

    The matrix [[a, b, u], [c, d, v], [x, y, w]] takes (p, q) to (a p + c q, b p + d q). `VideoFrame.rotation` is not
    used: PyAV 14.0 has it not, and later ones take a mirroring for a half turn.
    """
    raw = picture.side_data.get("DISPLAYMATRIX")
    if raw is None:
        return Turn(0, mirrored=False)
    a, b, _, c, d = (int(x) for x in np.frombuffer(bytes(raw), np.int32)[:5])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c
    angle = math.degrees(math.atan2(-b, a))
    quarters = round(angle / 90)
    if abs(angle - 90 * quarters) > 1:
        raise ClipError(f"{path} is to be shown turned by {angle:.0f}°; only quarter turns can be measured.")
    return Turn(quarters % 4, mirrored)


def _planes(picture: av.VideoFrame, turn: Turn) -> Planes:
    name = picture.format.name
    full = name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
    if name not in _AS_IS:
        # The range stays for now: PyAV 14.0 converts it for some formats only. Names, because it takes no numbers.
        range_ = "JPEG" if full else "MPEG"
        to = _AS_IS[1] if name.startswith("yuvj") else _AS_IS[0]
        picture = picture.reformat(format=to, src_color_range=range_, dst_color_range=range_)
    planes = [_plane(picture.planes[i]) for i in range(3)]
    if full:
        planes = [np.asarray(cv2.LUT(p, _LIMITED[min(i, 1)]), np.uint8) for i, p in enumerate(planes)]
    if turn.quarters:
        planes = [np.ascontiguousarray(np.rot90(plane, turn.quarters)) for plane in planes]
    if turn.mirrored:
        planes = [np.ascontiguousarray(plane[:, ::-1]) for plane in planes]
    return Planes(*planes)


def _plane(plane: Any) -> Bytes:
    """The plane's own memory, without the padding at the end of its lines."""
    whole: Bytes = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return whole[: plane.height, : plane.width]
