"""Pictures as the encoder wants them: BT.709 limited-range Y'CbCr, 4:2:0, converted once a clip.

Frames are warped plane by plane, 1.5 samples a pixel instead of 3, with no colour conversion per
frame. The colours lie side by side in one plane ("NV12"): that is how x264 keeps them, and OpenCV
samples four bytes that belong together almost as quickly as one (see `pairs`). All sums are whole
numbers or quarters that float32 holds exactly, so every CPU gets the same planes.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# BT.709 with limited range, times 2**13: rows Y, Cb, Cr; columns R, G, B. Grey has no colour: they add up to 0.
_UNIT = 8192
_MATRIX = ((1496, 5032, 508), (-825, -2773, 3598), (3598, -3268, -330))
# Half-sample interpolation; the 8 taps add up to 64 and keep more detail than bilinear or bicubic.
_TAPS = np.array([[-1, 4, -11, 40, 40, -11, 4, -1]], np.float32)


class Planes(NamedTuple):
    """One 4:2:0 picture: y of shape (h, w), uv of shape (h/2, w/2, 2), uint8."""

    y: U8
    uv: U8

    @property
    def u(self) -> U8:
        """The blue difference alone, shape (h/2, w/2)."""
        return self.uv[..., 0]

    @property
    def v(self) -> U8:
        """The red difference alone, likewise."""
        return self.uv[..., 1]


class Still(NamedTuple):
    """A picture made ready to be sampled at any point: `doubled` luma and `pairs` of colours."""

    y: U8
    uv: U8


def empty(width: int, height: int) -> Planes:
    """Planes to write into."""
    return Planes(np.empty((height, width), np.uint8), np.empty((height // 2, width // 2, 2), np.uint8))


def still(planes: Planes) -> Still:
    """Make a picture ready to be sampled."""
    return Still(doubled(planes.y), pairs(planes.uv))


def from_rgb(rgb: U8) -> Planes:
    """Convert a picture of even height and width, shape (h, w, 3), sRGB."""
    exact = rgb.astype(np.float32)
    fours = cv2.resize(exact, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return Planes(_row(0, exact, 16), cv2.merge([_row(1, fours, 128), _row(2, fours, 128)]))


def _row(i: int, rgb: F32, offset: int) -> U8:
    """One row of the matrix, rounded; sums are multiples of 1/4 below 2**22, so float32 holds them exactly."""
    weighted = cv2.transform(rgb, np.array([_MATRIX[i]], np.float32))
    out: U8 = cv2.convertScaleAbs(weighted, alpha=1 / _UNIT, beta=offset)
    return out


def doubled(y: U8) -> U8:
    """The luma at twice the size, with `out[2*i, 2*j] == y[i, j]`.

    Bilinear sampling of this costs what bilinear sampling of `y` costs, keeps twice the detail at
    half-pixel shifts (no pumping of sharpness as the picture glides), and leaves whole-pixel shifts
    untouched: a frame without motion is the picture itself. Sums are whole numbers below 2**24, so
    float32 holds them exactly in any order.
    """
    out = np.empty((y.shape[0] * 2, y.shape[1] * 2), np.uint8)
    one = np.ones((1, 1), np.float32)
    out[0::2, 0::2] = y
    for rows, cols, kx, ky, unit in (
        (0, 1, _TAPS, one, 64),
        (1, 0, one, _TAPS, 64),
        (1, 1, _TAPS, _TAPS, 4096),
    ):
        half = cv2.sepFilter2D(
            y,
            cv2.CV_32F,
            kx,
            ky.T,
            anchor=(3 if cols else 0, 3 if rows else 0),
            borderType=cv2.BORDER_REFLECT_101,
        )
        out[rows::2, cols::2] = cv2.convertScaleAbs(cv2.max(half, 0.0), alpha=1 / unit)
    return out


def pairs(uv: U8) -> U8:
    """Every pixel's colours with its right neighbour's: u, v, next u, next v; shape (h, w, 4).

    One look-up then fills two pixels of a frame, which OpenCV does in a third of the time of four. The
    two are a whole pixel apart in the still however far the camera has zoomed in; that moves each by a
    tenth of a pixel of the frame when the zoom is 1.2, in colour alone, which nobody sees.
    """
    both = uv.view(np.uint16)[..., 0]  # a pixel's two bytes, moved as one
    out = np.empty((*both.shape, 2), np.uint16)
    out[..., 0] = both
    out[:, :-1, 1] = both[:, 1:]
    out[:, -1, 1] = both[:, -1]
    return out.view(np.uint8)
