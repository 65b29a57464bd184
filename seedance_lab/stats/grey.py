"""Clips as small grey frames: 64 × 64 pixels whatever their size, so that resolutions can be held against each other.

That sees where things are and how they move; it does not see colour or fine detail.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab import media
from seedance_lab.endpoints import FPS
from seedance_lab.errors import ClipError

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]

GRID = 64
"""Side of a compared frame, in pixels."""

PER_SECOND = 2
"""Frames a second that are compared between settings; repeats are compared in all their frames."""

_MOST_FRAMES = 900


class Frames(NamedTuple):
    """A decoded clip, small and grey.

    Attributes:
        grey: Shape (t, 64, 64), uint8.
        times: Shape (t,), seconds from the first frame.
    """

    grey: Bytes
    times: Floats


def grey_frames(path: Path) -> Frames:
    """The frames of a clip, small and grey, the first 900 at most.

    Raises:
        ClipError: It is not a video that can be read, or has no frame in it.
    """
    import av
    import numpy as np

    grey: list[Bytes] = []
    times: list[float] = []
    fps = media.facts(path).fps or FPS  # and it is a video: FFmpeg also plays pictures and text
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                # The luma as it stands in the file: a conversion to grey would follow the file's colour tags, and
                # the same pictures with other tags would differ.
                small = frame.reformat(width=GRID, height=GRID, format="yuv420p", interpolation="AREA")
                grey.append(np.asarray(small.to_ndarray()[:GRID], dtype="uint8"))
                times.append(frame.time if frame.time is not None else len(times) / fps)
                if len(grey) == _MOST_FRAMES:
                    break
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{path} is not a video that can be read ({error}).") from error
    if not grey:
        raise ClipError(f"{path} has no frame in it.")
    return Frames(np.stack(grey), np.asarray(times, dtype="float64") - times[0])


def distance(a: Bytes, b: Bytes) -> float:
    """Mean absolute difference of two clips' grey frames, frame by frame, in 8-bit levels.

    Args:
        a: Shape (t, 64, 64), uint8.
        b: Likewise; of clips of different length the common part is compared.

    Returns:
        0 (the same) to 255.

    Raises:
        ValueError: One has no frame, or the frames differ in size.
    """
    import numpy as np

    n = min(len(a), len(b))
    if not n or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"Frames of shapes {a.shape} and {b.shape} cannot be compared.")
    # uint8 would wrap around.
    return float(np.mean([np.abs(x.astype("int16") - y).mean() for x, y in zip(a[:n], b[:n], strict=True)]))


class Reader:
    """Decodes clips; keeps only the few frames of each that are compared between settings.

    Attributes:
        unreadable: The files that are no videos, in the order in which they were met.
    """

    def __init__(self) -> None:
        self.unreadable: dict[str, None] = {}
        self._few: dict[str, Bytes] = {}

    def whole(self, file: str) -> Frames | None:
        """All frames; None, and remembered, where they cannot be read."""
        if file in self.unreadable:
            return None
        try:
            found = grey_frames(Path(file))
        except ClipError:
            self.unreadable[file] = None
            return None
        self._few[file] = at_equal_times(found)
        return found

    def few(self, file: str) -> Bytes | None:
        """Two frames a second, at equal times in every clip; None as above."""
        if file not in self._few:
            self.whole(file)
        return self._few.get(file)

    def forget(self) -> None:
        """Free the memory once a prompt and picture is done."""
        self._few.clear()


def at_equal_times(clip: Frames) -> Bytes:
    """Its frames at 0, 0.5, 1, … seconds."""
    import numpy as np

    wanted = np.arange(0, clip.times[-1] + 1e-6, 1 / PER_SECOND)
    half_a_frame = 0.5 * (clip.times[1] if len(clip.times) > 1 else 0.0)
    at = np.searchsorted(clip.times, wanted + half_a_frame, side="right") - 1
    few: Bytes = clip.grey[np.clip(at, 0, len(clip.grey) - 1)]
    return few
