"""A grid of clips where no kernel runs: as HTML for a notebook's file, as a page of its own, as one video.

All of them draw one snapshot, the JSON that the living grid gets too, so they show the same cells under the same
headings. They know nothing of studies: a snapshot, and a function from a cell's id to its clip, is all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_lab.clip import Clip

Snapshot = Mapping[str, Any]
"""`{v, title, columns, cells, view, live}`: what a grid shows, as JSON."""

ClipOf = Callable[[str], Clip | None]
"""From a cell's id to its clip; None where there is none."""

__all__ = ["ClipOf", "Snapshot"]
