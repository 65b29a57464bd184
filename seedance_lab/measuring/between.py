"""Clips held against each other: how far apart two are, how unlike the clips of a set, which ones are nearly the same.

Frames are matched by their time, so that lengths and frame rates may differ; sizes are brought to a common one where
they differ. Nothing keeps a clip whole: two that are compared are decoded side by side, and of the clips of a set a few
small frames are kept.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from seedance_lab.clip import Clip
from seedance_lab.endpoints import Size
from seedance_lab.errors import ClipError, MeasureError
from seedance_lab.measuring import decode, similarity
from seedance_lab.measuring.spec import Bytes, Floats
from seedance_lab.stats import grey
from seedance_lab.stats.repeats import THRESHOLDS

ClipLike: TypeAlias = Clip | str | os.PathLike[str]

SAMPLE_S = 0.25
"""Of a set's clips one frame in so many seconds is kept: every 6th at 24 a second."""

HASHED_AT = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of a clip's length at which a frame is hashed."""

SUSPECT_BITS = 6.0
"""Clips whose hashes differ by more of the 64 bits a frame are not looked at again. Encoding at CRF 35 moves it by less
than 3; other seeds of one picture may move it no further, so the frames themselves decide."""

_HASH_SIDE, _HASH_LOW = 32, 8
_CHUNK = 1 << 20


# ── two clips ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two clips are, frame by frame.

    Attributes:
        a, b: The files.
        n_frames: Pairs of frames that were compared.
        size: Pixels at which they were.
        same_bytes: Whether the files are equal.
        same_pictures: Whether all samples of all frames are, and there are as many frames.
        ssim_min, ssim_mean: SSIM of luma (see `similarity.ssim`); the worst frame, and all.
        psnr_min, psnr_mean: PSNR of luma in dB, 100 where frames are equal.
        difference_mean, difference_max: Mean absolute difference of all samples of a frame, luma and chroma, in 8-bit
            levels; all frames, and the worst.
        worst_s: Time of the frame with the least SSIM, in seconds of clip `a`.
        series: Shape (n_frames, 4): seconds, SSIM, PSNR, difference.
        notes: What had to be made alike first.
    """

    a: Path
    b: Path
    n_frames: int
    size: Size
    same_bytes: bool
    same_pictures: bool
    ssim_min: float
    ssim_mean: float
    psnr_min: float
    psnr_mean: float
    difference_mean: float
    difference_max: float
    worst_s: float
    series: Floats = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()


def compare_clips(a: ClipLike, b: ClipLike) -> Likeness:
    """Hold two clips against each other, frame by frame: 12 ms of CPU for a pair of frames at 1248 × 704.

    Frames of one time are compared; of clips of different length, the common part. Clips of one size are compared at
    that size, others at the reduced size of the smaller (short side about 176 px).

    Args:
        a: A clip, or a file's path.
        b: Likewise.

    Raises:
        ClipError: One of them cannot be read to its end.
    """
    one, other = _path(a), _path(b)
    with decode.opened(one) as first, decode.opened(other) as second:
        notes: list[str] = []
        size = _common_size(first.video, second.video, notes)
        pairs = _pairs(first.video.times, second.video.times)
        if len(pairs) < max(len(first.video.times), len(second.video.times)):
            notes.append(
                f"Of {len(first.video.times)} and {len(second.video.times)} frames, {len(pairs)} pairs of one time "
                "were compared."
            )
        rows, equal = [], not notes
        for x, y in _side_by_side(first, second, pairs):
            left, right = _sized(x, size), _sized(y, size)
            equal = equal and all(np.array_equal(p, q) for p, q in zip(left, right, strict=True))
            rows.append((x.time, *_likeness(left, right)))
    series: Floats = np.array(rows, np.float64)
    worst = int(series[:, 1].argmin())
    return Likeness(
        a=one,
        b=other,
        n_frames=len(rows),
        size=size,
        same_bytes=_checksum(one) == _checksum(other),
        same_pictures=equal,
        ssim_min=float(series[worst, 1]),
        ssim_mean=float(series[:, 1].mean()),
        psnr_min=float(series[:, 2].min()),
        psnr_mean=float(series[:, 2].mean()),
        difference_mean=float(series[:, 3].mean()),
        difference_max=float(series[:, 3].max()),
        worst_s=float(series[worst, 0]),
        series=series,
        notes=tuple(notes),
    )


def _common_size(a: decode.Video, b: decode.Video, notes: list[str]) -> Size:
    if (a.width, a.height) == (b.width, b.height):
        return Size(a.width, a.height)
    less = a if a.width * a.height <= b.width * b.height else b
    size = Size(less.width // less.reduction, less.height // less.reduction)
    notes.append(
        f"The sizes differ ({a.width} × {a.height} and {b.width} × {b.height}): compared at "
        f"{size.width} × {size.height}."
    )
    return size


def _pairs(a: Sequence[float], b: Sequence[float]) -> list[tuple[int, int]]:
    """Which frame goes with which: each of the clip with fewer in the common time with the nearest of the other."""
    end = min(a[-1], b[-1]) + 0.5 * min(_step(a), _step(b))
    x, y = (np.array([t for t in times if t <= end]) for times in (a, b))
    if len(x) <= len(y):
        return [(i, j) for i, j in enumerate(_nearest(y, x))]
    return [(i, j) for j, i in enumerate(_nearest(x, y))]


def _step(times: Sequence[float]) -> float:
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def _nearest(times: Floats, wanted: Floats) -> list[int]:
    after = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    return [int(i) for i in np.where(wanted - times[before] <= times[after] - wanted, before, after)]


def _side_by_side(
    a: decode.Reader, b: decode.Reader, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[decode.Frame, decode.Frame]]:
    """Both clips decoded to their ends, two frames in memory at a time."""
    left, right = a.frames(), b.frames()
    x, y = next(left), next(right)
    for i, j in pairs:
        while x.index < i:
            x = next(left)
        while y.index < j:
            y = next(right)
        yield x, y
    for rest in (left, right):  # a damaged end is an error, whether it is compared or not
        for _ in rest:
            pass


def _sized(frame: decode.Frame, size: Size) -> tuple[Bytes, Bytes, Bytes]:
    if frame.luma.shape == (size.height, size.width):
        return frame.luma, frame.u, frame.v
    half = -(-size.width // 2), -(-size.height // 2)
    planes = ((frame.luma, tuple(size)), (frame.u, half), (frame.v, half))
    y, u, v = (np.asarray(cv2.resize(p, to, interpolation=cv2.INTER_AREA), np.uint8) for p, to in planes)
    return y, u, v


def _likeness(a: Sequence[Bytes], b: Sequence[Bytes]) -> tuple[float, float, float]:
    apart = sum(cv2.norm(x, y, cv2.NORM_L1) for x, y in zip(a, b, strict=True)) / sum(x.size for x in a)
    return similarity.ssim(a[0], b[0]), similarity.psnr(a[0], b[0]), apart


# ── the clips of a set ──────────────────────────────────────────────────────────────────────────────────


class Pair(NamedTuple):
    """Two clips of a set.

    Attributes:
        a, b: The files.
        similarity: Mean SSIM of their frames, 1 for the same.
    """

    a: Path
    b: Path
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """How unlike the clips of a set are.

    Attributes:
        value: 1 less the mean similarity of all pairs; 0 where all are the same.
        n_clips: How many were compared.
        n_pairs: Pairs of them.
        pairs: Each with its similarity, the most alike first.
        missing: Why a clip was left out, by file.
    """

    value: float
    n_clips: int
    n_pairs: int
    pairs: tuple[Pair, ...] = field(repr=False)
    missing: Mapping[Path, str]


def diversity(clips: Iterable[ClipLike]) -> Diversity:
    """How unlike the clips of a set are, such as those of one request over seeds.

    Of each clip one frame in 0.25 s is compared, its luma at about 176 px of short side; frames of one time with each
    other, over the length that a pair has in common. Clips that begin with one picture have that frame in common, so
    the value says how they part from it; it is lower for short clips.

    Args:
        clips: Two or more clips, or files' paths.

    Raises:
        MeasureError: Fewer than two of them can be read.
    """
    kept: dict[Path, list[Bytes]] = {}
    missing: dict[Path, str] = {}
    size: tuple[int, int] | None = None
    for path in dict.fromkeys(map(_path, clips)):
        try:
            with decode.opened(path) as reader:
                size = size or _small_size(reader.video)
                kept[path] = list(_sampled(reader, size))
        except ClipError as error:
            missing[path] = str(error)
    if len(kept) < 2:
        told = "".join(f" {reason}" for reason in missing.values())
        raise MeasureError(
            f"Diversity needs two clips or more that can be read; there are {len(kept)}.{told}"
        )
    pairs = [
        Pair(a, b, float(np.mean([similarity.ssim(x, y) for x, y in zip(kept[a], kept[b], strict=False)])))
        for a, b in itertools.combinations(kept, 2)
    ]
    return Diversity(
        value=1 - float(np.mean([pair.similarity for pair in pairs])),
        n_clips=len(kept),
        n_pairs=len(pairs),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.similarity)),
        missing=missing,
    )


def _small_size(video: decode.Video) -> tuple[int, int]:
    return video.width // video.reduction, video.height // video.reduction


def _sampled(reader: decode.Reader, size: tuple[int, int]) -> Iterator[Bytes]:
    """The frame that is shown at 0, 0.25, 0.5, … s, small."""
    times = np.array(reader.video.times)
    shown = np.searchsorted(times, np.arange(0, times[-1] + 1e-6, SAMPLE_S) + 1e-3, side="right") - 1
    wanted = {int(i) for i in shown}
    for frame in reader.frames():
        if frame.index in wanted:
            small = frame.small
            if small.shape[::-1] != size:
                small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
            yield small


# ── nearly the same ─────────────────────────────────────────────────────────────────────────────────────


class ClipHash(NamedTuple):
    """Perceptual hashes of five frames of a clip.

    Attributes:
        frames: One whole number of 64 bits for each of `HASHED_AT`.
    """

    frames: tuple[int, ...]

    def distance(self, other: ClipHash) -> float:
        """Mean number of bits that differ in a frame's hash, 0 to 64."""
        apart = [(x ^ y).bit_count() for x, y in zip(self.frames, other.frames, strict=True)]
        return sum(apart) / len(apart)

    def __str__(self) -> str:
        return "-".join(f"{bits:016x}" for bits in self.frames)


class NearPair(NamedTuple):
    """Two clips that are nearly the same.

    Attributes:
        a, b: The files.
        bits: Distance of their hashes, see `ClipHash.distance`.
        difference: Mean absolute difference of grey levels at 64 × 64, two frames a second; 0 to 255.
        same_bytes: Whether the files are equal.
    """

    a: Path
    b: Path
    bits: float
    difference: float
    same_bytes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """Which clips are nearly the same.

    Attributes:
        pairs: The most alike first.
        n_clips: How many clips were compared.
        missing: Why a clip was left out, by file.
    """

    pairs: tuple[NearPair, ...]
    n_clips: int
    missing: Mapping[Path, str]


def hash_of(clip: ClipLike) -> ClipHash:
    """Perceptual hashes of a clip's frames at 0, 1/4, 1/2, 3/4 and the end of its length.

    A frame's hash: its luma at 32 × 32, DCT-II, the 8 × 8 lowest frequencies; a bit is 1 where a coefficient is above
    the median of the 64, the lowest frequency first. It is for finding duplicates, whatever their size and encoding;
    it says little about how unlike clips are.

    Raises:
        ClipError: It is not a video that can be read.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010; as ImageHash's `phash`.
    """
    return _hash(grey.grey_frames(_path(clip)).grey)


def near_duplicates(clips: Iterable[ClipLike]) -> NearDuplicates:
    """The pairs of clips that are nearly the same, though of other size, encoding or file.

    Hashes choose the pairs that are looked at. What counts is the mean difference of grey levels, two frames a second,
    as `repeatability` judges it: up to 2 levels, and as long as each other.

    Args:
        clips: Clips, or files' paths.
    """
    kept: dict[Path, tuple[ClipHash, Bytes, str]] = {}
    missing: dict[Path, str] = {}
    for path in dict.fromkeys(map(_path, clips)):
        try:
            found = grey.grey_frames(path)
        except ClipError as error:
            missing[path] = str(error)
            continue
        kept[path] = _hash(found.grey), grey.at_equal_times(found), _checksum(path)
    pairs = []
    for (a, (hash_a, few_a, sha_a)), (b, (hash_b, few_b, sha_b)) in itertools.combinations(kept.items(), 2):
        bits = hash_a.distance(hash_b)
        if bits > SUSPECT_BITS or len(few_a) != len(few_b):
            continue
        difference = grey.distance(few_a, few_b)
        if difference <= THRESHOLDS["near"].most:
            pairs.append(NearPair(a, b, bits, difference, sha_a == sha_b))
    return NearDuplicates(
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.difference, pair.bits))),
        n_clips=len(kept),
        missing=missing,
    )


def _hash(frames: Bytes) -> ClipHash:
    return ClipHash(tuple(frame_hash(frames[round(share * (len(frames) - 1))]) for share in HASHED_AT))


def frame_hash(luma: Bytes) -> int:
    """The perceptual hash of one picture, 64 bits; see `hash_of`.

    Args:
        luma: Shape (h, w), uint8.
    """
    small = cv2.resize(luma, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_LOW, :_HASH_LOW]
    # OpenCV's transform is the orthonormal one, in which the first line and column count less by the square root of 2.
    low[0] *= np.sqrt(2)
    low[:, 0] *= np.sqrt(2)
    bits = (low > np.median(low)).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _path(clip: ClipLike) -> Path:
    return clip.path if isinstance(clip, Clip) else Path(clip)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
