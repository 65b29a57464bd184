"""How much moves, how evenly, and what the camera does about it: from the flow of one pass."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from seedance_lab.measuring import camera
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.camera_prompt import contradiction, moves_of
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.flow import SMALLEST_SIDE, Field, Gap, Grid, Matcher, Pair, size
from seedance_lab.measuring.flow_pairs import PAIR_S, Evenness, Follower
from seedance_lab.measuring.spec import Floats, Found, Measure

AT_REST = 0.02
"""Short sides per second: slower points are at rest. Half a pixel of the reduced picture in 1/8 s is 0.023."""

DYNAMIC = 6 / 256 * 8
"""Short sides per second: VBench's threshold of its dynamic degree, which it states per 1/8 s."""

_SLOWEST = 0.05
"""Short sides per second: below, the change of flow from frame to frame is mostly error."""

_BAND = 0.15
_DIS = 'DIS flow ("fast") between frames 1/8 s apart, on luma reduced to a short side of about 176 px'

_OWN = (
    Measure(
        name="flow_mean",
        unit="%/s",
        doc="Mean speed of the points of the picture that stay in sight, in % of its short side per second",
        group="motion",
        version=3,
        low=0,
        source=f"{_DIS}; planted speeds are read within 2 % + 0.4 %/s",
    ),
    Measure(
        name="motion_px_s",
        unit="px/s",
        doc="The same mean speed in pixels of the clip's own size",
        group="motion",
        version=3,
        low=0,
        source=_DIS,
    ),
    Measure(
        name="flow_top5",
        unit="%/s",
        doc="Mean speed of the fastest 5 % of the picture, mean over time, in % of the short side per second",
        group="motion",
        version=3,
        low=0,
        source=f"{_DIS}; VBench's statistic",
    ),
    Measure(
        name="motion_strength",
        unit="",
        doc="How many times the speed that proxy_dynamic_degree asks for is reached in a quarter of the clip's time",
        group="motion",
        version=3,
        low=0,
        source=f"{_DIS}; VBench's rule, made continuous",
    ),
    Measure(
        name="proxy_dynamic_degree",
        unit="",
        doc="1 where the fastest 5 % exceed 18.75 % of the short side per second in a quarter of the clip's time",
        group="motion",
        version=3,
        low=0,
        high=1,
        source="VBench's rule for its dynamic degree on DIS flow; not VBench's number, which takes RAFT's weights",
    ),
    Measure(
        name="static_share",
        unit="",
        doc="Share of the picture, over time, that moves slower than 2 % of the short side per second",
        group="motion",
        version=3,
        low=0,
        high=1,
        source=_DIS,
    ),
    Measure(
        name="background_stillness",
        unit="",
        doc="The same share in a band along the upper, left and right edge, 15 % of the short side wide, by texture",
        group="motion",
        version=3,
        low=0,
        high=1,
        source=_DIS,
    ),
    Measure(
        name="smoothness",
        unit="",
        doc="1 - (change of velocity from frame to frame / speed) / 2: 1 is even, 0 stops and starts at every frame",
        group="motion",
        version=3,
        low=0,
        high=1,
        better="more",
        source='DIS flow ("ultrafast") from each frame to the next, at half the working size',
    ),
)
MEASURES = (*_OWN, *camera.MEASURES)


class Collector:
    """Follows the picture and keeps sums.

    Args:
        video: The file.
        asked: What it was asked to be.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        self._video, self._asked = video, asked
        self._matcher = Matcher(video)
        self._flow = None if self._matcher.too_small else Follower(self._matcher)
        self._camera: camera.Path | None = None
        if any(m.name in wanted for m in camera.MEASURES):
            self._camera = camera.Path(self._matcher, video.width, video.height)
        self._band = _band(self._matcher.grid)
        self._sums = np.zeros(4)
        self._seconds = self._band_seconds = self._lost_seconds = 0.0
        self._rows: list[tuple[float, float, float, float]] = []
        self._gaps: collections.Counter[str] = collections.Counter()

    def see(self, frame: Frame) -> None:
        """One more frame."""
        told = self._flow.see(frame) if self._flow else None
        if isinstance(told, Gap):
            if self._camera is not None:
                self._camera.rest()
            self._gaps[told.reason] += 1
            self._lost_seconds += told.stop - told.start
        elif told is not None:
            self._add(told)

    def _add(self, pair: Pair) -> None:
        dt = pair.stop - pair.start
        speed = size(pair.u, pair.v) / np.float32(dt)
        resting, seen = speed < AT_REST, speed[pair.stays]
        mean, top5 = float(seen.mean()), _top5(seen)
        self._seconds += dt
        self._sums += dt * np.array([mean, top5, resting[pair.stays].mean(), 0.0])
        trust = pair.trust * self._band
        if (total := float(trust.sum())) > 0.02 * float(self._band.sum()):
            self._sums[3] += dt * float((trust * resting).sum()) / total
            self._band_seconds += dt
        self._rows.append((pair.stop, dt, mean, top5))
        if self._camera is not None:
            self._camera.add(pair)

    def found(self) -> Found:
        """The values."""
        if reason := self._unmeasured():
            return Found({}, {m.name: reason for m in MEASURES}, {})
        mean, top5, static, band = (float(s) for s in self._sums / self._seconds)
        strength = _reached([(speed, dt) for _, dt, _, speed in self._rows]) / DYNAMIC
        values = {
            "flow_mean": 100 * mean,
            "motion_px_s": mean * self._video.short_side,
            "flow_top5": 100 * top5,
            "motion_strength": strength,
            "proxy_dynamic_degree": float(strength > 1),
            "static_share": static,
        }
        missing = {}
        if self._band_seconds:
            values["background_stillness"] = band * self._seconds / self._band_seconds
        else:
            missing["background_stillness"] = (
                "the edges of the picture are flat: nothing there can be followed"
            )
        even = self._flow.evenness if self._flow else Evenness()
        if even.weight and even.speed / even.weight >= _SLOWEST:
            values["smoothness"] = 1 - min(even.change / even.speed, 2) / 2
        else:
            missing["smoothness"] = (
                f"the picture moves less than {100 * _SLOWEST:.0f} % of its short side a second"
            )
        rows: Floats = np.array(self._rows, np.float64) * (1, 1, 100, 100)
        series = {"flow_mean": rows[:, [0, 2]], "flow_top5": rows[:, [0, 3]]}
        if self._camera is not None:
            self._camera.rest()
            values |= self._camera.values()
            series |= self._camera.series()
            self._hold_against_request(self._camera, values, missing)
        return Found(values, missing, series)

    def _unmeasured(self) -> str:
        """Why there is no motion to speak of; empty if there is."""
        if self._flow is None:
            return f"motion is not followed in clips of less than {SMALLEST_SIDE} px a side"
        if not self._seconds and not self._gaps:
            n = self._video.n_frames
            return "the clip has one frame" if n == 1 else "the clip is shorter than 1/8 s"
        if self._seconds < self._lost_seconds:
            why = self._gaps.most_common(1)[0][0]
            if not self._seconds:
                return why
            lost = f"{self._lost_seconds:.2f} of {self._seconds + self._lost_seconds:.2f} s"
            return f"{lost} could not be followed ({why})"
        return ""

    def _hold_against_request(
        self, path: camera.Path, values: dict[str, float], missing: dict[str, str]
    ) -> None:
        if self._asked.camera_fixed:
            values["camera_fixed_ok"] = float(values["camera_drift"] < 100 * camera.STILL)
        else:
            missing["camera_fixed_ok"] = "the camera was not asked to stand still (camera_fixed)"
        moves = moves_of(self._asked.prompt)
        if not moves:
            missing["camera_as_prompted"] = "the prompt names no camera move that can be told"
        elif undone := contradiction(moves):
            missing["camera_as_prompted"] = f"the prompt names moves that undo each other: {undone}"
        else:
            values["camera_as_prompted"] = float(moves <= path.vbench_labels())


def _top5(speed: Field) -> float:
    n = max(1, speed.size // 20)
    return float(np.partition(speed, speed.size - n)[-n:].mean())


def _reached(speeds: Sequence[tuple[float, float]]) -> float:
    """The speed that is reached or exceeded for a quarter of the time, given speeds and how long each of them lasts.

    VBench takes N frames 1/8 s apart and wants round(N / 4) of their N - 1 pairs to exceed a speed. Pairs may be
    shorter here, and some could not be followed, so that time is counted; for even pairs it is the same.
    """
    total = sum(dt for _, dt in speeds)
    need = max(1, round((total / PAIR_S + 1) / 4)) * PAIR_S
    lasted = 0.0
    for speed, dt in sorted(speeds, reverse=True):
        lasted += dt
        if lasted > need - PAIR_S / 4:
            return speed
    return min(speeds)[0]


def _band(grid: Grid) -> Field:
    """1 along the upper, left and right edge, else 0; shape of the grid."""
    x, y, _ = grid
    inner = (np.abs(x) < x.max() - _BAND) & (y > y.min() + _BAND)
    return np.where(inner, np.float32(0), np.float32(1))
