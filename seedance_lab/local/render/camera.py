"""The virtual camera: where it is in every frame, and where it makes each point look.

Lengths are in short sides of the frame, so every resolution shows the same movement. The map is
backward: for a point of the output it says which point of the still is seen there. Moves are scaled
to what the canvas holds: a little zoom hides the edge that a pan would uncover.
"""

import math
from dataclasses import dataclass

import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.planes import F32, F64
from seedance_lab.local.render.words import Direction, Move

_ELASTIC = 0.13  # share of a half side that the edge may be stretched over; see warp.py
_DEEPEST, _WIDEST = (
    0.22,
    0.15,
)  # parallax beyond which houses visibly lean; the rest of a move is zoom and pan
_STYLES = ("push", "drift_right", "rise", "arc_left", "push_aside", "drift_left", "pull", "arc_right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A path: one row a frame, columns zoom, dolly, roll, pan x, pan y, truck x, truck y, orbit.

    `focus` is the point that zooming and rolling keep in place; `held` the nearness that an orbit
    keeps in place.
    """

    path: F64
    focus: tuple[float, float]
    held: float

    def sees_depth(self, frame: int) -> bool:
        """Whether what is near moves otherwise than what is far."""
        return bool(self.path[frame, [1, 5, 6, 7]].any())

    def look(self, frame: int, x: F64, y: F64, near: F32 | float) -> tuple[F64, F64]:
        """The point of the still seen at (x, y), given how near it is; a camera at rest gives (x, y)."""
        zoom, dolly, roll, pan_x, pan_y, truck_x, truck_y, orbit = self.path[frame]
        fx, fy = self.focus
        k = 1 / ((1 + zoom) * (1 + dolly * (0.25 + near)))
        c, s = math.cos(roll), math.sin(roll)
        dx, dy = (x - fx) * k, (y - fy) * k
        side = truck_x * (near + 0.08) + orbit * (near - self.held) + pan_x
        rise = truck_y * (near + 0.08) + pan_y
        return fx + (c * dx - s * dy) + side, fy + (s * dx + c * dy) + rise

    def place(self, frame: int, x: float, y: float, near: float) -> tuple[float, float, float, float]:
        """Where the point (x, y) of the still is on the screen, its scale there and its roll: `look` reversed."""
        zoom, dolly, roll, pan_x, pan_y, truck_x, truck_y, orbit = (float(v) for v in self.path[frame])
        fx, fy = self.focus
        grown = (1 + zoom) * (1 + dolly * (0.25 + near))
        dx = x - fx - (truck_x * (near + 0.08) + orbit * (near - self.held) + pan_x)
        dy = y - fy - (truck_y * (near + 0.08) + pan_y)
        c, s = math.cos(roll), math.sin(roll)
        return fx + (c * dx + s * dy) * grown, fy + (c * dy - s * dx) * grown, grown, -roll


def still(frames: int) -> Camera:
    """A camera that does not move."""
    return Camera(path=np.zeros((frames, 8)), focus=(0.0, 0.0), held=0.5)


def plan(
    direction: Direction,
    *,
    frames: int,
    seconds: int,
    seed: int,
    half: tuple[float, float],
    spare: tuple[float, float],
    focus: tuple[float, float],
    held: float,
) -> Camera:
    """A path for a prompt and a seed.

    Args:
        direction: What the prompt asks for.
        frames: Rows of the path.
        seconds: Length of the clip; longer clips move further.
        seed: Chooses the kind of move when the prompt names none, and its size, focus and tremor.
        half: Half the frame's width and height, in short sides.
        spare: The canvas's margin beyond that, in short sides.
        focus: Centre of interest, in short sides from the frame's middle.
        held: How near the centre of interest is.
    """
    time = np.arange(frames) / max(1, frames - 1)
    path = np.zeros((frames, 8))
    reach = min(1.6, 0.6 + 0.08 * seconds)
    hand = 0.0
    moves = direction.moves
    if not direction.says_camera:
        moves = _default(seed)
        hand = noise.between(seed, "hand", 0.0, 0.0035)
    elif moves:
        hand = 0.0012
    for i, move in enumerate(moves):
        size = reach * move.speed * noise.between(seed, "size", 0.8, 1.2, i)
        hand += _add(path, move, size, _ease(time, move.start, move.stop), seed, i)
    _stay_inside(path, half, spare)
    if hand:
        t = time * seconds
        path[:, 3] += hand * noise.wander(seed, "hand/x", t)
        path[:, 4] += hand * noise.wander(seed, "hand/y", t)
        path[:, 2] += 0.5 * hand * noise.wander(seed, "hand/roll", t)
        path[:, 0] += 2.5 * hand * _ease(time, 0.0, 0.4)
    aim = (
        0.6 * focus[0] + 0.35 * half[0] * noise.between(seed, "focus/x", -1, 1),
        0.6 * focus[1] + 0.3 * half[1] * noise.between(seed, "focus/y", -1, 1),
    )
    return Camera(path=path, focus=aim, held=held)


def _ease(time: F64, start: float, stop: float) -> F64:
    """Progress from 0 to 1: half of it even, half of it eased, so that a short clip does not start dead."""
    u = np.clip((time - start) / (stop - start), 0, 1)
    soft = u * u * (3 - 2 * u)
    return np.asarray(soft if start > 0 or stop < 1 else 0.5 * u + 0.5 * soft)


def _default(seed: int) -> tuple[Move, ...]:
    """What an operator would do unasked. Neighbouring seeds differ in kind, not only in size."""
    style = _STYLES[(seed * 3 + seed // 8) % len(_STYLES)]
    side = -1.0 if style.endswith("left") else 1.0
    if style.startswith("drift"):
        return (Move("truck", side, 0, 1.0, 0, 1), Move("dolly", 0, 0, 0.3, 0, 1))
    if style.startswith("arc"):
        return (Move("orbit", side, 0, 1.0, 0, 1), Move("dolly", 0, 0, 0.45, 0, 1))
    if style == "rise":
        return (Move("rise", 0, -1, 0.9, 0, 1), Move("dolly", 0, 0, 0.35, 0, 1))
    if style == "pull":
        return (Move("zoom_out", 0, 0, 0.8, 0, 1), Move("truck", noise.sign(seed, "side"), 0, 0.4, 0, 1))
    if style == "push_aside":
        return (Move("zoom_in", 0, 0, 0.7, 0, 1), Move("pan", noise.sign(seed, "side"), 0, 0.4, 0, 1))
    return (Move("dolly", 0, 0, 0.9, 0, 1),)


def _add(path: F64, move: Move, size: float, ease: F64, seed: int, i: int) -> float:
    """Add one move to a path; returns the tremor of the hand that goes with it, in short sides."""
    side = move.x or noise.sign(seed, "side", i)
    up = move.y or -1.0
    match move.kind:
        case "zoom_in":
            path[:, 0] += 0.26 * size * ease
        case "zoom_out":
            path[:, 0] -= 0.15 * size * ease
        case "dolly":
            near = min(0.24 * size, _DEEPEST)
            path[:, 1] += near * ease
            path[:, 0] += (0.03 * size + 0.6 * (0.24 * size - near)) * ease
        case "pan":
            path[:, 3] += 0.15 * size * side * ease
            path[:, 4] += 0.05 * size * move.y * ease
            path[:, 0] += 0.05 * size * ease
        case "tilt":
            path[:, 4] += 0.12 * size * up * ease
            path[:, 3] += 0.04 * size * move.x * ease
            path[:, 0] += 0.05 * size * ease
        case "truck":
            near = min(0.13 * size, _WIDEST)
            path[:, 5] += near * side * ease
            path[:, 3] += 0.6 * (0.13 * size - near) * side * ease
            path[:, 0] += 0.03 * size * ease
        case "rise":
            path[:, 6] += 0.11 * size * up * ease
            path[:, 4] += 0.03 * size * up * ease
            path[:, 0] += 0.04 * size * ease
        case "orbit":
            near = min(0.14 * size, _WIDEST)
            path[:, 7] += near * side * ease
            path[:, 3] += 0.4 * (0.14 * size - near) * side * ease
            path[:, 0] += 0.05 * size * ease
        case "roll":
            path[:, 2] += 0.13 * min(size, 1.5) * side * ease
            path[:, 0] += 0.13 * min(size, 1.5) * ease
        case "follow":
            path[:, 5] += 0.07 * size * side * ease
            path[:, 1] += 0.08 * size * ease
            return 0.004
        case _:  # handheld
            path[:, 0] += 0.03 * ease
            return 0.011 * min(1.5, max(0.6, move.speed))
    return 0.0


def _stay_inside(path: F64, half: tuple[float, float], spare: tuple[float, float]) -> None:
    """Shrink what would look far beyond the canvas, and zoom in a little to cover what is left."""
    cover = 0.0
    for axis, columns in ((0, (3, 5, 7)), (1, (4, 6))):
        wanted = float(np.abs(path[:, columns].sum(axis=1)).max())
        free = spare[axis] + _ELASTIC * half[axis]
        zoom = float(path[-1, 0])
        free += half[axis] * max(0.0, zoom / (1 + zoom))
        if wanted > free:
            extra = min(0.16, (wanted - free) / half[axis])
            cover = max(cover, extra)
            shrink = min(1.0, (free + half[axis] * extra * 0.9) / wanted)
            path[:, columns] *= shrink
    if cover:
        travelled = np.abs(path[:, 3:]).sum(axis=1)
        path[:, 0] += cover * travelled / max(1e-9, float(travelled.max()))
    outwards = _ELASTIC + min(spare[0] / half[0], spare[1] / half[1])
    lowest = 1 / (1 + outwards) - 1
    if float(path[:, 0].min()) < lowest:
        path[:, 0] *= lowest / float(path[:, 0].min())
