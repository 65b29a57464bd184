"""What stands out: the subject, boats and other things afloat, as masks that can move in one piece."""

from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render.planes import F32, U8

MOST = 4  # masks fit into the four channels of one lookup


class Part(NamedTuple):
    """A thing that moves as one piece: its centre and foot in canvas pixels, its size in short sides.

    `top` is its highest row, `head` the middle column of its upper part and `half` half that part's width.
    `free` is 1 where it may leave its place, and less where that would bend what can be seen to bend.
    """

    x: float
    y: float
    foot: float
    size: float
    top: float
    head: float
    half: float
    free: float = 1.0


def objects(lab: U8, sky: F32, water: F32) -> U8:
    """What stands out from its surroundings, as 0 or 1: different from a wide median of the picture."""
    h, w = lab.shape[:2]
    background = cv2.medianBlur(lab, min((min(h, w) // 3) | 1, 91))
    out = np.abs(lab.astype(np.float32) - background) @ np.array([0.7, 1.0, 1.0], np.float32)
    score = cv2.blur(out.astype(np.float32), (3, 3)) * (1 - 0.5 * sky) * (1 - 0.35 * water)
    level, _ = cv2.threshold(np.clip(score * 2, 0, 255).astype(np.uint8), 0, 1, cv2.THRESH_OTSU)
    mask = (score * 2 > max(40.0, min(90.0, level))).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.uint8)


def largest(objects: U8, most: float = 0.5) -> U8:
    """The component most worth looking at, as 0 or 1: large and central, at most a share of the picture."""
    h, w = objects.shape
    n, labels, stats, centres = cv2.connectedComponentsWithStats(objects, connectivity=8)
    best, best_score = 0, 0.0
    for i in range(1, n):
        area = stats[i, cv2.CC_STAT_AREA] / (h * w)
        if not 0.006 < area < most:
            continue
        dx, dy = centres[i][0] / w - 0.5, centres[i][1] / h - 0.52
        score = float(min(area, 0.12)) / (1 + (dx / 0.25) ** 2 + (dy / 0.3) ** 2)
        if score > best_score:
            best, best_score = i, score
    return (labels == best).astype(np.uint8) if best else np.zeros_like(objects)


def figure(lab: U8) -> U8:
    """Who or what acts, as 0 or 1: unlike the colours at the sides and the top, and near the middle.

    A bust reaches the lower edge, which therefore says nothing. What fills the whole picture has no
    outline to find: then it is an oval in the middle.
    """
    h, w = lab.shape[:2]
    k = 120 / max(h, w)
    tiny = cv2.resize(lab, (max(16, round(w * k)), max(16, round(h * k))), interpolation=cv2.INTER_AREA)
    values = cv2.blur(tiny, (3, 3)).astype(np.float32)
    rows, cols = values.shape[:2]
    ys, xs = np.mgrid[0:rows, 0:cols].astype(np.float32)
    apart = np.full((rows, cols), 1e6, np.float32)
    rim = [(1, c) for c in range(1, cols, max(1, cols // 14))]
    rim += [(r, c) for r in range(4, int(0.86 * rows), max(1, rows // 10)) for c in (1, cols - 2)]
    weights = np.array([0.8, 1.2, 1.2], np.float32)
    for r, c in rim:
        # A colour of the rim tells most about what is near it, along its row above all.
        differs = np.abs(values - values[r, c]) @ weights
        differs += 0.25 * np.abs(xs - c) + 0.45 * np.abs(ys - r)
        apart = np.minimum(apart, differs)
    centred = 1 / (1 + ((xs / cols - 0.5) / 0.34) ** 4 + np.maximum(0, 0.35 - ys / rows))
    score = np.clip(np.maximum(0, apart - 14) * centred * 2.2, 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(score, 0, 1, cv2.THRESH_OTSU)
    mask = (score > max(28.0, 0.8 * level)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = largest(mask, most=0.72)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED)
    if float(mask.mean()) < 0.02:
        mask = np.asarray(((xs / cols - 0.5) / 0.30) ** 2 + ((ys / rows - 0.54) / 0.40) ** 2 < 1, np.uint8)
    return np.asarray(cv2.resize(mask, (w, h), interpolation=cv2.INTER_NEAREST), np.uint8)


def afloat(lab: U8, objects: U8, edges: F32, water: F32, row: float) -> list[U8]:
    """Boats and the like, largest first: a hull amid water, and what rises above it in the same columns."""
    h, w = objects.shape
    start = int(row) + 1
    hulls = objects.copy()
    hulls[: start + 1] = 0
    # What is narrow is a mast, or a tower's mirror image.
    hulls = cv2.morphologyEx(hulls, cv2.MORPH_OPEN, np.ones((2, 5), np.uint8))
    wet = cv2.dilate(water, np.ones((3, 9), np.uint8))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(hulls, connectivity=8)
    found: list[U8] = []
    for i in range(1, n):
        x, y, width, height, area = (int(v) for v in stats[i])
        if area < 0.0008 * h * w or width > 0.3 * w or x < 2 or x + width > w - 2 or y + height > h - 2:
            continue
        if height > 1.6 * width:  # a post in the water, and posts stand
            continue
        mask = (labels == i).astype(np.uint8)
        if y - row < 0.6 * width:  # lower down it would be the water's mirror images that rise
            mask |= _rising(lab, x, x + width, y + height // 2, y + height - int(2.2 * width) - 4)
        around = cv2.dilate(mask, np.ones((3, 9), np.uint8)) - mask
        around[: y + height // 2] = 0
        rim = cv2.dilate(mask, np.ones((3, 3), np.uint8)) - cv2.erode(mask, np.ones((3, 3), np.uint8))
        if around.any() and float(wet[around > 0].mean()) > 0.6 and float(edges[rim > 0].mean()) > 62:
            found.append(mask)
    found.sort(key=lambda mask: -int(mask.sum()))
    return found[:MOST]


def _rising(lab: U8, left: int, right: int, foot: int, highest: int) -> U8:
    """Mast and sails above a hull: what differs, row by row, from an even background on both sides of it."""
    mask = np.zeros(lab.shape[:2], np.uint8)
    weights = np.array([0.7, 1.0, 1.0], np.float32)
    wide = lab.shape[1]
    rows = np.arange(foot, max(0, highest), -1)
    lines = lab[rows].astype(np.float32)
    busy = np.zeros(len(rows), bool)
    apart = np.full((len(rows), right - left), np.inf, np.float32)
    for side in (
        lines[:, max(0, left - 8) : max(1, left - 2)],
        lines[:, min(wide - 1, right + 2) : right + 8],
    ):
        level = side.mean(axis=1, keepdims=True)
        busy |= (np.abs(side - level) @ weights).max(axis=1) > 34
        apart = np.minimum(apart, np.abs(lines[:, left:right] - level) @ weights)
    missing = 0
    for row, differs, unclear in zip(rows.tolist(), apart > 26, busy.tolist(), strict=True):
        if not unclear:  # else houses or the like: what belongs to the boat cannot be told
            mask[row, left:right] = differs
        missing = 0 if not unclear and differs.any() else missing + 1
        if missing > 6:
            break
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)


def free(mask: F32, edges: F32) -> float:
    """How far a thing may go, 0.3 to 1: before a plain wall further than before a fence, which has to stretch."""
    ring = (mask > 0.08) & (mask < 0.92)
    if not ring.any():
        return 1.0
    busy = float((edges[ring] > 45).mean())
    return float(np.clip(1.15 - 5.5 * busy, 0.3, 1.0))


def parts(
    things: list[U8], row: float, k: float, short: int, soft: float = 0.045, *, tight: bool = False
) -> tuple[F32, tuple[Part, ...]]:
    """Soft masks over things that move as one piece, at most 4; they add up to 1 at most.

    Args:
        things: Masks, 0 or 1.
        row: The horizon's.
        k: Their pixels per canvas pixel.
        short: The frame's short side in canvas pixels.
        soft: Over how many short sides a mask fades: the further a thing goes, the more.
        tight: Keep to the outline that was found; otherwise to the convex one around it.
    """
    h, w = things[0].shape if things else (1, 1)
    masks = np.zeros((h, w, MOST), np.float32)
    parts = []
    for i, mask in enumerate(things):
        ys, xs = np.nonzero(mask)
        size = float(np.sqrt(len(xs))) / k / short
        reach = max(3, int(soft * min(h, w))) | 1
        top, peak = int(ys.min()), float(xs[ys < ys.min() + 3].mean())
        corners = np.column_stack([xs, ys])
        if (
            top <= row - 3
        ):  # sails: their tip is thin, seldom found, and would stay behind when the boat rolls
            corners = np.vstack([corners, [peak, top - 0.22 * (int(ys.max()) - top)]])
        outline = cv2.convexHull(corners.astype(np.int32))
        whole = mask if tight else cv2.fillConvexPoly(np.zeros_like(mask), outline, 1)
        grown = cv2.dilate(
            whole,
            cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)),
        ).astype(np.float32)
        masks[:, :, i] = cv2.blur(cv2.blur(grown, (reach, reach)), (reach, reach))
        if top > row - 3:  # it does not reach above the horizon, so it takes nothing there along
            ramp = np.clip((np.arange(h) - (top - 2)) / 3, 0, 1).astype(np.float32)
            masks[:, :, i] *= ramp[:, None]
        upper = xs[ys < top + 0.4 * (int(ys.max()) - top) + 2]
        half = float(np.abs(upper - upper.mean()).mean()) * 2
        x, y = (float(v.mean()) / k for v in (xs, ys))
        parts.append(Part(x, y, float(ys.max()) / k, size, top / k, float(upper.mean()) / k, half / k))
    return masks / np.maximum(1.0, masks.sum(axis=2, keepdims=True)), tuple(parts)
