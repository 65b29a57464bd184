"""One global model of how a picture went from one frame to another: a similarity.

The picture goes, grows and turns as a whole,

    u = a x - b y + c        v = b x + a y + d

with x, y measured from the middle of the picture in short sides. Of the similarities through eighty pairs of points
the one that most of the picture agrees with is taken. What is far from the middle has more say; rest is one of
them, and two fifths of the picture are enough for it. It is then fitted by least squares that are weighed again in
four rounds, so that what moves by itself loses its say (Cauchy weights; scale by the median absolute residual of
what agrees).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from seedance_lab.measuring.flow import Field, Grid, Pair, size
from seedance_lab.measuring.spec import Floats

Ints = np.ndarray[Any, np.dtype[np.int64]]

_ROUNDS = 4
_TRIES = 80
_JUDGES = 200
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


def fitted(pair: Pair, grid: Grid) -> Similarity:
    """The similarity that most of the picture follows, by the rule at the top of this module."""
    some = (slice(1, -1, 2), slice(1, -1, 2))
    x, y, u, v, trust = (f[some].ravel() for f in (grid.x, grid.y, pair.u, pair.v, pair.trust))
    trust = trust * _outwards(x, y)
    here, went = np.stack([x, y, np.ones_like(x)]), np.stack([u, v])
    sums = np.stack([here[2], x, y, u, v, x * x + y * y, x * u + y * v, x * v - y * u]).astype(np.float64)
    model = _most_agreed(here, went, trust, grid.pixel)
    for _ in range(_ROUNDS):
        way = np.array([(model.a, -model.b, model.c), (model.b, model.a, model.d)], np.float32) @ here
        off = size(*(went - way))
        near = off[off <= slack_of(way[0], way[1], grid.pixel)]
        # Below a twentieth of a pixel all residuals are noise, and dividing by them would be too.
        scale = max(1.4826 * _middle(near) if near.size else 0.0, 0.05 * grid.pixel)
        off *= np.float32(1 / (1.5 * scale))
        model = _least_squares(sums @ (trust / (1 + off * off)))
    return model


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


def _most_agreed(here: Field, went: Field, trust: Field, pixel: float) -> Similarity:
    """Of the similarities through many pairs of points, and of none at all, the one that most points agree with.

    Args:
        here: Shape (3, n): x, y and 1.
        went: Shape (2, n): u and v.
        trust: Shape (n,).
        pixel: See `Grid`.
    """
    n = trust.size
    i, j = _tries(n)
    dx, dy = here[:2, i] - here[:2, j]
    du, dv = went[:, i] - went[:, j]
    length = dx * dx + dy * dy
    far = length > 0.04
    i, dx, dy, du, dv, length = i[far], dx[far], dy[far], du[far], dv[far], length[far]
    a, b = (dx * du + dy * dv) / length, (dx * dv - dy * du) / length
    x, y, _ = here[:, i]
    u, v = went[:, i]
    models = np.zeros((i.size + 1, 4), np.float32)
    models[1:] = np.stack([a, b, u - a * x + b * y, v - b * x - a * y], axis=1)
    here, went, trust = (f[..., :: max(1, n // _JUDGES)].copy() for f in (here, went, trust))
    mu, mv = models[:, :3] * _RIGHT @ here, models[:, (1, 0, 3)] @ here
    agree = size(went[0] - mu, went[1] - mv) <= slack_of(mu, mv, pixel)
    score = agree @ trust
    score[0] *= _REST
    return Similarity(*map(float, models[int(np.argmax(score))]))


@functools.lru_cache(maxsize=8)
def _tries(n: int) -> tuple[Ints, Ints]:
    """Pairs of points, always the same ones."""
    rng = np.random.default_rng(0)
    return rng.integers(0, n, _TRIES), rng.integers(0, n, _TRIES)


def _least_squares(sums: Floats) -> Similarity:
    """By the weighted sums of 1, x, y, u, v, x² + y², x u + y v and x v - y u."""
    x, y, u, v, square, along, across = (sums[1:] / sums[0]).tolist()
    spread = max(square - x * x - y * y, 1e-9)
    a = (along - x * u - y * v) / spread
    b = (across - x * v + y * u) / spread
    return Similarity(a, b, u - a * x + b * y, v - b * x - a * y)
