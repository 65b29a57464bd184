"""Figures that live or travel: people, animals, birds, boats, cars. From back to front, in a pose."""

import math

import numpy as np

from seedance_lab.local.render.pieces import (
    DARK,
    GLASS,
    SKIN,
    WOOD,
    Colour,
    Piece,
    Pose,
    ball,
    leg,
    limb,
    oval,
    shape,
    tone,
)


def person(p: Pose) -> list[Piece]:
    """A person in coat and trousers, or a skirt's width of cloth in the wind."""
    going = p.step is not None
    a = p.step or 0.0
    swing = 1.0 if going else 0.0
    hip = 0.5 - 0.022 * swing * math.sin(a) ** 2  # lower while the feet are apart
    breath = 0.004 * math.sin(2.1 * p.t)
    near, far = tone(p.other, 1.0), tone(p.other, 0.72)
    out: list[Piece] = []
    arm = 0.6 * math.sin(a) * swing

    def one_arm(turn: float, colour: Colour, raised: bool) -> None:
        sx, sy = 0.0, 0.775 + breath
        if raised:
            turn = 2.55 + 0.38 * math.sin(7.5 * p.t)
        ex, ey = sx + 0.155 * math.sin(turn), sy - 0.155 * math.cos(turn)
        fore = turn + (0.35 + 0.25 * swing if not raised else 0.25)
        hx, hy = ex + 0.15 * math.sin(fore), ey - 0.15 * math.cos(fore)
        out.extend(limb(sx, sy, ex, ey, 0.062, 0.05, colour))
        out.extend(limb(ex, ey, hx, hy, 0.05, 0.04, colour))
        out.append(oval(hx, hy, 0.024, 0.026, SKIN))

    one_arm(-arm - 0.05, tone(p.colour, 0.66), False)
    for side, colour in ((math.pi, far), (0.0, near)):
        out += leg(0.0, hip, 0.49, (a + side) if going else (math.pi), 0.088, colour)
    out += limb(0.0, 0.50, 0.005, 0.765 + breath, 0.145, 0.165, tone(p.colour, 0.80))
    out += limb(0.018, 0.53, 0.022, 0.755 + breath, 0.085, 0.10, p.colour)
    flap = 0.02 * math.sin(3.1 * p.t) * (0.4 + p.wind) + 0.03 * math.sin(a) * swing
    out.append(
        shape(tone(p.colour, 0.74), (-0.078, 0.60), (0.078, 0.60), (0.10 + flap, 0.43), (-0.11 + flap, 0.44))
    )
    out += limb(0.0, 0.80, 0.008, 0.855, 0.055, 0.05, tone(SKIN, 0.8))
    nod = 0.006 * math.sin(2 * a) * swing
    out += ball(0.014, 0.905 + breath + nod, 0.058, 0.072, SKIN)
    out += [
        oval(-0.008, 0.938 + breath + nod, 0.062, 0.05, tone(WOOD, 0.55)),
        oval(-0.038, 0.905 + breath, 0.034, 0.06, tone(WOOD, 0.5)),
    ]
    one_arm(arm + 0.05, tone(p.colour, 0.93), p.waves)
    return out


def animal(p: Pose) -> list[Piece]:
    """Four legs, a tail that wags, a head that bobs."""
    going = p.step is not None
    a = p.step or 0.0
    out: list[Piece] = []
    wag = 0.35 * math.sin(6.5 * p.t) if not going else 0.25 * math.sin(a)
    for x, lag, light in ((-0.40, 2.2, 0.6), (0.36, 5.2, 0.6), (-0.34, 0.0, 0.85), (0.42, 3.0, 0.85)):
        out += leg(x, 0.52, 0.5, (a + lag) if going else math.pi, 0.10, tone(p.colour, light))
    out += limb(-0.50, 0.66, -0.74, 0.82 + 0.16 * wag, 0.08, 0.05, tone(p.colour, 0.8))
    rise = 0.015 * math.sin(2 * a) if going else 0.006 * math.sin(2.3 * p.t)
    out += ball(0.0, 0.62 + rise, 0.54, 0.185, p.colour)
    out += limb(0.40, 0.68 + rise, 0.62, 0.88 + rise, 0.22, 0.15, tone(p.colour, 0.92))
    nod = rise * 1.4 + 0.012 * math.sin(1.7 * p.t)
    out += ball(0.66, 0.90 + nod, 0.135, 0.115, p.colour)
    out += limb(0.74, 0.87 + nod, 0.86, 0.85 + nod, 0.10, 0.075, tone(p.colour, 0.95))
    out.append(oval(0.905, 0.862 + nod, 0.022, 0.02, DARK))
    out.append(shape(tone(p.colour, 0.6), (0.56, 0.95 + nod), (0.66, 0.97 + nod), (0.575, 1.08 + nod)))
    out.append(oval(0.72, 0.925 + nod, 0.016, 0.018, DARK))
    return out


def bird(p: Pose) -> list[Piece]:
    """In flight, seen from the side."""
    beat = math.sin(7.0 * p.t)
    back = shape(
        tone(p.colour, 0.6),
        (0.16, 0.5),
        (-0.16, 0.5),
        (-0.42, 0.5 + 0.40 * beat),
        (-0.06, 0.5 + 0.30 * beat),
    )
    front = shape(
        tone(p.colour, 1.1),
        (0.20, 0.47),
        (-0.20, 0.47),
        (-0.52, 0.47 + 0.55 * beat),
        (-0.02, 0.47 + 0.38 * beat),
    )
    tail = shape(tone(p.colour, 0.7), (-0.34, 0.5), (-0.66, 0.56), (-0.62, 0.42))
    beak = shape((224, 160, 60), (0.48, 0.55), (0.62, 0.51), (0.48, 0.50))
    return [back, tail, *ball(0.0, 0.48, 0.40, 0.115, p.colour), *ball(0.40, 0.54, 0.10, 0.085, p.colour), beak,
            oval(0.43, 0.56, 0.014, 0.014, DARK), front]  # fmt: skip


def boat(p: Pose) -> list[Piece]:
    """A sailing boat; it heels with the wind."""
    heel = 0.05 * math.sin(1.25 * p.t) * (0.7 + 0.5 * p.wind)
    belly = 0.06 + 0.02 * math.sin(1.9 * p.t)
    main = [(0.02, 0.20)] + [
        (0.02 - (0.36 + belly * math.sin(math.pi * k)) * (1 - k), 0.22 + 0.76 * k)
        for k in np.linspace(0, 1, 8)
    ]
    jib = [(0.07, 0.22), (0.42, 0.19), (0.25 + 0.5 * belly, 0.5), (0.06, 0.92)]
    out = [
        shape(tone(p.other, 1.0), *main),
        shape(tone(p.other, 0.84), *jib),
        *limb(0.045, 0.12, 0.045, 1.0, 0.022, 0.014, WOOD),
    ]
    out.append(shape(tone(p.colour, 0.62), (-0.46, 0.17), (0.56, 0.20), (0.36, 0.0), (-0.36, 0.0)))
    out.append(shape(tone(p.colour, 1.0), (-0.46, 0.17), (0.56, 0.20), (0.50, 0.125), (-0.44, 0.10)))
    out.append(shape((236, 232, 222), (-0.46, 0.175), (0.56, 0.205), (0.555, 0.185), (-0.46, 0.155)))
    c, s = math.cos(heel), math.sin(heel)
    return [piece._replace(points=piece.points @ np.array([[c, s], [-s, c]])) for piece in out]


def car(p: Pose) -> list[Piece]:
    """Seen from the side; the wheels turn."""
    bounce = 0.012 * math.sin(8.3 * p.t) if p.step is not None else 0.0
    body = [
        (-1.25, 0.28),
        (-1.22, 0.58),
        (-0.95, 0.66),
        (0.72, 0.66),
        (1.18, 0.52),
        (1.28, 0.40),
        (1.26, 0.26),
    ]
    roof = [(-0.92, 0.64), (-0.66, 0.96), (0.18, 0.98), (0.70, 0.64)]
    out = [shape(tone(p.colour, 0.92), *roof), shape(tone(p.colour, 0.8), *body)]
    out.append(
        shape(
            tone(p.colour, 1.12),
            (-1.22, 0.58),
            (-0.95, 0.66),
            (0.72, 0.66),
            (1.18, 0.52),
            (0.7, 0.57),
            (-0.95, 0.57),
        )
    )
    glass = (250, 220, 150) if p.lit else GLASS
    out += [
        shape(tone(glass, 0.8), (-0.80, 0.66), (-0.60, 0.91), (-0.20, 0.92), (-0.20, 0.66)),
        shape(glass, (-0.12, 0.66), (-0.12, 0.92), (0.14, 0.92), (0.54, 0.66)),
    ]
    out += [oval(1.20, 0.46, 0.05, 0.05, (255, 244, 200)), oval(-1.21, 0.50, 0.03, 0.05, (214, 40, 40))]
    out = [piece._replace(points=piece.points + np.array([0.0, bounce])) for piece in out]
    for x in (-0.76, 0.80):
        out += [oval(x, 0.23, 0.23, 0.23, DARK), oval(x, 0.23, 0.14, 0.14, (150, 152, 158))]
        for i in range(3):
            turn = -(p.step or 0.0) * 1.5 + i * math.pi / 3
            c, s = 0.13 * math.cos(turn), 0.13 * math.sin(turn)
            out += limb(x - c, 0.23 - s, x + c, 0.23 + s, 0.025, 0.025, (90, 92, 98))[2:]
    if p.lit:
        out.append(shape((255, 240, 190), (1.22, 0.49), (2.5, 0.62), (2.5, 0.0), (1.22, 0.42), cover=0.22))
    return out
