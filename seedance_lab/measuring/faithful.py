"""Whether the clip begins and ends with the pictures that it was given.

The input picture is cropped and scaled as the service does it (see `local.render.fit`), then the first frame is held
against it; the last frame against the end image likewise. All numbers but the colours are of the luma at full size.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import av
import cv2
import numpy as np

from seedance_lab.errors import ImageError
from seedance_lab.image import Picture
from seedance_lab.local.render import fit
from seedance_lab.local.render.job import PictureError
from seedance_lab.local.render.planes import from_rgb
from seedance_lab.measuring import similarity
from seedance_lab.measuring.align import NONE, Alignment, alignment
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.spec import Bytes, Found, Measure

_STILL_PX = 0.1
"""A smaller misplacement is none: the alignment is that exact, and SSIM hardly sees it."""

_BT601 = frozenset({5, 6})
_HDR = {16: "PQ", 18: "HLG"}
_LEAST_SIDE = 16


class _End(NamedTuple):
    """One of the two frames that were given."""

    name: str
    frame: str
    picture: str


_ENDS = (_End("first", "first frame", "input picture"), _End("last", "last frame", "end image"))


def _measures(end: _End) -> Iterator[Measure]:
    against = f"{end.frame} against the {end.picture} as the service crops and scales it"
    yield Measure(
        name=f"{end.name}_ssim",
        unit="",
        doc=f"SSIM of luma, {against}; Gaussian window, σ 1.5",
        group="faithfulness",
        low=-1,
        high=1,
        better="more",
        source="Wang et al., IEEE TIP 2004; equal to scikit-image",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_psnr",
        unit="dB",
        doc=f"PSNR of luma, {against}; 100 where they are equal",
        group="faithfulness",
        low=0,
        high=similarity.MOST_DB,
        better="more",
        source="equal to FFmpeg's psnr_y",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_gmsd",
        unit="",
        doc=f"Gradient magnitude similarity deviation, {against}; 0 is the same",
        group="faithfulness",
        low=0,
        better="less",
        source="Xue et al., IEEE TIP 2014",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_aligned_ssim",
        unit="",
        doc=f"The same SSIM after the best shift (to 5 % of the short side) and stretch (to 3 %) of the {end.picture}; "
        "never less than without",
        group="faithfulness",
        low=-1,
        high=1,
        better="more",
        source="Lucas and Kanade 1981, with gain and offset; then Wang et al.",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_misplaced",
        unit="px",
        doc="How far that shift and stretch moves a corner; 0 below 0.1 px and where none makes the two more alike",
        group="faithfulness",
        low=0,
        better="less",
        source="as before",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_colour_shift",
        unit="ΔE",
        doc=f"Mean CIE 1976 colour difference, {against}, both reduced; about 2 is seen side by side",
        group="faithfulness",
        low=0,
        better="less",
        source="CIE 15:2004; equal to scikit-image's deltaE_cie76",
        of_request=True,
    )
    yield Measure(
        name=f"{end.name}_ms_ssim",
        unit="",
        doc=f"Multi-scale SSIM of luma, {against}; forgives what is only seen from near",
        group="faithfulness",
        low=0,
        high=1,
        better="more",
        source="Wang et al., Asilomar 2003",
        tier="full",
        of_request=True,
    )


MEASURES = tuple(measure for end in _ENDS for measure in _measures(end))


class Planes(NamedTuple):
    """A picture as limited-range Y'CbCr, 4:2:0: y of shape (h, w), u and v of shape (h/2, w/2), uint8."""

    y: Bytes
    u: Bytes
    v: Bytes


class Collector:
    """Keeps the first and the last frame; compares them at the end.

    Args:
        video: The file.
        asked: What it was asked to be.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        self._video, self._asked, self._wanted = video, asked, wanted
        self._kept: dict[str, Planes] = {}
        self._first: Future[Found] | None = None
        self._keeps = {end.name: any(m.name in wanted for m in _measures(end)) for end in _ENDS}

    def see(self, frame: Frame) -> None:
        """One more frame."""
        if frame.index == 0 and self._keeps["first"] and self._asked.image:
            self._kept["first"] = copied(frame)
            # On a thread of its own: the rest of the clip is decoded meanwhile.
            thread = ThreadPoolExecutor(1, thread_name_prefix="seedance_lab measuring")
            self._first = thread.submit(self._end, _ENDS[0], self._asked.image)
            thread.shutdown(wait=False)
        if frame.index >= self._video.n_frames - 1 and self._keeps["last"] and self._asked.end_image:
            self._kept["last"] = copied(frame)

    def found(self) -> Found:
        """The values."""
        last = self._end(_ENDS[1], self._asked.end_image)
        first = self._first.result() if self._first else self._end(_ENDS[0], self._asked.image)
        return Found({**first.values, **last.values}, {**first.missing, **last.missing}, {})

    def _end(self, end: _End, picture: Picture | None) -> Found:
        """What one end of the clip gives."""
        names = [m.name for m in _measures(end)]
        try:
            frame = self._kept.get(end.name)
            if (reason := self._why_not(end, picture)) or picture is None or frame is None:
                return Found({}, dict.fromkeys(names, reason or "the clip has no such frame"), {})
            reference = self._reference(picture, frame)
        except (ImageError, PictureError) as error:
            return Found({}, dict.fromkeys(names, f"the {end.picture} cannot be read: {error}"), {})
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        self._compare(end, reference, frame, values, missing)
        return Found(values, missing, {})

    def _why_not(self, end: _End, picture: Picture | None) -> str:
        if picture is None:
            known = self._asked.size is not None or self._asked.image is not None
            return f"no {end.picture} was given" if known else "nothing is known of what was asked for"
        if curve := _HDR.get(self._video.transfer):
            return f"the clip is HDR ({curve}) and the {end.picture} is not"
        if self._video.short_side < _LEAST_SIDE:
            return f"the clip is less than {_LEAST_SIDE} px wide or high"
        return ""

    def _reference(self, picture: Picture, frame: Planes) -> Planes:
        height, width = frame.y.shape
        ratio = self._asked.ratio or self._video.width / self._video.height
        return fitted(picture, width, height, ratio, bt601=self._is_bt601)

    @property
    def _is_bt601(self) -> bool:
        return self._video.matrix in _BT601

    def _compare(
        self, end: _End, reference: Planes, frame: Planes, values: dict[str, float], missing: dict[str, str]
    ) -> None:
        take: dict[str, Callable[[Bytes, Bytes], float]] = {
            "psnr": similarity.psnr,
            "gmsd": similarity.gmsd,
            "ms_ssim": similarity.ms_ssim,
        }
        wanted = {n.removeprefix(f"{end.name}_") for n in self._wanted if n.startswith(f"{end.name}_")}
        if "ms_ssim" in wanted and min(frame.y.shape) < similarity.MS_SSIM_SIDE:
            missing[f"{end.name}_ms_ssim"] = f"MS-SSIM needs {similarity.MS_SSIM_SIDE} px each way"
            wanted.discard("ms_ssim")
        for name in wanted & take.keys():
            values[f"{end.name}_{name}"] = take[name](reference.y, frame.y)
        if "colour_shift" in wanted:
            values[f"{end.name}_colour_shift"] = colour_shift(
                reference, frame, self._video.reduction, bt601=self._is_bt601
            )
        if wanted & {"ssim", "aligned_ssim", "misplaced"}:
            values[f"{end.name}_ssim"] = plain = similarity.ssim(reference.y, frame.y)
        if wanted & {"aligned_ssim", "misplaced"}:
            aligned = _aligned(reference.y, frame.y, plain, self._video.reduction)
            values[f"{end.name}_aligned_ssim"], values[f"{end.name}_misplaced"] = aligned


class Aligned(NamedTuple):
    """SSIM after the alignment, and how far that moves a corner in pixels."""

    ssim: float
    misplaced: float


def _aligned(reference: Bytes, seen: Bytes, plain: float, reduction: int) -> Aligned:
    height, width = seen.shape
    size = width // reduction, height // reduction
    whole = size[0] * reduction, size[1] * reduction
    small = [
        cv2.resize(p[: whole[1], : whole[0]], size, interpolation=cv2.INTER_AREA) for p in (reference, seen)
    ]
    found = alignment(np.asarray(small[0], np.uint8), np.asarray(small[1], np.uint8)).scaled(reduction)
    misplaced = found.farthest(width, height)
    if found == NONE or misplaced < _STILL_PX:
        return Aligned(plain, 0.0)
    inner = _common(found, whole)
    if min(inner[0].stop - inner[0].start, inner[1].stop - inner[1].start) < _LEAST_SIDE:
        return Aligned(plain, 0.0)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        reference, found.matrix(*whole), whole, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    after = similarity.ssim(np.asarray(moved[inner], np.uint8), seen[inner])
    return Aligned(after, misplaced) if after > plain else Aligned(plain, 0.0)


def _common(found: Alignment, size: tuple[int, int]) -> tuple[slice, slice]:
    """Lines and columns of a picture that the other one has as well."""
    spans = []
    for side, stretch, shift in zip(size, found[:2], found[2:], strict=True):
        half = (side - 1) / 2
        low, high = ((end - shift) / stretch + half for end in (-half, half))
        spans.append(slice(max(0, int(np.ceil(low))), min(side, int(high) + 1)))
    return spans[1], spans[0]


def colour_shift(a: Planes, b: Planes, reduction: int, *, bt601: bool = False) -> float:
    """Mean CIE 1976 difference of two pictures' colours, each the mean of blocks of `reduction` pixels; 0 or more."""
    apart = _lab(a, reduction, bt601) - _lab(b, reduction, bt601)
    return float(np.sqrt((apart * apart).sum(axis=2)).mean(dtype=np.float64))


def _lab(planes: Planes, reduction: int, bt601: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    height, width = (max(1, side // reduction) for side in planes.y.shape)
    y, u, v = (
        cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) for p in planes
    )
    y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    red, blue = (0.299, 0.114) if bt601 else (0.2126, 0.0722)
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    rgb = np.clip(np.dstack([r, g, b]), 0, 1)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), np.float32)


@functools.lru_cache(maxsize=4)
def fitted(picture: Picture, width: int, height: int, ratio: float, *, bt601: bool = False) -> Planes:
    """The picture as the service crops and scales it; the last four are kept, as a sweep uses few in many clips.

    Args:
        picture: What was sent.
        width: Of the clip, even.
        height: Likewise.
        ratio: Width by height, to which it is cropped around its middle before it is scaled.
        bt601: Whether Y'CbCr is that of BT.601, where the file says so; else BT.709.

    Raises:
        ImageError: The picture's file is gone or has changed.
        PictureError: It is damaged.
    """
    canvas = fit.fit(fit.load(io.BytesIO(picture.read())), width, height, ratio)
    rgb = np.ascontiguousarray(
        canvas.rgb[canvas.top : canvas.top + height, canvas.left : canvas.left + width]
    )
    if not bt601:
        planes = from_rgb(rgb)
        return Planes(planes.y, planes.u.copy(), planes.v.copy())
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace="ITU601",
        dst_color_range="MPEG",  # names: PyAV 14 takes no numbers
    )
    flat = frame.to_ndarray()
    u, v = flat[height:].reshape(2, height // 2, width // 2)
    return Planes(flat[:height], u, v)


def copied(frame: Frame) -> Planes:
    """The frame to keep, without the last line of an odd side."""
    height, width = (side // 2 for side in frame.luma.shape)
    return Planes(
        frame.luma[: 2 * height, : 2 * width].copy(),
        frame.u[:height, :width].copy(),
        frame.v[:height, :width].copy(),
    )
