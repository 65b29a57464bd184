"""What moves by itself in front of the camera: water, leaves, clouds, things afloat, a breathing subject.

Movements are displacements of points of the still, in short sides, weighted by the scene's masks.
Each starts from nothing within the first 0.6 s, so that the first frame is the picture itself, and
none reaches the canvas's edge with any strength.
"""

import math
from dataclasses import dataclass

import numpy as np

from seedance_lab.local.render import acts, noise
from seedance_lab.local.render.planes import F32, F64
from seedance_lab.local.render.scene import Scene
from seedance_lab.local.render.things import Part
from seedance_lab.local.render.words import Act, Direction

_EDGE = 0.08  # short sides from the canvas's edge within which movement dies away


def _box(mask: F32) -> tuple[slice, slice] | None:
    """The smallest box around what is not 0."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    cols = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Strengths and seeds of the local movements of one picture.

    Attributes:
        wind: Strength; 0 is none. Likewise `water`, `clouds`, `sway`, `drift`.
        acts: What the subject does.
        parts: The things that move as one piece, in short sides from the frame's middle.
        horizon: Row in short sides from the frame's middle.
        bottom: The frame's lower edge, likewise.
        edges: The canvas's left, top, right and bottom, likewise.
    """

    seed: int
    wind: float
    water: float
    clouds: float
    sway: float
    drift: float
    acts: tuple[Act, ...]
    parts: tuple[Part, ...]
    horizon: float
    bottom: float
    edges: tuple[float, float, float, float]
    seconds: float

    def shift(self, t: float, x: F64, y: F64, maps: F32, parts: F32, phases: F32) -> tuple[F64, F64]:
        """Displacement (dx, dy) of the points (x, y) of the still at time `t` in seconds."""
        dx, dy = np.zeros_like(x), np.zeros_like(y)
        left, top, right, bottom = self.edges
        start = noise.smoothstep(0.0, 0.6, t)
        if start == 0.0:
            return dx, dy
        # Half the picture is no water, a boat fills a hundredth of it, and sines are dear: hence the boxes.
        if self.water and (box := _box(maps[..., 0])):
            wx, wy = self._waves(t, x[box], y[box], phases[box])
            amount = start * self.water * maps[box][..., 0]
            dx[box] += amount * wx
            dy[box] += amount * wy
        if self.wind and (box := _box(maps[..., 2])):
            gust = self._gusts(t, x[box], y[box], phases[box])
            gust *= start * self.wind * maps[box][..., 2]
            dx[box] += gust
            dy[box] += 0.3 * gust
        if self.clouds and (box := _box(maps[..., 1])):
            cx, cy = self._clouds(t, start, x[box], y[box], phases[box])
            # Along the upper edge too they must not slide: that reads as the whole picture sliding.
            amount = self.clouds * maps[box][..., 1] * np.clip((y[box] - top) / _EDGE, 0, 1)
            dx[box] -= amount * cx
            dy[box] -= amount * cy
        for i, part in enumerate(self.parts):
            if box := _box(parts[..., i]):
                px, py = self._part(t, i, part, x[box], y[box])
                dx[box] -= start * parts[box][..., i] * px
                dy[box] -= start * parts[box][..., i] * py
        # What moved the edge itself would look beyond it, and the picture be pressed together to prevent that.
        dx *= np.clip(np.minimum(x - left, right - x) / _EDGE, 0, 1)
        dy *= np.clip(np.minimum(y - top, bottom - y) / _EDGE, 0, 1)
        return dx, dy

    def _clouds(self, t: float, start: float, x: F64, y: F64, phases: F32) -> tuple[F64, F64]:
        """A slow drift all one way, and a slower boil."""
        way = noise.sign(self.seed, "clouds")
        course = way * 0.010 * t / max(2.0, self.seconds) * min(1.6, 0.5 + 0.1 * self.seconds)
        cx = course * 2 + 0.003 * start * noise.sine(0.5 * t + 3 * phases[..., 0] + 2 * y)
        return cx, 0.003 * start * noise.sine(0.4 * t + 3 * phases[..., 1] + 2 * x)

    def _waves(self, t: float, x: F64, y: F64, phases: F32) -> tuple[F64, F64]:
        """Travelling waves in perspective: small and flat at the horizon, long and tall in front."""
        v = np.clip((y - self.horizon) / max(0.05, self.bottom - self.horizon), 0.0, 1.3)
        rows = np.log2(v + 0.09)
        wide = x / (v + 0.16)
        up, along = np.zeros_like(x), np.zeros_like(x)
        for i, (k_row, k_wide, speed) in enumerate(
            ((5.2, 1.1, 2.3), (8.3, -2.3, 3.1), (12.5, 3.7, 4.3), (3.1, 0.5, 1.4))
        ):
            phase = math.tau * noise.uniform(self.seed, "wave", i)
            skew = noise.between(self.seed, "wave/skew", 0.7, 1.3, i)
            angle = k_row * rows + skew * k_wide * wide + 1.6 * phases[..., i % 2] - speed * t + phase
            wave = noise.sine(angle)
            up += wave * (1.0, 0.6, 0.35, 1.0)[i]
            if i in (0, 3):
                along += noise.sine(angle + math.pi / 2)
        size = 0.0011 + 0.0062 * v
        return along * size * 0.55, up * size * 0.75

    def _gusts(self, t: float, x: F64, y: F64, phases: F32) -> F64:
        """Leaves in the wind: a gust that travels across, and a faster tremble with a noisy phase."""
        way = noise.sign(self.seed, "wind")
        p = math.tau * noise.uniform(self.seed, "wind/phase")
        gust = 0.6 + 0.4 * noise.sine(1.1 * t - 2.2 * way * x + p + phases[..., 1])
        sway = noise.sine(2.3 * t - 3.5 * way * x + 2.5 * phases[..., 0] + p)
        tremble = noise.sine(6.1 * t - 9 * way * x + 5 * phases[..., 1] + 7 * y)
        return np.asarray(way * 0.0055 * gust * (0.35 + 0.75 * sway + 0.3 * tremble))

    def _part(self, t: float, i: int, part: Part, x: F64, y: F64) -> tuple[F64, F64]:
        """A thing as one piece: it heaves, rolls about its foot, drifts off, or breathes."""
        p = math.tau * noise.uniform(self.seed, "part", i)
        rate = noise.between(self.seed, "part/rate", 1.4, 2.0, i)
        heave = math.sin(rate * t + p) - math.sin(p)
        rock = math.sin(rate * 0.73 * t + 1.7 * p) - math.sin(1.7 * p)
        px, py = np.zeros_like(x), np.zeros_like(y)
        small = min(1.0, max(0.25, part.size / 0.16))  # what is small is far away
        if self.drift:
            angle = 0.014 * small * self.drift * rock
            away = noise.between(self.seed, "part/away", 0.5, 1.0, i) * (
                noise.sign(self.seed, "part/side", i)
            )
            gone = 0.034 * small * self.drift * away * t / max(3.0, self.seconds)
            px += gone - angle * (y - part.foot)
            py += 0.0055 * small * self.drift * heave + angle * (x - part.x) * 0.6
        if self.sway:
            breath = 0.5 - 0.5 * math.cos(2.2 * t)
            lean = 0.012 * self.sway * rock
            px += -lean * (y - part.foot) + 0.010 * self.sway * breath * (x - part.x)
            py += 0.012 * self.sway * breath * (y - part.foot)
        if self.acts and i == 0:
            ax, ay = acts.shift(self.acts, part, t=t, seconds=self.seconds, seed=self.seed, x=x, y=y)
            px += ax
            py += ay
        return px, py


def plan(
    direction: Direction,
    scene: Scene,
    *,
    seed: int,
    half: tuple[float, float],
    edges: tuple[float, float, float, float],
    seconds: float,
    origin: tuple[float, float],
    short: float,
) -> Local:
    """Choose what moves: what the prompt names, if the picture seems to have it, and what the picture suggests."""
    said = direction.local
    energy = direction.energy * noise.between(seed, "energy", 0.85, 1.2)
    wind = energy * (1.5 if "wind" in said else 0.6) if scene.foliage > 0.02 else 0.0
    water = energy * (1.25 if "water" in said else 0.9) if scene.water > 0.02 else 0.0
    # A plain wall behind a person looks like a sky; without water or leaves only the prompt can tell.
    outside = scene.water > 0.02 or scene.foliage > 0.02 or not direction.acts
    clouds = energy * (1.6 if "clouds" in said else 0.8 * outside) if scene.sky > 0.05 else 0.0
    afloat = scene.afloat
    drift = min(1.7, energy * (1.5 if "drift" in said else 0.9)) if afloat or "drift" in said else 0.0
    # What stands out over half the frame is as likely a house as somebody who breathes.
    size = scene.parts[0].size if scene.parts else 0.0
    idle = 0.12 * min(1.0, max(0.0, (0.7 - size) / 0.25))
    sway = 0.0 if afloat else energy * 0.6 if "sway" in said else 0.2 if direction.acts else idle
    parts = tuple(
        Part(
            x=(p.x - origin[0]) / short,
            y=(p.y - origin[1]) / short,
            foot=(p.foot - origin[1]) / short,
            size=p.size,
            top=(p.top - origin[1]) / short,
            head=(p.head - origin[0]) / short,
            half=p.half / short,
            free=p.free,
        )
        for p in scene.parts
    )
    return Local(
        seed=seed,
        wind=wind,
        water=water,
        clouds=clouds,
        sway=sway,
        drift=drift,
        acts=() if afloat else direction.acts,
        parts=parts,
        horizon=(scene.horizon - origin[1]) / short,
        bottom=half[1],
        edges=edges,
        seconds=seconds,
    )
