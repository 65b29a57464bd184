"""Posters small enough for a notebook's file: the bytes of all of them are bounded, however many there are."""

from __future__ import annotations

import io

POSTER_BYTES = 300_000
"""Posters of one sheet, in all; a third more as text in HTML, which JupyterLab searches for headings at each change."""

_LEAST = 1_200
_STEPS = ((320, 80), (240, 75), (240, 60), (240, 50), (200, 50), (160, 45), (160, 30), (120, 30))
"""Longer side in pixels, and JPEG quality: from what looks best to what is small."""


def share(n: int) -> int:
    """Bytes that each of n posters may have."""
    return max(_LEAST, POSTER_BYTES // max(1, n))


def reduced(jpeg: bytes, most: int) -> bytes:
    """The picture at the first size that fits into so many bytes, or else at the smallest."""
    import PIL.Image

    if len(jpeg) <= most:
        return jpeg
    picture = PIL.Image.open(io.BytesIO(jpeg)).convert("RGB")
    data = jpeg
    for side, quality in _STEPS:
        small = picture.copy()
        small.thumbnail((side, side))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        data = min(data, out.getvalue(), key=len)
        if len(data) <= most:
            break
    return data
