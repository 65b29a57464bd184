"""What the single pictures look like: sharpness, blocks, noise, contrast, colour, clipping.

Taken on five frames spread evenly over the clip, always at full size: a reduced picture ranks the sharpness of
clips wrongly. The value of a clip is the mean over those frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.detail import (
    blockiness,
    blur,
    laplacian,
    noise,
    spatial_information,
    tenengrad,
)
from seedance_lab.measuring.spec import Bytes, Found, Measure

N_SAMPLES = 5
"""Frames of a clip that are looked at."""

_ENDS = ((17.0, cv2.CMP_LE), (234.0, cv2.CMP_GE))
"""Black and white in limited-range luma."""

_SMALLEST_SIDE = 32
"""Below, the longest period of a grid does not fit."""

_RG_YB = ((0.213249, 2.325650), (-2.219027, 0.629916))
"""R − G and (R + G)/2 − B by (Cb − 128, Cr − 128): BT.709, limited range, whatever the file says of itself."""

MEASURES = (
    Measure(
        name="mean_luma",
        unit="levels",
        doc="Mean of Y: 16 is black, 235 white",
        group="picture",
        version=2,
        low=0,
        high=255,
        source="FFmpeg signalstats YAVG, equal to its rounding",
    ),
    Measure(
        name="contrast",
        unit="levels",
        doc="Standard deviation of Y over the frame",
        group="picture",
        version=2,
        low=0,
        high=127.5,
    ),
    Measure(
        name="clipped_low",
        unit="",
        doc="Share of the pixels at black or below (Y of 17 or less: the encoder may be a level off)",
        group="picture",
        version=2,
        low=0,
        high=1,
        better="less",
    ),
    Measure(
        name="clipped_high",
        unit="",
        doc="Share of the pixels at white or above (Y of 234 or more: the encoder may be a level off)",
        group="picture",
        version=2,
        low=0,
        high=1,
        better="less",
    ),
    Measure(
        name="colourfulness",
        unit="levels",
        doc="√(σ²(rg) + σ²(yb)) + 0.3 √(μ²(rg) + μ²(yb)), rg = R − G, yb = (R + G)/2 − B, by BT.709 from Cb and Cr; "
        "up to 15 is pale, from 59 on strong",
        group="picture",
        version=2,
        low=0,
        source="Hasler & Suesstrunk 2003",
    ),
    Measure(
        name="spatial_information",
        unit="levels",
        doc="Standard deviation of the Sobel gradient's length over the frame, in full-range levels",
        group="picture",
        version=2,
        low=0,
        source="ITU-T P.910 SI, of which the mean is taken here; FFmpeg siti, equal to its rounding",
    ),
    Measure(
        name="tenengrad",
        unit="levels²",
        doc="Mean squared length of the Sobel gradient of Y: sharp edges, and many of them; depends on what is shown",
        group="picture",
        version=2,
        low=0,
        better="more",
        source="Tenenbaum 1970; Pertuz et al. 2013",
    ),
    Measure(
        name="laplacian",
        unit="levels²",
        doc="Variance of the Laplacian of Y: fine detail, noise included",
        group="picture",
        version=2,
        low=0,
        source="Pech-Pacheco et al. 2000",
    ),
    Measure(
        name="blur",
        unit="",
        doc="How little of the edges another blur of 11 px takes away, in the worse direction: 0 is sharp, 1 blurred",
        group="picture",
        version=2,
        low=0,
        high=1,
        better="less",
        source="Crete et al. 2007; scikit-image blur_effect, equal to 10 digits",
    ),
    Measure(
        name="noise",
        unit="levels",
        doc="Standard deviation of the noise of Y, in the tenth of the 16-px blocks with the least structure; "
        "fine texture everywhere reads as up to 1",
        group="picture",
        version=2,
        low=0,
        better="less",
        source="Immerkaer 1996 (mask), here on flat blocks only",
    ),
    Measure(
        name="blockiness",
        unit="",
        doc="Relative gradient on the strongest grid of 3 to 24 px by that off the grid: 1 is none",
        group="picture",
        version=2,
        low=0,
        better="less",
        source="Muijs & Kirenko 2005; FFmpeg blockdetect's first frame, which alone is free of earlier ones",
        tier="full",
    ),
)

NO_EDGES = "the picture has no edges"


class Tone(NamedTuple):
    """How bright a frame is.

    Attributes:
        mean, spread: Of Y, in levels; the spread is the standard deviation.
        low, high: Share of the pixels that are at black or below, at white or above.
    """

    mean: float
    spread: float
    low: float
    high: float


def tone(luma: Bytes) -> Tone:
    """How bright a frame is.

    Args:
        luma: Shape (h, w), uint8, limited range.
    """
    n = luma.size
    mean = cv2.norm(luma, cv2.NORM_L1) / n
    spread = max(0.0, cv2.norm(luma, cv2.NORM_L2SQR) / n - mean**2) ** 0.5
    low, high = (cv2.countNonZero(cv2.compare(luma, *end)) / n for end in _ENDS)
    return Tone(mean, spread, low, high)


def colourfulness(u: Bytes, v: Bytes) -> float:
    """Hasler and Suesstrunk's M(3), from the colour planes alone: its two axes hold no luma.

    What RGB would clip is not clipped here.

    Args:
        u: Cb, shape (h, w), uint8, limited range.
        v: Cr, the same.

    Returns:
        8-bit levels of RGB.
    """
    mean_u, mean_v = cv2.mean(u)[0], cv2.mean(v)[0]
    n = u.size
    uu = cv2.norm(u, cv2.NORM_L2SQR) / n - mean_u**2
    vv = cv2.norm(v, cv2.NORM_L2SQR) / n - mean_v**2
    uv = (
        cv2.norm(u, cv2.NORM_L2SQR) / n + cv2.norm(v, cv2.NORM_L2SQR) / n - cv2.norm(u, v, cv2.NORM_L2SQR) / n
    ) / 2
    uv -= mean_u * mean_v
    spread = mean = 0.0
    for by_u, by_v in _RG_YB:
        spread += by_u**2 * uu + by_v**2 * vv + 2 * by_u * by_v * uv
        mean += (by_u * (mean_u - 128) + by_v * (mean_v - 128)) ** 2
    return float(max(0.0, spread) ** 0.5 + 0.3 * mean**0.5)


class Collector:
    """Takes the wanted numbers of five frames.

    Args:
        video: The file.
        asked: Not looked at.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        del asked
        last = video.n_frames - 1
        self._samples = {round(i * last / (N_SAMPLES - 1)) for i in range(N_SAMPLES)}
        self._wanted = wanted
        self._too_small = video.short_side < _SMALLEST_SIDE
        self._values: dict[str, list[float]] = {m.name: [] for m in MEASURES}

    def see(self, frame: Frame) -> None:
        """One more frame."""
        if frame.index not in self._samples:
            return
        levels = tone(frame.luma)
        found: dict[str, float | None] = {
            "mean_luma": levels.mean,
            "contrast": levels.spread,
            "clipped_low": levels.low,
            "clipped_high": levels.high,
        }
        if "colourfulness" in self._wanted:
            found["colourfulness"] = colourfulness(frame.u, frame.v)
        for name, take in _OF_LUMA.items():
            if name in self._wanted and not self._too_small:
                found[name] = take(frame.luma)
        for name, value in found.items():
            if value is not None:
                self._values[name].append(value)

    def found(self) -> Found:
        """The values."""
        values = {name: float(np.mean(taken)) for name, taken in self._values.items() if taken}
        missing = {name: reason for name, reason in _REASONS.items() if name not in values}
        if self._too_small:
            missing |= dict.fromkeys(_OF_LUMA, f"a side of the picture is below {_SMALLEST_SIDE} px")
        return Found(values, missing, {})


_OF_LUMA: dict[str, Callable[[Bytes], float | None]] = {
    "spatial_information": spatial_information,
    "tenengrad": tenengrad,
    "laplacian": laplacian,
    "blur": blur,
    "noise": noise,
    "blockiness": blockiness,
}

_REASONS = {
    "blur": NO_EDGES,
    "noise": "no part of the picture is clear of black and white",
    "blockiness": NO_EDGES,
}
