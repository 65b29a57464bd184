"""What the engine asks of whatever makes its videos: one job in, one file out.

The service knows only this; worker processes (`pool`) and the instant stand-in of tests (`stub`) are two
ways to do it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

IDENTITY = "seedance-lab simulator, not Seedance"
"""What the engine calls itself wherever it can be read: root page, logs, file metadata."""


class Job(NamedTuple):
    """One video to render.

    Attributes:
        id: The request's id; names the job in logs only.
        out: Where the MP4 is to be written. Its folder exists.
        image: First frame, any format that Pillow reads; None for text-to-video.
        end_image: Last frame, or None.
        prompt: As it was sent.
        width: Pixels of the clip.
        height: Pixels of the clip.
        ratio: Nominal width / height, which the output pixels meet only roughly.
        seconds: Length at 24 frames per second.
        seed: 0 to 2**32 - 1.
        camera_fixed: Whether the camera is to stand still.
    """

    id: str
    out: Path
    image: Path | None
    end_image: Path | None
    prompt: str
    width: int
    height: int
    ratio: float
    seconds: int
    seed: int
    camera_fixed: bool


class Rendered(NamedTuple):
    """What came out: `frames`, `size_bytes` of the file, `seconds` of work."""

    frames: int
    size_bytes: int
    seconds: float


class RenderError(Exception):
    """A job that will not succeed by trying again.

    Args:
        message: For the log; not shown to the caller of the API.
        kind: `image_load_error` when a picture could not be read, else `internal`.
    """

    def __init__(self, message: str, kind: Literal["image_load_error", "internal"] = "internal") -> None:
        super().__init__(message)
        self.kind = kind


class Renderer(Protocol):
    """Makes the file of a job. Cancelling `render` abandons the job."""

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        """Write `job.out`; report progress as 0 to 1.

        Raises:
            RenderError: The job cannot be done.
        """
        ...

    async def aclose(self) -> None:
        """Stop at once; whatever runs is abandoned."""
        ...
