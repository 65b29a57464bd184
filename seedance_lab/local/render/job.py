"""What the renderer is asked for and what it answers: plain values, importable without numpy."""

from dataclasses import dataclass
from pathlib import Path

FPS = 24  # Seedance 1.0 writes 24 frames a second at every size (BytePlus ModelArk docs, read 2026-08-20)


class PictureError(ValueError):
    """The picture cannot be read. The engine reports it the way the service does: `image_load_error`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One clip to draw. Equal jobs give equal bytes, whatever the files are called.

    Attributes:
        image: The first frame's picture, in any format Pillow reads; None draws a scene from the prompt.
        end_image: The last frame's picture, or None.
        prompt: English; camera words and a few nouns and verbs of motion are understood.
        width: Output pixels, a multiple of 16.
        height: Output pixels, a multiple of 16.
        ratio: The nominal aspect A/B that a picture is centre-cropped to before it is scaled. Not quite
            width/height: the service's 21:9 is 1504x640.
        seconds: 2 to 12.
        seed: 0 to 2**32 - 1.
        camera_fixed: The camera stands still; what is in front of it may move.
    """

    image: Path | None
    end_image: Path | None
    prompt: str
    width: int
    height: int
    ratio: float
    seconds: int
    seed: int
    camera_fixed: bool

    def __post_init__(self) -> None:
        """Refuse what would fail, or look wrong, only after seconds of work."""
        for name, value in (("width", self.width), ("height", self.height)):
            if value < 64 or value % 16:
                raise ValueError(f"{name}={value} must be a multiple of 16, at least 64.")
        if not 1 <= self.seconds <= 60:
            raise ValueError(f"seconds={self.seconds} must be from 1 to 60.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed} must be from 0 to 4294967295.")
        if not 0.1 <= self.ratio <= 10:
            raise ValueError(f"ratio={self.ratio} must be from 0.1 to 10.")

    @property
    def frames(self) -> int:
        """Frames of the clip: exactly 24 a second."""
        return FPS * self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished file's facts."""

    frames: int
    width: int
    height: int
    fps: int
    size_bytes: int
