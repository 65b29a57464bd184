"""What lies in front of the horizon: water, a shore, a meadow, a table in a room."""

from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.planes import F32

Colour = tuple[float, float, float]


class Hour(NamedTuple):
    """The colours of an hour of the day, sRGB: the sky's top and foot, its light, what is far and near."""

    top: Colour
    foot: Colour
    light: Colour
    far: Colour
    near: Colour


def over(under: F32, colour: Colour | F32, amount: F32) -> F32:
    """Lay a colour, or a picture, over another by an amount in [0, 1] for each pixel."""
    share = np.ascontiguousarray(np.clip(amount, 0, 1), np.float32)
    other = np.broadcast_to(np.asarray(colour, np.float32), under.shape)
    out: F32 = cv2.blendLinear(np.ascontiguousarray(under), np.ascontiguousarray(other), 1 - share, share)
    return out


def rough(seed: int, name: str, h: int, w: int, cell: float, octaves: int = 4) -> F32:
    """Fractal noise in about [-1, 1]."""
    total = np.zeros((h, w), np.float32)
    for i in range(octaves):
        total += noise.field(seed, f"{name}/{i}", h, w, cell=max(2.0, cell / 2**i)) * np.float32(0.55**i)
    return total


def water(picture: F32, hour: Hour, seed: int, row: int) -> F32:
    """A mirror of what is above, broken by waves."""
    h, w = picture.shape[:2]
    ys, xs = np.mgrid[0 : h - row, 0:w].astype(np.float32)
    v = ys / (h - row)
    far = 1 / (v + 0.06)
    sheet = rough(seed, "waves", 700, 700, 26, 3)
    cols, rows = (xs - w / 2) * far * (60 / w) + 350, 680 - 36 * far
    waves = cv2.remap(sheet, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    bend = waves * (0.2 + 1.6 * v) * 0.022 * h
    up = np.clip(row - 1 - ys * 0.9 - bend, 0, row - 1)
    mirror = cv2.remap(picture, np.clip(xs + bend * 0.6, 0, w - 1), up.astype(np.float32), cv2.INTER_LINEAR)
    deep = np.asarray([0.45 * t + 0.25 * n for t, n in zip(hour.top, hour.near, strict=True)], np.float32)
    body = np.broadcast_to(deep, mirror.shape).astype(np.float32)
    lit = (
        over(body, mirror, np.asarray(0.8 - 0.42 * v + 0.15 * waves, np.float32))
        * (1 + 0.16 * waves)[..., None]
    )
    picture[row:] = over(np.asarray(lit, np.float32), hour.light, np.clip(waves - 0.55, 0, 1) * 0.6)
    return picture


def shore(picture: F32, hour: Hour, seed: int, row: int, *, sandy: bool) -> F32:
    """Sand or turf in front of the water, with a wet edge."""
    h, w = picture.shape[:2]
    edge = row + 0.40 * (h - row) + 0.035 * h * rough(seed, "shore", 3, w, w / 3, 4)[1]
    ys = np.arange(h, dtype=np.float32)[:, None]
    dim = min(1.0, sum(hour.foot) / 560)
    tone = np.asarray((214, 190, 148) if sandy else (96, 112, 62), np.float32) * dim
    grain = 1 + 0.07 * rough(seed, "sand", h, w, h / 12) + 0.05 * rough(seed, "pebbles", h, w, 4, 2)
    wet = np.clip((ys - edge) / (0.05 * h), 0, 1)
    body = tone * (grain * (0.62 + 0.38 * wet))[..., None]
    picture = over(picture, hour.light, np.clip(1 - np.abs(ys - edge) / (0.006 * h), 0, 1) * 0.7)
    return over(picture, np.asarray(body, np.float32), np.clip((ys - edge) / 3, 0, 1))


def meadow(picture: F32, hour: Hour, seed: int, row: int, *, snowy: bool) -> F32:
    """Grass, or snow."""
    h, w = picture.shape[:2]
    ys = np.arange(row, h, dtype=np.float32)[:, None]
    v = (ys - row) / (h - row)
    green: Colour = (226, 232, 242) if snowy else (86, 116, 56)
    dim = min(1.0, sum(hour.foot) / 560)
    tone = np.asarray(green, np.float32) * dim
    blades = cv2.resize(
        rough(seed, "grass", (h - row) // 3 + 2, w, 5, 2), (w, h - row), interpolation=cv2.INTER_LINEAR
    )
    body = (
        tone * (1 + 0.22 * rough(seed, "ground", h - row, w, h / 9) + (0.05 + 0.24 * v) * blades)[..., None]
    )
    picture[row:] = over(
        np.asarray(body, np.float32),
        hour.foot,
        np.asarray(np.broadcast_to(0.5 * (1 - v) ** 2, (h - row, w)), np.float32),
    )
    return picture


def room(hour: Hour, seed: int, h: int, w: int, row: int) -> F32:
    """A wall with a window's soft light on it, and a wooden table."""
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    dim = min(1.0, sum(hour.foot) / 560)
    tone = np.asarray((128, 112, 98), np.float32) * (0.45 + 0.55 * dim)
    picture = np.broadcast_to(tone, (h, w, 3)) * (1 + 0.06 * rough(seed, "wall", h, w, h / 5)[..., None])
    x, y = w * noise.between(seed, "sun/x", 0.2, 0.8), 0.5 * row
    away = ((xs - x) / (0.42 * w)) ** 2 + ((ys - y) / (0.6 * row)) ** 2
    picture = over(
        np.asarray(picture, np.float32), hour.light, np.asarray(0.42 / (1 + 2.2 * away), np.float32)
    )
    for i in range(7):  # lights far out of focus
        cx, cy = w * noise.uniform(seed, "glow/x", i), row * noise.between(seed, "glow/y", 0.1, 0.8, i)
        reach = h * noise.between(seed, "glow/r", 0.03, 0.07, i)
        spot = np.clip((reach - np.hypot(xs - cx, ys - cy)) / (0.25 * reach) + 0.5, 0, 1)
        picture = over(picture, hour.light, np.asarray(spot * 0.13, np.float32))
    wide = cv2.resize(rough(seed, "wood", max(8, h - row), max(8, w // 14), 6, 3), (w, h - row))
    v = (ys[row:] - row) / max(1, h - row)
    wood = (
        np.asarray((122, 80, 50), np.float32)
        * (0.45 + 0.55 * dim)
        * (0.78 + 0.35 * v + 0.12 * wide)[..., None]
    )
    picture[row:] = over(
        wood, hour.light, np.asarray(0.20 / (1 + ((xs[row:] - x) / (0.25 * w)) ** 2), np.float32)
    )
    return picture
