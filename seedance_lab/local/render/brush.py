"""Pieces onto pixels: polygons with soft edges in 4:2:0 planes or in RGB, whole, in part, or mirrored in water.

OpenCV fills polygons in whole numbers, so that every CPU gives the same pixels.
"""

import functools
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.local.render.pieces import Colour, Piece
from seedance_lab.local.render.planes import F64, U8, Planes

_SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions
_MATRIX = ((0.18259, 0.61423, 0.06201), (-0.10064, -0.33857, 0.43922), (0.43922, -0.39894, -0.04027))


@functools.lru_cache(maxsize=4096)
def _ycc(colour: Colour) -> tuple[float, ...]:
    """Y, Cb, Cr of a colour: BT.709, limited range, whole numbers."""
    sums = (sum(m * c for m, c in zip(row, colour, strict=True)) for row in _MATRIX)
    return tuple(
        float(max(16, min(240, round(value) + base)))
        for value, base in zip(sums, (16, 128, 128), strict=True)
    )


class _Layer(NamedTuple):
    """Pixels to fill in, how large they are (in luma pixels), and which components of a colour they take."""

    pixels: U8
    scale: float
    parts: slice

    def fill(self, points: F64, cuts: list[int], pieces: list[Piece], *, share: float = 1.0) -> None:
        """Draw pieces, whose corners stand one after the other in `points`, in luma pixels."""
        # The middle of a chroma sample lies between those of its four pixels.
        whole = np.round((points * self.scale + (self.scale - 1) / 2) * (1 << _SHIFT)).astype(np.int32)
        for start, stop, piece in zip(cuts[:-1], cuts[1:], pieces, strict=True):
            corners, cover = whole[start:stop], piece.cover * share
            colour = piece.colour if self.parts == _RGB else _ycc(piece.colour)[self.parts]
            if cover >= 1.0:
                cv2.fillPoly(self.pixels, [corners], colour, cv2.LINE_AA, _SHIFT)
                continue
            box = _box(corners / (1 << _SHIFT), self.pixels)
            if box is not None:
                view = self.pixels[box]
                over = view.copy()
                low = (box[1].start << _SHIFT, box[0].start << _SHIFT)
                cv2.fillPoly(over, [corners - np.array(low, np.int32)], colour, cv2.LINE_AA, _SHIFT)
                view[...] = cv2.addWeighted(over, cover, view.copy(), 1 - cover, 0).reshape(view.shape)


_RGB = slice(0, 4)


def _box(points: F64, pixels: U8) -> tuple[slice, slice] | None:
    """The pixels that what is drawn between these corners may touch."""
    low, high = np.floor(points.min(axis=0)).astype(int) - 2, np.ceil(points.max(axis=0)).astype(int) + 3
    h, w = pixels.shape[:2]
    x0, y0, x1, y1 = max(0, int(low[0])), max(0, int(low[1])), min(w, int(high[0])), min(h, int(high[1]))
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


class Brush(NamedTuple):
    """The way from a figure's own units to luma pixels, and what to draw on."""

    foot: tuple[float, float]
    unit: float
    way: float
    roll: float
    lift: float
    out: Planes | U8

    def _pixels(self, points: F64, up: float) -> F64:
        x, y = points[:, 0] * self.unit * self.way, -points[:, 1] * self.unit * up
        c, s = math.cos(self.roll), math.sin(self.roll)
        y = y - self.lift * self.unit * up
        return np.column_stack([self.foot[0] + c * x - s * y, self.foot[1] + s * x + c * y])

    def fill(self, pieces: list[Piece]) -> None:
        """Draw pieces, back to front."""
        self._draw(pieces, self._pixels(np.concatenate([piece.points for piece in pieces]), 1.0))

    def mirror(self, pieces: list[Piece], t: float) -> None:
        """The figure upside down in the water below it, broken by waves."""
        solid = [piece for piece in pieces if piece.cover == 1.0]
        points = self._pixels(np.concatenate([piece.points for piece in solid]), -0.8)
        deep = (points[:, 1] - self.foot[1]) / self.unit
        points[:, 0] += self.unit * 0.02 * np.sin(22 * deep - 3.1 * t) * np.clip(deep * 3, 0, 1)
        self._draw(solid, points, share=0.34)

    def _draw(self, pieces: list[Piece], points: F64, share: float = 1.0) -> None:
        """Draw on the pixels that are touched; all pieces at once laid over them with a share."""
        cuts = [0, *itertools.accumulate(len(piece.points) for piece in pieces)]
        planes = self.out if isinstance(self.out, Planes) else None
        whole = self.out.y if isinstance(self.out, Planes) else self.out
        box = _box(points / 2, whole[::2, ::2])
        if box is None:
            return
        wide = (slice(2 * box[0].start, 2 * box[0].stop), slice(2 * box[1].start, 2 * box[1].stop))
        near = points - (wide[1].start, wide[0].start)
        layers = [
            (whole[wide], _Layer(np.ascontiguousarray(whole[wide]), 1.0, slice(0, 1) if planes else _RGB))
        ]
        if planes:
            both = np.dstack([planes.u[box], planes.v[box]])
            layers.append((both, _Layer(both.copy(), 0.5, slice(1, 3))))
        for before, layer in layers:
            over = layer.pixels.copy() if share < 1 or layer.pixels is before else layer.pixels
            layer._replace(pixels=over).fill(near, cuts, pieces)
            if share < 1:
                over = cv2.addWeighted(over, share, np.ascontiguousarray(before), 1 - share, 0)
            before[...] = over
        if planes:
            planes.u[box], planes.v[box] = both[..., 0], both[..., 1]
