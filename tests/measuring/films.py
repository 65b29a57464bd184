"""Videos made on the spot, with something known planted in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from seedance_lab.measuring import decode, one_pass
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.spec import Bytes, Found


def texture(width: int, height: int, seed: int = 0, *, detail: float = 0.6) -> Bytes:
    """A colourful picture with structure at every scale, shape (height, width, 3), uint8, BGR.

    Args:
        width, height: Pixels.
        seed: Another one, another picture.
        detail: Amplitude of each octave by that of the next coarser one; less is smoother.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    cells, weight = 3, 1.0
    while cells < max(width, height):
        coarse = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * detail
    spread = total.std() or 1.0
    return np.asarray(np.clip(128 + 45 * (total - total.mean()) / spread, 16, 235), np.uint8)


def view(
    canvas: Bytes,
    width: int,
    height: int,
    *,
    dx: float = 0.0,
    dy: float = 0.0,
    zoom: float = 1.0,
    roll_deg: float = 0.0,
) -> Bytes:
    """What a camera over the middle of a canvas sees.

    Args:
        canvas: Larger than the view.
        width, height: Of the view, in pixels.
        dx, dy: How far the camera has gone right and down, in pixels of the canvas: the picture goes left and up.
        zoom: Above 1 things look larger.
        roll_deg: How far the camera has turned clockwise: the picture turns the other way.
    """
    angle = np.deg2rad(roll_deg)
    a, b = np.cos(angle) / zoom, np.sin(angle) / zoom
    cx, cy = canvas.shape[1] / 2 - 0.5 + dx, canvas.shape[0] / 2 - 0.5 + dy
    u, v = (width - 1) / 2, (height - 1) / 2
    back = np.array([[a, -b, cx - a * u + b * v], [b, a, cy - b * u - a * v]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(canvas, back, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(out, np.uint8)


def write(
    path: Path,
    frames: Iterable[Bytes],
    *,
    fps: int = 24,
    crf: int = 10,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Callable[[int], int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode BGR frames, shape (h, w, 3), uint8; grey ones of shape (h, w) become grey.

    Args:
        path: Where to.
        frames: One or more.
        fps: Frames per second.
        crf: x264's quality, 0 without loss.
        codec, pix_fmt: As FFmpeg names them.
        times: A frame's time stamp by its index, in 1/1000 s; evenly spaced if not given.
        options: More of the encoder's.
    """
    with av.open(str(path), "w") as sink:
        stream: Any = None
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "bgr24")
            if stream is None:
                stream = sink.add_stream(codec, rate=fps)
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, pix_fmt
                stream.options = {"crf": str(crf), "preset": "veryfast", **(options or {})}
                if times is not None:
                    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            picture = picture.reformat(format=pix_fmt)
            picture.pts = index if times is None else times(index)
            picture.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))
    return path


def measured(path: Path, *names: str, asked: Asked | None = None) -> Found:
    """These measures of a file, by the pass that everyone uses."""
    return one_pass.measured(path, asked or Asked(), frozenset(names))


def lumas(path: Path) -> list[Bytes]:
    """All lumas of a file, as they stand in it: shape (h, w), uint8, each a copy."""
    with decode.opened(path) as reader:
        return [frame.luma.copy() for frame in reader.frames()]


def write_tagged(
    path: Path,
    frames: Iterable[tuple[Bytes, Bytes, Bytes]],
    *,
    crf: int = 0,
    matrix: int = 1,
    transfer: int = 1,
) -> Path:
    """Encode Y'CbCr planes, 24 a second, limited range: without loss unless a `crf` is given.

    Args:
        path: Where to.
        frames: Luma of shape (h, w) and two planes of shape (h/2, w/2), uint8, h and w even.
        crf: x264's quality.
        matrix, transfer: The colour tags, as FFmpeg numbers them.
    """
    with av.open(str(path), "w") as sink:
        stream: Any = None
        for index, planes in enumerate(frames):
            height, width = planes[0].shape
            if stream is None:
                stream = sink.add_stream("libx264", rate=24)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"crf": str(crf), "preset": "veryfast"}
                context = stream.codec_context
                context.colorspace, context.color_trc, context.color_range = matrix, transfer, 1
            flat = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, width)
            picture = av.VideoFrame.from_ndarray(flat, format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, 24)
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))
    return path


def write_planes(
    path: Path,
    planes: Iterable[tuple[Bytes, Bytes, Bytes]],
    *,
    fps: int = 24,
    crf: int = 0,
    times: Callable[[int], int] | None = None,
) -> Path:
    """Encode Y'CbCr planes as they are; at crf 0 they come back to the bit.

    Args:
        path: Where to.
        planes: Y, Cb and Cr of each frame, shapes (h, w) and twice (h/2, w/2), uint8; even sizes.
        fps: Frames per second.
        crf: x264's quality.
        times: A frame's time stamp by its index, in 1/1000 s; evenly spaced if not given.
    """
    with av.open(str(path), "w") as sink:
        stream: Any = None
        for index, (y, u, v) in enumerate(planes):
            whole = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)]).reshape(-1, y.shape[1])
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="yuv420p")
            if stream is None:
                stream = sink.add_stream("libx264", rate=fps)
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
                stream.options = {"crf": str(crf), "preset": "veryfast"}
                if times is not None:
                    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            picture.pts = index if times is None else times(index)
            picture.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))
    return path


def grey(luma: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """A luma of even size with colourless planes: for `write_planes`."""
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return luma, chroma, chroma
