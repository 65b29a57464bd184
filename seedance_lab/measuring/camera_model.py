"""One global model of how a picture went from one frame to another: a similarity.

The picture goes, grows and turns as a whole,

    u = a x - b y + c        v = b x + a y + d

with x, y measured from the middle of the picture in short sides. Of the similarities through sixty-four pairs of points
the one that most of the picture agrees with is taken. What is far from the middle has more say; rest is one of
them, and two fifths of the picture are enough for it. It is then fitted by least squares that are weighed again in
up to four rounds, so that what moves by itself loses its say (Cauchy weights; scale by the median absolute residual of
what agrees).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from seedance_lab.measuring.flow import Field, Grid, Pair, size
from seedance_lab.measuring.spec import Floats

Ints = np.ndarray[Any, np.dtype[np.int64]]

_ROUNDS = 4
_TRIES = 64
_JUDGES = 128
_SETTLED = 2e-5  # in short sides, over the picture: less than a hundredth of a working pixel
_RIGHT = np.array([1, -1, 1], np.float32)
"""Signs of a, b and c in the way right."""
_REST = 1.5  # two fifths at rest are seldom chance; three fifths that go together may be one large subject


class Similarity(NamedTuple):
    """How the picture as a whole went from one frame to another.

    Attributes:
        a, b: Growth and turn.
        c, d: Way of the middle right and down, in short sides.
    """

    a: float
    b: float
    c: float
    d: float

    @property
    def growth(self) -> float:
        """Natural logarithm of the scale."""
        return float(np.log(max(np.hypot(1 + self.a, self.b), 1e-6)))

    @property
    def turn_deg(self) -> float:
        """How far the picture turned, clockwise."""
        return float(np.degrees(np.arctan2(self.b, 1 + self.a)))

    def then(self, later: Similarity) -> Similarity:
        """This one and then that one."""
        first, second = complex(1 + self.a, self.b), complex(1 + later.a, later.b)
        turned, moved = first * second, second * complex(self.c, self.d) + complex(later.c, later.d)
        return Similarity(turned.real - 1, turned.imag, moved.real, moved.imag)

    def of(self, x: Field, y: Field) -> tuple[Field, Field]:
        """How far points go right and down."""
        return self.a * x - self.b * y + self.c, self.b * x + self.a * y + self.d


class Points:
    """Every other point of a grid in each direction: so dense are flow's patches. Reckoned once for a clip.

    Args:
        grid: Where flow is read.
    """

    def __init__(self, grid: Grid) -> None:
        self.pixel = grid.pixel
        x, y = _every_other(grid.x), _every_other(grid.y)
        one = np.ones_like(x)
        self.here = np.stack([x, y, one])
        self.say = _outwards(x, y)
        self.sums = np.stack([one, x, y, one, one, x * x + y * y, one, one]).astype(np.float64)
        """Rows for `_least_squares`; those of u and v are filled in for each pair."""
        self.tries = _tries(self.here)
        step = max(1, x.size // _JUDGES)
        self.judges, self.judges_here = slice(None, None, step), self.here[:, ::step].copy()


def fitted(pair: Pair, points: Points) -> Similarity:
    """The similarity that most of the picture follows, by the rule at the top of this module."""
    u, v, trust = (_every_other(f) for f in (pair.u, pair.v, pair.trust))
    trust = trust * points.say
    here, went, sums = points.here, np.stack([u, v]), points.sums
    (x, y, _), sums[3], sums[4] = here, u, v
    sums[6], sums[7] = x * u + y * v, x * v - y * u
    model = _most_agreed(went, trust, points)
    for _ in range(_ROUNDS):
        way = np.array([(model.a, -model.b, model.c), (model.b, model.a, model.d)], np.float32) @ here
        off = size(*(went - way))
        near = off[off <= slack_of(way[0], way[1], points.pixel)]
        # Below a twentieth of a pixel all residuals are noise, and dividing by them would be too.
        scale = max(1.4826 * _middle(near) if near.size else 0.0, 0.05 * points.pixel)
        off *= np.float32(1 / (1.5 * scale))
        off *= off
        off += 1
        before, model = model, _least_squares(sums @ (trust / off))
        if max(abs(old - new) for old, new in zip(before, model, strict=True)) < _SETTLED:
            break
    return model


def _every_other(field: Field) -> Field:
    return field[1:-1:2, 1:-1:2].ravel()


def _middle(values: Field) -> float:
    """About the median; NumPy's own takes ten times as long for so few values."""
    return float(np.partition(values, values.size // 2)[values.size // 2])


def _outwards(x: Field, y: Field) -> Field:
    """More say for what is far from the middle, where the subject mostly is: from 0.3 to 1."""
    edge = np.maximum(np.abs(x) / np.abs(x).max(), np.abs(y) / np.abs(y).max())
    return np.asarray(np.maximum(edge, 0.3))


def slack_of(mu: Field, mv: Field, pixel: float) -> Field:
    """How far flow may be from the model to go with it: half a pixel of the reduced picture + a tenth of the way."""
    return 0.5 * pixel + 0.1 * size(mu, mv)


class _Tries(NamedTuple):
    """Pairs of points that are far enough from each other; always the same ones.

    Attributes:
        i, j: Which.
        dx, dy: From the second to the first, by their squared distance.
    """

    i: Ints
    j: Ints
    dx: Field
    dy: Field


def _tries(here: Field) -> _Tries:
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, here.shape[1], (2, _TRIES))
    dx, dy, _ = here[:, i] - here[:, j]
    length = dx * dx + dy * dy
    far = length > 0.04
    return _Tries(i[far], j[far], dx[far] / length[far], dy[far] / length[far])


def _most_agreed(went: Field, trust: Field, points: Points) -> Similarity:
    """Of the similarities through many pairs of points, and of none at all, the one that most points agree with.

    Args:
        went: Shape (2, n): u and v.
        trust: Shape (n,).
        points: The n points.
    """
    i, j, dx, dy = points.tries
    (u, v), (x, y, _) = went[:, i], points.here[:, i]
    du, dv = u - went[0, j], v - went[1, j]
    a, b = dx * du + dy * dv, dx * dv - dy * du
    models = np.zeros((i.size + 1, 4), np.float32)
    models[1:] = np.stack([a, b, u - a * x + b * y, v - b * x - a * y], axis=1)
    mu, mv = models[:, :3] * _RIGHT @ points.judges_here, models[:, (1, 0, 3)] @ points.judges_here
    slack = slack_of(mu, mv, points.pixel)
    mu -= went[0, points.judges]
    mv -= went[1, points.judges]
    score = (size(mu, mv) <= slack) @ trust[points.judges]
    score[0] *= _REST
    return Similarity(*map(float, models[int(np.argmax(score))]))


def _least_squares(sums: Floats) -> Similarity:
    """By the weighted sums of 1, x, y, u, v, x² + y², x u + y v and x v - y u."""
    x, y, u, v, square, along, across = (sums[1:] / sums[0]).tolist()
    spread = max(square - x * x - y * y, 1e-9)
    a = (along - x * u - y * v) / spread
    b = (across - x * v + y * u) / spread
    return Similarity(a, b, u - a * x + b * y, v - b * x - a * y)
