"""From the first picture to the end image: the last frame is the end image itself.

If both show the same scene, the shift, turn and scale between them are found first and played as a
movement of the camera, with the remaining local flow on top; cross-fading such a pair would show
everything twice. If they do not, the first picture's subject travels to where the second one's will
be; there the second picture grows out of it and pushes the first one aside. Places turn in an order:
from the subject outwards, what is bright before what is dark. The order is spread evenly over the
frame, so that at any moment one place in twenty shows both pictures and each other place one.
"""

import cmath
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.camera import Camera, still
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.job import Job
from seedance_lab.local.render.planes import F32, F64, U8, Planes, empty
from seedance_lab.local.render.shot import Points, Shot

_FROM, _TILL = 0.26, 0.78  # unlike pictures: when the first place turns and the last, in shares of the clip
_BAND = 0.055  # the share of the frame that shows both pictures while the front passes
_WAKE = 0.5  # the share that is pushed aside ahead of the front and grows behind it: wide, else it would tear
_SIDE = 320  # pixels of the longer side at which the pictures are compared
_SAME = 0.42  # likeness of edges from which two pictures count as one scene


class Turn(NamedTuple):
    """A shift, turn and scale as z -> a*z + b on complex numbers, in short sides from the middle."""

    a: complex
    b: complex

    def part(self, share: float, x: F64, y: F64) -> tuple[F64, F64]:
        """Apply a share of it, -1 to 1, so that shares add up."""
        power = cmath.exp(share * cmath.log(self.a))
        near = abs(self.a - 1) < 1e-9
        shift = self.b * share if near else self.b * (power - 1) / (self.a - 1)
        z = (x + 1j * y) * power + shift
        return z.real, z.imag


class Morph:
    """Two shots and the way from one to the other."""

    def __init__(self, job: Job, first: Shot, last: Shot) -> None:
        """Compare the pictures; `last` is given the rest of `first`'s path, so that it ends at rest."""
        self.first, self.last = first, last
        self._frames = job.frames
        a, b = _grey(first.canvas), _grey(last.canvas)
        scale = max(a.shape) / max(job.width, job.height) * first.short
        turn, alike = _similarity(a, b, scale)
        self._same = alike >= _SAME
        self._turn = turn if self._same else Turn(1, 0)
        flow = _flow(a, b, self._turn, scale) if self._same else np.zeros((*a.shape, 2), np.float32)
        rows, cols = first.screen.x.shape
        grid_like = (cols, rows)
        self._flow = np.asarray(cv2.resize(flow, grid_like, interpolation=cv2.INTER_AREA), np.float64)
        blotches = np.clip(
            noise.field(job.seed, "dissolve", rows, cols, cell=max(3.0, min(rows, cols) / 6)), -1, 1
        )
        self._delay: F32 = np.asarray(blotches * 0.0325, np.float32)
        self._fx, self._fy = last.focus
        if not self._same:
            away = np.hypot(first.screen.x - self._fx, first.screen.y - self._fy)
            tones = [
                cv2.resize(grey, grid_like, interpolation=cv2.INTER_AREA).astype(np.float32)
                for grey in (a, b)
            ]
            wait = away / float(away.max()) + 0.16 * blotches + (tones[0] - tones[1]) / 1100
            self._order = _ranks(np.asarray(wait, np.float32))
            self._out_x = (first.screen.x - self._fx) / (away + 0.15)
            self._out_y = (first.screen.y - self._fy) / (away + 0.15)
            if not job.camera_fixed:
                self._turn = Turn(1, complex(*(_most(last.focus[i] - first.focus[i], 0.10) for i in (0, 1))))
        self._rest(job)
        self._spare = empty(job.width, job.height)

    def _rest(self, job: Job) -> None:
        """Give both shots camera paths that meet: the first starts at rest, the last ends at rest."""
        path = self.first.camera.path
        time = np.arange(job.frames) / max(1, job.frames - 1)
        if job.camera_fixed:
            self.last.camera = still(job.frames)
        elif self._same:
            there_and_back = (16 * time**2 * (1 - time) ** 2)[:, None]
            path = path * there_and_back * 0.6
            self.first.camera = Camera(path=path, focus=self.first.camera.focus, held=self.first.camera.held)
            self.last.camera = Camera(
                path=path, focus=self.first.camera.focus, held=self.last.scene.focus_depth
            )
        else:
            left = (path - path[-1]) * 0.7
            self.last.camera = Camera(
                path=left, focus=self.first.camera.focus, held=self.last.scene.focus_depth
            )

    def draw(self, frame: int, out: Planes) -> Points:
        """Write frame `frame` into `out`; returns where the first picture's shot looked."""
        t = frame / max(1, self._frames - 1)
        alpha, wake = self._alpha(t), self._wake(t)
        u = 0.25 * t + 0.75 * noise.smoothstep(0.0, 1.0, t)
        x, y = self.first.screen
        ax, ay = (x, y) if self._same else self._aside(wake, x, y)
        ax, ay = self._turn.part(-u, ax - u * self._flow[..., 0], ay - u * self._flow[..., 1])
        seen = self.first.points(frame, Points(ax, ay))
        if float(alpha.max()) == 0.0:
            self.first.grid.sample(self.first.planes, *seen, out)
            return seen
        v = 1 - u
        bx, by = (x, y) if self._same else self._grown(wake, x, y)
        bx, by = self._turn.part(v if self._same else 0.0, bx, by)
        bx, by = bx + v * self._flow[..., 0], by + v * self._flow[..., 1]
        calm = 1 - noise.smoothstep(0.72, 1.0, t)
        other = self.last.points(frame, Points(bx, by), local=calm)
        if float(alpha.min()) == 1.0:
            self.last.grid.sample(self.last.planes, *other, out)
            return other
        self.first.grid.sample(self.first.planes, *seen, out)
        self.last.grid.sample(self.last.planes, *other, self._spare)
        weight = np.ascontiguousarray(self.first.grid.full(alpha))
        half = cv2.resize(weight, out.uv.shape[1::-1], interpolation=cv2.INTER_AREA)
        for mine, theirs, share in zip(out, self._spare, (weight, half), strict=True):
            cv2.blendLinear(mine, theirs, 1 - share, share, dst=mine)
        return seen

    def _aside(self, wake: F32, x: F64, y: F64) -> tuple[F64, F64]:
        """The first picture, pushed outwards where the front comes near."""
        push = 0.16 * wake * wake
        return x - push * self._out_x, y - push * self._out_y

    def _grown(self, wake: F32, x: F64, y: F64) -> tuple[F64, F64]:
        """The second picture, growing to its size from its own subject."""
        small = 1 + 0.20 * (1 - wake.astype(np.float64))
        return self._fx + (x - self._fx) * small, self._fy + (y - self._fy) * small

    def _alpha(self, t: float) -> F32:
        """How much of the end image each grid point shows: all 0 at the start, all 1 at the end."""
        if t <= 0 or t >= 1:
            return np.full_like(self._delay, t)
        if self._same:
            u = np.clip((t + self._delay - 0.12) / 0.74, 0, 1)
        else:
            front = (1 + _BAND) * min(1.0, max(0.0, (t - _FROM) / (_TILL - _FROM)))
            u = np.clip((front - self._order) / _BAND, 0, 1)
        return _soft(u)

    def _wake(self, t: float) -> F32:
        """How far each grid point has turned as to shape: from long before to long after it turns as to picture."""
        if self._same:
            return self._delay
        ahead = 0.6 * _WAKE
        front = (t - 0.08) / 0.88 * (1 + _WAKE) - _WAKE + ahead
        return _soft(np.clip((front + _WAKE - ahead - self._order) / _WAKE, 0, 1))


def _soft(u: F32) -> F32:
    """Level ends, rounded to 1/256."""
    return np.asarray(np.round(u * u * (3 - 2 * u) * 256) / 256, np.float32)


def _ranks(wait: F32) -> F32:
    """The order of values, 0 to 1, so that equally many lie in every stretch; smooth where `wait` is."""
    wait = cv2.blur(
        cv2.blur(wait, (5, 5), borderType=cv2.BORDER_REPLICATE), (5, 5), borderType=cv2.BORDER_REPLICATE
    )
    at = np.argsort(np.round(wait.ravel() * 4096), kind="stable")
    order = np.empty(wait.size, np.float32)
    order[at] = np.linspace(0, 1, wait.size, dtype=np.float32)
    out: F32 = cv2.blur(order.reshape(wait.shape), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return out


def _most(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def _grey(canvas: Canvas) -> U8:
    """What the frame shows of a canvas, small, grey, with local contrast evened out."""
    view = canvas.rgb[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width]
    k = _SIDE / max(canvas.width, canvas.height)
    small = cv2.resize(
        view, (round(canvas.width * k), round(canvas.height * k)), interpolation=cv2.INTER_AREA
    )
    grey: U8 = cv2.createCLAHE(3.0, (6, 6)).apply(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return grey


def _edges(grey: U8) -> F32:
    gx = np.abs(cv2.Sobel(grey, cv2.CV_16S, 1, 0)).astype(np.float32)
    gy = np.abs(cv2.Sobel(grey, cv2.CV_16S, 0, 1)).astype(np.float32)
    out: F32 = cv2.blur(np.minimum(gx + gy, 400), (5, 5))
    return out


def _likeness(a: F32, b: F32, where: U8) -> float:
    """Correlation of two edge maps where both are seen, -1 to 1."""
    inside = where > 0
    if float(inside.mean()) < 0.3:
        return -1.0
    p, q = a[inside] - a[inside].mean(), b[inside] - b[inside].mean()
    return float((p * q).sum() / (1e-6 + np.sqrt(float((p * p).sum()) * float((q * q).sum()))))


def _similarity(a: U8, b: U8, scale: float) -> tuple[Turn, float]:
    """The movement that takes picture a onto b, and how alike their edges then are."""
    tried = [np.array([[1, 0, 0], [0, 1, 0]], np.float64)]
    orb = cv2.ORB.create(900, fastThreshold=12)
    (ka, da), (kb, db) = orb.detectAndCompute(a, None), orb.detectAndCompute(b, None)
    if da is not None and db is not None:
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(da, db)
        if len(pairs) >= 8:
            start = np.array([ka[m.queryIdx].pt for m in pairs], np.float32)
            stop = np.array([kb[m.trainIdx].pt for m in pairs], np.float32)
            found, kept = cv2.estimateAffinePartial2D(
                start, stop, method=cv2.RANSAC, ransacReprojThreshold=3.0
            )
            if (
                found is not None
                and int(kept.sum()) >= 8
                and 0.5 < float(np.hypot(found[0, 0], found[1, 0])) < 2
            ):
                tried.append(found)
    ea, eb = _edges(a), _edges(b)
    best, best_score = tried[0], -1.0
    for m in tried:
        size = (a.shape[1], a.shape[0])
        moved = cv2.warpAffine(ea, m, size)
        score = _likeness(moved, eb, cv2.warpAffine(np.full_like(a, 255), m, size))
        if score > best_score:
            best, best_score = m, score
    turn = complex(best[0, 0], best[1, 0])
    cx, cy = (a.shape[1] - 1) / 2, (a.shape[0] - 1) / 2
    centre = complex(cx, cy)
    shift = turn * centre + complex(best[0, 2], best[1, 2]) - centre
    return Turn(
        complex(*np.round((turn.real, turn.imag), 4)),
        complex(*np.round((shift.real / scale, shift.imag / scale), 4)),
    ), best_score


def _flow(a: U8, b: U8, turn: Turn, scale: float) -> F32:
    """What is left to move after the turn, smooth, in short sides; nothing where that is uncertain."""
    h, w = a.shape
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float64)
    x, y = (xs - (w - 1) / 2) / scale, (ys - (h - 1) / 2) / scale
    bx, by = turn.part(1.0, x, y)
    there = ((bx * scale + (w - 1) / 2).astype(np.float32), (by * scale + (h - 1) / 2).astype(np.float32))
    aligned = cv2.remap(b, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forth, back = dis.calc(a, aligned, None), dis.calc(aligned, a, None)
    returned = cv2.remap(
        back,
        (xs + forth[..., 0]).astype(np.float32),
        (ys + forth[..., 1]).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    error = np.hypot(forth[..., 0] + returned[..., 0], forth[..., 1] + returned[..., 1])
    size = np.hypot(forth[..., 0], forth[..., 1])
    sure = np.asarray((error < 0.8 + 0.05 * size) & (size < 24), np.float32)
    sure *= np.minimum(1, _edges(a) / 40)
    reach = (max(h, w) // 14) | 1
    weight = cv2.blur(cv2.blur(sure, (reach, reach)), (reach, reach))
    smooth = cv2.blur(cv2.blur(forth * sure[..., None], (reach, reach)), (reach, reach)) / (
        weight[..., None] + 0.12
    )
    return np.asarray(np.round(smooth * 4) / 4 / scale, np.float32)
