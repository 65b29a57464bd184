"""The pictures that the documents use as examples, served from this machine.

An example is meant to be run as it stands. Its picture lies on a host that was switched off (fal's legacy CDN,
read 2026-11-23), and a simulator should not need the network for its first video.
"""

from __future__ import annotations

from pathlib import Path

_SHIPPED = Path(__file__).parent.parent / "pictures" / "harbour.jpg"

_EXAMPLES = {
    # The image-to-video page's own example, read 2026-08-20.
    "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png": _SHIPPED,
}


def example(url: str) -> Path | None:
    """The shipped picture that stands for a documented example; None for every other URL."""
    return _EXAMPLES.get(url)
