"""What the camera does: the chain of global models of how the picture went.

Slow moves are less than the error of flow over 1/8 s, and strong compression holds slow pictures back for a few
frames at a time. So the models of pairs are chained for a second, or until the picture has gone 15 % of its short
side; then flow between the first and the last frame of that stretch is fitted anew, starting from the chain, and
replaces it where the two agree roughly. A camera that turns and one that travels differ in parallax, which a
similarity leaves in the residual. Across a cut nothing is known: the path goes on behind it as if the cut took no
time.

Signs are the camera's: right, up, in and clockwise are positive; the picture then goes left, down, grows and turns
counter-clockwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seedance_lab.measuring.camera_model import Points, Similarity, fitted, slack_of
from seedance_lab.measuring.flow import Matcher, Pair, size
from seedance_lab.measuring.spec import Bytes, Floats, Measure

STILL = 0.005
"""How far an edge point may drift, in short sides, for a camera that stands still. VBench's threshold."""

ROLLED_DEG = 1.0
"""How far a camera must have turned about its axis to be said to roll. VBench has no such label."""

_STRETCH_S = 1.0
_STRETCH_FAR = 0.15
_AGREES = 0.1
_SIDE = "% of the short side"

MEASURES = (
    Measure(
        name="camera_pan",
        unit="%/s",
        doc=f"Mean speed of the camera to the right, by the picture's middle, in {_SIDE} per second",
        group="motion",
        version=3,
        source="similarity fitted to DIS flow; planted pans are read within 2 % + 0.15 %/s",
    ),
    Measure(
        name="camera_tilt",
        unit="%/s",
        doc=f"Mean speed of the camera upwards, by the picture's middle, in {_SIDE} per second",
        group="motion",
        version=3,
        source="similarity fitted to DIS flow; planted tilts are read within 2 % + 0.15 %/s",
    ),
    Measure(
        name="camera_zoom",
        unit="%/s",
        doc="Mean rate at which the picture grows: 100 x ln(scale from first to last pair) per second; in is positive",
        group="motion",
        version=3,
        source="similarity fitted to DIS flow; planted zooms are read within 4 % + 0.2 %/s",
    ),
    Measure(
        name="camera_roll",
        unit="deg/s",
        doc="Mean turn of the camera about its axis; clockwise is positive, the picture then turns the other way",
        group="motion",
        version=3,
        source="similarity fitted to DIS flow; planted rolls are read within 4 % + 0.1 deg/s",
    ),
    Measure(
        name="camera_path",
        unit="%/s",
        doc=f"Length of the camera's path, there and back counted both: mean over the picture, in {_SIDE} per second",
        group="motion",
        version=3,
        low=0,
        source="similarity fitted to DIS flow",
    ),
    Measure(
        name="camera_drift",
        unit="%",
        doc=f"Farthest that one of four points at the edges got from its place by the camera, in {_SIDE}",
        group="motion",
        version=3,
        low=0,
        source="the four edge points of VBench's camera motion, carried along by the camera",
    ),
    Measure(
        name="camera_residual",
        unit="%/s",
        doc=f"Mean speed that the camera does not explain, where the picture has texture, in {_SIDE} per second",
        group="motion",
        version=3,
        low=0,
        source="DIS flow less the similarity fitted to it",
    ),
    Measure(
        name="camera_inliers",
        unit="",
        doc="Share of the textured picture that goes with the camera, within half a working pixel + 10 % a pair",
        group="motion",
        version=3,
        low=0,
        high=1,
        source="DIS flow against the similarity fitted to it",
    ),
    Measure(
        name="camera_fixed_ok",
        unit="",
        doc="1 where camera_fixed was asked for and camera_drift stays below 0.5 %, else 0",
        group="motion",
        version=3,
        low=0,
        high=1,
        better="more",
        source="VBench's threshold of a static camera, here over the whole way",
        of_request=True,
    ),
    Measure(
        name="camera_as_prompted",
        unit="",
        doc="1 where every camera move that the prompt names is among VBench's labels of the clip, else 0",
        group="motion",
        version=3,
        low=0,
        high=1,
        better="more",
        source="VBench I2V camera motion, on this camera's edge points in place of CoTracker's; roll is added",
        of_request=True,
    ),
)


_NOWHERE = Similarity(0.0, 0.0, 0.0, 0.0)


class Path:
    """The camera's way through a clip, a pair at a time."""

    def __init__(self, matcher: Matcher, width: int, height: int) -> None:
        self._matcher, self._grid = matcher, matcher.grid
        self._points = Points(matcher.grid)
        self._edges = _edge_points(width, height)
        self._whole = self._chain = _NOWHERE
        self._stretch: tuple[float, Bytes] | None = None
        self._last: Pair | None = None
        self._seconds = 0.0
        self._links: list[Similarity] = []
        self._drifts: list[float] = []
        self._ways, self._means = np.zeros(4), np.zeros(3)
        self._rows: list[tuple[float, ...]] = []

    def add(self, pair: Pair) -> None:
        """One more pair, in the order of time."""
        model, grid, dt = fitted(pair, self._points), self._grid, pair.stop - pair.start
        mu, mv = model.of(grid.x, grid.y)
        off, went = size(pair.u - mu, pair.v - mv), size(mu, mv)
        trust = pair.trust / pair.trust.sum()
        along = off <= slack_of(mu, mv, grid.pixel)
        self._seconds += dt
        self._means += (went.mean(), (trust * off).sum(), (trust * along).sum() * dt)
        if self._stretch is None:
            self._stretch = (pair.start, pair.before)
        self._chain, self._last = self._chain.then(model), pair
        self._links.append(self._chain)
        self._rows.append((pair.stop, *(_ways(model) * (100, 100, 100, 1) / dt)))
        long = pair.stop - self._stretch[0] > _STRETCH_S - dt / 2
        if long or _farthest(self._at_edges(self._chain) - self._edges) > _STRETCH_FAR:
            self.rest()

    def rest(self) -> None:
        """The stretch ends here: at a cut, at the end, or because it is long enough."""
        if self._stretch is None or self._last is None:
            return
        way = self._measured_anew(*self._stretch, self._last)
        start, chained = self._whole, self._at_edges(self._whole.then(self._chain))
        self._whole = self._whole.then(way)
        self._ways += _ways(way)
        error = self._at_edges(self._whole) - chained
        for k, link in enumerate(self._links, 1):  # the chain's error grew on the way
            there = self._at_edges(start.then(link)) + k / len(self._links) * error
            self._drifts.append(_farthest(there - self._edges))
        self._chain, self._stretch, self._last, self._links = _NOWHERE, None, None, []

    def _measured_anew(self, start: float, before: Bytes, last: Pair) -> Similarity:
        """The way of a stretch from its ends alone; its chain where that cannot be told."""
        if last.start == start:
            return self._chain
        told = self._matcher.match(before, last.after, start, last.stop, self._chain)
        if not isinstance(told, Pair):
            return self._chain
        anew = fitted(told, self._points)
        off = _farthest(self._at_edges(anew) - self._at_edges(self._chain))
        return anew if off < _AGREES else self._chain

    def _at_edges(self, way: Similarity) -> Floats:
        """Where the edge points are after it, shape (4, 2)."""
        right, down = way.of(self._edges[:, 0], self._edges[:, 1])
        return np.asarray(self._edges + np.stack([right, down], axis=1), np.float64)

    def values(self) -> dict[str, float]:
        """All but what depends on the request; at least one pair must have been added, and `rest` called."""
        pan, tilt, growth, roll = (float(s) / self._seconds for s in self._ways)
        path, residual, along = (float(s) / self._seconds for s in self._means)
        return {
            "camera_pan": 100 * pan,
            "camera_tilt": 100 * tilt,
            "camera_zoom": 100 * growth,
            "camera_roll": roll,
            "camera_path": 100 * path,
            "camera_drift": 100 * max(self._drifts),
            "camera_residual": 100 * residual,
            "camera_inliers": min(along, 1.0),
        }

    def series(self) -> dict[str, Floats]:
        """Rates and drift over time; `rest` must have been called."""
        rows = np.column_stack([np.array(self._rows), 100 * np.array(self._drifts)])
        names = ("camera_pan", "camera_tilt", "camera_zoom", "camera_roll", "camera_drift")
        return {name: rows[:, [0, i]] for i, name in enumerate(names, 1)}

    def vbench_labels(self) -> frozenset[str]:
        """VBench's labels of the clip, from where the edge points were first and are last, and the roll.

        `pan_left`, `pan_right`, `tilt_up`, `tilt_down`, `zoom_in`, `zoom_out`, `static`; several or none of them.
        `roll_clockwise` and `roll_counterclockwise` are not VBench's.
        """
        top, bottom, left, right = (_words(*way) for way in self._at_edges(self._whole) - self._edges)
        found = {_BY_TOP_AND_BOTTOM.get((a, b)) for a in top for b in bottom}
        found |= {_BY_LEFT_AND_RIGHT.get((a, b)) for a in left for b in right}
        roll = float(self._ways[3])
        if abs(roll) >= ROLLED_DEG:
            found.add("roll_clockwise" if roll > 0 else "roll_counterclockwise")
        return frozenset(label for label in found if label)


_SAME = {
    ("left", "left"): "pan_right",
    ("right", "right"): "pan_left",
    ("down", "down"): "tilt_up",
    ("up", "up"): "tilt_down",
    ("static", "static"): "static",
}
_BY_TOP_AND_BOTTOM = _SAME | {("up", "down"): "zoom_in", ("down", "up"): "zoom_out"}
_BY_LEFT_AND_RIGHT = _SAME | {("left", "right"): "zoom_in", ("right", "left"): "zoom_out"}


def _ways(way: Similarity) -> Floats:
    """The camera's: right, up (short sides), in (logarithm), clockwise (degrees)."""
    return np.array([-way.c, way.d, way.growth, -way.turn_deg])


def _farthest(offs: Floats) -> float:
    return float(np.hypot(*offs.T).max())


def _words(right: float, down: float) -> list[str]:
    """Where a point went, in VBench's words: one or two of them."""
    ways = []
    if abs(right) > STILL:
        ways.append("right" if right > 0 else "left")
    if abs(down) > STILL:
        ways.append("down" if down > 0 else "up")
    return ways or ["static"]


def _edge_points(width: int, height: int) -> Floats:
    """Middle of the top, bottom, left and right edges as VBench's grid of 10 x 10 tracks has them, in short sides.

    CoTracker's grid keeps a margin of a 64th of the width; its sixth point of ten is a little beyond the middle.
    """
    short, margin = min(width, height), width / 64
    x0, x1, y0, y1 = margin, width - margin, margin, height - margin
    xm, ym = x0 + (x1 - x0) * 5 / 9, y0 + (y1 - y0) * 5 / 9
    points = np.array([(xm, y0), (xm, y1), (x0, ym), (x1, ym)])
    return np.asarray((points - (width / 2, height / 2)) / short, np.float64)


_MOVES = (
    ("camera_pan", "pan_right", "pan_left", 1.0),
    ("camera_tilt", "tilt_up", "tilt_down", 1.0),
    ("camera_zoom", "zoom_in", "zoom_out", 0.5),
    ("camera_roll", "roll_clockwise", "roll_counterclockwise", 50 * np.pi / 180),
)


def labels(values: Mapping[str, float]) -> tuple[str, ...]:
    """What a person would call the camera's move, the strongest part first.

    A part is named if it moves the picture, half a short side from its middle, by at least 0.5 % of the short side
    per second and by at least half as much as the strongest part does. Unlike VBench's labels these leave out what is
    hardly seen beside the rest.

    Args:
        values: With `camera_pan`, `camera_tilt`, `camera_zoom` and `camera_roll`, as measured.

    Returns:
        Some of `pan_left`, `pan_right`, `tilt_up`, `tilt_down`, `zoom_in`, `zoom_out`, `roll_clockwise`,
        `roll_counterclockwise`; or `("static",)`; nothing where the camera was not measured.
    """
    if any(name not in values for name, *_ in _MOVES):
        return ()
    parts = [(abs(values[n]) * far, plus if values[n] > 0 else minus) for n, plus, minus, far in _MOVES]
    parts.sort(reverse=True)
    strongest = parts[0][0]
    if strongest < 100 * STILL:
        return ("static",)
    return tuple(label for size, label in parts if size >= max(100 * STILL, strongest / 2))
