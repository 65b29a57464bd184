"""What figures are made of: ovals, rounded bodies and limbs, as polygons with a colour.

Units are the figure's own height, x to where it faces, y upwards, the foot at the origin. A pose is a
moment of a movement, so that legs step, wings beat and wheels turn.
"""

import math
from typing import NamedTuple

import numpy as np

from seedance_lab.local.render.planes import F64

Colour = tuple[float, float, float]
SKIN, DARK, WOOD, GLASS = (214, 164, 132), (44, 40, 44), (104, 74, 50), (170, 196, 212)


_CIRCLE = np.column_stack([np.cos(np.arange(24) * (math.tau / 24)), np.sin(np.arange(24) * (math.tau / 24))])


class Piece(NamedTuple):
    """A filled polygon, shape (n, 2), its colour in sRGB, and how much it covers."""

    points: F64
    colour: Colour
    cover: float = 1.0


class Pose(NamedTuple):
    """A moment: seconds, the step's angle (None: it stands), colours, lamps lit, hands waving, wind's strength."""

    t: float
    step: float | None
    colour: Colour
    other: Colour
    lit: bool
    waves: bool
    wind: float


def tone(colour: Colour, k: float) -> Colour:
    """Lighter or darker."""
    r, g, b = (min(255.0, max(0.0, c * k)) for c in colour)
    return r, g, b


def oval(
    x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0, cover: float = 1.0
) -> Piece:
    """An ellipse, turned by an angle."""
    c, s = math.cos(turn), math.sin(turn)
    return Piece(_CIRCLE @ np.array([[rx * c, rx * s], [-ry * s, ry * c]]) + (x, y), colour, cover)


def ball(x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> list[Piece]:
    """A rounded body, lit from above and from the front."""
    steps = [(1 - 0.13 * i, 0.64 + 0.085 * i) for i in range(6)]
    return [
        oval(x + 0.20 * (1 - k) * rx, y + 0.42 * (1 - k) * ry, rx * k, ry * k, tone(colour, light), turn)
        for k, light in steps
    ]


def limb(ax: float, ay: float, bx: float, by: float, wa: float, wb: float, colour: Colour) -> list[Piece]:
    """From a to b, with widths, rounded at both ends."""
    long = math.hypot(bx - ax, by - ay) or 1e-6
    nx, ny = -(by - ay) / long / 2, (bx - ax) / long / 2
    body = np.array(
        [
            (ax + nx * wa, ay + ny * wa),
            (bx + nx * wb, by + ny * wb),
            (bx - nx * wb, by - ny * wb),
            (ax - nx * wa, ay - ny * wa),
        ]
    )
    return [oval(ax, ay, wa / 2, wa / 2, colour), oval(bx, by, wb / 2, wb / 2, colour), Piece(body, colour)]


def shape(colour: Colour, *points: tuple[float, float], cover: float = 1.0) -> Piece:
    """A polygon."""
    return Piece(np.array(points, np.float64), colour, cover)


def box(x: float, y: float, w: float, h: float, colour: Colour) -> Piece:
    """A rectangle from its lower left corner."""
    return shape(colour, (x, y), (x + w, y), (x + w, y + h), (x, y + h))


def leg(x: float, y: float, long: float, swing: float, wide: float, colour: Colour) -> list[Piece]:
    """Two bones: the knee bends while the foot comes forward."""
    thigh = 0.55 * math.sin(swing)
    shin = thigh - 0.75 * max(0.0, math.cos(swing))
    kx, ky = x + 0.5 * long * math.sin(thigh), y - 0.5 * long * math.cos(thigh)
    fx, fy = kx + 0.5 * long * math.sin(shin), ky - 0.5 * long * math.cos(shin)
    fy = max(fy, 0.5 * wide * 0.6)
    return [
        *limb(x, y, kx, ky, wide, 0.8 * wide, colour),
        *limb(kx, ky, fx, fy, 0.8 * wide, 0.6 * wide, colour),
    ]
