"""VBench's temporal flickering, to its last digit."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.spec import Bytes


class Flickering:
    """Differences between neighbouring frames in BGR.

    The frames are converted by FFmpeg's own scaler, as OpenCV's reader has it, with the colour matrix that the file
    names: another conversion is off by up to three levels a sample.

    Args:
        video: The file.
    """

    def __init__(self, video: Video) -> None:
        self._scaler = VideoReformatter()
        self._source = av.VideoFrame(video.width, video.height, "yuv420p")
        self._source.colorspace = video.matrix
        self._source.color_range = ColorRange.MPEG
        self._before: av.VideoFrame | None = None
        self._differences: list[float] = []

    def see(self, frame: Frame) -> None:
        """One more frame."""
        for plane, its in zip(self._source.planes, (frame.luma, frame.u, frame.v), strict=True):
            np.copyto(_lines(plane)[: its.shape[0], : its.shape[1]], its)
        bgr = self._scaler.reformat(self._source, format="bgr24")
        if self._before is not None:
            n = 3 * bgr.width
            a, b = (_lines(picture.planes[0])[:, :n] for picture in (self._before, bgr))
            self._differences.append(float(cv2.norm(a, b, cv2.NORM_L1)) / a.size)
        self._before = bgr

    def value(self) -> float:
        """1 (nothing changes) down to 0; of two frames or more.

        Source: VBench, temporal_flickering.py (Huang et al., CVPR 2024).
        """
        return (255.0 - float(np.mean(self._differences))) / 255.0


def _lines(plane: av.video.plane.VideoPlane) -> Bytes:
    whole: Bytes = np.frombuffer(plane, np.uint8)
    return whole.reshape(plane.height, plane.line_size)
