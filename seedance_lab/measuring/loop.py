"""The seam of a loop: how a clip's last frame goes over into its first."""

from __future__ import annotations

import cv2
import numpy as np

from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.similarity import ssim
from seedance_lab.measuring.spec import Bytes, Found

_FLOW_SIDE = 64
"""Pixels of the reduced picture; below, the coarsest level of the flow has too few patches."""

_SSIM_SIDE = 11

_FEWER = "fewer frames could be decoded than the file's index says"


class Ends:
    """The first frame and the last two, reduced.

    Args:
        video: The file; its count of frames says when the end comes, so that the middle need not be reduced.
    """

    def __init__(self, video: Video) -> None:
        self._n, self._short_side, self._reduction = video.n_frames, video.short_side, video.reduction
        self._kept: dict[int, Bytes] = {}

    def see(self, frame: Frame) -> None:
        """One more frame."""
        if frame.index == 0 or frame.index >= self._n - 2:
            self._kept[frame.index] = frame.small

    def found(self) -> Found:
        """`loop_ssim` and `loop_jump`."""
        if self._n - 1 not in self._kept:
            return Found({}, dict.fromkeys(("loop_ssim", "loop_jump"), _FEWER), {})
        first, last = self._kept[0], self._kept[self._n - 1]
        values: dict[str, float] = {}
        missing = dict.fromkeys(
            ("loop_ssim", "loop_jump"), f"the picture is too small: {first.shape[1]} × {first.shape[0]} px"
        )
        if min(first.shape) >= _SSIM_SIDE:
            values["loop_ssim"] = ssim(first, last)
        if self._n < 3:
            missing["loop_jump"] = "the clip has two frames"
        elif min(first.shape) >= _FLOW_SIDE:
            values["loop_jump"] = self._jump(first, last)
        return Found(values, {name: reason for name, reason in missing.items() if name not in values}, {})

    def _jump(self, first: Bytes, last: Bytes) -> float:
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        leap = flow.calc(last, first, None) - flow.calc(self._kept[self._n - 2], last, None)
        return float(np.hypot(leap[..., 0], leap[..., 1]).mean()) * 100 * self._reduction / self._short_side
