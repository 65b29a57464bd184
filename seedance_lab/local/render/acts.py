"""What a subject does: walks, turns, nods, jumps. One displacement over its mask, rigid or nearly so.

A subject is one piece of picture; it has no legs to set. So a walk is a body that travels and bobs at
the pace of steps, and a turn of the head shifts the middle of the face within its outline, as the front
of a turning drum moves while its edges stay. What is bent is the neck and the background, never the face.
"""

import math
from collections.abc import Sequence

import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.planes import F64
from seedance_lab.local.render.things import Part
from seedance_lab.local.render.words import Act

TRAVEL = 0.065  # short sides that a walking subject goes; the background beside it has to stretch as much
_PACES = {"walk": (1.8, 0.006, 0.010), "run": (2.7, 0.013, 0.016), "go": (1.1, 0.0015, 0.0)}  # Hz, bob, roll
_RISE = 0.45  # seconds in which an act begins


def _upper(part: Part, y: F64) -> F64:
    """1 in the head, 0 at the foot, level at both ends: what bends is in between."""
    tall = max(0.02, part.foot - part.top)
    u = np.clip((part.foot - 0.05 * tall - y) / (0.30 * tall), 0, 1)
    return np.asarray(u * u * (3 - 2 * u))


def shift(
    acts: Sequence[Act], part: Part, *, t: float, seconds: float, seed: int, x: F64, y: F64
) -> tuple[F64, F64]:
    """How far the points (x, y) of a subject have moved `t` seconds into the clip, in short sides.

    Args:
        acts: What it does, each with its times as shares of the clip.
        part: Its place and shape.
        t: Seconds.
        seconds: Length of the clip.
        seed: Chooses sides that the prompt leaves open, and how far.
        x: Columns in short sides from the frame's middle.
        y: Rows, likewise.
    """
    px, py = np.zeros_like(x), np.zeros_like(y)
    upper = _upper(part, y) if acts else px
    for i, act in enumerate(acts):
        begin, end = act.start * seconds, act.stop * seconds
        if t <= begin:
            continue
        now, left = t - begin, max(0.0, end - t)
        on = noise.smoothstep(0.0, _RISE, now) * (
            1.0 if act.stop >= 1 else noise.smoothstep(0.0, _RISE, left)
        )
        side = act.x or noise.sign(seed, "act/side", i)
        size = noise.between(seed, "act/size", 0.85, 1.2, i)
        if act.kind in _PACES:
            hertz, bob, roll = _PACES[act.kind]
            hertz *= (0.75 + 0.25 * act.speed) * noise.between(seed, "act/pace", 0.92, 1.08, i)
            share = min(1.0, now / max(0.1, end - begin))
            far = part.free * side * TRAVEL * min(1.25, (0.45 + 0.14 * (end - begin)) * act.speed) * size
            px += far * (0.6 * share + 0.4 * noise.smoothstep(0, 1, share))
            # A body is lowest when both feet are on the ground, and leans over the one that carries it.
            step = math.sin(math.pi * hertz * now)
            lean = on * roll * step
            px += lean * (part.foot - y)
            py += lean * (x - part.x) - on * bob * size * (step * step)
        elif act.kind == "jump":
            beat = (now * 1.15 * (0.8 + 0.2 * act.speed)) % 1.0
            hop = max(0.0, 1 - ((beat - 0.35) / 0.3) ** 2)
            sink = max(0.0, 1 - (abs(beat - 0.02) / 0.1) ** 2)
            py -= on * size * part.free * (0.050 * hop - 0.006 * sink)
        elif act.kind == "turn":
            _turn(
                part,
                on * side * size * min(1.0, now / 1.1) * (0.82 + 0.18 * math.cos(0.9 * now)),
                upper,
                x,
                px,
            )
        elif act.kind == "shake":
            _turn(part, on * side * size * math.sin(math.tau * 0.8 * now), upper, x, px)
        elif act.kind == "nod":
            beat = math.sin(math.pi * min(1.0, (now * 0.75 % 1.35))) ** 2
            py += on * 0.022 * size * beat * upper
        elif act.kind == "wave":
            lean = on * 0.030 * size * math.sin(math.tau * 0.85 * now)
            _tilt(part, lean, upper, x, y, px, py)
            px += on * side * 0.010 * upper
        elif act.kind == "dance":
            beat = math.sin(math.tau * 0.9 * now)
            px += on * part.free * 0.020 * size * beat * (0.5 + 0.5 * upper)
            py -= on * 0.012 * size * beat * beat
            _tilt(part, 0.025 * on * beat, upper, x, y, px, py)
        elif act.kind == "laugh":
            py -= on * 0.0045 * size * abs(math.sin(math.pi * 2.9 * now)) * upper
            _tilt(part, on * side * 0.030 * noise.smoothstep(0, 0.8, now), upper, x, y, px, py)
        elif act.kind == "talk":
            beat = 0.6 * math.sin(7.1 * now) + 0.7 * math.sin(4.3 * now + 1) + math.sin(1.7 * now)
            py += on * 0.0035 * size * beat * upper
            _tilt(part, on * 0.010 * math.sin(2.3 * now) * side, upper, x, y, px, py)
        else:  # a smile, a blink, a glance: a face that lifts and leans a little
            lift = noise.smoothstep(0, 1.0, now)
            py -= on * 0.006 * size * lift * upper
            _tilt(part, on * side * 0.022 * lift, upper, x, y, px, py)
    return px, py


def _turn(part: Part, amount: float, upper: F64, x: F64, px: F64) -> None:
    """Turn the head by up to 9 degrees: its front moves, its outline hardly, and it leads the shoulders."""
    across = np.clip((x - part.head) / (1.15 * part.half), -1, 1)
    drum = 1 - across * across
    px += amount * upper * (0.11 * part.half * drum + 0.012)


def _tilt(part: Part, angle: float, upper: F64, x: F64, y: F64, px: F64, py: F64) -> None:
    """Lean the upper part over by an angle in radians, about the point where it bends."""
    pivot = part.top + 0.55 * (part.foot - part.top)
    px -= angle * upper * (y - pivot)
    py += angle * upper * (x - part.head)
