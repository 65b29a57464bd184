"""Where sky, water and leaves are, and at what height the horizon: colour, smoothness and mirror images."""

import math

import cv2
import numpy as np

from seedance_lab.local.render.planes import F32, U8


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


def foliage(lab: U8, edges: F32, sky: F32, water: F32, *, told: bool) -> F32:
    """Green, or, if the prompt speaks of wind, finely textured; neither sky nor water."""
    a, b = lab[:, :, 1].astype(np.float32), lab[:, :, 2].astype(np.float32)
    mask = (a < 122) & (b > 129)
    if told:
        mask |= (cv2.blur(edges, (7, 7)) > 40) & (a < 130)  # reeds, sails, hair; not brick
    out = cv2.blur(mask.astype(np.float32) * (1 - sky) * (1 - water), (5, 5))
    return np.asarray(out > 0.5, np.float32)
