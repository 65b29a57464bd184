"""One still, animated: picture, scene, camera and local movement put together."""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import camera, motion, scene
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.job import FPS, Job
from seedance_lab.local.render.planes import F32, F64, Planes, doubled, from_rgb
from seedance_lab.local.render.warp import Grid, elastic, plain_opencv, rounded
from seedance_lab.local.render.words import Direction


class Points(NamedTuple):
    """For every grid point, where on the canvas the frame looks, in pixels."""

    x: F64
    y: F64


_PREPARERS = ThreadPoolExecutor(2, thread_name_prefix="seedance-lab-prepare")


def _planes(canvas: Canvas) -> Planes:
    plain_opencv()
    planes = from_rgb(canvas.rgb)
    return Planes(doubled(planes.y), planes.u, planes.v)


class Shot:
    """A still that can be drawn at any frame of the clip; frame 0 is the still itself."""

    def __init__(
        self, job: Job, canvas: Canvas, direction: Direction, grid: Grid, *, path: camera.Camera | None = None
    ) -> None:
        """Analyse the picture and plan its movement; `path` replaces the camera that would be planned."""
        self.canvas, self.grid = canvas, grid
        self._planes = _PREPARERS.submit(_planes, canvas)
        self.scene = scene.analyse(canvas, direction, job.seed)
        self.short = float(min(job.width, job.height))
        self._middle = (canvas.left + (job.width - 1) / 2, canvas.top + (job.height - 1) / 2)
        half = (job.width / 2 / self.short, job.height / 2 / self.short)
        fx, fy = ((self.scene.focus[i] - self._middle[i]) / self.short for i in (0, 1))
        self.focus = (fx, fy)
        self.local = motion.plan(
            direction,
            self.scene,
            seed=job.seed,
            half=half,
            edges=(  # half a cell within, where the outermost points are
                (grid.cell / 2 - self._middle[0]) / self.short,
                (grid.cell / 2 - self._middle[1]) / self.short,
                (canvas.rgb.shape[1] - grid.cell / 2 - self._middle[0]) / self.short,
                (canvas.rgb.shape[0] - grid.cell / 2 - self._middle[1]) / self.short,
            ),
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
                focus=self.focus,
                held=self.scene.focus_depth,
            )
        self.screen = Points(
            (grid.x - (job.width - 1) / 2) / self.short, (grid.y - (job.height - 1) / 2) / self.short
        )

    @functools.cached_property
    def planes(self) -> Planes:
        """The still as `Grid.sample` takes it, prepared in another thread while the scene was looked at."""
        return self._planes.result()

    def points(self, frame: int, at: Points | None = None, local: float = 1.0) -> Points:
        """Where frame `frame` looks.

        Args:
            frame: Number from 0.
            at: Points of the screen in short sides from its middle, instead of the grid's own.
            local: Share of the local movement.
        """
        ox, oy = at or self.screen
        x, y = self.camera.look(frame, ox, oy, self.scene.focus_depth)
        for _ in range(2 if self.camera.sees_depth(frame) else 0):
            # The depth that counts is that of the point seen, which depends on the depth.
            x, y = self.camera.look(frame, ox, oy, self.read(self.scene.near, x, y))
        dx, dy = self.local.shift(
            frame / FPS,
            x,
            y,
            *(self.read(m, x, y) for m in (self.scene.maps, self.scene.parts_map, self.scene.phases)),
        )
        px = self._middle[0] + (x + local * dx) * self.short
        py = self._middle[1] + (y + local * dy) * self.short
        full_h, full_w = self.canvas.rgb.shape[:2]
        px = elastic(px, self._middle[0], -0.5, full_w - 0.5)
        py = elastic(py, self._middle[1], -0.5, full_h - 0.5)
        return Points(rounded(px), rounded(py))

    def draw(self, frame: int, out: Planes) -> Points:
        """Write frame `frame` into `out`; returns where it looked."""
        points = self.points(frame)
        self.grid.sample(self.planes, *points, out)
        return points

    def read_at(self, maps: F32, points: Points) -> F32:
        """Look a low-resolution map of this still up at canvas points; shape (rows, cols[, channels])."""
        return self.read(
            maps, (points.x - self._middle[0]) / self.short, (points.y - self._middle[1]) / self.short
        )

    def read(self, maps: F32, x: F64, y: F64) -> F32:
        """Look low-resolution maps up at points in short sides from the middle."""
        sx, sy = self.scene.scale
        mx = ((x * self.short + self._middle[0] + 0.5) * sx - 0.5).astype(np.float32)
        my = ((y * self.short + self._middle[1] + 0.5) * sy - 0.5).astype(np.float32)
        found = cv2.remap(maps, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found)
