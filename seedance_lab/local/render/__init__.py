"""The embedded engine's renderer: a seeded, deterministic animator of the user's own picture.

It is a stand-in for the hosted model while a sweep is being designed: a virtual camera over guessed
depth, local movement, a morph to the end image. It cannot make a dog run. Its files say what they
are in their metadata. OpenCV and FFmpeg are loaded when a name is first used, so that a worker can start
and be spoken to before it draws.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedance_lab.local.render.film import render
    from seedance_lab.local.render.job import FPS, Job, PictureError, Rendered

__all__ = ["FPS", "Job", "PictureError", "Rendered", "render"]

_HOMES = {"FPS": "job", "Job": "job", "PictureError": "job", "Rendered": "job", "render": "film"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
