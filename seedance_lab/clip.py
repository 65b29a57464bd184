"""A finished video file and its facts."""

from __future__ import annotations

import base64
import html
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from seedance_lab import media
from seedance_lab.errors import ClipError
from seedance_lab.record import Record
from seedance_lab.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A finished video file.

    Attributes:
        path: The MP4.
        request: What was asked for; None for a file that no study made.
        record: The request's story: latency, cost, ids; None likewise.
        views: Folder where the poster and the proxy are kept; derived, may be deleted.
    """

    path: Path
    request: Request | None = None
    record: Record | None = field(default=None, repr=False)
    views: Path | None = field(default=None, repr=False)

    @property
    def key(self) -> str | None:
        """The request's key."""
        return self.request.key if self.request else None

    @property
    def seed(self) -> int | None:
        """The seed that the service says it used."""
        return self.record.returned_seed if self.record else None

    @property
    def output_url(self) -> str | None:
        """Where the service keeps the video, for as long as it does."""
        return self.record.output_url if self.record else None

    @property
    def title(self) -> str:
        """A caption: what a person tells clips apart by."""
        if self.request is None:
            return self.path.name
        seed = self.seed if self.seed is not None else self.request.seed
        told = "random seed" if seed is None else f"seed {seed}"
        return f"{self.request.resolution} · {self.request.duration} s · {told}"

    def facts(self) -> media.FileFacts:
        """What the file says of itself.

        Raises:
            ClipError: It is gone, or is not a video.
        """
        return media.facts(self.path)

    def poster(self) -> bytes:
        """The first frame as a small JPEG.

        Raises:
            ClipError: The file is gone, or is not a video.
        """
        kept = self._kept("jpg")
        if kept is not None and kept.exists():
            return kept.read_bytes()
        data = media.poster(self.path)
        if kept is not None:
            part = kept.with_name(f".{kept.name}.{uuid.uuid4().hex}.part")
            part.write_bytes(data)
            part.replace(kept)
        return data

    def proxy(self) -> bytes:
        """A small H.264 copy, longer side 320 px.

        Raises:
            ClipError: The file is gone, or is not a video.
        """
        kept = self._kept("mp4")
        if kept is None:
            raise ClipError(f"{self.path} belongs to no study, so there is no folder for its proxy.")
        if not kept.exists():
            media.proxy(self.path, kept)
        return kept.read_bytes()

    def _kept(self, suffix: str) -> Path | None:
        if self.views is None:
            return None
        self.views.mkdir(exist_ok=True)
        return self.views / f"{self.path.stem}.{suffix}"

    def _repr_html_(self) -> str:
        """The clip itself, playing inline; it survives the notebook's sanitiser and needs no kernel."""
        video = base64.b64encode(self.path.read_bytes()).decode()
        return (
            f'<figure style="margin:0"><video src="data:video/mp4;base64,{video}" controls loop muted '
            f'preload="metadata" style="max-width:100%"></video>'
            f"<figcaption>{html.escape(self.title)}</figcaption></figure>"
        )


def file_name(key: str) -> str:
    """A key as a file name: a colon is not allowed everywhere."""
    return key.replace(":", "-") + ".mp4"
