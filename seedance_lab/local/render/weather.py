"""What is laid over the picture: steam, mist, flickering light, snow, rain, drifting motes.

Only what the prompt names, plus a faint shimmer of lights. It fades in, and out again before an end
image, so that first and last frame stay the pictures that were given.
"""

import cv2
import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.job import FPS, Job
from seedance_lab.local.render.planes import F32, F64, U8, Planes
from seedance_lab.local.render.shot import Points, Shot
from seedance_lab.local.render.words import Direction

_TILE = 256
_STEAM = 192  # luma of steam and mist: brighter than most things, darker than white china
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions


class Weather:
    """Additions to luma: smooth ones on the coarse grid, and small sprites at half size."""

    def __init__(self, job: Job, direction: Direction, shot: Shot) -> None:
        """Prepare what the prompt asks for; nothing, mostly."""
        said, self._seed, self._shot, self._frames = direction.local, job.seed, shot, job.frames
        self._energy = direction.energy
        self._ends = job.end_image is not None
        self._size = (job.height // 2, job.width // 2)
        self._sprites = [kind for kind in ("snow", "rain", "dust") if kind in said]
        self._mist = "steam" in said
        self._wide_mist = any(word in job.prompt.lower() for word in ("fog", "mist", "haze"))
        self._flicker = direction.energy if "flicker" in said else 0.0
        self._cloud = noise.tile(job.seed, "steam", _TILE) if self._mist else None
        self._lamps = _lamps(shot.scene.small) if self._flicker else None
        self._cache: dict[str, F64] = {}

    def draw(self, frame: int, out: Planes, seen: Points) -> None:
        """Add frame `frame`'s weather to `out`; `seen` is where the frame looks."""
        t = frame / FPS
        strength = noise.smoothstep(0.0, 0.9, t)
        if self._ends:
            strength *= 1 - noise.smoothstep(0.70, 0.94, frame / max(1, self._frames - 1))
        if strength == 0.0:
            return
        if self._lamps is not None:
            light = np.round(strength * self._lights(t, self._lamps, seen) * 4) / 4
            whole = np.ascontiguousarray(self._shot.grid.full(np.asarray(light, np.float32)))
            cv2.add(out.y, whole, dst=out.y, dtype=cv2.CV_8U)
        if self._cloud is not None:
            share = np.round(strength * self._steam(t, self._cloud, seen) * 256) / 256
            _veil(out, np.ascontiguousarray(self._shot.grid.full(np.asarray(share, np.float32))))
        if self._sprites:
            layer = np.zeros(self._size, np.uint8)
            for kind in self._sprites:
                getattr(self, f"_{kind}")(t, layer, strength)
            cv2.add(out.y, cv2.resize(layer, out.y.shape[1::-1], interpolation=cv2.INTER_LINEAR), dst=out.y)

    def _steam(self, t: float, cloud: F32, seen: Points) -> F64:
        """Two sheets of rising noise; over the subject for steam, over the lower half for mist."""
        short = self._shot.short
        x, y = seen.x / short, seen.y / short
        h = self._shot.canvas.rgb.shape[0]
        if self._wide_mist:
            where = np.clip(1.25 - np.abs(y - 0.62 * h / short) * 2.2, 0, 1) * 0.36
            rise, drift, scale = 0.01, 0.05, 90.0
        else:
            fx, fy = (v / short for v in self._shot.scene.focus)
            up = (fy - y) / 0.66
            wide = 0.13 + 0.22 * np.clip(up, 0, 1)
            where = np.clip(1 - ((x - fx - 0.06 * noise.sine(5 * y + 1.3 * t)) / wide) ** 2, 0, 1)
            where *= np.clip((up + 0.06) / 0.4, 0, 1) * np.clip((1.15 - up) / 0.5, 0, 1) * 1.1
            rise, drift, scale = 0.16, 0.0, 200.0
        total = np.ones_like(x)
        for i, (speed, size) in enumerate(((1.0, 1.0), (1.5, 1.7))):
            u = (x + drift * speed * t + 0.02 * noise.sine(9 * y + 2 * t + i)) * scale * size + 37 * i
            v = (y + rise * speed * t) * scale * size * 0.7
            found = cv2.remap(
                cloud,
                u.astype(np.float32) % _TILE,
                v.astype(np.float32) % _TILE,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
            total *= np.clip(found * 2.2 - 0.5, 0, 1)
        return np.asarray(np.clip(where * total * self._energy, 0, 0.85))

    def _lights(self, t: float, lamps: F32, seen: Points) -> F64:
        """Bright spots and their glow, each trembling with a phase of its own."""
        read = self._shot.read_at(lamps, seen)
        phase = self._shot.read_at(self._shot.scene.phases, seen)
        wave = (
            noise.sine(9.1 * t + 5 * phase[..., 0])
            + 0.7 * noise.sine(14.3 * t + 6 * phase[..., 1] + 1)
            + 0.8 * noise.sine(3.7 * t + 4 * phase[..., 1])
        )
        return np.asarray(read * 15 * self._flicker * wave)

    def _numbers(self, name: str, count: int) -> F64:
        """Shape (count, 4) in [0, 1): the same for every frame."""
        if name not in self._cache:
            self._cache[name] = noise.lattice(self._seed, name, count, 4).astype(np.float64)
        return self._cache[name]

    def _snow(self, t: float, layer: U8, strength: float) -> None:
        h, w = self._size
        short = min(h, w)
        n = self._numbers("snow", int(200 * min(1.8, self._energy)))
        near = 0.25 + 0.75 * n[:, 2]
        x = (n[:, 0] * 1.2 * w + (np.sin(1.3 * t + 6.3 * n[:, 3]) * 0.03 + 0.05 * t * near) * short) % (
            1.2 * w
        ) - 0.1 * w
        y = (n[:, 1] * 1.1 * h + 0.34 * near * t * short) % (1.1 * h) - 0.05 * h
        _dots(layer, x, y, near**2 * short * 0.008 + 0.4, 90 + 130 * near, strength)
        cv2.blur(layer, (3, 3), dst=layer)

    def _dust(self, t: float, layer: U8, strength: float) -> None:
        h, w = self._size
        short = min(h, w)
        n = self._numbers("dust", int(60 * min(2.0, self._energy)))
        x = (n[:, 0] * 1.1 * w + 0.05 * short * np.sin(0.7 * t + 6.3 * n[:, 3]) + 0.02 * t * short) % (
            1.1 * w
        ) - 0.05 * w
        y = (n[:, 1] * 1.1 * h - (0.03 + 0.05 * n[:, 2]) * t * short) % (1.1 * h) - 0.05 * h
        twinkle = 0.55 + 0.45 * np.sin(2.4 * t + 6.3 * n[:, 2])
        _dots(layer, x, y, (0.3 + 0.7 * n[:, 3]) * short * 0.007, 170 * twinkle, strength)
        cv2.blur(layer, (3, 3), dst=layer)

    def _rain(self, t: float, layer: U8, strength: float) -> None:
        h, w = self._size
        short = min(h, w)
        n = self._numbers("rain", int(150 * min(2.0, self._energy)))
        near = 0.4 + 0.6 * n[:, 2]
        lean = 0.12 * noise.sign(self._seed, "rain")
        y = (n[:, 1] * 1.3 * h + 1.9 * near * t * short) % (1.3 * h) - 0.15 * h
        x = (n[:, 0] * 1.3 * w) % (1.3 * w) - 0.15 * w + lean * y
        length = near * short * 0.075
        unit = 1 << _SHIFT
        ends = np.round(np.column_stack([x, y, x + lean * length, y + length]) * unit).astype(int)
        for (ax, ay, bx, by), tone in zip(
            ends.tolist(), np.round(62 * near * strength).tolist(), strict=True
        ):
            cv2.line(layer, (ax, ay), (bx, by), tone, 1, cv2.LINE_AA, _SHIFT)


def _veil(out: Planes, share: F32) -> None:
    """Lay `share` of a light grey over everything: it shows before white too, where adding light would not."""
    half = cv2.resize(share, out.uv.shape[1::-1], interpolation=cv2.INTER_AREA)
    for plane, tone, amount in zip(out, (_STEAM, 128), (share, half), strict=True):
        cv2.blendLinear(plane, np.full_like(plane, tone), 1 - amount, amount, dst=plane)


def _dots(layer: U8, x: F64, y: F64, radius: F64, tone: F64, strength: float) -> None:
    """Draw soft dots; positions and radii in pixels with fractions."""
    unit = 1 << _SHIFT
    whole = np.round(
        np.column_stack([x * unit, y * unit, np.maximum(0.5, radius) * unit, tone * strength])
    ).astype(int)
    for cx, cy, r, value in whole.tolist():
        cv2.circle(layer, (cx, cy), r, max(0, min(255, value)), -1, cv2.LINE_AA, _SHIFT)


def _lamps(small: U8) -> F32:
    """Bright, warm spots and a glow around them, in [0, 1]."""
    rgb = small.astype(np.float32)
    bright = np.clip((rgb[..., 0] - 190) / 50, 0, 1) * np.clip((rgb[..., 0] - rgb[..., 2] - 20) / 60, 0, 1)
    reach = (max(small.shape[:2]) // 10) | 1
    glow = cv2.blur(cv2.blur(bright, (reach, reach)), (reach, reach))
    top = float(glow.max())
    out = 0.6 * cv2.blur(bright, (3, 3)) + (0.8 / top * glow if top > 1e-3 else 0)
    return np.asarray(np.round(np.minimum(1, out) * 256) / 256, np.float32)
