"""What happens at one moment of a clip: freezes, held frames, black frames, cuts.

The rules and thresholds are those of FFmpeg's filters freezedetect, blackdetect and scdet; only their shortest spans,
made for films, are shorter here.
"""

from __future__ import annotations

import cv2
import numpy as np

from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Planes, Video, difference
from seedance_lab.measuring.spec import Floats, Found, Measure

STILL_LEVELS = 0.256
"""Two frames that differ by no more than this, as the mean over all samples, are one picture: 0.001 of 256 levels.

Frames that were sent twice stay below it up to crf 20 of x264 at any preset; at crf 28 a fast preset draws something
between two pictures instead. A pan of half a pixel a frame is at 0.2 over a smooth picture, at 0.7 over a detailed one.
"""

FREEZE_S = 0.5
"""A picture that stands for less is no freeze: animation at 8 pictures a second is none."""

BLACK_LEVEL = 37
"""The brightest luma that is black: 16 + a tenth of 219, rounded down."""

BLACK_SHARE = 0.98
"""Of the pixels of a black frame."""

CUT_SCORE = 10.0
"""From here on a change is a cut."""

ONE_FRAME = "the clip has one frame"

MEASURES = (
    Measure(
        name="n_cuts",
        unit="",
        doc="Changes of scene: frames whose score (see cut_score) is 10 or more",
        group="steadiness",
        low=0,
        better="less",
        source="FFmpeg scdet, default threshold",
    ),
    Measure(
        name="cut_score",
        unit="%",
        doc="Largest score of a change of scene: min(m, |m − the m before|), m = mean |ΔY| in % of 256 levels",
        group="steadiness",
        low=0,
        high=100,
        better="less",
        source="FFmpeg scdet, equal to its rounding",
    ),
    Measure(
        name="frozen_share",
        unit="",
        doc="Share of the length in which one picture stands for 0.5 s or longer: "
        "no frame more than 0.256 levels from its first",
        group="steadiness",
        low=0,
        high=1,
        better="less",
        source="FFmpeg freezedetect with d=0.5",
    ),
    Measure(
        name="longest_freeze_s",
        unit="s",
        doc="Length of the longest such freeze; 0 where there is none",
        group="steadiness",
        low=0,
        better="less",
        source="FFmpeg freezedetect with d=0.5",
    ),
    Measure(
        name="held_share",
        unit="",
        doc="Share of the frames, the first left out, that are no more than 0.256 levels from the one before; "
        "0.5 where every frame comes twice. Very slow motion reads as held too",
        group="steadiness",
        low=0,
        high=1,
        better="less",
        source="freezedetect's difference, between neighbours",
    ),
    Measure(
        name="black_share",
        unit="",
        doc="Share of the frames in which at least 98 % of the pixels are black (Y of 37 or less)",
        group="steadiness",
        low=0,
        high=1,
        better="less",
        source="FFmpeg blackdetect with d=0",
    ),
)


def cut_scores(differences: Floats) -> Floats:
    """How much each frame looks like the first of another scene.

    Args:
        differences: Shape (n,): mean |ΔY| of each frame from the one before, in levels; from the second frame on.

    Returns:
        Shape (n,), % of 256 levels.

    Source: FFmpeg, vf_scdet.
    """
    share = differences * (100 / 256)
    return np.asarray(np.minimum(share, np.abs(np.diff(share, prepend=0.0))), np.float64)


def is_black(frame: Frame) -> bool:
    """Whether a frame is black."""
    bright = (1 - BLACK_SHARE) * 255 + BLACK_SHARE * BLACK_LEVEL
    if frame.mean_luma > bright:
        return False
    dark = cv2.compare(frame.luma, BLACK_LEVEL, cv2.CMP_LE)
    return cv2.countNonZero(dark) >= BLACK_SHARE * frame.luma.size


def are_one_picture(a: Planes, b: Planes, luma: float) -> bool:
    """Whether two frames differ by no more than `STILL_LEVELS`.

    Args:
        a: One of them.
        b: The other.
        luma: Their mean |ΔY|, in levels: mostly it is enough to say that they are two.
    """
    n = a.luma.size + a.u.size + a.v.size
    total = luma * a.luma.size
    if total / n > STILL_LEVELS:
        return False
    total += sum(cv2.norm(x, y, cv2.NORM_L1) for x, y in ((a.u, b.u), (a.v, b.v)))
    return total / n <= STILL_LEVELS


class Collector:
    """Holds each frame against the one before and against the start of the picture that stands.

    Args:
        video: The file.
        asked: Not looked at.
        wanted: Not looked at: all of this is cheap.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        del video, asked, wanted
        self._times: list[float] = []
        self._differences: list[float] = []
        self._n_held = self._n_black = 0
        self._start: Planes | None = None
        """Of the picture that stands; None while it is the frame before."""
        self._start_time = 0.0
        self._spans: list[float] = []

    def see(self, frame: Frame) -> None:
        """One more frame."""
        self._times.append(frame.time)
        self._n_black += is_black(frame)
        if frame.before is None:
            return
        self._differences.append(frame.luma_change)
        held = are_one_picture(frame.before, frame.planes, frame.luma_change)
        self._n_held += held
        stands = held
        if self._start is not None:
            luma = difference(self._start.luma, frame.luma)
            stands = are_one_picture(self._start, frame.planes, luma)
        elif held:
            self._start = frame.before
        if not stands:
            self._end_span(frame.time)
            self._start = None

    def _end_span(self, time: float) -> None:
        self._spans.append(time - self._start_time)
        self._start_time = time

    def found(self) -> Found:
        """The values."""
        n = len(self._times)
        values = {"black_share": self._n_black / n}
        if n == 1:
            return Found(values, {m.name: ONE_FRAME for m in MEASURES if m.name not in values}, {})
        differences, times = np.asarray(self._differences), np.asarray(self._times)
        scores = cut_scores(differences)
        end = times[-1] + float(np.median(np.diff(times)))
        freezes = [span for span in (*self._spans, end - self._start_time) if span >= FREEZE_S - 1e-6]
        values |= {
            "n_cuts": float((scores >= CUT_SCORE).sum()),
            "cut_score": float(scores.max()),
            "frozen_share": min(1.0, sum(freezes) / end),
            "longest_freeze_s": max(freezes, default=0.0),
            "held_share": self._n_held / (n - 1),
        }
        return Found(values, {}, {"cut_score": np.column_stack([times[1:], scores])})
