"""A scene painted from the prompt and the seed, for requests that bring no picture.

Sky, ranges of hills or a skyline, then water, a shore or a meadow; or a table in a room: enough for a
text-to-video endpoint to be rehearsed with, and no more than that. The prompt's words choose the parts
and the hour, the seed the shapes. Who is in the scene is not painted here but drawn over it, in `cast`.
"""

import re

import cv2
import numpy as np

from seedance_lab.local.render import grounds, noise
from seedance_lab.local.render.fit import MARGIN, Canvas
from seedance_lab.local.render.grounds import Hour, over, rough
from seedance_lab.local.render.planes import F32
from seedance_lab.local.render.subjects import subject

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
_SANDY = r"beach\w*|sea|ocean|coast\w*|island\w*|desert|surf\w*|waves?|bay"
_SNOWY = r"snow\w*|winter|ice|arctic|frozen"


def scene(prompt: str, seed: int, width: int, height: int) -> Canvas:
    """Paint a canvas with margins on all sides; the same prompt and seed give the same picture."""
    text = prompt.lower()
    left, top = 2 * int(MARGIN * width / 2), 2 * int(MARGIN * height / 2)
    w, h = width + 2 * left, height + 2 * top
    now = hour(prompt, seed)
    row = round(top + height * horizon(seed, prompt))
    picture = _sky(_HOURS[now], seed, h, w, row)
    if indoors(prompt):
        picture = grounds.room(_HOURS[now], seed, h, w, row)
    elif _says(_CITY, text):
        picture = _skyline(picture, _HOURS[now], seed, row, lit=now in ("night", "dusk"))
    else:
        picture = _ranges(picture, _HOURS[now], seed, row, snowy=_says(_SNOWY, text))
    if mirrors(prompt, seed):
        picture = grounds.water(picture, _HOURS[now], seed, row)
        if shore(prompt):
            picture = grounds.shore(picture, _HOURS[now], seed, row, sandy=_says(_SANDY, text))
    elif not indoors(prompt):
        picture = grounds.meadow(picture, _HOURS[now], seed, row, snowy=_says(_SNOWY, text))
    grain = noise.lattice(seed, "grain", h, w) * 6 - 3
    rgb = np.clip(np.round(picture + grain[..., None]), 0, 255).astype(np.uint8)
    return Canvas(rgb, left, top, width, height)


def hour(prompt: str, seed: int) -> str:
    """The hour of the day: day, dawn, dusk or night; the seed's choice where the prompt has none."""
    named = [name for name, words in _WORDS.items() if _says(words, prompt.lower())]
    hours = list(_HOURS)
    return named[0] if named else hours[int(noise.uniform(seed, "hour") * len(hours))]


def indoors(prompt: str) -> bool:
    """Whether the scene is a table in a room."""
    found = subject(prompt)
    return found is not None and found.place == "table"


def mirrors(prompt: str, seed: int) -> bool:
    """Whether the ground is water, or the wet asphalt of a town: it looks better than what we could draw on it."""
    text, found = prompt.lower(), subject(prompt)
    if indoors(prompt):
        return False
    if found is not None and (found.place == "water" or found.kind == "lighthouse"):
        return True
    if _says(f"{_WATER}|{_CITY}", text):
        return True
    if found is not None and found.place == "ground":
        return False
    return not _says(_LAND, text) and noise.uniform(seed, "water") < 0.6


def shore(prompt: str) -> bool:
    """Whether there is land before the water, because somebody stands on it."""
    found, text = subject(prompt), prompt.lower()
    return found is not None and found.place == "ground" and not _says(_CITY, text)


def horizon(seed: int, prompt: str) -> float:
    """The horizon's row, or the table's edge, as a share of the frame's height."""
    low, high = (0.58, 0.66) if indoors(prompt) else (0.48, 0.58)
    return noise.between(seed, "horizon", low, high)


def _says(words: str, text: str) -> bool:
    return re.search(rf"\b(?:{words})\b", text) is not None


def _sky(hour: Hour, seed: int, h: int, w: int, row: int) -> F32:
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    down = np.clip(ys / row, 0, 1) ** 1.4
    picture = over(np.broadcast_to(np.asarray(hour.top, np.float32), (h, w, 3)).copy(), hour.foot, down)
    x, y = w * noise.between(seed, "sun/x", 0.25, 0.75), row * noise.between(seed, "sun/y", 0.35, 0.85)
    away = ((xs - x) ** 2 + (ys - y) ** 2) / (0.05 * min(h, w)) ** 2
    picture = over(picture, hour.light, np.asarray(0.75 / (1 + away * 0.35), np.float32))
    picture = over(picture, hour.light, np.clip((1.0 - away) * 6, 0, 1))
    wide = cv2.resize(rough(seed, "clouds", h, max(8, w // 3), h / 7), (w, h), interpolation=cv2.INTER_LINEAR)
    thick = np.clip(wide * 1.3 - 0.12, 0, 0.8) * np.clip(1.15 - down, 0, 1)
    vapour = np.asarray(
        [0.5 * (a + 127.5 + b * 0.5) for a, b in zip(hour.foot, hour.light, strict=True)], np.float32
    )
    return over(picture, vapour, thick)


def _ranges(picture: F32, hour: Hour, seed: int, row: int, *, snowy: bool) -> F32:
    whole, (h, w) = picture, picture.shape[:2]
    top = max(0, int(row - 0.46 * h))  # no crest is higher, and what is below the horizon is painted over
    picture = whole[top : row + 2]
    ys = np.arange(top, row + 2, dtype=np.float32)[:, None]
    for i in range(4):
        share = i / 3
        rise = h * (0.26 - 0.06 * i) * noise.between(seed, "rise", 0.7, 1.2, i)
        ridge = rough(seed, f"ridge/{i}", 3, w, w / (3 + 2 * i), 6)[1]
        crest = row - np.maximum(3.0, rise * (0.55 + 0.55 * ridge))
        colour = np.asarray(
            [a * (1 - share) + b * share for a, b in zip(hour.far, hour.near, strict=True)], np.float32
        )
        if snowy:
            colour = colour * 0.35 + np.asarray((214, 222, 236), np.float32) * 0.65 * (sum(hour.foot) / 620)
        body = colour * (1 + (0.05 + 0.09 * share) * rough(seed, f"woods/{i}", len(ys), w, 18))[..., None]
        haze = np.clip((ys - crest) / (0.2 * h), 0, 1) * (0.5 - 0.12 * i)
        picture = over(
            picture, over(np.asarray(body, np.float32), hour.foot, haze), np.clip((ys - crest) / 2, 0, 1)
        )
    whole[top : row + 2] = picture
    return whole


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
