"""What a network with learned weights says of a clip: on request only, by name, and behind an extra.

    study.measure(only=["first_lpips", "clip_prompt"])

The network is loaded once in each worker process, with the memory that PyTorch takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import av
import cv2
import numpy as np

from seedance_lab.errors import ImageError, MeasureError
from seedance_lab.image import Picture
from seedance_lab.local.render.job import PictureError
from seedance_lab.measuring import networks
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.faithful import Planes, copied, fitted
from seedance_lab.measuring.spec import Bytes, Floats, Found, Measure

_BT601 = frozenset({5, 6})
_N_PROMPT = 8
_LEAST_LPIPS = 64
_ENDS = {"first_lpips": "input picture", "last_lpips": "end image"}

MEASURES = (
    *(
        Measure(
            name=name,
            unit="",
            doc=f"LPIPS (AlexNet, 0.1) of the {name.split('_')[0]} frame against the {picture} as the service crops "
            "and scales it",
            group="faithfulness",
            low=0,
            better="less",
            source="Zhang et al., CVPR 2018, by their package lpips",
            tier="extra",
            of_request=True,
        )
        for name, picture in _ENDS.items()
    ),
    Measure(
        name="clip_prompt",
        unit="",
        doc=f"Cosine between CLIP's (ViT-B/32) vectors of the prompt and of a frame, mean of {_N_PROMPT} frames; about "
        "0.2 is unrelated and 0.3 fits well",
        group="faithfulness",
        low=-1,
        high=1,
        better="more",
        source="Hessel et al., EMNLP 2021, without their factor 2.5; by open_clip",
        tier="extra",
        of_request=True,
    ),
    Measure(
        name="vb_background_consistency",
        unit="",
        doc="Mean over the frames of the cosine of CLIP's vectors with the frame before and with the first "
        "one; a still has 1",
        group="steadiness",
        low=0,
        high=1,
        better="more",
        source="VBench's background_consistency (CVPR 2024), by open_clip",
        tier="extra",
    ),
)


class Collector:
    """Keeps what the networks are to see; asks them at the end.

    Args:
        video: The file.
        asked: What it was asked to be.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        self._video, self._asked, self._wanted = video, asked, wanted
        self._ends: dict[str, Planes] = {}
        self._squares: dict[int, Bytes] = {}
        n = video.n_frames
        # The middles of equal parts, so that neither end has more weight than the rest.
        self._for_prompt = {min(n - 1, int((k + 0.5) * n / _N_PROMPT)) for k in range(_N_PROMPT)}

    def see(self, frame: Frame) -> None:
        """One more frame."""
        if frame.index == 0 and "first_lpips" in self._wanted:
            self._ends["first_lpips"] = copied(frame)
        if frame.index == self._video.n_frames - 1 and "last_lpips" in self._wanted:
            self._ends["last_lpips"] = copied(frame)
        every = "vb_background_consistency" in self._wanted
        if every or ("clip_prompt" in self._wanted and frame.index in self._for_prompt):
            self._squares[frame.index] = square(_rgb(copied(frame), self._video.matrix))

    def found(self) -> Found:
        """The values."""
        take: Mapping[str, Callable[[], float]] = {
            "first_lpips": lambda: self._lpips("first_lpips", self._asked.image),
            "last_lpips": lambda: self._lpips("last_lpips", self._asked.end_image),
            "clip_prompt": self._prompt,
            "vb_background_consistency": self._consistency,
        }
        values, missing = {}, {}
        for name in take.keys() & self._wanted:
            try:
                values[name] = take[name]()
            except (MeasureError, ImageError, PictureError) as error:
                missing[name] = str(error)
        return Found(values, missing, {})

    def _lpips(self, name: str, picture: Picture | None) -> float:
        if picture is None:
            raise MeasureError(f"no {_ENDS[name]} was given")
        if self._video.short_side < _LEAST_LPIPS:
            raise MeasureError(f"LPIPS needs {_LEAST_LPIPS} px each way")
        distance = networks.lpips()
        seen = self._ends[name]
        height, width = seen.y.shape
        ratio = self._asked.ratio or self._video.width / self._video.height
        reference = fitted(picture, width, height, ratio, bt601=self._video.matrix in _BT601)
        return distance(_rgb(reference, self._video.matrix), _rgb(seen, self._video.matrix))

    def _prompt(self) -> float:
        if not self._asked.prompt:
            raise MeasureError("nothing is known of the prompt")
        network = networks.clip()
        pictures = [p for index, p in sorted(self._squares.items()) if index in self._for_prompt]
        return float((network.images(pictures) @ network.text(self._asked.prompt)).mean())

    def _consistency(self) -> float:
        if len(self._squares) < 2:
            raise MeasureError("the clip has one frame only")
        return consistency(networks.clip().images([p for _, p in sorted(self._squares.items())]))


def consistency(vectors: Floats) -> float:
    """VBench's mean of a frame's likeness to the one before it and to the first.

    Args:
        vectors: Shape (n, d), n ≥ 2, each of length 1.

    Returns:
        0 to 1; likenesses below 0 count as 0.
    """
    before = np.maximum((vectors[1:] * vectors[:-1]).sum(axis=1), 0)
    first = np.maximum(vectors[1:] @ vectors[0], 0)
    return float(((before + first) / 2).mean())


def square(rgb: Bytes) -> Bytes:
    """The middle of a picture as CLIP sees it: shape (SIDE, SIDE, 3)."""
    height, width = rgb.shape[:2]
    scale = networks.SIDE / min(height, width)
    size = (max(networks.SIDE, round(width * scale)), max(networks.SIDE, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (small.shape[0] - networks.SIDE) // 2, (small.shape[1] - networks.SIDE) // 2
    return np.asarray(small[top : top + networks.SIDE, left : left + networks.SIDE], np.uint8)


def _rgb(planes: Planes, matrix: int) -> Bytes:
    """Limited-range 4:2:0 as RGB, shape (h, w, 3); BT.709 unless the file says BT.601."""
    height, width = planes.y.shape
    flat = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)
    frame = av.VideoFrame.from_ndarray(flat, format="yuv420p")
    there = "ITU601" if matrix in _BT601 else "ITU709"
    return np.asarray(
        frame.reformat(format="rgb24", src_colorspace=there, src_color_range="MPEG").to_ndarray(), np.uint8
    )
