"""Figures that stand: trees, houses, flowers, a cup; and the table of all of them by name."""

import itertools
import math
from collections.abc import Callable

import numpy as np

from seedance_lab.local.render.figures import animal, bird, boat, car, person
from seedance_lab.local.render.pieces import DARK, WOOD, Piece, Pose, ball, box, limb, oval, shape, tone


def tree(p: Pose) -> list[Piece]:
    """A trunk, and a crown of leaves that sway each in its own time."""
    out = [
        shape(tone(WOOD, 0.75), (-0.05, 0.0), (0.055, 0.0), (0.03, 0.5), (-0.028, 0.5)),
        shape(WOOD, (0.0, 0.0), (0.055, 0.0), (0.03, 0.5), (0.0, 0.5)),
    ]
    lean = (0.012 + 0.03 * p.wind) * math.sin(1.3 * p.t)
    for i in range(26):
        turn, far = 2.39996 * i, math.sqrt((i + 0.5) / 26)
        x, y = 0.27 * far * math.cos(turn), 0.66 + 0.27 * far * math.sin(turn)
        x += lean * y + (0.006 + 0.012 * p.wind) * math.sin(3.1 * p.t + 1.9 * i)
        light = 0.66 + 0.5 * (0.5 * math.sin(turn) * far + 0.5) + 0.08 * math.sin(5.1 * i)
        out.append(oval(x, y, 0.125, 0.105, tone(p.colour, light), 0.7 * i))
    return out


def house(p: Pose) -> list[Piece]:
    """Gable in front, a chimney that smokes."""
    window = (255, 214, 130) if p.lit else (108, 128, 146)
    rings = [(p.t * 0.55 + i * 0.8) % 4.0 for i in range(5)]
    out = [
        oval(0.30 + 0.05 * k + 0.10 * p.wind * k * k, 1.02 + 0.12 * k, 0.03 + 0.028 * k, 0.026 + 0.024 * k,
             (214, 214, 218), cover=0.34 - 0.075 * k) for k in rings
    ]  # fmt: skip
    out += [
        box(0.26, 0.74, 0.09, 0.26, (126, 84, 72)),
        box(-0.55, 0.0, 1.1, 0.58, p.colour),
        box(-0.55, 0.0, 0.34, 0.58, tone(p.colour, 0.86)),
    ]
    out += [
        shape(tone(p.other, 0.9), (-0.66, 0.55), (0.66, 0.55), (0.46, 0.92), (-0.42, 0.92)),
        shape(tone(p.other, 1.1), (-0.66, 0.55), (0.66, 0.55), (0.64, 0.59), (-0.64, 0.59)),
    ]
    out += [box(-0.08, 0.0, 0.17, 0.34, tone(WOOD, 0.8)), box(0.04, 0.15, 0.02, 0.03, (220, 190, 110))]
    for x in (-0.42, 0.22):
        out += [
            box(x, 0.2, 0.22, 0.22, (236, 232, 224)),
            box(x + 0.02, 0.22, 0.08, 0.18, window),
            box(x + 0.12, 0.22, 0.08, 0.18, window),
        ]
    return out


def lighthouse(p: Pose) -> list[Piece]:
    """A striped tower on a rock; its beam goes round."""
    turn = 1.1 * p.t
    reach, dim = 2.3 * math.cos(turn), 0.34 if p.lit else 0.14
    out = [shape((255, 244, 200), (0.0, 0.875), (reach, 0.875 + 0.14), (reach, 0.875 - 0.14), cover=dim)]
    out += ball(0.0, -0.02, 0.34, 0.10, (110, 104, 100))
    for i in range(6):
        low, high = 0.04 + 0.126 * i, 0.04 + 0.126 * (i + 1)
        a, b = 0.125 - 0.05 * low / 0.8, 0.125 - 0.05 * high / 0.8
        colour = p.colour if i % 2 else (238, 234, 226)
        out += [
            shape(tone(colour, 0.74), (-a, low), (a, low), (b, high), (-b, high)),
            shape(colour, (-0.2 * a, low), (a, low), (b, high), (-0.2 * b, high)),
        ]
    out += [
        box(-0.105, 0.795, 0.21, 0.03, DARK),
        box(-0.05, 0.825, 0.10, 0.1, (255, 236, 160) if abs(reach) < 1.2 else (230, 206, 140)),
    ]
    return [*out, shape(tone(p.colour, 0.8), (-0.075, 0.925), (0.075, 0.925), (0.0, 1.0))]


def mountain(p: Pose) -> list[Piece]:
    """A peak with a lit and a shaded side, and snow; mist drifts before it."""
    rough = [0.035 * math.sin(5.3 * i) + 0.02 * math.sin(12.1 * i) for i in range(9)]
    left = [(-1.0 + 0.125 * i, i / 8 + rough[i] * (0 < i < 8)) for i in range(9)]
    right = [(0.125 * i, 1 - i / 8 + 0.9 * rough[8 - i] * (0 < i < 8)) for i in range(9)]
    ridge = [(0.0, 1.0), (0.06, 0.8), (-0.05, 0.6), (0.12, 0.36), (0.02, 0.0)]
    out = [shape(p.colour, *left, *ridge), shape(tone(p.colour, 0.66), *ridge[::-1], *right)]
    out += [
        shape((240, 244, 250), *left[6:], (0.05, 0.84), (-0.03, 0.74), (-0.10, 0.80), (-0.16, 0.72)),
        shape((178, 192, 214), *right[:3], (0.17, 0.70), (0.10, 0.78), (0.05, 0.84)),
    ]
    return [
        *out,
        *(
            oval(
                0.5 * math.sin(0.11 * p.t + 2 * i) + 0.4 * (i - 1),
                0.12 + 0.05 * i,
                0.55,
                0.06,
                (226, 230, 236),
                cover=0.25,
            )
            for i in range(3)
        ),
    ]


def flower(p: Pose) -> list[Piece]:
    """A stem that bends, two leaves, petals around a middle."""
    lean = (0.05 + 0.08 * p.wind) * math.sin(1.2 * p.t)
    at = [(lean * k * k, 0.72 * k) for k in np.linspace(0, 1, 6)]
    green = (74, 122, 58)
    out: list[Piece] = []
    for (ax, ay), (bx, by) in itertools.pairwise(at):
        out += limb(ax, ay, bx, by, 0.03, 0.028, green)
    out += [
        oval(0.11, 0.24, 0.13, 0.04, tone(green, 1.15), 0.6 + lean),
        oval(-0.11, 0.32, 0.13, 0.04, tone(green, 0.85), 2.5 + lean),
    ]
    x, y = at[-1]
    for ring, far, k in ((13, 0.17, 0.78), (11, 0.125, 0.96), (8, 0.075, 1.1)):
        for i in range(ring):
            turn = math.tau * i / ring + ring + lean
            out.append(
                oval(
                    x + far * math.cos(turn),
                    y + 0.05 + far * math.sin(turn),
                    0.09,
                    0.042,
                    tone(p.colour, k + 0.07 * math.sin(turn)),
                    turn,
                )
            )
    return [*out, *ball(x, y + 0.05, 0.06, 0.06, (196, 140, 50))]


def cup(p: Pose) -> list[Piece]:
    """On a saucer, steaming."""
    out = [
        oval(0.0, 0.06, 0.78, 0.13, tone(p.colour, 0.66)),
        oval(0.0, 0.085, 0.76, 0.12, tone(p.colour, 1.05)),
        oval(0.0, 0.09, 0.5, 0.07, tone(p.colour, 0.82)),
    ]
    handle = [
        (0.42 + 0.17 * math.cos(a) * r, 0.50 + 0.19 * math.sin(a) * r)
        for r, way in ((1.0, 1), (0.62, -1))
        for a in (np.linspace(-1.6, 1.6, 12) * way)
    ]
    out.append(shape(tone(p.colour, 0.82), *handle))
    for k, light in ((1.0, 0.66), (0.8, 0.82), (0.56, 0.98), (0.28, 1.1)):
        low, high, shift = 0.27 * k, 0.45 * k, 0.08 * (1 - k)
        out.append(
            shape(
                tone(p.colour, light),
                (shift - high, 0.78),
                (shift - low * 1.25, 0.25),
                (shift - low, 0.12),
                (shift + low, 0.12),
                (shift + low * 1.25, 0.25),
                (shift + high, 0.78),
            )
        )
    out += [
        oval(0.0, 0.78, 0.45, 0.10, tone(p.colour, 1.15)),
        oval(0.0, 0.775, 0.40, 0.082, (74, 44, 28)),
        oval(0.08, 0.765, 0.24, 0.045, (112, 70, 42)),
    ]
    for i in range(9):
        k = (p.t * 0.30 + i / 9) % 1.0
        x = 0.10 * math.sin(5 * k + 1.1 * p.t + 2.3 * (i % 3)) * (0.3 + k) + 0.10 * (i % 3 - 1)
        out.append(
            oval(
                x,
                0.82 + 0.75 * k,
                0.035 + 0.06 * k,
                0.06 + 0.06 * k,
                (236, 236, 238),
                cover=0.20 * math.sin(math.pi * k),
            )
        )
    return out


def balloon(p: Pose) -> list[Piece]:
    """A hot-air balloon."""
    sway = 0.02 * math.sin(0.9 * p.t)
    out = ball(sway, 0.64, 0.36, 0.38, p.colour)
    out += [
        oval(sway, 0.64, r, 0.375, p.other if i % 2 == 0 else p.colour) for i, r in enumerate((0.24, 0.12))
    ]
    out += [
        *limb(-0.12 + sway, 0.30, -0.06, 0.12, 0.01, 0.01, DARK),
        *limb(0.12 + sway, 0.30, 0.06, 0.12, 0.01, 0.01, DARK),
    ]
    return [*out, box(-0.08, 0.0, 0.16, 0.13, WOOD)]


def thing(p: Pose) -> list[Piece]:
    """Whatever else: a rounded body on a foot, which rocks a little."""
    rock = 0.025 * math.sin(1.4 * p.t)
    return [*ball(0.0, 0.09, 0.34, 0.09, tone(p.other, 0.8)), *ball(rock * 0.5, 0.45, 0.30, 0.40, p.colour),
            *ball(rock, 0.86, 0.15, 0.15, tone(p.other, 1.0))]  # fmt: skip


SHAPES: dict[str, Callable[[Pose], list[Piece]]] = {
    shape.__name__: shape
    for shape in (
        person,
        animal,
        bird,
        boat,
        car,
        tree,
        house,
        lighthouse,
        mountain,
        flower,
        cup,
        balloon,
        thing,
    )
}
