"""Seeded numbers, named rather than drawn in turn.

Each number is a hash of seed, name and index, so a new feature does not reshuffle the old ones, and
nothing depends on numpy's generators, whose streams may change between versions.
"""

import functools
import hashlib
import math

import cv2
import numpy as np

from seedance_lab.local.render.planes import F32, F64

_TURN = 16384  # steps of the sine table: 0.0004 at most beside the truth, 0.003 pixels in the tallest wave
_SINES = np.sin(np.arange(_TURN) * (math.tau / _TURN))


def sine(angle: F64 | F32) -> F64:
    """The sine of an array from a table: a fifth of the time, and the same bits on every CPU."""
    return np.asarray(_SINES[(angle * (_TURN / math.tau)).astype(np.int32) & (_TURN - 1)])


@functools.lru_cache(maxsize=4096)  # asked again for every frame
def uniform(seed: int, name: str, index: int = 0) -> float:
    """A number in [0, 1) that belongs to this seed, name and index for ever."""
    digest = hashlib.blake2b(f"{seed}/{name}/{index}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def between(seed: int, name: str, low: float, high: float, index: int = 0) -> float:
    """`uniform`, scaled to [low, high)."""
    return low + (high - low) * uniform(seed, name, index)


def sign(seed: int, name: str, index: int = 0) -> float:
    """Either -1.0 or 1.0."""
    return 1.0 if uniform(seed, name, index) < 0.5 else -1.0


def lattice(seed: int, name: str, rows: int, cols: int) -> F32:
    """White noise in [0, 1), shape (rows, cols), from one long hash."""
    digest = hashlib.shake_256(f"{seed}/{name}/{rows}x{cols}".encode()).digest(rows * cols * 2)
    values = np.frombuffer(digest, ">u2").astype(np.float32) * np.float32(2**-16)
    return np.asarray(values.reshape(rows, cols), np.float32)


def field(seed: int, name: str, rows: int, cols: int, *, cell: float) -> F32:
    """Smooth noise in about [-1, 1], shape (rows, cols), with blobs of about `cell` pixels."""
    small = lattice(seed, name, max(3, round(rows / cell) + 3), max(3, round(cols / cell) + 3)) * 2 - 1
    big = cv2.resize(small, (cols, rows), interpolation=cv2.INTER_LINEAR)
    width = max(1, round(cell)) | 1
    out: F32 = cv2.blur(big, (width, width)) * np.float32(1.6)
    return out


def tile(seed: int, name: str, size: int, *, octaves: tuple[int, ...] = (8, 16, 32)) -> F32:
    """Cloudy noise in [0, 1] that repeats without a seam, shape (size, size)."""
    total = np.zeros((size, size), np.float32)
    for n in octaves:
        wrapped = np.pad(lattice(seed, f"{name}/{n}", n, n), 2, mode="wrap")
        big = cv2.resize(wrapped, None, fx=size / n, fy=size / n, interpolation=cv2.INTER_LINEAR)
        width = (size // n) | 1
        edge = 2 * size // n
        total += cv2.blur(big, (width, width))[edge : edge + size, edge : edge + size] / n
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), np.float32)


def smoothstep(low: float, high: float, x: float) -> float:
    """0 below `low`, 1 above `high`, with level ends between."""
    u = min(1.0, max(0.0, (x - low) / (high - low)))
    return u * u * (3 - 2 * u)


def wander(seed: int, name: str, seconds: F64) -> F64:
    """A hand's tremor over time: sinusoids of 0.25 to 2.2 Hz, slower ones larger; about [-1, 1], 0 at 0."""
    total = np.zeros_like(seconds)
    start = 0.0
    for i, hertz in enumerate((0.25, 0.42, 0.7, 1.05, 1.55, 2.2)):
        phase = math.tau * uniform(seed, name, i)
        size = between(seed, f"{name}/size", 0.7, 1.3, i) * 0.25 / hertz
        total += size * np.sin(math.tau * hertz * seconds + phase)
        start += size * math.sin(phase)
    return (total - start) * 0.45
