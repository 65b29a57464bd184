"""For each measure a clip where it is low, one in the middle and one where it is high, made on the spot.

The pictures of `data/measures/` show them, and a test holds their order.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps

from seedance_lab.endpoints import Size
from seedance_lab.image import load
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.spec import Bytes
from tests.conftest import REPO
from tests.measuring.films import view, write

WIDTH, HEIGHT, FPS = 320, 192, 24
MARGIN = 160
"""Pixels of the canvas beyond the view, on each side."""


class Plant(NamedTuple):
    """What is planted in a clip.

    Attributes:
        n: Frames.
        pan, tilt: Pixels a frame that the camera goes right and up.
        zoom: Per cent a frame that things grow.
        roll: Degrees a frame that the camera turns clockwise.
        patch: Pixels a frame that a disc in the middle moves.
        shake: Pixels that the camera is off, another way in each frame.
        every: Each picture stands for so many frames.
        flicker: Levels that each second frame is brighter.
        exposure: Levels a frame that it gets brighter.
        tint: Levels a frame that blue goes up and red down.
        blur: Standard deviation of a Gaussian, in pixels.
        noise: Standard deviation, in levels.
        contrast, saturation: By how much they are multiplied.
        brightness: Levels added.
        freeze, black: Frames that stand still, and that are black, from the sixth on.
        cuts: Changes of scene.
        block: Side in pixels of squares that are made flat.
        crf: Of the encoder.
        there_and_back: The camera comes back to where it began.
        first, last: What is done to the picture that the first or last frame is held against: `blur`, `shift`, `tint`.
        fps, width: Of the file.
        late: Milliseconds by which every third frame is late.
        prompt: What was asked for.
        end: Whether an end image was asked for.
    """

    n: int = 24
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    roll: float = 0.0
    patch: float = 0.0
    shake: float = 0.0
    every: int = 1
    flicker: float = 0.0
    exposure: float = 0.0
    tint: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    brightness: float = 0.0
    freeze: int = 0
    black: int = 0
    cuts: int = 0
    block: int = 0
    crf: int = 6
    there_and_back: bool = False
    first: Mapping[str, float] = {}  # never written to
    last: Mapping[str, float] = {}
    fps: int = FPS
    width: int = WIDTH
    late: int = 0
    prompt: str = ""
    camera_fixed: bool = False
    end: bool = False


PICTURES = tuple(
    REPO / name
    for name in (
        "seedance_lab/pictures/harbour.jpg",
        "data/still_life.jpg",
        "data/street.jpg",
        "data/harbour_dusk.jpg",
    )
)


@functools.lru_cache(maxsize=8)
def canvas(seed: int, width: int) -> Bytes:
    """A picture larger than the view, shape (h, w, 3), BGR."""
    size = (width + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    with PIL.Image.open(PICTURES[seed % len(PICTURES)]) as picture:
        fitted = PIL.ImageOps.fit(picture.convert("RGB"), size)
    return np.ascontiguousarray(np.asarray(fitted, np.uint8)[..., ::-1])


def frames(plant: Plant) -> Iterator[Bytes]:
    """The clip's pictures, BGR."""
    rng = np.random.default_rng(5)
    for index in range(plant.n):
        at = index - min(max(index - 6, 0), plant.freeze)
        at = at // plant.every * plant.every
        if plant.there_and_back:
            at = min(at, plant.n - 1 - at)
        yield _frame(plant, index, at, rng)


def _frame(plant: Plant, index: int, at: int, rng: np.random.Generator) -> Bytes:
    seed = (index * (plant.cuts + 1)) // plant.n
    away = plant.shake * rng.uniform(-1, 1, 2) if plant.shake else (0.0, 0.0)
    picture = view(
        canvas(seed, plant.width),
        plant.width,
        HEIGHT,
        dx=plant.pan * at + away[0],
        dy=-plant.tilt * at + away[1],
        zoom=(1 + plant.zoom / 100) ** at,
        roll_deg=plant.roll * at,
    ).astype(np.float32)
    if plant.patch:
        x = round(plant.width / 2 + plant.patch * (at - plant.n / 2))
        cv2.circle(picture, (x, HEIGHT // 2), 40, (40, 60, 220), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, HEIGHT // 2), 16, (230, 230, 230), -1, cv2.LINE_AA)
    if plant.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), plant.blur).astype(np.float32)
    if plant.block:
        small = cv2.resize(
            picture, (plant.width // plant.block, HEIGHT // plant.block), interpolation=cv2.INTER_AREA
        )
        flat = cv2.resize(small, (plant.width, HEIGHT), interpolation=cv2.INTER_NEAREST)
        picture = 0.5 * picture + 0.5 * flat
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + plant.saturation * (picture - grey)
    picture = 128 + plant.contrast * (picture - 128)
    picture = picture + plant.brightness + plant.exposure * index + plant.flicker * (index % 2)
    picture = picture + np.array([plant.tint, 0.0, -plant.tint], np.float32) * index
    if plant.noise:
        picture = picture + plant.noise * rng.standard_normal(picture.shape).astype(np.float32)
    if 6 <= index < 6 + plant.black:
        picture = np.zeros_like(picture)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def film(path: Path, plant: Plant) -> Path:
    """The clip as a file."""
    late = plant.late
    times = (lambda i: round(i * 1000 / plant.fps) + (late if i % 3 == 2 else 0)) if late else None
    return write(path, frames(plant), fps=plant.fps, crf=plant.crf, times=times)


def asked(plant: Plant) -> Asked:
    """What the clip was asked to be: one of 320 × 192 at 24 frames a second, with this first and last frame."""
    every = list(frames(plant))
    return Asked(
        size=Size(WIDTH, HEIGHT),
        fps=FPS,
        seconds=1,
        ratio=WIDTH / HEIGHT,
        prompt=plant.prompt,
        camera_fixed=plant.camera_fixed,
        image=load(_png(_spoilt(every[0], plant.first))),
        end_image=load(_png(_spoilt(every[-1], plant.last))) if plant.end else None,
        estimate_usd=0.002,
        usd_per_million_tokens=1.8,
    )


def _spoilt(picture: Bytes, how: Mapping[str, float]) -> Bytes:
    out = picture.astype(np.float32)
    if sigma := how.get("blur"):
        out = cv2.GaussianBlur(out, (0, 0), sigma).astype(np.float32)
    if shift := how.get("shift"):
        out = np.roll(out, round(shift), axis=1)
    out = out + np.array([how.get("tint", 0.0), 0.0, -how.get("tint", 0.0)], np.float32)
    # The service takes no picture under 300 px; the crop and the scaling undo this.
    out = cv2.resize(out, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _png(picture: Bytes) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(picture[..., ::-1]).save(out, "PNG")
    return out.getvalue()


def three(name: str, *values: Any, **also: Any) -> tuple[Plant, ...]:
    """The same clip with another value of one plant each."""
    return tuple(Plant(**{name: value, **also}) for value in values)


def _held_against(side: str, how: str, *values: float) -> tuple[Plant, ...]:
    return tuple(Plant(**{side: {how: value}, "end": True, "pan": 1.0}) for value in values)


_FIRST_LAST: dict[str, tuple[Plant, ...]] = {
    f"{side}_{name}": _held_against(side, how, *values)
    for side in ("first", "last")
    for name, how, values in (
        ("ssim", "blur", (4.0, 1.5, 0.0)),
        ("psnr", "blur", (5.0, 1.5, 0.0)),
        ("gmsd", "blur", (0.0, 1.5, 5.0)),
        ("aligned_ssim", "blur", (4.0, 1.5, 0.0)),
        ("misplaced", "shift", (0.0, 3.0, 8.0)),
        ("colour_shift", "tint", (0.0, 10.0, 30.0)),
        ("ms_ssim", "blur", (6.0, 2.5, 0.0)),
    )
}

EXAMPLES: dict[str, tuple[Plant, ...]] = {
    "conforms": three("n", 36, 24),
    "width_error": three("width", 304, 320, 352),
    "seconds_error": three("n", 18, 24, 30),
    "fps_error": three("fps", 20, 24, 30),
    "frame_jitter": three("late", 0, 10, 25),
    "bit_rate": three("crf", 40, 26, 8, pan=1.0),
    "tokens": three("n", 12, 24, 36),
    "list_price_usd": three("n", 12, 24, 36),
    "price_error_usd": three("n", 12, 18, 36),
    **_FIRST_LAST,
    "flow_mean": three("pan", 0.0, 1.0, 4.0),
    "motion_px_s": three("pan", 0.0, 1.0, 4.0),
    "flow_top5": three("patch", 0.0, 2.0, 5.0),
    "motion_strength": three("pan", 0.0, 1.0, 4.0),
    "proxy_dynamic_degree": three("pan", 0.2, 4.0),
    "static_share": three("pan", 2.0, 0.25, 0.0),
    "background_stillness": (Plant(pan=2.0), Plant(pan=0.2), Plant(patch=3.0)),
    "smoothness": (Plant(shake=3.0, n=36), Plant(pan=2.0, shake=1.0, n=36), Plant(pan=2.0, n=36)),
    "camera_pan": three("pan", -2.0, 0.0, 2.0),
    "camera_tilt": three("tilt", -2.0, 0.0, 2.0),
    "camera_zoom": three("zoom", -1.0, 0.0, 1.0),
    "camera_roll": three("roll", -0.8, 0.0, 0.8),
    "camera_path": three("pan", 0.0, 1.0, 4.0),
    "camera_drift": three("pan", 0.0, 0.5, 3.0),
    "camera_residual": three("patch", 0.0, 2.0, 5.0),
    "camera_inliers": three("patch", 5.0, 2.0, 0.0),
    "camera_fixed_ok": three("pan", 1.0, 0.0, camera_fixed=True),
    "camera_as_prompted": three("pan", -2.0, 2.0, prompt="the camera pans right"),
    "vb_temporal_flickering": three("flicker", 30.0, 10.0, 0.0),
    "frame_difference": three("pan", 0.0, 1.0, 6.0),
    "temporal_information": three("pan", 0.0, 1.0, 6.0),
    "luma_pump": three("flicker", 0.0, 3.0, 12.0),
    "judder": three("every", 1, 2, 4, pan=1.5),
    "exposure_drift": three("exposure", -2.0, 0.0, 2.0, contrast=0.5),
    "exposure_range": three("exposure", 0.0, 0.7, 2.5, contrast=0.5),
    "colour_drift": three("tint", 0.0, 0.7, 2.5, contrast=0.5),
    "colour_range": three("tint", 0.0, 0.7, 2.5, contrast=0.5),
    "loop_ssim": (Plant(pan=3.0), Plant(pan=0.2), Plant(pan=3.0, there_and_back=True)),
    "loop_jump": (Plant(), Plant(pan=0.3), Plant(pan=0.8)),
    "n_cuts": three("cuts", 0, 1, 3, contrast=1.6),
    "cut_score": (Plant(), Plant(pan=3.0, cuts=1, contrast=0.3), Plant(cuts=1, contrast=1.6)),
    "frozen_share": three("freeze", 0, 14, 40, pan=1.5, n=48),
    "longest_freeze_s": three("freeze", 0, 14, 40, pan=1.5, n=48),
    "held_share": three("every", 1, 2, 4, pan=1.5),
    "black_share": three("black", 0, 4, 14),
    "mean_luma": three("brightness", -60.0, 0.0, 60.0, contrast=0.5),
    "contrast": three("contrast", 0.3, 1.0, 1.6),
    "clipped_low": three("brightness", 0.0, -60.0, -110.0, contrast=1.3),
    "clipped_high": three("brightness", -30.0, 60.0, 130.0, contrast=1.3),
    "colourfulness": three("saturation", 0.1, 1.0, 1.8),
    "spatial_information": three("blur", 4.0, 1.5, 0.0),
    "tenengrad": three("blur", 4.0, 1.5, 0.0),
    "laplacian": three("blur", 4.0, 1.5, 0.0),
    "blur": three("blur", 0.0, 1.5, 4.0),
    "noise": three("noise", 0.0, 4.0, 14.0),
    "blockiness": three("block", 0, 8, 16),
}
"""From low to high; two where a measure is only 0 or 1. `height_error` is to the height what `width_error` is."""

SAME = {"height_error": "width_error"}
"""Measures whose example is another one's."""
