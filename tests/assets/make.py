"""Pictures and videos for tests.

Pictures are written by hand: keys depend on their bytes, and an encoder's bytes change with its version.
"""

from __future__ import annotations

import struct
from pathlib import Path

import av


def bmp(width: int = 300, height: int = 300, *, shade: int = 0, n_bytes: int | None = None) -> bytes:
    """A picture of one grey as an uncompressed 1-bit BMP, 12 kB for 300×300; `n_bytes` pads it."""
    row = (width + 31) // 32 * 4
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 1, 0, row * height, 2835, 2835, 2, 2)
    palette = bytes([shade, shade, shade, 0, 255, 255, 255, 0])
    data = b"BM" + struct.pack("<IHHI", 62 + row * height, 0, 0, 62) + header + palette + bytes(row * height)
    return data if n_bytes is None else data + bytes(n_bytes - len(data))


def mp4(
    path: Path, *, width: int = 64, height: int = 48, n_frames: int = 12, audio_only: bool = False
) -> Path:
    """A tiny H.264 clip at 24 frames per second that gets lighter, or a file that holds only sound."""
    with av.open(str(path), "w") as container:
        if audio_only:
            sound = container.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate = 8000
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            container.mux([*sound.encode(frame), *sound.encode(None)])
            return path
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"preset": "ultrafast"}
        for i in range(n_frames):
            picture = av.VideoFrame(width, height, "yuv420p")
            for plane, level in zip(picture.planes, (min(235, 20 + 10 * i), 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path
