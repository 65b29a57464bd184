"""A finished video file and its facts."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import html
import os
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from seedance_lab import media
from seedance_lab.errors import ClipError
from seedance_lab.record import Record
from seedance_lab.request import Request

CACHE_BYTES = 1_000_000_000
"""Posters and proxies of files that belong to no study, in all; about 10,000 clips. The oldest ones go first."""

_MAKING: dict[Path, threading.Lock] = {}
"""What is being made now, so that two threads which want it make it once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A finished video file.

    Attributes:
        path: The MP4.
        request: What was asked for; None for a file that no study made.
        record: The request's story: latency, cost, ids; None likewise.
        views: Folder where the poster and the proxy are kept; derived, may be deleted. Without one they are
            kept in the user's cache folder, by the content of the file.
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
        """The first frame as a small JPEG, made once.

        Raises:
            ClipError: The file is gone, or is not a video.
        """
        return self._kept("jpg", lambda to: _write(to, media.poster(self.path)))

    def proxy(self) -> bytes:
        """A small H.264 copy, longer side 320 px, made once. Its frames and their times are the file's.

        Raises:
            ClipError: The file is gone, or is not a video.
        """
        return self._kept("mp4", lambda to: media.proxy(self.path, to))

    def _kept(self, suffix: str, make: Callable[[Path], None]) -> bytes:
        """What was made of this file before, else made now and kept: with the study, else in the user's cache.

        Without any folder that can be written to (a read-only study on a full disk) it is made each time.
        """
        try:
            if self.views is not None:
                with contextlib.suppress(OSError):  # a study that can only be read
                    self.views.mkdir(exist_ok=True)
                    return _once(self.views / f"{self.path.stem}.{suffix}", make)
            with contextlib.suppress(OSError):
                return _once(_cached(self.path, suffix), make)
            with tempfile.TemporaryDirectory(prefix="seedance-lab-") as scratch:
                return _once(Path(scratch) / f"view.{suffix}", make)
        except OSError as error:
            raise ClipError(f"{self.path} cannot be read ({error}).") from error

    def _repr_html_(self) -> str:
        """The clip itself, playing inline; it survives the notebook's sanitiser and needs no kernel."""
        title = html.escape(self.title)
        try:
            codec = self.facts().codec
            shown = codec in media.SHOWN_BY_BROWSERS
            video = base64.b64encode(self.path.read_bytes() if shown else self.proxy()).decode()
        except (ClipError, OSError) as error:
            return f'<figure style="margin:0"><b>{html.escape(str(error))}</b><figcaption>{title}</figcaption></figure>'
        note = (
            ""
            if shown
            else f" · the file is {html.escape(codec)}, which browsers do not show: a small copy of it"
        )
        return (
            f'<figure style="margin:0"><video src="data:video/mp4;base64,{video}" controls loop muted '
            f'preload="metadata" style="max-width:100%"></video>'
            f"<figcaption>{title}{note}</figcaption></figure>"
        )


def file_name(key: str) -> str:
    """A key as a file name: a colon is not allowed everywhere."""
    return key.replace(":", "-") + ".mp4"


def _once(kept: Path, make: Callable[[Path], None]) -> bytes:
    if not kept.exists():
        if not os.access(kept.parent, os.W_OK):
            raise PermissionError(f"{kept.parent} cannot be written to")
        with _MAKING.setdefault(kept, threading.Lock()):
            try:
                if not kept.exists():
                    make(kept)
            finally:
                _MAKING.pop(kept, None)
    return kept.read_bytes()


def _write(to: Path, data: bytes) -> None:
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _cached(path: Path, suffix: str) -> Path:
    """Where the cache keeps what was made of this content.

    Raises:
        OSError: The file is gone, or the cache cannot be written.
    """
    stat = path.stat()
    digest = _digest(path, stat.st_size, stat.st_mtime_ns)
    import platformdirs

    folder = _tidied(Path(platformdirs.user_cache_path("seedance-lab", appauthor=False)) / "views")
    return folder / f"{digest}-{stat.st_size}.{suffix}"


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001  # a changed file is another entry
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@functools.lru_cache
def _tidied(folder: Path) -> Path:
    """The folder, its oldest files deleted where there are too many. Looked at once a process: that is enough."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[tuple[float, int, str]] = []
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # another process tidies up too
            stat = entry.stat()
            found.append((stat.st_mtime, stat.st_size, entry.path))
    over = sum(size for _, size, _ in found) - CACHE_BYTES
    for _, size, name in sorted(found):
        if over <= 0:
            break
        Path(name).unlink(missing_ok=True)
        over -= size
    return folder
