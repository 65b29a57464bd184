"""A guess at what a picture shows: sky, water, foliage, a subject, things afloat, and how far each is.

All of it is read off a picture about 240 pixels long with filters that give the same bits on every
CPU, and is rounded to 1/256. It is wrong at times; the uses are chosen so that a wrong guess shows
as less movement or as a slightly odd one, never as a torn picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from seedance_lab.local.render import noise, regions, things
from seedance_lab.local.render.fit import Canvas
from seedance_lab.local.render.planes import F32, U8
from seedance_lab.local.render.things import Part
from seedance_lab.local.render.words import Direction

LONG_SIDE = 240
_ROOM = 0.12  # short sides of background that stretch beside a subject that walks
_GOING = ("walk", "run", "go", "jump", "dance")
_SLOPE = 1.4  # most change of depth per short side: with parallax of 0.14 sides, a strain of 0.20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Maps over the canvas at low resolution, and what was found.

    Attributes:
        small: The canvas at low resolution, shape (h, w, 3), sRGB.
        near: Shape (h, w): nearness, 0 far to 1 near.
        maps: Shape (h, w, 3): water, sky, foliage, all in [0, 1].
        parts_map: Shape (h, w, 4): one mask a part.
        phases: Shape (h, w, 2): smooth noise in about [-1, 1].
        parts: At most 4.
        scale: Low-resolution pixels per canvas pixel, (x, y).
        horizon: Row on the canvas.
        focus: Centre of interest on the canvas, (x, y).
        focus_depth: Nearness there.
        water: Share of the picture that is water; likewise `sky` (0 indoors) and `foliage`.
        afloat: Whether the parts stand in water.
    """

    small: U8
    near: F32
    maps: F32
    parts_map: F32
    phases: F32
    parts: tuple[Part, ...]
    scale: tuple[float, float]
    horizon: float
    focus: tuple[float, float]
    focus_depth: float
    water: float
    afloat: bool
    sky: float
    foliage: float


def analyse(canvas: Canvas, direction: Direction, seed: int) -> Scene:
    """Look at a fitted picture with the prompt in mind."""
    full_h, full_w = canvas.rgb.shape[:2]
    k = LONG_SIDE / max(full_h, full_w)
    w, h = max(32, round(full_w * k)), max(32, round(full_h * k))
    small: U8 = cv2.resize(canvas.rgb, (w, h), interpolation=cv2.INTER_AREA)
    lab: U8 = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    light = np.ascontiguousarray(lab[:, :, 0])
    edges = cv2.convertScaleAbs(cv2.Sobel(light, cv2.CV_16S, 1, 0), alpha=0.5).astype(np.float32)
    edges += cv2.convertScaleAbs(cv2.Sobel(light, cv2.CV_16S, 0, 1), alpha=0.5).astype(np.float32)
    row = regions.horizon(lab)
    sky = regions.sky(lab, edges, row)
    open_air = float(sky.mean()) > 0.05 and regions.is_sky_coloured(lab, sky)
    water = regions.water(lab, edges, sky, row, told="water" in direction.local, open_air=open_air)
    if "water" not in direction.local and regions.is_backdrop(lab, sky, water, row):
        open_air, water = False, np.zeros_like(water)
    objects = things.objects(lab, sky, water)
    subject = things.largest(objects)
    foliage = regions.foliage(lab, canvas.rgb, sky, water, subject, told="wind" in direction.local)
    found = things.afloat(lab, objects, edges, water, row) if float(water.mean()) > 0.04 else []
    acts = bool(direction.acts) and "drift" not in direction.local
    if acts:
        found = [things.figure(lab)]
    afloat = bool(found) and not acts
    if not found and subject.any():
        found = [subject]
    near = _nearness(sky, objects, found, row, widest=0.6 if open_air else 0.95)
    if not open_air:  # indoors the guess is weaker, and what is close shows every mistake
        wide = (min(w, h) // 4) | 1
        near = 0.5 + 0.6 * (cv2.blur(cv2.blur(near, (wide, wide)), (wide, wide)) - 0.5)
    room = _ROOM if acts and any(act.kind in _GOING for act in direction.acts) else 0.045
    labels, parts = things.parts(found, row, k, min(canvas.width, canvas.height), room, tight=acts)
    if acts:
        parts = (parts[0]._replace(free=things.free(labels[..., 0], edges)),)
    ys, xs = np.nonzero(found[0] if found else subject)
    focus = (float(xs.mean()), float(ys.mean())) if len(xs) else (w / 2, max(row, h * 0.45))
    cy, cx = min(h - 1, int(focus[1])), min(w - 1, int(focus[0]))
    cell = max(6.0, min(w, h) / 5)
    return Scene(
        small=small,
        near=_rounded(near),
        maps=_rounded(
            np.dstack(
                [
                    _inner(water, 0.02) * (1 - labels.sum(axis=2)),
                    _inner(sky, 0.10),
                    _inner(foliage, 0.02),
                ]
            )
        ),
        parts_map=_rounded(labels),
        phases=_rounded(
            np.dstack(
                [noise.field(seed, "phase/x", h, w, cell=cell), noise.field(seed, "phase/y", h, w, cell=cell)]
            )
        ),
        parts=parts,
        scale=(w / full_w, h / full_h),
        horizon=row * full_h / h,
        focus=(focus[0] * full_w / w, focus[1] * full_h / h),
        focus_depth=float(near[cy, cx]),
        water=float(water.mean()),
        sky=float(sky.mean()) if open_air else 0.0,
        afloat=afloat,
        foliage=float(foliage.mean()),
    )


def _rounded(maps: F32) -> F32:
    return np.ascontiguousarray(np.round(maps * 256) / 256, np.float32)


def _inner(mask: F32, reach: float) -> F32:
    """A mask that rises from 0 at its edge to 1 at `reach` short sides inside it: what is outside stays put."""
    away = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L1, 3)
    out: F32 = cv2.blur(np.minimum(1.0, away / (reach * min(mask.shape))), (3, 3))
    return out * mask


def _nearness(sky: F32, objects: U8, parts: list[U8], row: float, *, widest: float) -> F32:
    """Nearness in [0, 1]: sky 0, the ground 0.12 (horizon) to 0.9 (bottom), what stands on it as its foot.

    The result changes by no more than `_SLOPE` per short side. Where it would, the nearer thing keeps
    its depth and spreads outwards: so what is rigid stays rigid and the background around it stretches.
    """
    h, w = sky.shape
    ys = np.arange(h, dtype=np.float32)
    step = np.float32(_SLOPE / min(h, w))
    # Even, and no steeper than what is allowed: else the plain itself would spread over what stands behind it.
    rise = min(0.78 / max(1.0, h - row), 0.95 * float(step))
    ground = 0.12 + rise * np.maximum(0, ys - row)
    near = np.repeat(ground[:, None], w, axis=1).astype(np.float32)
    near *= 1 - cv2.blur(sky, (5, 5))
    joined = cv2.morphologyEx(objects, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    outlines, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    standing = [
        cv2.drawContours(np.zeros_like(objects), outlines, i, 1, cv2.FILLED) > 0
        for i, outline in enumerate(outlines)
        if cv2.contourArea(outline) > 0.006 * h * w and cv2.boundingRect(outline)[2] < widest * w
    ]
    standing.sort(key=lambda mask: int(np.nonzero(mask.any(axis=1))[0][-1]))
    for mask in [*standing, *(part > 0 for part in parts)]:
        foot = int(np.nonzero(mask.any(axis=1))[0][-1])
        near[mask] = float(ground[foot])
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for _ in range(int(1 / step) + 1):
        wider = np.maximum(near, cv2.dilate(near, cross) - step)
        if np.array_equal(wider, near):
            break
        near = wider
    out: F32 = cv2.blur(near, (5, 5))
    return out
