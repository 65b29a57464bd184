"""How steady a clip is from frame to frame, and whether its end leads back to its beginning."""

from __future__ import annotations

import cv2
import numpy as np

from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video, mean
from seedance_lab.measuring.events import CUT_SCORE, ONE_FRAME, cut_scores
from seedance_lab.measuring.flicker import Flickering
from seedance_lab.measuring.loop import Ends
from seedance_lab.measuring.spec import Floats, Found, Measure

_STANDS_STILL = 0.05
"""Mean |ΔY| in levels below which nothing is left to be uneven."""

_MEASURED_LUMA = 255 / 219
"""From limited range to the full range of P.910."""

MEASURES = (
    Measure(
        name="vb_temporal_flickering",
        unit="",
        doc="(255 − mean |Δ| between neighbouring frames over all pixels of B, G and R) / 255. "
        "Motion lowers it too: read it beside frame_difference",
        group="steadiness",
        low=0,
        high=1,
        better="more",
        source="VBench temporal_flickering (Huang et al. 2024), equal to its code without the static filter",
        tier="full",
    ),
    Measure(
        name="frame_difference",
        unit="levels",
        doc="Mean |ΔY| between neighbouring frames: motion, flicker and noise together",
        group="steadiness",
        low=0,
        high=255,
        source="FFmpeg signalstats YDIF, equal to its rounding",
    ),
    Measure(
        name="temporal_information",
        unit="levels",
        doc="Mean over time of the standard deviation of ΔY over the frame, in full-range levels",
        group="steadiness",
        low=0,
        high=255,
        source="ITU-T P.910 TI, of which the mean is taken here; FFmpeg siti to 0.1 levels",
    ),
    Measure(
        name="luma_pump",
        unit="levels",
        doc="Mean |second difference of the frames' mean Y|: flicker of the whole picture; "
        "blind to motion and to fades",
        group="steadiness",
        low=0,
        better="less",
    ),
    Measure(
        name="judder",
        unit="",
        doc="Standard deviation by mean of |ΔY| over time, cuts left out: 0 is even, "
        "about 1 where every frame comes twice",
        group="steadiness",
        low=0,
        better="less",
    ),
    Measure(
        name="exposure_drift",
        unit="levels/s",
        doc="Slope of the frames' mean Y over time, by least squares; above 0 gets brighter",
        group="steadiness",
    ),
    Measure(
        name="exposure_range",
        unit="levels",
        doc="Brightest less darkest of the frames' mean Y",
        group="steadiness",
        low=0,
        high=255,
        better="less",
    ),
    Measure(
        name="colour_drift",
        unit="levels/s",
        doc="Length of the slope of the frames' mean (Cb, Cr) over time, by least squares",
        group="steadiness",
        low=0,
        better="less",
    ),
    Measure(
        name="colour_range",
        unit="levels",
        doc="Largest distance of a frame's mean (Cb, Cr) from that of the first frame",
        group="steadiness",
        low=0,
        better="less",
    ),
    Measure(
        name="loop_ssim",
        unit="",
        doc="SSIM of the last and the first frame, luma reduced to a short side of about 176 px",
        group="steadiness",
        low=-1,
        high=1,
        source="Wang et al. 2004, Gaussian window",
    ),
    Measure(
        name="loop_jump",
        unit="% of the short side",
        doc="Mean distance of the flow from the last frame to the first from that of the last step: "
        "how far things leap or halt when it plays in a loop. Means little where loop_ssim is low",
        group="steadiness",
        low=0,
        source="DIS optical flow (Kroeger et al. 2016), preset fast, on the reduced luma",
    ),
)


class Collector:
    """Keeps three small frames and a few numbers a frame.

    Args:
        video: The file.
        asked: Not looked at.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        del asked
        self._rows: list[tuple[float, float, float, float]] = []
        """Time and mean Y, Cb, Cr of each frame."""
        self._steps: list[tuple[float, float]] = []
        """Mean |ΔY| and TI of each frame after the first."""
        self._flickering = Flickering(video) if "vb_temporal_flickering" in wanted else None
        self._ends = Ends(video) if {"loop_ssim", "loop_jump"} & wanted else None

    def see(self, frame: Frame) -> None:
        """One more frame."""
        if frame.before is not None:
            squares = cv2.norm(frame.before.luma, frame.luma, cv2.NORM_L2SQR) / frame.luma.size
            spread = max(0.0, squares - (frame.mean_luma - self._rows[-1][1]) ** 2) ** 0.5
            self._steps.append((frame.luma_change, spread * _MEASURED_LUMA))
        self._rows.append((frame.time, frame.mean_luma, mean(frame.u), mean(frame.v)))
        if self._flickering is not None:
            self._flickering.see(frame)
        if self._ends is not None:
            self._ends.see(frame)

    def found(self) -> Found:
        """The values."""
        n = len(self._rows)
        if n == 1:
            return Found({}, {m.name: ONE_FRAME for m in MEASURES}, {})
        rows, steps = np.asarray(self._rows), np.asarray(self._steps)
        time, y, chroma = rows[:, 0], rows[:, 1], rows[:, 2:]
        values = {
            "frame_difference": float(steps[:, 0].mean()),
            "temporal_information": float(steps[:, 1].mean()),
            "exposure_drift": slope(time, y),
            "exposure_range": float(np.ptp(y)),
            "colour_drift": float(np.hypot(slope(time, chroma[:, 0]), slope(time, chroma[:, 1]))),
            "colour_range": float(np.hypot(*(chroma - chroma[0]).T).max()),
        }
        missing: dict[str, str] = {}
        if self._flickering is not None:
            values["vb_temporal_flickering"] = self._flickering.value()
        if n > 2:
            values["luma_pump"] = float(np.abs(np.diff(y, 2)).mean())
        else:
            missing["luma_pump"] = "the clip has two frames"
        within = steps[cut_scores(steps[:, 0]) < CUT_SCORE, 0]
        if len(within) < 2 or within.mean() < _STANDS_STILL:
            missing["judder"] = "nothing moves" if len(within) > 1 else "the clip has too few frames"
        else:
            values["judder"] = float(within.std() / within.mean())
        if self._ends is not None:
            seam = self._ends.found()
            values |= seam.values
            missing |= seam.missing
        series = {
            "mean_luma": rows[:, :2],
            "frame_difference": np.column_stack([time[1:], steps[:, 0]]),
        }
        return Found(values, missing, series)


def slope(time: Floats, value: Floats) -> float:
    """Change per second, by least squares.

    Args:
        time: Shape (n,), seconds; at least two different ones, else the slope is 0.
        value: Shape (n,).
    """
    centred = time - time.mean()
    spread = float(centred @ centred)
    return float(centred @ (value - value.mean())) / spread if spread else 0.0
