"""Who plays in a painted scene: figures drawn into every frame, in front of the background and apart from it.

They are polygons, so they are rigid or jointed and never stretch what is behind them. Each stands at
a point of the still and follows the camera from there with the depth of the ground under its foot.
"""

import math
from typing import NamedTuple

import numpy as np

from seedance_lab.local.render import noise, paint
from seedance_lab.local.render.brush import Brush
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.job import FPS, Job
from seedance_lab.local.render.pieces import Colour, Piece, Pose
from seedance_lab.local.render.planes import Planes
from seedance_lab.local.render.shapes import SHAPES
from seedance_lab.local.render.shot import Shot
from seedance_lab.local.render.subjects import Subject, subject
from seedance_lab.local.render.words import Act, Direction

_DIM = {
    "day": (1.0, 1.0, 1.0),
    "dawn": (0.92, 0.86, 0.84),
    "dusk": (0.66, 0.52, 0.56),
    "night": (0.62, 0.64, 0.78),
}
_ROUND = np.arange(28) * (math.tau / 28)
_GOING = {"walk": 1.0, "run": 2.2, "go": 1.4, "jump": 0.4, "dance": 0.0}


class _Player(NamedTuple):
    """One figure: where its foot is when the clip is half over, in short sides from the frame's middle."""

    x: float
    y: float
    tall: float
    way: float
    pace: float
    lag: float


class Cast:
    """The figures of one prompt and seed."""

    def __init__(self, job: Job, direction: Direction) -> None:
        """Choose them and their places; none, if the prompt is about a landscape or there is a picture."""
        self._job, self._seed = job, job.seed
        found = subject(job.prompt) if job.image is None else None
        self._short = min(job.width, job.height)
        self._half = (job.width / 2 / self._short, job.height / 2 / self._short)
        self._acts = direction.acts
        self._hour = paint.hour(job.prompt, job.seed)
        self._wind = 1.0 if "wind" in direction.local or direction.energy > 1 else 0.3
        self._what = found or Subject(
            kind="thing", tall=0.0, colour=(0, 0, 0), other=(0, 0, 0), count=0, place="ground", moves=0.0
        )
        self._wet = self._what.place == "water" or (
            self._what.place == "ground"
            and paint.mirrors(job.prompt, job.seed)
            and not paint.shore(job.prompt)
        )
        self._players = self._places()

    def _places(self) -> list[_Player]:
        what, seed, half = self._what, self._seed, self._half
        row = paint.horizon(seed, self._job.prompt) * 2 * half[1] - half[1]
        going = max((_GOING.get(act.kind, 0.0) * act.speed for act in self._acts), default=0.0)
        if what.place in ("air", "water"):
            going = max(going, 0.7)
        said = next((act.x for act in self._acts if act.x), 0.0)
        way = said or noise.sign(seed, "cast/way")
        size = what.tall * (1.0 if what.count == 1 else 0.72) * min(1.0, 0.62 + 0.38 * half[1] * 2)
        out = []
        for i in range(what.count):
            spread = (i - (what.count - 1) / 2) * (0.30 if what.count > 1 else 0.0) * min(1.4, 1.6 * half[0])
            near = noise.between(seed, "cast/near", 0.0, 1.0, i)
            tall = size * (1.0 if what.count == 1 else 0.72 + 0.5 * near)
            x = spread + noise.between(seed, "cast/x", -0.14, 0.14, i) * half[0]
            match what.place:
                case "air":
                    y = row - noise.between(seed, "cast/y", 0.10, 0.22, i) * 2 * half[1]
                case "far":
                    x, y, tall = x * 0.6, row + 0.01, tall * 1.15
                case "table":
                    y = half[1] - 0.16
                case _:
                    y = row + (half[1] - row) * (0.40 + 0.36 * near if what.count > 1 else 0.62)
            pace = what.moves * going * noise.between(seed, "cast/pace", 0.85, 1.15, i)
            out.append(_Player(x, y, tall, way, pace, math.tau * noise.uniform(seed, "cast/lag", i)))
        return sorted(out, key=lambda one: one.y)

    def draw(self, frame: int, out: Planes, shot: Shot) -> None:
        """Draw everyone into frame `frame`, where the shot's camera sees them."""
        middle = ((self._job.width - 1) / 2, (self._job.height - 1) / 2)
        for one in self._players:
            x, y, lift = self._spot(one, frame / FPS)
            near = _nearness(shot, x, y + (2 * one.tall if self._what.place == "air" else 0.0))
            at_x, at_y, grown, roll = shot.camera.place(frame, x, y, near)
            foot = (at_x * self._short + middle[0], at_y * self._short + middle[1])
            unit = one.tall * grown * self._short
            self._one(frame / FPS, one, Brush(foot, unit, one.way, roll, lift / one.tall, out))

    def painted(self, canvas: Canvas) -> Canvas:
        """The canvas with everyone in it, as they are in the first frame."""
        rgb = canvas.rgb.copy()
        for one in self._players:
            x, y, lift = self._spot(one, 0.0)
            foot = (
                x * self._short + canvas.left + (canvas.width - 1) / 2,
                y * self._short + canvas.top + (canvas.height - 1) / 2,
            )
            self._one(0.0, one, Brush(foot, one.tall * self._short, one.way, 0.0, lift / one.tall, rgb))
        return canvas._replace(rgb=rgb)

    def _spot(self, one: _Player, t: float) -> tuple[float, float, float]:
        """Where its foot is, in short sides from the middle, and how far above the ground it hovers."""
        seconds = self._job.seconds
        far = min(one.pace * seconds, 2 * self._half[0] * 0.8)
        x = one.x + one.way * far * (t / seconds - 0.5)
        y, lift = one.y, 0.0
        if self._what.place == "water":
            y += 0.006 * math.sin(1.6 * t + one.lag)
        if self._what.place == "air":
            y += 0.018 * math.sin(1.1 * t + one.lag) - (0.012 * t if self._what.kind == "balloon" else 0.0)
        for act in self._acts:
            if act.kind in ("jump", "dance") and act.start * seconds < t < act.stop * seconds:
                beat = (t - act.start * seconds) * 1.15 % 1.0
                lift = (
                    (0.16 if act.kind == "jump" else 0.03)
                    * one.tall
                    * max(0.0, 1 - ((beat - 0.4) / 0.3) ** 2)
                )
        return x, y, lift

    def _one(self, t: float, one: _Player, brush: Brush) -> None:
        what = self._what
        active = [act for act in self._acts if act.start <= t / self._job.seconds <= act.stop]
        pose = Pose(
            t=t + one.lag, step=self._step(one, t, active), colour=what.colour, other=what.other,
            lit=self._hour in ("dusk", "night"), waves=any(act.kind in ("wave", "dance") for act in active),
            wind=self._wind,
        )  # fmt: skip
        pieces = [piece._replace(colour=self._dimmed(piece)) for piece in SHAPES[what.kind](pose)]
        if self._wet:
            brush.mirror(pieces, t)
        elif what.place in ("ground", "table") and what.kind != "flower":
            across = np.concatenate([piece.points[:, 0] for piece in pieces if piece.cover == 1.0])
            half = 0.42 * float(across.max() - across.min())
            middle = float(across.max() + across.min()) / 2
            shade = np.column_stack([middle + half * np.cos(_ROUND), 0.035 * np.sin(_ROUND)])
            brush._replace(lift=0.0).fill([Piece(shade, (20, 22, 26), 0.4)])
        brush.fill(pieces)

    def _step(self, one: _Player, t: float, active: list[Act]) -> float | None:
        """The angle of a stride, so that feet stay about where they are put; None at rest."""
        going = any(act.kind in _GOING for act in active)
        if self._what.kind == "car" or going:
            return (one.pace * t / max(0.02, one.tall) * 4.2 if one.pace else 6.0 * t * going) + one.lag
        return None

    def _dimmed(self, piece: Piece) -> Colour:
        """Its colour in the light of the hour; what shines stays."""
        if (
            min(piece.colour[:2]) > 205
            and piece.colour[2] < 212
            and self._what.kind in ("house", "lighthouse", "car")
        ):
            return piece.colour
        lift = 30 if self._hour == "night" else 0  # what is dark would be lost before a dark sky
        r, g, b = (
            lift + c * k * (1 - lift / 255) for c, k in zip(piece.colour, _DIM[self._hour], strict=True)
        )
        return r, g, b


def _nearness(shot: Shot, x: float, y: float) -> float:
    """How near the still is at a point in short sides from the middle."""
    return float(shot.read(shot.scene.near, np.array([[x]]), np.array([[y]]))[0, 0])
