"""One still, animated: picture, scene, camera and local movement put together."""

from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import camera, motion, scene
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.job import FPS, Job
from seedance_lab.local.render.planes import F32, F64, Planes, doubled, from_rgb
from seedance_lab.local.render.warp import Grid, elastic, rounded
from seedance_lab.local.render.words import Direction


class Points(NamedTuple):
    """For every grid point, where on the canvas the frame looks, in pixels."""

    x: F64
    y: F64


class Shot:
    """A still that can be drawn at any frame of the clip; frame 0 is the still itself."""

    def __init__(
        self, job: Job, canvas: Canvas, direction: Direction, grid: Grid, *, path: camera.Camera | None = None
    ) -> None:
        """Analyse the picture and plan its movement; `path` replaces the camera that would be planned."""
        self.canvas, self.grid = canvas, grid
        planes = from_rgb(canvas.rgb)
        self.planes = Planes(doubled(planes.y), planes.u, planes.v)
        self.scene = scene.analyse(canvas, direction, job.seed)
        self.short = float(min(job.width, job.height))
        self._middle = (canvas.left + (job.width - 1) / 2, canvas.top + (job.height - 1) / 2)
        half = (job.width / 2 / self.short, job.height / 2 / self.short)
        focus = tuple((self.scene.focus[i] - self._middle[i]) / self.short for i in (0, 1))
        self.local = motion.plan(
            direction,
            self.scene,
            seed=job.seed,
            half=half,
            seconds=job.seconds,
            origin=self._middle,
            short=self.short,
        )
        if job.camera_fixed:
            self.camera = camera.still(job.frames)
        elif path is not None:
            self.camera = path
        else:
            self.camera = camera.plan(
                direction,
                frames=job.frames,
                seconds=job.seconds,
                seed=job.seed,
                half=half,
                spare=(canvas.left / self.short, canvas.top / self.short),
                focus=(focus[0], focus[1]),
                held=self.scene.focus_depth,
            )
        self.screen = Points(
            (grid.x - (job.width - 1) / 2) / self.short, (grid.y - (job.height - 1) / 2) / self.short
        )

    def points(self, frame: int, at: Points | None = None, local: float = 1.0) -> Points:
        """Where frame `frame` looks.

        Args:
            frame: Number from 0.
            at: Points of the screen in short sides from its middle, instead of the grid's own.
            local: Share of the local movement.
        """
        ox, oy = at or self.screen
        x, y = self.camera.look(frame, ox, oy, np.full_like(ox, self.scene.focus_depth))
        for _ in range(2):  # the depth that counts is that of the point seen, which depends on the depth
            x, y = self.camera.look(frame, ox, oy, self.read(self.scene.maps, x, y)[..., 0])
        maps, parts, phases = (
            self.read(m, x, y) for m in (self.scene.maps, self.scene.parts_map, self.scene.phases)
        )
        dx, dy = self.local.shift(frame / FPS, x, y, maps, parts, phases)
        px = self._middle[0] + (x + local * dx) * self.short
        py = self._middle[1] + (y + local * dy) * self.short
        inner, pad = slice(1, -1), self.grid.cell / 2
        full_h, full_w = self.canvas.rgb.shape[:2]
        px = elastic(px, inner, inner, self._middle[0], -0.5, full_w - 0.5, pad)
        py = elastic(py, inner, inner, self._middle[1], -0.5, full_h - 0.5, pad)
        return Points(rounded(px), rounded(py))

    def draw(self, frame: int, out: Planes) -> Points:
        """Write frame `frame` into `out`; returns where it looked."""
        points = self.points(frame)
        self.grid.sample(self.planes, *points, out)
        return points

    def read_at(self, maps: F32, points: Points) -> F64:
        """Look a low-resolution map of this still up at canvas points; shape (rows, cols[, channels])."""
        return self.read(
            maps, (points.x - self._middle[0]) / self.short, (points.y - self._middle[1]) / self.short
        )

    def read(self, maps: F32, x: F64, y: F64) -> F64:
        """Look low-resolution maps up at points in short sides from the middle."""
        sx, sy = self.scene.scale
        mx = ((x * self.short + self._middle[0] + 0.5) * sx - 0.5).astype(np.float32)
        my = ((y * self.short + self._middle[1] + 0.5) * sy - 0.5).astype(np.float32)
        found = cv2.remap(maps, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float64)
