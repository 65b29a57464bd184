"""Where sky, water and leaves are, and at what height the horizon: colour, smoothness and mirror images."""

import math

import cv2
import numpy as np

from seedance_lab.local.render.planes import F32, U8

_PLANT = 0.012  # of the picture: what is smaller is an apple, an eye or a bottle
_STRAIGHT = (
    0.34  # share of straight edges; grass has 0.15 to 0.35 in wide windows, brick and roofs 0.4 to 0.9
)
_LINES = 480  # pixels of the longer side at which straight lines are looked for


def horizon(lab: U8) -> float:
    """The row where the picture changes most from above to below, or that mirrors it; not far from the middle."""
    h = lab.shape[0]
    reach = max(3, h // 24)
    values = lab.astype(np.float32)
    sums = np.cumsum(values, axis=0)
    flat = np.ascontiguousarray(cv2.blur(values, (7, 3))[:, ::6])
    rows = np.arange(int(h * 0.2), int(h * 0.78))
    steps = (sums[rows + reach] - 2 * sums[rows] + sums[rows - reach]) / reach
    scores = np.abs(steps.mean(axis=1)).sum(axis=1) + 0.3 * np.abs(steps).mean(axis=1).sum(axis=1)
    scores = scores / (1 + ((rows / h - 0.48) / 0.2) ** 2)
    best: float = h * 0.45
    best_score = 0.0
    for i in np.argsort(-scores, kind="stable"):  # the best first: most need no look for a mirror image
        row, score = int(rows[i]), float(scores[i])
        if score * 2.75 <= best_score:  # no mirror image could make it the best
            break
        n = min(row, h - row, h // 5)
        score *= 1 + 2.5 * max(0.0, _likeness(flat[row - n : row][::-1], flat[row : row + n]) - 0.3)
        if score > best_score:
            best, best_score = float(row), score
    return best


def _likeness(a: F32, b: F32) -> float:
    """Correlation of two patches, -1 to 1."""
    a, b = a - a.mean(axis=(0, 1)), b - b.mean(axis=(0, 1))
    both, one, other = (float((p * q).sum()) for p, q in ((a, b), (a, a), (b, b)))
    return both / (1e-6 + math.sqrt(one * other))


def sky(lab: U8, edges: F32, row: float) -> F32:
    """What can be reached from the top edge without a hard step, down to the horizon at most."""
    h, w = lab.shape[:2]
    flat = cv2.blur(lab, (3, 3))
    reached = np.zeros((h + 2, w + 2), np.uint8)
    reached[1:-1, 1:-1] = edges > 52  # walls: floodFill does not enter what is marked
    reached[int(row) + 3 :] = 1
    for x in range(0, w, max(1, w // 24)):
        if reached[1, x + 1] == 0:
            step = (5, 4, 4)
            cv2.floodFill(flat, reached, (x, 0), 0, step, step, 4 | (2 << 8) | cv2.FLOODFILL_MASK_ONLY)
    solid = (reached[1:-1, 1:-1] != 2).astype(np.uint8)
    n, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    mask = np.ones((h, w), np.float32)
    for i in range(
        1, n
    ):  # what hangs free in the sky is a cloud or a bird; spires and masts stand on the ground
        if stats[i, cv2.CC_STAT_TOP] + stats[i, cv2.CC_STAT_HEIGHT] > row:
            mask[labels == i] = 0
    mask[int(row) + 2 :] = 0
    return mask if float(mask.mean()) > 0.06 else np.zeros_like(mask)


def is_sky_coloured(lab: U8, sky: F32) -> bool:
    """Bluish, purple or bright: not a brown wall."""
    light, _, b = (float(v) for v in np.median(lab[sky > 0], axis=0))
    return b < 126 or light > 165


def water(lab: U8, edges: F32, sky: F32, row: float, *, told: bool, open_air: bool) -> F32:
    """Below the horizon: bluish, or coloured like the sky, or a mirror of what is above."""
    h, w = lab.shape[:2]
    start = int(row) + 1
    none = np.zeros((h, w), np.float32)
    if h - start < h * 0.12:
        return none
    below = lab[start:].astype(np.float32)
    n = min(start, h - start)
    flat = cv2.blur(lab.astype(np.float32), (7, 7))
    mirror = _likeness(flat[start - n : start][::-1], flat[start : start + n])
    if mirror < 0.1 + _likeness(flat[start - n : start], flat[start : start + n]):
        mirror = 0.0  # a wall beside a hedge is like itself further down whichever way it is turned
    blue = (below[:, :, 2] < 123) & (below[:, :, 1] < 142)
    score = 0.6 * (mirror > 0.4) + 1.3 * float(blue.mean()) + 0.6 * told + 0.15 * open_air
    if score < 0.7:
        return none
    pool = below[blue] if blue.mean() > 0.25 else below.reshape(-1, 3)
    middle = np.median(pool, axis=0)
    far = np.abs(below - middle) @ np.array([0.4, 1.0, 1.0], np.float32)
    calm = cv2.blur(edges, (7, 7))[start:] < 75
    mask = none.copy()
    mask[start:] = ((far < 46) | (blue & (far < 70))) & calm
    if open_air:
        paint = np.median(lab[sky > 0].astype(np.float32), axis=0)
        mask[start:] = np.maximum(
            mask[start:], (np.abs(below - paint) @ np.array([0.4, 1.0, 1.0], np.float32) < 30) & calm
        )
    if not told and float(mask[start + h // 40 : start + h // 8].mean()) < 0.5:
        return none  # water reaches across; a wet lane between walls would take the walls along
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.float32)


def is_backdrop(lab: U8, sky: F32, water: F32, row: float) -> bool:
    """Whether what looks like sky goes on below the horizon as what looks like water: then it is one plain wall."""
    at = int(row)
    if at < 9 or at + 10 > lab.shape[0]:
        return False
    both = (sky[at - 8 : at - 2].min(axis=0) > 0) & (water[at + 3 : at + 9].min(axis=0) > 0)
    if float(both.mean()) < 0.08:
        return False
    above, below = (
        lab[rows, both].astype(np.float32) for rows in (slice(at - 8, at - 2), slice(at + 3, at + 9))
    )
    apart = np.abs(above.mean(axis=0) - below.mean(axis=0)) @ np.array([0.7, 1.0, 1.0], np.float32)
    return float(np.median(apart)) < 7


def foliage(lab: U8, rgb: U8, sky: F32, water: F32, subject: U8, *, told: bool) -> F32:
    """What gives way to wind: green, or, if the prompt speaks of wind, finely and unevenly textured.

    Whatever is drawn in straight lines stays, whichever its colour: walls, roofs, pavements, fences. So do
    the subject, unless it is green, sky, water, print and what is too small to be a plant.

    Args:
        lab: The small picture.
        rgb: The picture itself.
        sky: Its mask over the small picture.
        water: Likewise.
        subject: Likewise.
        told: Whether the prompt speaks of wind or of plants.
    """
    h, w = lab.shape[:2]
    light, a, b = (lab[:, :, i] for i in range(3))
    mask = (a < 122) & (b > 129)
    if not told and float(mask.mean()) < _PLANT:
        return np.zeros((h, w), np.float32)
    dense, straight = texture(rgb, (w, h))
    if told:
        # Dry grass, reeds, bare twigs: neither skin nor brick, and no print, which stands on bright paper.
        paper = cv2.blur((light > 225).astype(np.float32), (15, 15)) > 0.3
        solid = cv2.dilate(subject, np.ones((5, 5), np.uint8)) > 0
        solid &= float(((dense > 0.4) & (straight < _STRAIGHT))[solid].mean() if solid.any() else 0) < 0.7
        mask |= (dense > 0.4) & (a < 136) & (b > 120) & ~paper & ~solid
    mask &= (straight < _STRAIGHT) & (sky < 0.5) & (water < 0.5)
    soft = (cv2.blur(mask.astype(np.float32), (7, 7)) > 0.5).astype(np.uint8)
    n, labels, stats, _ = cv2.connectedComponentsWithStats(soft, connectivity=8)
    kept = [i for i in range(1, n) if stats[i, cv2.CC_STAT_AREA] > _PLANT * h * w]
    return np.asarray(np.isin(labels, kept), np.float32)


def texture(rgb: U8, size: tuple[int, int]) -> tuple[F32, F32]:
    """How dense edges are, and what share of them runs straight for 3 % of the picture's length; both 0 to 1.

    Leaves and grass have many edges that all bend or end soon; of a building's, half or more run on.

    Args:
        rgb: The picture.
        size: Columns and rows of the answers.
    """
    k = _LINES / max(rgb.shape[:2])
    grey = cv2.cvtColor(cv2.resize(rgb, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    gx = cv2.Sobel(grey, cv2.CV_16S, 1, 0).astype(np.float32)
    gy = cv2.Sobel(grey, cv2.CV_16S, 0, 1).astype(np.float32)
    steep = np.sqrt(gx * gx + gy * gy)
    edge = steep > 36
    two = np.ones((2, 2), np.uint8)
    lines = np.zeros(grey.shape, np.uint8)
    for dx, dy, kernel in _DIRECTIONS:
        along = cv2.dilate((edge & (np.abs(gy * dx - gx * dy) > 0.93 * steep)).astype(np.uint8), two)
        lines |= cv2.morphologyEx(along, cv2.MORPH_OPEN, kernel)
    edges = cv2.dilate(edge.astype(np.uint8), two).astype(np.float32)
    wide = (41, 41)
    share = cv2.blur(lines.astype(np.float32), wide) / (cv2.blur(edges, wide) + 0.02)
    dense = cv2.blur(edge.astype(np.float32), (13, 13))
    small = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (dense, share)]
    return np.asarray(small[0]), np.asarray(small[1])


def _line(angle: float, reach: int = 8) -> tuple[np.float32, np.float32, U8]:
    """A direction and a line of that direction, `2 * reach + 1` pixels long."""
    c, s = math.cos(angle), math.sin(angle)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    ends = [(round(reach + way * reach * c), round(reach + way * reach * s)) for way in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1)
    return np.float32(round(c, 4)), np.float32(round(s, 4)), kernel


_DIRECTIONS = [_line(math.pi * i / 8) for i in range(8)]
