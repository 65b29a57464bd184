"""A scene painted from the prompt and the seed, for requests that bring no picture.

Sky, ranges of hills or a skyline, then water or a meadow: enough for a text-to-video endpoint to be
rehearsed with, and no more than that. The prompt's words choose the parts and the hour, the seed the
shapes.
"""

import re
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render import noise
from seedance_lab.local.render.fit import MARGIN, Canvas
from seedance_lab.local.render.planes import F32

Colour = tuple[float, float, float]


class Hour(NamedTuple):
    """The colours of an hour of the day, sRGB: the sky's top and foot, its light, what is far and near."""

    top: Colour
    foot: Colour
    light: Colour
    far: Colour
    near: Colour


_HOURS = {
    "day": Hour((58, 120, 196), (206, 226, 236), (255, 252, 236), (150, 176, 200), (52, 86, 62)),
    "dawn": Hour((92, 124, 178), (255, 214, 170), (255, 240, 206), (176, 156, 176), (74, 76, 72)),
    "dusk": Hour((36, 34, 84), (250, 150, 96), (255, 206, 130), (128, 88, 124), (34, 30, 52)),
    "night": Hour((6, 10, 30), (44, 58, 100), (236, 238, 224), (38, 48, 82), (10, 13, 24)),
}
_WORDS = {
    "night": r"night|moon\w*|stars?|midnight|neon|dark",
    "dusk": r"sunset|dusk|evening|golden hour|twilight",
    "dawn": r"sunrise|dawn|morning|mist\w*|fog\w*",
    "day": r"day\w*|noon|sunny|blue sky|summer|winter|snow\w*",
}
_CITY = r"cit(?:y|ies)|street\w*|town|skyline|building\w*|urban|skyscraper\w*|neon|tokyo|new york|london"
_WATER = r"sea|ocean|lake|river|water|harbou?r|beach|coast\w*|boat\w*|ship\w*|waves?|bay|island\w*|fjord"
_LAND = r"meadow\w*|field\w*|grass\w*|forest\w*|desert|garden|park|farm|mountains?|hills?"
_SNOWY = r"snow\w*|winter|ice|arctic|frozen"


def scene(prompt: str, seed: int, width: int, height: int) -> Canvas:
    """Paint a canvas with margins on all sides; the same prompt and seed give the same picture."""
    text = prompt.lower()
    left, top = 2 * int(MARGIN * width / 2), 2 * int(MARGIN * height / 2)
    w, h = width + 2 * left, height + 2 * top
    named = [hour for hour, words in _WORDS.items() if re.search(rf"\b(?:{words})\b", text)]
    hours = list(_HOURS)
    hour = _HOURS[named[0] if named else hours[int(noise.uniform(seed, "hour") * len(hours))]]
    # A town's ground is wet asphalt: it mirrors, and looks better than what we could draw on it.
    water = _says(f"{_WATER}|{_CITY}", text) or (
        not _says(_LAND, text) and noise.uniform(seed, "water") < 0.6
    )
    row = round(top + height * noise.between(seed, "horizon", 0.48, 0.58))
    picture = _sky(hour, seed, h, w, row)
    if _says(_CITY, text):
        picture = _skyline(picture, hour, seed, row, lit=hour in (_HOURS["night"], _HOURS["dusk"]))
    else:
        picture = _ranges(picture, hour, seed, row, snowy=_says(_SNOWY, text))
    picture = (
        _water(picture, hour, seed, row)
        if water
        else _meadow(picture, hour, seed, row, snowy=_says(_SNOWY, text))
    )
    grain = noise.lattice(seed, "grain", h, w) * 6 - 3
    rgb = np.clip(np.round(picture + grain[..., None]), 0, 255).astype(np.uint8)
    return Canvas(rgb, left, top, width, height)


def _says(words: str, text: str) -> bool:
    return re.search(rf"\b(?:{words})\b", text) is not None


def _over(under: F32, colour: Colour | F32, amount: F32) -> F32:
    share = np.clip(amount, 0, 1)[..., None]
    return np.asarray(under * (1 - share) + np.asarray(colour, np.float32) * share, np.float32)


def _rough(seed: int, name: str, h: int, w: int, cell: float, octaves: int = 4) -> F32:
    """Fractal noise in about [-1, 1]."""
    total = np.zeros((h, w), np.float32)
    for i in range(octaves):
        total += noise.field(seed, f"{name}/{i}", h, w, cell=max(2.0, cell / 2**i)) * np.float32(0.55**i)
    return total


def _sky(hour: Hour, seed: int, h: int, w: int, row: int) -> F32:
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    down = np.clip(ys / row, 0, 1) ** 1.4
    picture = _over(np.broadcast_to(np.asarray(hour.top, np.float32), (h, w, 3)).copy(), hour.foot, down)
    x, y = w * noise.between(seed, "sun/x", 0.25, 0.75), row * noise.between(seed, "sun/y", 0.35, 0.85)
    away = ((xs - x) ** 2 + (ys - y) ** 2) / (0.05 * min(h, w)) ** 2
    picture = _over(picture, hour.light, np.asarray(0.75 / (1 + away * 0.35), np.float32))
    picture = _over(picture, hour.light, np.clip((1.0 - away) * 6, 0, 1))
    wide = cv2.resize(
        _rough(seed, "clouds", h, max(8, w // 3), h / 7), (w, h), interpolation=cv2.INTER_LINEAR
    )
    thick = np.clip(wide * 1.3 - 0.12, 0, 0.8) * np.clip(1.15 - down, 0, 1)
    vapour = np.asarray(
        [0.5 * (a + 127.5 + b * 0.5) for a, b in zip(hour.foot, hour.light, strict=True)], np.float32
    )
    return _over(picture, vapour, thick)


def _ranges(picture: F32, hour: Hour, seed: int, row: int, *, snowy: bool) -> F32:
    h, w = picture.shape[:2]
    ys = np.arange(h, dtype=np.float32)[:, None]
    for i in range(4):
        share = i / 3
        rise = h * (0.26 - 0.06 * i) * noise.between(seed, "rise", 0.7, 1.2, i)
        ridge = _rough(seed, f"ridge/{i}", 3, w, w / (3 + 2 * i), 6)[1]
        crest = row - np.maximum(3.0, rise * (0.55 + 0.55 * ridge))
        colour = np.asarray(
            [a * (1 - share) + b * share for a, b in zip(hour.far, hour.near, strict=True)], np.float32
        )
        if snowy:
            colour = colour * 0.35 + np.asarray((214, 222, 236), np.float32) * 0.65 * (sum(hour.foot) / 620)
        body = colour * (1 + (0.05 + 0.09 * share) * _rough(seed, f"woods/{i}", h, w, 18))[..., None]
        haze = np.clip((ys - crest) / (0.2 * h), 0, 1) * (0.5 - 0.12 * i)
        picture = _over(
            picture, _over(np.asarray(body, np.float32), hour.foot, haze), np.clip((ys - crest) / 2, 0, 1)
        )
    return picture


def _skyline(picture: F32, hour: Hour, seed: int, row: int, *, lit: bool) -> F32:
    h, w = picture.shape[:2]
    for layer in range(3):
        share = layer / 2
        tone = np.asarray(
            [a * (1 - share) + b * share for a, b in zip(hour.far, hour.near, strict=True)], np.float32
        )
        x, i = -0.02 * w, 0
        while x < w:
            name = f"house/{layer}"
            wide = max(10.0, h * noise.between(seed, f"{name}/w", 0.045, 0.11, i))
            tall = h * noise.between(seed, f"{name}/h", 0.10, 0.42 - 0.09 * layer, i)
            a, b, crest = max(0, round(x)), min(w, round(x + wide)), max(0, round(row - tall))
            if b > a:
                picture[crest:row, a:b] = tone * (0.92 + 0.16 * noise.uniform(seed, f"{name}/t", i))
                _windows(picture[crest:row, a:b], hour, seed, f"{name}/{i}", lit=lit, size=max(3, h // 130))
            x += wide * 1.03
            i += 1
    return picture


def _windows(wall: F32, hour: Hour, seed: int, name: str, *, lit: bool, size: int) -> None:
    rows, cols = wall.shape[0] // (3 * size), wall.shape[1] // (3 * size)
    if rows < 2 or cols < 1:
        return
    on = noise.lattice(seed, name, rows, cols)
    for r, c in zip(*np.nonzero(on < (0.42 if lit else 0.8)), strict=True):
        y, x = (3 * r + 1) * size, (3 * c + 1) * size
        glow = (255, 206, 128) if lit else tuple(0.7 * v for v in hour.far)
        wall[y : y + size + size // 2, x : x + size] = glow


def _water(picture: F32, hour: Hour, seed: int, row: int) -> F32:
    h, w = picture.shape[:2]
    ys, xs = np.mgrid[0 : h - row, 0:w].astype(np.float32)
    v = ys / (h - row)
    far = 1 / (v + 0.06)
    sheet = _rough(seed, "waves", 700, 700, 26, 3)
    cols, rows = (xs - w / 2) * far * (60 / w) + 350, 680 - 36 * far
    waves = cv2.remap(sheet, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    bend = waves * (0.2 + 1.6 * v) * 0.022 * h
    up = np.clip(row - 1 - ys * 0.9 - bend, 0, row - 1)
    mirror = cv2.remap(picture, np.clip(xs + bend * 0.6, 0, w - 1), up.astype(np.float32), cv2.INTER_LINEAR)
    deep = np.asarray([0.45 * t + 0.25 * n for t, n in zip(hour.top, hour.near, strict=True)], np.float32)
    body = np.broadcast_to(deep, mirror.shape).astype(np.float32)
    lit = (
        _over(body, mirror, np.asarray(0.8 - 0.42 * v + 0.15 * waves, np.float32))
        * (1 + 0.16 * waves)[..., None]
    )
    picture[row:] = _over(np.asarray(lit, np.float32), hour.light, np.clip(waves - 0.55, 0, 1) * 0.6)
    return picture


def _meadow(picture: F32, hour: Hour, seed: int, row: int, *, snowy: bool) -> F32:
    h, w = picture.shape[:2]
    ys = np.arange(row, h, dtype=np.float32)[:, None]
    v = (ys - row) / (h - row)
    green: Colour = (226, 232, 242) if snowy else (86, 116, 56)
    dim = min(1.0, sum(hour.foot) / 560)
    tone = np.asarray(green, np.float32) * dim
    blades = cv2.resize(
        _rough(seed, "grass", (h - row) // 3 + 2, w, 5, 2), (w, h - row), interpolation=cv2.INTER_LINEAR
    )
    body = (
        tone * (1 + 0.22 * _rough(seed, "ground", h - row, w, h / 9) + (0.05 + 0.24 * v) * blades)[..., None]
    )
    picture[row:] = _over(
        np.asarray(body, np.float32),
        hour.foot,
        np.asarray(np.broadcast_to(0.5 * (1 - v) ** 2, (h - row, w)), np.float32),
    )
    return picture
