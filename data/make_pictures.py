"""Draws the project's own pictures: `python data/make_pictures.py`.

Everything is computed from hashes, so the same pictures come out every time (their JPEG bytes depend
on Pillow's version). `harbour.jpg` goes into the package, where the demo finds it; the rest stays here.
"""

import hashlib
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parent / "seedance_lab" / "pictures"
F32 = NDArray[np.float32]
RGB = tuple[float, float, float]
Mood = dict[str, Any]  # a table of colours and numbers


# --- noise and colour --------------------------------------------------------------------------------


def chance(name: str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48


def noise(name: str, h: int, w: int, cell_y: float, cell_x: float) -> F32:
    """Smooth noise in [0, 1] with blobs of about cell_y x cell_x pixels."""
    rows, cols = max(2, round(h / cell_y)) + 3, max(2, round(w / cell_x)) + 3
    bits = np.frombuffer(hashlib.shake_256(name.encode()).digest(rows * cols), np.uint8)
    small = bits.astype(np.float32).reshape(rows, cols) / 255
    return np.clip(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)


def clouds(name: str, h: int, w: int, cell_y: float, cell_x: float, octaves: int = 6) -> F32:
    """Fractal noise in about [0, 1]."""
    total = np.zeros((h, w), np.float32)
    weight = 0.0
    for i in range(octaves):
        total += noise(f"{name}/{i}", h, w, cell_y / 2**i, cell_x / 2**i) * 0.55**i
        weight += 0.55**i
    return total / weight


def gradient(h: int, w: int, stops: list[tuple[float, RGB]]) -> F32:
    """A vertical gradient; stops are (place from 0 top to 1 bottom, colour 0 to 255)."""
    at = np.linspace(0, 1, h)
    columns = [np.interp(at, [s for s, _ in stops], [c[i] for _, c in stops]) for i in range(3)]
    return np.repeat(np.stack(columns, 1)[:, None, :], w, axis=1).astype(np.float32)


def blend(under: F32, colour: F32 | RGB, amount: F32) -> F32:
    """Lay a colour over a picture by a map of amounts in [0, 1]."""
    a = np.clip(amount, 0, 1)[..., None]
    return np.asarray(under * (1 - a) + np.asarray(colour, np.float32) * a, np.float32)


def glow(h: int, w: int, x: float, y: float, radius: float) -> F32:
    """A round light that fades with distance, 1 in its centre."""
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.asarray(1 / (1 + ((xs - x) ** 2 + (ys - y) ** 2) / radius**2), np.float32)


class Layer:
    """A transparent layer to draw shapes on, laid over a picture afterwards."""

    def __init__(self, h: int, w: int) -> None:
        self.image = Image.new("RGBA", (w, h), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def poly(self, points: list[tuple[float, float]], colour: RGB, alpha: float = 1.0) -> None:
        """A filled polygon."""
        self.draw.polygon(points, fill=(*(int(c) for c in colour), int(alpha * 255)))

    def line(self, points: list[tuple[float, float]], colour: RGB, width: float, alpha: float = 1.0) -> None:
        """A line of a width in pixels."""
        self.draw.line(
            points,
            fill=(*(int(c) for c in colour), int(alpha * 255)),
            width=max(1, round(width)),
            joint="curve",
        )

    def oval(self, x: float, y: float, rx: float, ry: float, colour: RGB, alpha: float = 1.0) -> None:
        """A filled ellipse."""
        self.draw.ellipse(
            (x - rx, y - ry, x + rx, y + ry), fill=(*(int(c) for c in colour), int(alpha * 255))
        )

    def parts(self) -> tuple[F32, F32]:
        """Colour (h, w, 3) and coverage (h, w) in [0, 1]."""
        rgba = np.asarray(self.image, np.float32)
        return rgba[..., :3], rgba[..., 3] / 255


def save(picture: F32, path: Path, size: tuple[int, int], quality: int = 88) -> None:
    """Shrink, add a little grain so that flat areas have something to move, and write a JPEG."""
    small = cv2.resize(np.clip(picture, 0, 255).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    bits = np.frombuffer(hashlib.shake_256(path.name.encode()).digest(size[0] * size[1]), np.uint8)
    grain = cv2.blur(bits.reshape(size[1], size[0]).astype(np.float32) - 127.5, (2, 2)) / 127.5 * 4
    out = np.clip(small + grain[..., None], 0, 255).astype(np.uint8)
    Image.fromarray(out).save(path, quality=quality, optimize=True, progressive=True)
    print(f"{path.name}: {size[0]}x{size[1]}, {path.stat().st_size / 1000:.0f} kB")


# --- the harbour -------------------------------------------------------------------------------------

DAY = {
    "sky": [(0.0, (62, 118, 178)), (0.45, (128, 176, 210)), (0.8, (232, 214, 190)), (1.0, (255, 226, 178))],
    "cloud": (255, 244, 228), "shade": (148, 158, 182), "sun": (255, 240, 200), "haze": (238, 216, 190),
    "hills": [(150, 160, 184), (112, 132, 158), (78, 108, 116), (56, 84, 72)],
    "water": [(0.0, (196, 196, 186)), (0.25, (98, 146, 166)), (1.0, (22, 62, 92))],
    "house_light": 1.0, "windows": 0.15, "lamp": 0.0, "sun_at": (0.70, 0.86), "boats": 1.0, "stars": 0.0,
}  # fmt: skip
DUSK = {
    "sky": [(0.0, (16, 22, 58)), (0.45, (58, 50, 104)), (0.8, (190, 96, 104)), (1.0, (250, 160, 96))],
    "cloud": (236, 134, 110), "shade": (52, 44, 86), "sun": (255, 170, 96), "haze": (206, 120, 104),
    "hills": [(112, 80, 112), (78, 62, 98), (46, 46, 76), (26, 30, 50)],
    "water": [(0.0, (226, 150, 110)), (0.25, (118, 84, 112)), (1.0, (14, 20, 48))],
    "house_light": 0.36, "windows": 1.0, "lamp": 1.0, "sun_at": (0.70, 0.97), "boats": 0.5, "stars": 1.0,
}  # fmt: skip


def tint(colour: RGB, light: float, cast: RGB = (60, 50, 90)) -> RGB:
    """A colour under dimmer light, which is bluer."""
    r, g, b = (c * light + k * (1 - light) * 0.5 for c, k in zip(colour, cast, strict=True))
    return r, g, b


def harbour(mood: Mood) -> F32:
    """A small harbour at 2560x1706."""
    w, h = 2560, 1706
    line = int(h * 0.50)
    sky = gradient(line, w, mood["sky"])
    sun = (mood["sun_at"][0] * w, mood["sun_at"][1] * line)
    sky = blend(sky, mood["sun"], 0.85 * glow(line, w, *sun, 210) + 0.35 * glow(line, w, *sun, 700))
    wisps = clouds("clouds", line, w, 150, 640)
    level = np.linspace(0.56, 0.50, line, dtype=np.float32)[:, None]
    thick = np.clip((wisps - level) * 5.5, 0, 1)
    lit = np.clip((wisps - np.roll(wisps, -26, axis=0)) * 9 + 0.62, 0, 1)
    cloud = blend(
        np.broadcast_to(np.asarray(mood["shade"], np.float32), sky.shape).copy(), mood["cloud"], lit
    )
    sky = blend(sky, cloud, thick * 0.9 * np.linspace(1, 0.55, line, dtype=np.float32)[:, None])
    above = sky
    if mood["stars"]:
        layer = Layer(line, w)
        for i in range(150):
            size = 1.5 + 2 * chance(f"star/s{i}")
            layer.oval(
                w * chance(f"star/x{i}"),
                line * 0.6 * chance(f"star/y{i}") ** 1.5,
                size,
                size,
                (255, 244, 230),
                0.75,
            )
        colour, cover = layer.parts()
        above = blend(above, colour, cover * (1 - thick))
    disc = np.clip((glow(line, w, *sun, 60) - 0.5) * 12, 0, 1)
    above = blend(above, (255, 252, 232) if not mood["lamp"] else (255, 226, 170), disc * (1 - 0.6 * thick))
    above = hills(above, mood, line, w)
    above = town(above, mood, line, w)
    picture = np.zeros((h, w, 3), np.float32)
    picture[:line] = above
    picture[line:] = sea(above, mood, h - line, w, sun)
    picture = fleet(picture, mood, line)
    return jetty(picture, mood)


def hills(above: F32, mood: Mood, line: int, w: int) -> F32:
    """Four ranges, paler with distance, wooded in front."""
    xs = np.arange(w)
    ys = np.arange(line, dtype=np.float32)[:, None]
    shape = [(0.34, 0.15, 520), (0.24, 0.13, 400), (0.15, 0.12, 300), (0.085, 0.05, 200)]
    for i, (rise, swing, cell) in enumerate(shape):
        ridge = clouds(f"ridge/{i}", 4, w, 4, cell, 7 if i < 2 else 6)[1]
        lean = (
            (0.75 + 0.45 * np.cos((xs / w - 0.12 - 0.07 * i) * 4.4))
            if i
            else (0.8 + 0.3 * np.cos((xs / w - 0.45) * 5))
        )
        top = line - line * np.clip(rise * lean + swing * (ridge - 0.5) * 1.6, 0.012, 1)
        cover = np.clip((ys - top[None, :]) / 2.5, 0, 1)
        depth = np.clip((ys - top[None, :]) / (line * 0.22), 0, 1)
        tone = np.asarray(mood["hills"][i], np.float32)
        rough = clouds(f"wood/{i}", line, w, 26 - 4 * i, 36 - 4 * i, 4) - 0.5
        body = np.broadcast_to(tone, above.shape) * (1 + rough[..., None] * (0.12 + 0.17 * i))
        body = blend(body.astype(np.float32), mood["haze"], depth * (0.5 - 0.12 * i))
        above = blend(above, body, cover)
    return above


def town(above: F32, mood: Mood, line: int, w: int) -> F32:
    """Gabled houses along the quay on the left, a church, and a lighthouse on the right."""
    layer = Layer(line, w)
    light = mood["house_light"]
    walls = [
        (236, 214, 178),
        (214, 130, 98),
        (240, 232, 214),
        (232, 182, 108),
        (168, 190, 196),
        (206, 98, 84),
        (226, 204, 196),
    ]
    roofs = [(150, 74, 58), (122, 66, 60), (92, 84, 92), (160, 88, 62)]
    lamp = (255, 206, 120)
    for row, (base, size) in enumerate(((line - 62, 0.78), (line - 12, 1.0))):
        x = -30.0 + 40 * row
        i = 0
        while x < (930 if row else 760):
            key = f"house/{row}/{i}"
            wide = size * (62 + 46 * chance(key + "w"))
            tall = size * (74 + 62 * chance(key + "h")) * (1.1 - 0.25 * x / w)
            wall = tint(walls[int(chance(key + "c") * len(walls))], light)
            roof = tint(roofs[int(chance(key + "r") * len(roofs))], light)
            peak = size * (30 + 18 * chance(key + "p"))
            layer.poly([(x, base), (x, base - tall), (x + wide, base - tall), (x + wide, base)], wall)
            layer.poly(
                [(x, base), (x, base - tall), (x + wide * 0.3, base - tall), (x + wide * 0.3, base)],
                (0, 0, 20),
                0.12,
            )
            layer.poly(
                [(x - 5, base - tall), (x + wide * 0.5, base - tall - peak), (x + wide + 5, base - tall)],
                roof,
            )
            layer.poly(
                [
                    (x + wide * 0.7, base - tall - peak * 0.5),
                    (x + wide * 0.7, base - tall - peak * 1.2),
                    (x + wide * 0.82, base - tall - peak * 1.2),
                    (x + wide * 0.82, base - tall - peak * 0.3),
                ],
                tint((130, 80, 70), light),
            )
            floors, across = int(tall // (34 * size)), max(2, int(wide // (27 * size)))
            for f in range(floors):
                for a in range(across):
                    wx = x + wide * (a + 0.5) / across
                    wy = base - tall + 12 * size + f * 33 * size
                    on = chance(f"{key}/{f}/{a}") < mood["windows"]
                    pane = lamp if on else tint((74, 86, 104), max(0.55, light))
                    layer.poly(
                        [
                            (wx - 6 * size, wy),
                            (wx + 6 * size, wy),
                            (wx + 6 * size, wy + 17 * size),
                            (wx - 6 * size, wy + 17 * size),
                        ],
                        pane,
                    )
            x += wide + 3
            i += 1
    cx = 520.0
    stone = tint((226, 216, 200), light)
    layer.poly(
        [(cx - 24, line - 60), (cx - 24, line - 250), (cx + 24, line - 250), (cx + 24, line - 60)], stone
    )
    layer.poly([(cx - 30, line - 250), (cx, line - 346), (cx + 30, line - 250)], tint((96, 108, 116), light))
    layer.oval(cx, line - 222, 11, 11, lamp if mood["lamp"] else (70, 78, 92))
    quay = tint((122, 112, 106), light)
    layer.poly([(0, line), (0, line - 15), (1010, line - 13), (1052, line)], quay)
    layer.poly(
        [
            (2040, line),
            (2100, line - 16),
            (2210, line - 34),
            (2350, line - 42),
            (2490, line - 30),
            (2560, line - 22),
            (2560, line),
        ],
        tint((84, 82, 84), light),
    )
    lx, base = 2330.0, line - 38.0
    layer.poly(
        [(lx - 24, base), (lx - 16, base - 190), (lx + 16, base - 190), (lx + 24, base)],
        tint((244, 240, 234), light),
    )
    for k in range(2):
        a, b = base - 48 - 72 * k, base - 86 - 72 * k
        half_a, half_b = 24 - 8 * (base - a) / 190, 24 - 8 * (base - b) / 190
        layer.poly(
            [(lx - half_a, a), (lx + half_a, a), (lx + half_b, b), (lx - half_b, b)],
            tint((204, 70, 60), light),
        )
    layer.poly(
        [(lx - 22, base - 190), (lx + 22, base - 190), (lx + 22, base - 197), (lx - 22, base - 197)],
        tint((60, 60, 70), light),
    )
    layer.poly(
        [(lx - 12, base - 197), (lx + 12, base - 197), (lx + 12, base - 222), (lx - 12, base - 222)],
        lamp if mood["lamp"] else (236, 226, 180),
    )
    layer.poly([(lx - 17, base - 222), (lx, base - 246), (lx + 17, base - 222)], tint((190, 66, 58), light))
    layer.poly(
        [(lx + 30, base), (lx + 30, base - 34), (lx + 88, base - 34), (lx + 88, base + 6)],
        tint((236, 228, 214), light),
    )
    layer.poly([(lx + 24, base - 34), (lx + 58, base - 60), (lx + 94, base - 34)], tint((160, 84, 66), light))
    colour, cover = layer.parts()
    grain = clouds("plaster", line, w, 14, 14, 3)[..., None] - 0.5
    above = blend(above, np.asarray(colour * (1 + 0.16 * grain), np.float32), cover)
    if mood["lamp"]:
        above = blend(
            above, lamp, 0.9 * glow(line, w, lx, base - 210, 30) + 0.25 * glow(line, w, lx, base - 210, 130)
        )
        warm = cv2.blur(cv2.blur(cover, (61, 61)), (61, 61))
        above = above + warm[..., None] * np.asarray((30, 16, 0), np.float32)
    return above


def sea(above: F32, mood: Mood, depth: int, w: int, sun: tuple[float, float]) -> F32:
    """Water that mirrors what is above it through waves which grow towards the viewer."""
    line = above.shape[0]
    ys, xs = np.mgrid[0:depth, 0:w].astype(np.float32)
    v = ys / depth
    waves = wave_field("sea", depth, w)
    slope = waves * (0.3 + 2.2 * v)
    back = np.clip(line - 1 - ys * 0.92 - slope * 46, 0, line - 1)
    mirror = cv2.remap(above, np.clip(xs + slope * 26, 0, w - 1), back.astype(np.float32), cv2.INTER_LINEAR)
    mirror = cv2.blur(mirror, (3, 9))
    body = gradient(depth, w, mood["water"])
    picture = blend(body, mirror, (0.72 - 0.42 * v + 0.16 * waves).astype(np.float32))
    picture = picture * (1 + 0.20 * waves * (0.35 + v))[..., None]
    crest = np.clip((waves - 0.42) * 2.2, 0, 1)
    picture = blend(picture, mood["haze"], crest * 0.22)
    path = np.exp(-(((xs - sun[0] - 30 * slope) / (70 + 270 * v)) ** 2))
    sparkle = np.clip((wave_field("glitter", depth, w, fine=1.9) - 0.16) * 3.2, 0, 1)
    return blend(picture, mood["sun"], path * (0.18 + 0.8 * sparkle) * (1 - 0.45 * v))


def wave_field(name: str, depth: int, w: int, fine: float = 1.0) -> F32:
    """Noise in about [-1, 1], in perspective: flat and dense at the horizon, broad in front."""
    ys, xs = np.mgrid[0:depth, 0:w].astype(np.float32)
    v = ys / depth
    size = 1024
    total = np.zeros((depth, w), np.float32)
    for i in range(4):
        texture = noise(f"{name}/{i}", size, size, 11 / (1 + 0.2 * i), 34 / (1 + 0.2 * i)) - 0.5
        far = 1 / (v + 0.055)
        rows = 900 - 62 * fine * (1 + 0.55 * i) * far * 1.0
        cols = (xs - w / 2) * far * 0.055 * fine * (1 + 0.5 * i) * 2 + 517 + 331 * i
        total += cv2.remap(texture, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) * 0.75**i
    return np.clip(total * 1.25, -1, 1)


def boat(layer: Layer, x: float, y: float, s: float, kind: str, mood: Mood, flip: int = 1) -> None:
    """A boat whose waterline is at y and whose hull is about 2*s long; flip=-1 draws its mirror image."""
    light = mood["boats"] * 0.6 + 0.4 * mood["house_light"]
    hulls = {
        "sloop": (246, 242, 236),
        "ketch": (44, 74, 104),
        "fisher": (190, 62, 52),
        "dinghy": (232, 176, 84),
        "far": (240, 236, 230),
    }
    hull = tint(hulls[kind], light)

    def at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x + px * s, y - py * s * flip) for px, py in points]

    wood = tint((132, 92, 62), light)
    sail = tint((250, 240, 222), min(1.0, light + 0.1))
    shade = tint((206, 196, 190), light)
    if kind in ("sloop", "ketch", "far"):
        tall = 2.5 if kind != "ketch" else 2.3
        layer.line(at([(-0.05, 0.2), (-0.05, tall)]), wood, 0.035 * s)
        if kind == "ketch":
            layer.line(at([(-0.62, 0.2), (-0.62, 1.5)]), wood, 0.03 * s)
        for a, b in (((-0.05, tall), (0.98, 0.26)), ((-0.05, tall), (-0.95, 0.26))):
            layer.line(at([a, b]), tint((70, 66, 70), light), max(1.5, 0.012 * s))
        main = [(-0.10, tall - 0.12), (-0.16, 1.3), (-0.12, 0.42), (-0.92, 0.40), (-0.66, 1.0), (-0.36, 1.8)]
        front = [(-0.0, tall - 0.25), (0.36, 1.25), (0.92, 0.34), (0.06, 0.40), (0.03, 1.2)]
        layer.poly(at(main), sail)
        layer.poly(at([main[0], main[1], main[2], (-0.34, 0.41), (-0.28, 1.2)]), shade, 0.8)
        layer.poly(at(front), shade)
        layer.poly(at([front[0], front[1], front[2], (0.5, 0.37), (0.2, 1.2)]), sail, 0.9)
        for k in (0.8, 1.2, 1.6):
            layer.line(at([(-0.14, k), (-0.92 + 0.34 * k, k + 0.02)]), shade, max(1, 0.008 * s), 0.7)
    if kind == "fisher":
        layer.line(at([(-0.45, 0.3), (-0.45, 1.5)]), wood, 0.05 * s)
        layer.line(at([(-0.45, 1.45), (0.95, 0.42)]), tint((60, 60, 66), light), 0.014 * s)
        layer.line(at([(-0.45, 0.75), (-1.15, 1.2)]), wood, 0.035 * s)
        layer.line(at([(-0.45, 1.45), (-1.15, 1.2)]), tint((60, 60, 66), light), 0.012 * s)
        cabin = tint((244, 240, 230), light)
        layer.poly(at([(-0.30, 0.28), (-0.30, 0.86), (0.28, 0.86), (0.36, 0.28)]), cabin)
        layer.poly(at([(-0.36, 0.86), (-0.36, 0.94), (0.36, 0.94), (0.34, 0.86)]), tint((58, 96, 120), light))
        for k in range(3):
            pane = (255, 206, 120) if mood["lamp"] else tint((64, 84, 104), light)
            layer.poly(
                at(
                    [
                        (-0.22 + 0.17 * k, 0.58),
                        (-0.22 + 0.17 * k, 0.77),
                        (-0.10 + 0.17 * k, 0.77),
                        (-0.10 + 0.17 * k, 0.58),
                    ]
                ),
                pane,
            )
    if kind == "dinghy":
        layer.line(at([(-0.3, 0.3), (0.55, 0.62)]), wood, 0.04 * s)
    deep = [
        (-1.0, 0.30),
        (-0.92, 0.10),
        (-0.80, 0.0),
        (0.62, 0.0),
        (0.86, 0.16),
        (1.06, 0.42),
        (0.5, 0.30),
        (-0.3, 0.25),
    ]
    layer.poly(at(deep), hull)
    layer.poly(at([(-0.80, 0.0), (-0.86, 0.07), (0.72, 0.07), (0.62, 0.0)]), tint((120, 44, 40), light))
    layer.poly(at([(-0.92, 0.10), (-0.90, 0.07), (0.73, 0.07), (0.86, 0.16), (0.2, 0.12)]), (0, 0, 20), 0.16)
    layer.line(at([(-1.0, 0.30), (-0.3, 0.25), (0.5, 0.30), (1.06, 0.42)]), wood, 0.04 * s)


FLEET = (  # x, waterline, half length, kind; far ones first
    (1130, 876, 24, "far"), (1560, 872, 19, "far"), (1795, 880, 28, "far"),
    (760, 950, 84, "fisher"), (1360, 1035, 158, "sloop"), (1990, 1130, 190, "ketch"), (470, 1180, 120, "dinghy"),
)  # fmt: skip


def fleet(picture: F32, mood: Mood, line: int) -> F32:
    """Every boat over its own broken mirror image."""
    h, w = picture.shape[:2]
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    waves = np.zeros((h, w), np.float32)
    waves[line:] = wave_field("sea", h - line, w)
    for x, y, s, kind in FLEET:
        below = Layer(h, w)
        boat(below, x, y + 2, s, kind, mood, flip=-1)
        colour, cover = below.parts()
        bend = waves * (0.10 + (ys - y) / 420).clip(0.08, 1.2) * 60
        mx, my = xs + bend, ys + bend * 0.5
        colour = cv2.remap(colour * cover[..., None], mx, my, cv2.INTER_LINEAR)
        cover = cv2.blur(cv2.remap(cover, mx, my, cv2.INTER_LINEAR), (3, 7))
        colour = cv2.blur(colour, (3, 7)) / np.maximum(cover, 1e-3)[..., None]
        fade = np.clip(1 - (ys - y) / (s * 2.9), 0, 1) * (ys > y)
        picture = blend(picture, np.asarray(colour * 0.82, np.float32), cover * fade * 0.62)
        shadow = np.exp(-(((xs - x) / (s * 1.0)) ** 2) - ((ys - y - 4) / (s * 0.07 + 3)) ** 2)
        picture = blend(picture, (12, 24, 40), np.asarray(shadow * 0.55, np.float32))
        layer = Layer(h, w)
        boat(layer, x, y, s, kind, mood)
        colour, cover = layer.parts()
        picture = blend(picture, colour, cover)
        foam = np.exp(-(((ys - y - 3) / 3.2) ** 2)) * (np.abs(xs - x + 0.06 * s) < s * 0.82)
        picture = blend(
            picture,
            (232, 236, 232),
            np.asarray(foam * (0.25 + 0.5 * waves.clip(0, 1)), np.float32) * mood["house_light"],
        )
    return picture


def jetty(picture: F32, mood: Mood) -> F32:
    """Mooring posts and a rope in the lower right, gulls in the sky."""
    h, w = picture.shape[:2]
    layer = Layer(h, w)
    light = mood["house_light"]
    dark = tint((78, 62, 52), light)
    for x, top, wide in ((2440, 1240, 34), (2290, 1330, 42), (2085, 1450, 54)):
        layer.poly([(x - wide, h), (x - wide * 0.92, top), (x + wide * 0.92, top), (x + wide, h)], dark)
        layer.poly(
            [(x - wide, h), (x - wide * 0.92, top), (x - wide * 0.3, top), (x - wide * 0.36, h)],
            tint((132, 106, 82), light),
            0.8,
        )
        layer.oval(x, top, wide * 0.92, wide * 0.30, tint((158, 132, 104), light))
        for k in range(3):
            layer.line(
                [
                    (x - wide * 1.02, top + 60 + 13 * k),
                    (x, top + 74 + 13 * k),
                    (x + wide * 1.02, top + 60 + 13 * k),
                ],
                tint((206, 184, 140), light),
                9,
            )
    for (xa, ya), (xb, yb) in (((2440, 1300), (2290, 1396)), ((2290, 1400), (2085, 1522))):
        sag = [
            (xa + (xb - xa) * k / 20, ya + (yb - ya) * k / 20 + 70 * math.sin(math.pi * k / 20))
            for k in range(21)
        ]
        layer.line(sag, tint((196, 172, 128), light), 9)
    for i in range(7):
        x, y, s = (
            980 + 900 * chance(f"gull/x{i}"),
            130 + 300 * chance(f"gull/y{i}"),
            15 + 15 * chance(f"gull/s{i}"),
        )
        bird = tint((70, 74, 88), max(0.5, light))
        layer.line(
            [
                (x - s, y - s * 0.35),
                (x - s * 0.4, y - s * 0.5),
                (x, y),
                (x + s * 0.45, y - s * 0.55),
                (x + s, y - s * 0.3),
            ],
            bird,
            4,
        )
    colour, cover = layer.parts()
    rough = clouds("posts", h, w, 60, 9, 3)[..., None] - 0.5
    return blend(picture, np.asarray(colour * (1 + 0.5 * rough * (cover[..., None] > 0)), np.float32), cover)


# --- a night street, a still life --------------------------------------------------------------------


def street() -> F32:
    """A wet lane between old houses under lanterns, at 1080x1920."""
    w, h = 1080, 1920
    vx, vy = 560.0, 930.0  # where the lane meets the sky
    ground = 1090.0
    picture = gradient(
        h, w, [(0.0, (10, 16, 44)), (0.3, (30, 40, 86)), (0.52, (104, 86, 116)), (1.0, (24, 22, 34))]
    )
    veil = clouds("night/clouds", h, w, 160, 420)
    picture = blend(
        picture,
        (96, 92, 138),
        np.clip((veil - 0.5) * 3, 0, 0.6) * np.linspace(1, 0, h, dtype=np.float32)[:, None],
    )
    moon = (650.0, 300.0)
    picture = blend(picture, (150, 160, 200), 0.5 * glow(h, w, *moon, 120))
    disc = np.clip((glow(h, w, *moon, 46) - 0.5) * 16, 0, 1)
    craters = clouds("moon", h, w, 40, 40, 3)
    picture = blend(picture, (250, 244, 222), disc * (0.80 + 0.35 * (craters - 0.4)))
    layer = Layer(h, w)
    for i in range(90):
        layer.oval(
            w * chance(f"s/x{i}"),
            800 * chance(f"s/y{i}"),
            1.6,
            1.6,
            (235, 236, 250),
            0.25 + 0.6 * chance(f"s/a{i}"),
        )
    colour, cover = layer.parts()
    picture = blend(picture, colour, cover * np.clip(1 - 3 * (veil - 0.45), 0, 1))

    layer = Layer(h, w)
    lamps: list[tuple[float, float, float]] = []
    far = [(250, 812, 150), (392, 760, 110), (492, 838, 120), (604, 780, 96), (690, 826, 150)]
    for x, top, wide in far:
        layer.poly(
            [(x, ground), (x, top), (x + wide / 2, top - 58), (x + wide, top), (x + wide, ground)],
            (40, 40, 66),
        )
    layer.poly([(520, ground), (520, 690), (545, 560), (570, 690), (570, ground)], (34, 34, 58))
    tones = [(74, 58, 66), (92, 66, 58), (62, 62, 84), (98, 80, 68), (70, 50, 60), (84, 74, 78)]
    for side in (-1, 1):
        edges = [0.0, 0.34, 0.57, 0.72, 0.82] if side < 0 else [0.0, 0.30, 0.52, 0.69, 0.80]
        for i in range(len(edges) - 2, -1, -1):
            a, b = edges[i], edges[i + 1]
            start = -60.0 if side < 0 else w + 60.0

            def place(u: float, level: float, start: float = start) -> tuple[float, float]:
                return start + (vx - start) * u, level + (vy + 60 - level) * u

            top = 150 + 330 * chance(f"top/{side}/{i}") - 60 * i
            low = 1840.0
            tone = tones[(i * 2 + (side > 0)) % len(tones)]
            layer.poly([place(a, low), place(a, top), place(b, top), place(b, low)], tone)
            layer.poly([place(a, top), place((a + b) / 2, top - 150), place(b, top)], tint(tone, 0.62))
            layer.line([place(a, top + 8), place(b, top + 8)], tint(tone, 0.5), 12 * (1 - b) + 3)
            for f in range(5):
                for k in range(2):
                    u0, u1 = a + (b - a) * (0.16 + 0.44 * k), a + (b - a) * (0.40 + 0.44 * k)
                    y0 = top + 120 + f * 265
                    y1 = y0 + 150
                    if y0 > 1420:
                        continue
                    lit = chance(f"lit/{side}/{i}/{f}/{k}") < 0.46
                    pane = (255, 200 + 30 * chance(f"warm/{side}{i}{f}{k}"), 116) if lit else (36, 40, 62)
                    layer.poly([place(u0, y0), place(u1, y0), place(u1, y1), place(u0, y1)], tint(tone, 0.45))
                    e, m = (u1 - u0) * 0.09, (u0 + u1) / 2
                    for p, q in ((u0 + e, m - e / 2), (m + e / 2, u1 - e)):
                        layer.poly(
                            [place(p, y0 + 10), place(q, y0 + 10), place(q, y1 - 10), place(p, y1 - 10)], pane
                        )
            u = a + (b - a) * 0.06
            lx, ly = place(u, 1130)
            lamps.append((lx + (62 * (1 - u)) * -side, ly, 1 - u * 0.9))
    colour, cover = layer.parts()
    brick = clouds("brick", h, w, 9, 26, 3)[..., None] - 0.5
    fade = np.linspace(0.75, 1.15, h, dtype=np.float32)[:, None, None]
    picture = blend(picture, np.asarray(colour * (1 + 0.35 * brick) * fade, np.float32), cover)

    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    depth = np.clip((ys - ground) / (h - ground), 0, 1)
    near = 1 / (depth + 0.075)
    lane = np.clip((ys - ground + 14 - np.abs(xs - vx) * 0.0) * 0.5, 0, 1) * (
        np.abs(xs - vx) < 40 + 640 * (depth + 0.02)
    )
    stones = noise("stones", 900, 900, 9, 12)
    u = (xs - vx) * near * 0.085 + 450
    rows = 880 - near * 62
    cobble = cv2.remap(
        stones,
        np.asarray(u, np.float32),
        np.asarray(rows, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    wet = clouds("wet", h, w, 60, 200, 5)
    mirror_y = np.clip(2 * ground - ys + (cobble - 0.5) * 60 * depth - 10, 0, h - 1).astype(np.float32)
    mirror = cv2.remap(picture, np.asarray(xs + (cobble - 0.5) * 26, np.float32), mirror_y, cv2.INTER_LINEAR)
    floor = np.full((h, w, 3), (30, 30, 44), np.float32) * (0.55 + 0.9 * cobble)[..., None]
    floor = blend(floor, mirror, np.clip(0.2 + 1.3 * (wet - 0.36), 0.12, 0.85) * (0.55 + 0.7 * cobble))
    picture = blend(picture, floor, np.asarray(lane, np.float32))
    layer = Layer(h, w)
    for x, y, size in lamps:
        layer.line([(x, y - 40 * size), (x, y - 74 * size)], (26, 24, 32), 7 * size)
        layer.poly(
            [
                (x - 17 * size, y - 40 * size),
                (x + 17 * size, y - 40 * size),
                (x + 11 * size, y + 16 * size),
                (x - 11 * size, y + 16 * size),
            ],
            (255, 226, 160),
        )
        layer.poly(
            [(x - 21 * size, y - 38 * size), (x, y - 60 * size), (x + 21 * size, y - 38 * size)], (26, 24, 32)
        )
    colour, cover = layer.parts()
    picture = blend(picture, colour, cover)
    for x, y, size in lamps:
        warm = np.asarray((255, 176, 84), np.float32)
        picture = (
            picture
            + (0.50 * glow(h, w, x, y - 12 * size, 60 * size) + 0.16 * glow(h, w, x, y, 240 * size))[
                ..., None
            ]
            * warm
        )
        pool = np.exp(
            -(((xs - x) / (130 * size + 30)) ** 2)
            - ((ys - (ground + 640 * size * size + 40)) / (150 * size + 20)) ** 2
        )
        picture = picture + (pool * lane * 0.26 * (0.5 + cobble))[..., None] * warm
    return picture


def still_life() -> F32:
    """A candle, a bowl of fruit and a jug on a table, at 1600x1600."""
    n = 1600
    edge = 1040
    wall = clouds("wall", n, n, 300, 300, 7)
    picture = np.full((n, n, 3), (96, 84, 78), np.float32) * (0.55 + 0.5 * wall)[..., None]
    flame = (470.0, 470.0)
    picture = picture * (0.35 + 1.3 * glow(n, n, *flame, 620))[..., None]
    wood = clouds("wood", n, n, 26, 900, 6)
    rings = 0.5 + 0.5 * np.sin(wood * 60)
    ys, xs = np.mgrid[0:n, 0:n].astype(np.float32)
    table = np.asarray((138, 84, 48), np.float32) * (0.55 + 0.35 * wood + 0.2 * rings)[..., None]
    table = table * (0.45 + 1.0 * glow(n, n, 520, 1080, 640))[..., None]
    picture = blend(picture, np.asarray(table, np.float32), np.clip((ys - edge) / 3, 0, 1))

    def shadow(picture: F32, x: float, y: float, rx: float, ry: float, amount: float) -> F32:
        return blend(
            picture,
            (12, 8, 8),
            np.asarray(amount * np.exp(-(((xs - x) / rx) ** 2) - ((ys - y) / ry) ** 2), np.float32),
        )

    def ball(picture: F32, x: float, y: float, r: float, colour: RGB, name: str, squash: float = 1.0) -> F32:
        dx, dy = (xs - x) / r, (ys - y) / (r * squash)
        inside = np.clip((1 - np.sqrt(dx * dx + dy * dy)) * r / 2.5, 0, 1)
        z = np.sqrt(np.clip(1 - dx * dx - dy * dy, 0, 1))
        lx, ly = (flame[0] - x) / 700, (flame[1] - y) / 700
        norm = math.sqrt(lx * lx + ly * ly + 0.5)
        light = np.clip((dx * lx + dy * ly + z * 0.7) / norm, 0, 1)
        skin = clouds(name, n, n, 40, 40, 5)
        body = np.asarray(colour, np.float32) * (0.14 + 1.05 * light * (0.75 + 0.5 * skin))[..., None]
        shine = np.clip(light - 0.86, 0, 1) * 4
        body = blend(np.asarray(body, np.float32), (255, 238, 206), np.asarray(shine**2, np.float32))
        return blend(picture, body, np.asarray(inside, np.float32))

    def turned(picture: F32, x: float, profile: list[tuple[float, float]], colour: RGB, name: str) -> F32:
        """A turned body: profile is (row, half width)."""
        half = np.interp(ys[:, 0], [p for p, _ in profile], [q for _, q in profile]).astype(np.float32)[
            :, None
        ]
        inside = np.clip((half - np.abs(xs - x)) / 2.5, 0, 1)
        inside = inside * np.clip((ys - profile[0][0]) / 2, 0, 1) * np.clip((profile[-1][0] - ys) / 2, 0, 1)
        u = np.clip((xs - x) / np.maximum(half, 1), -1, 1)
        away = 1.0 if flame[0] > x else -1.0
        light = np.clip(0.62 * np.sqrt(1 - u * u) + 0.55 * u * away, 0, 1)
        skin = clouds(name, n, n, 30, 120, 5)
        body = np.asarray(colour, np.float32) * (0.14 + 0.95 * light * (0.8 + 0.4 * skin))[..., None]
        shine = np.exp(-(((u - 0.45 * away) / 0.10) ** 2)) * 0.5
        body = blend(np.asarray(body, np.float32), (255, 240, 214), np.asarray(shine, np.float32))
        return blend(picture, body, np.asarray(inside, np.float32))

    picture = shadow(picture, 1240, 1250, 330, 60, 0.75)
    picture = turned(
        picture,
        1180,
        [(520, 78), (560, 84), (640, 70), (760, 120), (900, 190), (1050, 205), (1170, 160), (1236, 120)],
        (92, 124, 140),
        "jug",
    )
    ring = Layer(n, n)
    ring.draw.arc((1290, 610, 1480, 980), 250, 110, fill=(70, 96, 108, 255), width=34)
    ring.oval(1180, 522, 80, 20, (34, 44, 52))
    colour, cover = ring.parts()
    picture = blend(picture, colour, cover)
    picture = shadow(picture, 800, 1330, 420, 56, 0.8)
    for i, (x, y, r, colour3) in enumerate(
        (
            (650, 1090, 104, (214, 60, 44)),
            (930, 1080, 108, (226, 150, 44)),
            (800, 1030, 112, (180, 190, 66)),
            (740, 1150, 100, (230, 120, 40)),
            (880, 1160, 96, (170, 36, 44)),
        )
    ):
        picture = ball(picture, x, y, r, colour3, f"fruit/{i}", 0.94)
    picture = turned(
        picture,
        800,
        [(1150, 290), (1166, 296), (1230, 250), (1290, 160), (1318, 110), (1340, 130)],
        (196, 184, 164),
        "bowl",
    )
    picture = shadow(picture, 400, 1200, 170, 40, 0.7)
    picture = turned(
        picture, 470, [(1120, 60), (1150, 120), (1180, 150), (1200, 146)], (176, 140, 62), "holder"
    )
    picture = turned(picture, 470, [(590, 50), (606, 56), (800, 58), (1130, 60)], (236, 222, 196), "candle")
    hot = np.clip(1 - (ys - 590) / 260, 0, 1) * (np.abs(xs - 470) < 55) * (ys > 596)
    picture = blend(picture, (255, 206, 130), np.asarray(hot * 0.6, np.float32))
    picture = shadow(picture, 1010, 1400, 130, 24, 0.7)
    for i, (x, y) in enumerate(((980, 1372), (1060, 1384), (1020, 1340))):
        picture = ball(picture, x, y, 40, (96, 40, 92), f"grape/{i}")
    wick = Layer(n, n)
    wick.line([(470, 596), (472, 548)], (30, 22, 20), 8)
    colour, cover = wick.parts()
    picture = blend(picture, colour, cover)
    u = np.clip((ys - 380) / 190, 0, 1)
    wide = 40 * np.clip(np.sin(np.pi * u**1.6), 0, 1) ** 0.9 + 1e-3
    body = np.clip(1 - (np.abs(xs - 470) / wide) ** 2, 0, 1) * (ys > 380) * (ys < 570)
    picture = blend(picture, (255, 190, 80), np.asarray(np.clip(body * 1.6, 0, 1), np.float32))
    picture = blend(picture, (255, 250, 226), np.asarray(np.clip(body * 1.5 - 0.35, 0, 1), np.float32))
    warm = (0.62 * glow(n, n, *flame, 70) + 0.26 * glow(n, n, *flame, 260))[..., None] * np.asarray(
        (255, 170, 80), np.float32
    )
    return np.asarray(picture + warm, np.float32)


def main() -> None:
    """Draw them all."""
    SHIPPED.mkdir(exist_ok=True)
    save(harbour(DAY), SHIPPED / "harbour.jpg", (1280, 853))
    save(harbour(DUSK), HERE / "harbour_dusk.jpg", (1280, 853))
    save(street(), HERE / "street.jpg", (720, 1280), quality=84)
    save(still_life(), HERE / "still_life.jpg", (1000, 1000), quality=86)


if __name__ == "__main__":
    main()
