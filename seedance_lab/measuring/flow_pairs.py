"""A clip's flow over time: pairs of frames a stated time apart, and how evenly the picture moves.

Two flows are taken. One from each frame to the next, at half the working size and by the preset "ultrafast": how even
the motion is, and roughly how far the picture has gone. One over pairs of frames 1/8 s apart, to the nearest frame,
which starts from there. A pair ends sooner where the picture has gone on by a fifth of its short side, because too
little of it would be in both frames. Times are the file's own, so the frame rate may be any, or vary.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.measuring.decode import Frame
from seedance_lab.measuring.flow import CELL, Field, Gap, Matcher, Pair, size
from seedance_lab.measuring.spec import Bytes

PAIR_S = 1 / 8
"""Seconds between the two frames of a pair: VBench's sampling for its dynamic degree."""

_FARTHEST = 0.2


class Follower:
    """Takes frames in order and tells of each pair when it is whole.

    Attributes:
        evenness: Sums for the smoothness of what was followed.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self.evenness = Evenness()
        self._steps = _Steps(matcher.width // 2, matcher.height // 2, 2 * matcher.grid.pixel)
        self._first: tuple[float, Bytes] | None = None

    def see(self, frame: Frame) -> Pair | Gap | None:
        """One more frame; what is between it and the start of a pair, if the pair ends here."""
        small, time = frame.small, frame.time
        spacing = time - self._steps.time
        gone_x, gone_y = self._steps.see(small, time)
        if self._first is None:
            self._first = (time, small)
            return None
        start, before = self._first
        early = gone_x**2 + gone_y**2 >= _FARTHEST**2
        if time <= start or (time - start < PAIR_S - spacing / 2 and not early):
            return None
        told = self._matcher.match(before, small, start, time, (0.0, 0.0, gone_x, gone_y))
        if isinstance(told, Pair):
            self.evenness = self.evenness.plus(self._steps.evenness(told.trust))
        self._steps.begin_pair(whole=isinstance(told, Pair))
        self._first = (time, small)
        return told


class Evenness(NamedTuple):
    """Sums over frames, of means over the picture.

    Attributes:
        speed: Speeds, in short sides per second.
        change: Changes of velocity from one frame to the next, in the same unit; never above 2 x `speed`.
        weight: How many changes were looked at.
    """

    speed: float = 0.0
    change: float = 0.0
    weight: float = 0.0

    def plus(self, other: Evenness) -> Evenness:
        """Both together."""
        return Evenness(*(a + b for a, b in zip(self, other, strict=True)))


class _Steps:
    """Flow from each frame to the next, at half the working size.

    Attributes:
        time: Of the last frame.
    """

    def __init__(self, width: int, height: int, pixel: float) -> None:
        self.time = 0.0
        self._pixel = pixel
        self._half, self._quarter = (width, height), (width // 2, height // 2)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._window = cv2.createHanningWindow(self._quarter, cv2.CV_32F)
        self._last: tuple[Bytes, Field] | None = None
        self._velocities: list[Field] = []
        self._gone = np.zeros(2)

    def see(self, small: Bytes, time: float) -> tuple[float, float]:
        """How far the picture as a whole has gone right and down since the pair began, in short sides."""
        half = np.asarray(cv2.resize(small, self._half, interpolation=cv2.INTER_AREA))
        quarter = np.asarray(cv2.resize(half, self._quarter, interpolation=cv2.INTER_AREA), np.float32)
        if self._last is not None:
            way = self._way(*self._last, half, quarter)
            middle = way[0].size // 2
            self._gone += np.partition(way.reshape(2, -1), middle, axis=1)[:, middle]
            self._velocities.append(way / np.float32(max(time - self.time, 1e-3)))
        self._last, self.time = (half, quarter), time
        return float(self._gone[0]), float(self._gone[1])

    def _way(self, half: Bytes, quarter: Field, next_half: Bytes, next_quarter: Field) -> Field:
        """Right and down, shape (2, rows, columns), in short sides.

        A large step is more than the flow finds by itself: phase correlation says where to begin.
        """
        guess = None
        if _differ_by_a_pixel(quarter, next_quarter):
            (dx, dy), sure = cv2.phaseCorrelate(quarter, next_quarter, self._window)
            if sure > 0.1 and max(abs(dx), abs(dy)) > 1.5:
                guess = np.full((*half.shape, 2), (2 * dx, 2 * dy), np.float32)
        flow: Field = self._flow.calc(half, next_half, guess)[CELL // 2 :: CELL, CELL // 2 :: CELL]
        return flow.transpose(2, 0, 1) * np.float32(self._pixel)

    def evenness(self, trust: Field) -> Evenness:
        """Of the steps of this pair, the last one of the pair before included.

        Args:
            trust: How far flow can be trusted at each point, shape (rows, columns) of any grid.
        """
        _, rows, columns = self._velocities[-1].shape
        share = cv2.resize(trust, (columns, rows), interpolation=cv2.INTER_AREA)
        share = share / np.float32(max(float(share.sum()), 1e-9))
        change = weight = 0.0
        speeds = [float((share * size(*velocity)).sum()) for velocity in self._velocities]
        for old, new in itertools.pairwise(self._velocities):
            change += float((share * size(*(new - old))).sum())
            weight += 1
        speed = sum((old + new) / 2 for old, new in itertools.pairwise(speeds))
        return Evenness(speed, change, weight)

    def begin_pair(self, *, whole: bool) -> None:
        """The next pair starts at the last frame; one that could not be followed leaves nothing behind."""
        self._velocities = self._velocities[-1:] if whole else []
        self._gone[:] = 0


def _differ_by_a_pixel(picture: Field, later: Field) -> bool:
    """Whether they differ by no less than the picture does from itself moved by a pixel: a larger step does."""
    by_one = min(
        cv2.norm(picture[:, 1:], picture[:, :-1], cv2.NORM_L1) / picture[:, 1:].size,
        cv2.norm(picture[1:], picture[:-1], cv2.NORM_L1) / picture[1:].size,
    )
    return cv2.norm(picture, later, cv2.NORM_L1) / picture.size >= by_one
