"""Where the picture goes: dense optical flow between two frames.

DIS flow (Kroeger et al., ECCV 2016; OpenCV's preset "fast" with two rounds of its variational refinement for five) on
`Frame.small`, whose short side is about 176 px. What is planted is read as well with two rounds as with five.
Lengths are in short sides of the picture, so that clips of any size compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from seedance_lab.measuring.decode import Video
from seedance_lab.measuring.spec import Bytes

SMALLEST_SIDE = 64
"""Pixels of the reduced picture's short side; below, the coarsest level has too few patches."""

_FOLLOWED = 0.6
TEXTURED = 1.5
_FLAT = 0.02
CELL = 4
_CLEARLY = 0.7
_NEAR = 1.0  # working pixels that the flow finds as well from rest

Field = np.ndarray[Any, np.dtype[np.floating[Any]]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


Motion = tuple[float, float, float, float]
"""Growth, turn, way right, way down: u = a x - b y + c, v = b x + a y + d; see `camera_model.Similarity`."""


class Grid(NamedTuple):
    """Where flow is read: the middle of every block of 4 x 4 pixels of the reduced picture.

    Attributes:
        x, y: Shape (rows, columns): right and down of the picture's middle, in short sides.
        pixel: One pixel of the reduced picture, in short sides.
    """

    x: Field
    y: Field
    pixel: float


class Pair(NamedTuple):
    """Two frames and how each point went from one to the other.

    Attributes:
        start, stop: Seconds from the first frame of the clip.
        u, v: Shape (rows, columns): how far the picture went right and down at each point, in short sides.
        before, after: The reduced frames themselves.
        trust: Shape (rows, columns): 0 where flow is a guess, because the picture is flat or goes out of sight; up
            to 1 where it has texture.
        stays: Shape (rows, columns): whether the point is still in sight in the later frame.
    """

    start: float
    stop: float
    before: Bytes
    after: Bytes
    u: Field
    v: Field
    trust: Field
    stays: Bools


class Gap(NamedTuple):
    """Two frames between which the picture could not be followed.

    Attributes:
        start, stop: Seconds from the first frame of the clip.
        reason: Why not, as the end of a sentence.
    """

    start: float
    stop: float
    reason: str


class Matcher:
    """Follows the picture from one reduced frame of a clip to another.

    Attributes:
        grid: Where flow is read.
        width, height: Of the reduced frames.
        too_small: Whether they are too small for it; nothing may be matched then.
    """

    def __init__(self, video: Video) -> None:
        k = video.reduction
        self.width, self.height = video.width // k, video.height // k
        self.too_small = min(self.width, self.height) < SMALLEST_SIDE
        self.grid = _grid(self.width, self.height, k / video.short_side)
        self._reach = -float(self.grid.x.min()), -float(self.grid.y.min())
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setVariationalRefinementIterations(2)
        self._x, self._y = np.meshgrid(
            np.arange(self.width, dtype=np.float32), np.arange(self.height, dtype=np.float32)
        )
        self._half_x, self._half_y = self._x[::2, ::2].copy(), self._y[::2, ::2].copy()
        # As complex numbers: NumPy takes ten times as long to repeat a pair. Kept: fresh memory costs more than that.
        self._ways = np.empty((self.height, self.width, 1), np.complex64)

    def match(self, before: Bytes, after: Bytes, start: float, stop: float, guess: Motion) -> Pair | Gap:
        """How each point went from one frame to the other, or why that cannot be told.

        Args:
            before: `Frame.small` of the earlier one.
            after: That of the later one.
            start: Time of the earlier one.
            stop: Time of the later one.
            guess: About how the picture went.
        """
        texture = _texture(before, self.grid.x.shape)
        if np.count_nonzero(texture > TEXTURED) < _FLAT * texture.size:
            return Gap(start, stop, "the picture is flat: nothing in it can be followed")
        flow: Field = self._flow.calc(before, after, self._field(guess))
        to_x, to_y = self._half_x + flow[::2, ::2, 0], self._half_y + flow[::2, ::2, 1]
        back = cv2.remap(after, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = (to_x > -1) & (to_x < self.width) & (to_y > -1) & (to_y < self.height)
        here, there = before[::2, ::2].copy(), after[::2, ::2].copy()
        if _likeness(here, back, seen) < _FOLLOWED:
            return Gap(start, stop, "one frame does not continue the other: a cut, or noise")
        x, y, pixel = self.grid
        rows, columns = x.shape
        read = flow[CELL // 2 :: CELL, CELL // 2 :: CELL][:rows, :columns] * np.float32(pixel)
        stays = (np.abs(x + read[..., 0]) <= self._reach[0]) & (np.abs(y + read[..., 1]) <= self._reach[1])
        moves = ~(stays & _rests(here, there, back, (columns, rows)))
        u, v = read[..., 0] * moves, read[..., 1] * moves
        trust = stays * texture / (texture + np.float32(TEXTURED))
        if float(trust.mean()) < _FLAT / 2:
            return Gap(start, stop, "what can be followed goes out of sight")
        return Pair(start, stop, before, after, u, v, trust, stays)

    def _field(self, guess: Motion) -> Field | None:
        """The guess at every pixel, in pixels; good until the next one. None where it says no more than rest does."""
        a, b, c, d = (np.float32(value) for value in guess)
        c, d = c / np.float32(self.grid.pixel), d / np.float32(self.grid.pixel)
        if not (a or b):
            if max(abs(c), abs(d)) < _NEAR:
                return None
            self._ways.fill(complex(c, d))
            return self._ways.view(np.float32)
        x, y = self._x - np.float32(self.width / 2 - 0.5), self._y - np.float32(self.height / 2 - 0.5)
        return np.stack([a * x - b * y + c, b * x + a * y + d], axis=2)


def size(u: Field, v: Field) -> Field:
    """Lengths of vectors; `np.hypot` takes eight times as long."""
    return np.asarray(np.sqrt(u * u + v * v))


def _grid(width: int, height: int, pixel: float) -> Grid:
    columns, rows = width // CELL, height // CELL
    x = (np.arange(columns, dtype=np.float32) * CELL + CELL // 2 + 0.5 - width / 2) * pixel
    y = (np.arange(rows, dtype=np.float32) * CELL + CELL // 2 + 0.5 - height / 2) * pixel
    xs, ys = np.meshgrid(x, y)
    return Grid(xs.astype(np.float32), ys.astype(np.float32), pixel)


def _likeness(before: Bytes, back: Bytes, seen: Bools) -> float:
    """Correlation of a frame with the next one brought back along the flow, where both are seen."""
    if np.count_nonzero(seen) < 0.2 * seen.size:
        return 0.0
    a, b = ((_detail(picture) * seen).ravel() for picture in (before, back))
    power = float(np.dot(a, a)) * float(np.dot(b, b))
    return float(np.dot(a, b)) / power**0.5 if power else 0.0


def _rests(before: Bytes, after: Bytes, back: Bytes, size: tuple[int, int]) -> Bools:
    """Where the picture as it stands continues the one before clearly better than along the flow does.

    The flow's patches are 32 pixels wide, and around what moves they carry what rests along.
    """
    still = cv2.boxFilter(cv2.absdiff(before, after), cv2.CV_32F, (5, 5))
    moved = cv2.boxFilter(cv2.absdiff(before, back), cv2.CV_32F, (5, 5))
    return np.asarray(
        cv2.resize(still - np.float32(_CLEARLY) * moved, size, interpolation=cv2.INTER_AREA) < 0
    )


def _detail(picture: Bytes) -> Field:
    """Without the broad light and dark, which two different scenes may well share, and without the grain."""
    plane = cv2.blur(picture, (3, 3))
    side = min(plane.shape) // 8 * 2 + 1
    return np.asarray(cv2.subtract(plane, cv2.blur(plane, (side, side)), dtype=cv2.CV_32F), np.float32)


def _texture(small: Bytes, shape: tuple[int, ...]) -> Field:
    """Strength of the gradient at half size, in grey levels a pixel of that; one value a point of the grid."""
    height, width = small.shape
    half = np.asarray(cv2.resize(small, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    right, down = cv2.spatialGradient(half)
    strength = size(right.astype(np.float32), down.astype(np.float32)) / np.float32(8)
    return np.asarray(cv2.resize(strength, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)
