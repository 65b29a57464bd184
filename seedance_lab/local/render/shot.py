"""One still, animated: picture, scene, camera and local movement put together."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import camera, motion, scene
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.job import FPS, Job
from seedance_lab.local.render.planes import F32, F64, Planes, Still, from_rgb, still
from seedance_lab.local.render.warp import Grid, elastic, plain_opencv, rounded
from seedance_lab.local.render.words import Direction


class Points(NamedTuple):
    """For every grid point, where on the canvas the frame looks, in pixels."""

    x: F64
    y: F64


_PREPARERS = ThreadPoolExecutor(2, thread_name_prefix="seedance-lab-prepare")


def _still(canvas: Canvas) -> Still:
    plain_opencv()
    return still(from_rgb(canvas.rgb))


class Shot:
    """A still that can be drawn at any frame of the clip; frame 0 is the still itself."""

    def __init__(
        self, job: Job, canvas: Canvas, direction: Direction, grid: Grid, *, path: camera.Camera | None = None
    ) -> None:
        """Analyse the picture and plan its movement; `path` replaces the camera that would be planned."""
        self.canvas, self.grid = canvas, grid
        self._lookings: dict[int, Points] = {}
        self._shifts: dict[int, Points] = {}
        self._planes = _PREPARERS.submit(_still, canvas)
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
    def planes(self) -> Still:
        """The still as `Grid.sample` takes it, prepared in another thread while the scene was looked at."""
        return self._planes.result()

    def points(self, frame: int, at: Points | None = None, local: float = 1.0) -> Points:
        """Where frame `frame` looks.

        Args:
            frame: Number from 0.
            at: Points of the screen in short sides from its middle, instead of the grid's own.
            local: Share of the local movement.
        """
        if at is None:
            x, y = self._looked(frame)
            dx, dy = self._moved(frame)
        else:
            x, y = self._look(frame, at)
            dx, dy = self._shift(frame, x, y)
        if local != 1.0:
            dx, dy = local * dx, local * dy
        px = self._middle[0] + (x + dx) * self.short
        py = self._middle[1] + (y + dy) * self.short
        full_h, full_w = self.canvas.rgb.shape[:2]
        px = elastic(px, self._middle[0], -0.5, full_w - 0.5)
        py = elastic(py, self._middle[1], -0.5, full_h - 0.5)
        return Points(rounded(px), rounded(py))

    def _look(self, frame: int, at: Points) -> Points:
        """Where the camera looks, before anything moves by itself; in short sides, like `at`."""
        seen = Points(*self.camera.look(frame, *at, self.scene.focus_depth))
        for _ in range(2 if self.camera.sees_depth(frame) else 0):
            # The depth that counts is that of the point seen, which depends on the depth.
            seen = Points(*self.camera.look(frame, *at, self.read(self.scene.near, *seen)))
        return seen

    def _shift(self, frame: int, x: F64, y: F64) -> Points:
        """How far what is seen has moved by itself."""
        scene, found = self.scene, self._found(x, y)
        maps = (
            cv2.remap(m, *found, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for m in (scene.maps, scene.parts_map, scene.phases)
        )
        return Points(*self.local.shift(frame / FPS, x, y, *maps))

    def _looked(self, frame: int) -> Points:
        return self._remembered(self._lookings, frame, lambda: self._look(frame, self.screen))

    def _moved(self, frame: int) -> Points:
        """What `_shift` says of every other frame, and of the frames between them the mean of both.

        Of what moves by itself, leaves tremble the quickest, once a second; in the frames between they
        tremble by a thirtieth less, a fiftieth of a pixel. What somebody does may be much quicker (the
        end of a jump), so then every frame is worked out.
        """
        if frame % 2 and frame + 1 < len(self.camera.path) and not self.local.acts:
            before, after = self._moved(frame - 1), self._moved(frame + 1)
            return Points((before.x + after.x) / 2, (before.y + after.y) / 2)
        return self._remembered(self._shifts, frame, lambda: self._shift(frame, *self._looked(frame)))

    @staticmethod
    def _remembered(known: dict[int, Points], frame: int, work: Callable[[], Points]) -> Points:
        """Frames are drawn in order, and what a frame needs of its neighbours was or will be theirs."""
        if frame not in known:
            for old in [number for number in known if not frame - 2 <= number <= frame]:
                del known[old]
            known[frame] = work()
        return known[frame]

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
        found = cv2.remap(maps, *self._found(x, y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found)

    def _found(self, x: F64, y: F64) -> tuple[F32, F32]:
        """Columns and rows of the low-resolution maps."""
        (sx, sy), (left, top) = self.scene.scale, self._middle
        return (
            (x * (self.short * sx) + ((left + 0.5) * sx - 0.5)).astype(np.float32),
            (y * (self.short * sy) + ((top + 0.5) * sy - 0.5)).astype(np.float32),
        )
