"""Edges, noise and blocks of one picture, by its luma at full size.

The functions go through the picture in bands of rows that stay in the processor's cache.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from seedance_lab.measuring.spec import Bytes

_BAND = 64
_BLOCK = 16
_FLAT_SHARE = 0.1
_UNCLIPPED = (24, 227)
"""Mean luma of a block in which noise of a few levels is not cut off."""

_PERIODS = range(3, 25)

_FULL_RANGE = np.floor(255 * (np.clip(np.arange(256), 16, 235) - 16) / 219).astype(np.uint8)
"""Limited to full range as FFmpeg's siti does it."""

Ints = np.ndarray[Any, np.dtype[np.int16]]


def _bands(plane: Bytes, apron: int = 1) -> Iterator[Bytes]:
    """Bands of rows; what lies inside their aprons covers every row but the outermost ones once.

    Whole temporaries would be memory fresh from the system each time, which costs more than the arithmetic.
    """
    end = plane.shape[0] - apron
    for top in range(apron, end, _BAND):
        yield plane[top - apron : min(top + _BAND, end) + apron]


def spatial_information(luma: Bytes) -> float:
    """SI of a frame: the standard deviation of the Sobel gradient's length, the border left out.

    Args:
        luma: Shape (h, w), uint8, limited range; at least 3 × 3.

    Returns:
        Full-range levels.

    Source: ITU-T P.910 (2008); FFmpeg, vf_siti.
    """
    total = squares = 0.0
    for band in _bands(luma):
        across, down = (side[1:-1, 1:-1] for side in cv2.spatialGradient(cv2.LUT(band, _FULL_RANGE)))
        squares += cv2.norm(across, cv2.NORM_L2SQR) + cv2.norm(down, cv2.NORM_L2SQR)
        total += cv2.norm(cv2.magnitude(across.astype(np.float32), down.astype(np.float32)), cv2.NORM_L1)
    n = _inside(luma)
    return float(max(0.0, squares / n - (total / n) ** 2) ** 0.5)


def tenengrad(luma: Bytes) -> float:
    """Mean squared length of the Sobel gradient (3 × 3, not normalised), the border left out.

    Args:
        luma: Shape (h, w), uint8; at least 3 × 3.
    """
    total = 0.0
    for band in _bands(luma):
        across, down = (side[1:-1, 1:-1] for side in cv2.spatialGradient(band))
        total += cv2.norm(across, cv2.NORM_L2SQR) + cv2.norm(down, cv2.NORM_L2SQR)
    return total / _inside(luma)


def laplacian(luma: Bytes) -> float:
    """Variance of the Laplacian (4 neighbours), the border left out.

    Args:
        luma: Shape (h, w), uint8; at least 3 × 3.
    """
    total = squares = 0.0
    for band in _bands(luma):
        response = cv2.Laplacian(band, cv2.CV_16S)[1:-1, 1:-1]
        squares += cv2.norm(response, cv2.NORM_L2SQR)
        total += cv2.sumElems(response)[0]
    n = _inside(luma)
    return squares / n - (total / n) ** 2


def _inside(luma: Bytes) -> int:
    height, width = luma.shape
    return int((height - 2) * (width - 2))


def blur(luma: Bytes) -> float | None:
    """How little of the edges is lost when the picture is blurred once more.

    Whole numbers throughout: the mean of 11 pixels is kept as their sum, and Sobel's difference of two such sums is one
    of the four pixels that they do not share.

    Args:
        luma: Shape (h, w), uint8; at least 12 × 12.

    Returns:
        0 (sharp) to 1 (blurred), of the direction in which it is larger; None for a picture without edges.

    Source: Crete et al., "The blur effect", SPIE 6492, 2007.
    """
    padded = np.asarray(cv2.copyMakeBorder(luma, 4, 5, 4, 5, cv2.BORDER_REFLECT), np.uint8)
    found = []
    for across in (True, False):
        before = kept = 0.0
        for band in _bands(padded, 6):
            smooth = _twice(band, down=across)  # 1 2 1 along the edges
            pairs = _next_two(smooth, down=not across)
            there = functools.partial(_moved, across=across, n=band.shape[across] - 12)
            edges = cv2.absdiff(there(smooth, 7), there(smooth, 5))
            left = cv2.absdiff(there(pairs, 11), there(pairs, 0))
            before += 11 * cv2.norm(edges, cv2.NORM_L1)
            kept += cv2.norm(cv2.min(np.multiply(edges, 11, dtype=np.int16), left), cv2.NORM_L1)
        if before:
            found.append(kept / before)
    return max(found) if found else None


def _twice(band: Bytes, *, down: bool) -> Ints:
    """Sums of three neighbours, the middle one twice, of all that is six pixels from the border in that direction."""
    upper, lower = (band[5:-6], band[6:-5]) if down else (band[:, 5:-6], band[:, 6:-5])
    return _next_two(np.add(upper, lower, dtype=np.int16), down=down)


def _next_two(plane: Ints, *, down: bool) -> Ints:
    """Sums of each pixel and the next one."""
    one, other = (plane[:-1], plane[1:]) if down else (plane[:, :-1], plane[:, 1:])
    return np.asarray(cv2.add(one, other), np.int16)


def _moved(plane: Ints, by: int, *, across: bool, n: int) -> Ints:
    """The n columns, or rows, from that one on."""
    return plane[:, by : by + n] if across else plane[by : by + n]


def noise(luma: Bytes) -> float | None:
    """Standard deviation of the noise, by Immerkaer's mask on the blocks with the least structure.

    Structure is the spread of a block's 4 × 4 means, in which the noise itself counts for a quarter. The median of
    the chosen blocks is taken, so that an edge in one of them does not count.

    Args:
        luma: Shape (h, w), uint8, limited range.

    Returns:
        Levels; None where every block is near black or white, or there is none.

    Source: Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996.
    """
    rows, columns = luma.shape[0] // _BLOCK, luma.shape[1] // _BLOCK
    if not rows or not columns:
        return None
    whole = luma[: rows * _BLOCK, : columns * _BLOCK]
    padded = np.asarray(cv2.copyMakeBorder(whole, 1, 1, 0, 0, cv2.BORDER_REFLECT_101), np.uint8)
    mask = np.array([1, -2, 1], np.float32)
    responses, means = [], []
    for band in _bands(padded):
        n = (band.shape[0] - 2) // _BLOCK
        response = np.abs(cv2.sepFilter2D(band, cv2.CV_16S, mask, mask)[1:-1])
        responses.append(cv2.resize(response.astype(np.float32), (columns, n), interpolation=cv2.INTER_AREA))
        inside = band[1:-1].astype(np.float32)
        means.append(cv2.resize(inside, (columns * 4, n * 4), interpolation=cv2.INTER_AREA))
    fine = np.concatenate(means).reshape(rows, 4, columns, 4).transpose(1, 3, 0, 2).reshape(16, rows, columns)
    level, structure = fine.mean(axis=0), fine.std(axis=0)
    usable = (level >= _UNCLIPPED[0]) & (level <= _UNCLIPPED[1])
    if not usable.any():
        return None
    flat = usable & (structure <= np.quantile(structure[usable], _FLAT_SHARE))
    return float(np.median(np.concatenate(responses)[flat]) * (np.pi / 2) ** 0.5 / 6)


def blockiness(luma: Bytes) -> float | None:
    """How much stronger edges are on a grid than off it.

    Args:
        luma: Shape (h, w), uint8; both sides at least 32.

    Returns:
        About 1 without a grid, of the period (3 to 24 px) and the direction for which it is largest; None for a picture
        without edges.

    Source: Muijs and Kirenko, EUSIPCO 2005, as FFmpeg's blockdetect has it on its first frame.
    """
    upright = np.asarray(cv2.transpose(luma), np.uint8)  # a tenth of what NumPy's copy takes
    found = [ratio for picture in (luma, upright) if (ratio := _grid_ratio(picture)) is not None]
    return max(found) if found else None


def _grid_ratio(picture: Bytes) -> float | None:
    """The same, of the vertical lines of a grid."""
    width = picture.shape[1]
    column = np.zeros(width)
    for band in _bands(picture[1:], 0):
        step = cv2.absdiff(band[:, :-1], band[:, 1:])
        around = cv2.boxFilter(step, cv2.CV_16S, (7, 1), normalize=False) - step
        ratio = cv2.divide(step, np.maximum(around, 1), dtype=cv2.CV_32F)
        column[: width - 1] += cv2.reduce(ratio, 0, cv2.REDUCE_SUM, dtype=cv2.CV_64F)[0]
    column[:3] = column[width - 4 :] = 0
    largest = np.maximum(np.maximum(column, np.roll(column, 1)), np.roll(column, -1))
    at = np.arange(3, width - 4)
    best: float | None = None
    for period in _PERIODS:
        on = at % period == period - 1
        if on.any() and (rest := column[at[~on]].mean()):
            best = max(best or 0.0, float(largest[at[on]].mean() / rest))
    return best
