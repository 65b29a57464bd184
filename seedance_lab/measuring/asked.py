"""What a clip was asked to be: that some measures hold it against."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from seedance_lab.clip import Clip
from seedance_lab.endpoints import FPS, Size, ratio_value
from seedance_lab.image import Picture


class Asked(NamedTuple):
    """What was asked for; empty for a file that no study made.

    Attributes:
        size: Pixels of the clip.
        fps: Frames per second.
        seconds: Length.
        ratio: Width by height to which the service crops the pictures; not quite that of `size`.
        camera_fixed: Whether the camera was to stand still.
        prompt: The text.
        image, end_image: First and last frame.
        estimate_usd: Price when it was sent.
        usd_per_million_tokens: Of the endpoint, as published.
    """

    size: Size | None = None
    fps: float | None = None
    seconds: int | None = None
    ratio: float | None = None
    camera_fixed: bool = False
    prompt: str = ""
    image: Picture | None = None
    end_image: Picture | None = None
    estimate_usd: float | None = None
    usd_per_million_tokens: float | None = None

    @classmethod
    def of(cls, clip: Clip) -> Asked:
        """What this clip was asked to be."""
        request = clip.request
        if request is None:
            return cls()
        endpoint = request.endpoint
        picture = request.image.size if request.image else None
        return cls(
            size=request.size,
            fps=FPS,
            seconds=request.duration,
            ratio=ratio_value(endpoint.ratio(request.aspect_ratio, picture)),
            camera_fixed=bool(request.arguments.get("camera_fixed")),
            prompt=request.prompt,
            image=request.image,
            end_image=request.end_image,
            estimate_usd=clip.record.usd if clip.record else None,
            usd_per_million_tokens=endpoint.price.usd_per_million_tokens,
        )

    @property
    def digest(self) -> str:
        """Changes whenever one of these facts does."""
        told = [p.sha256 if isinstance(p, Picture) else p for p in self]
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]
