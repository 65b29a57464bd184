"""The pictures of a panel: each is read and checked once, for as long as it stays the same.

A picture that cannot be had is remembered too: an address that does not answer must not be asked at each key press.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedance_lab import image as images
from seedance_lab.errors import LabError
from seedance_lab.image import Picture
from seedance_lab.view.fields import ImageSource, Upload


class Pictures:
    """What was read so far. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Any, Picture | LabError] = {}

    def get(self, source: ImageSource) -> Picture:
        """The picture; an address is fetched the first time, which may take half a minute.

        Raises:
            ImageError: It cannot be read, or the service would not take it.
        """
        known_as = _identity(source)
        with self._lock:
            known = self._known.get(known_as)
        if known is None:
            known = _loaded(source)
            with self._lock:
                self._known[known_as] = known
        if isinstance(known, LabError):
            # A new one each time: a raised error keeps the frames that it went through.
            raise type(known)(*known.args) from known
        return known

    def is_known(self, source: ImageSource) -> bool:
        """Whether it was looked at, so that `get` answers at once."""
        with self._lock:
            return _identity(source) in self._known

    def forget_failures(self, sources: Iterable[ImageSource]) -> None:
        """Look again at those of these that could not be had."""
        with self._lock:
            for known_as in map(_identity, sources):
                if isinstance(self._known.get(known_as), LabError):
                    del self._known[known_as]


def is_far(source: ImageSource) -> bool:
    """Whether it is fetched over the network."""
    return isinstance(source, str) and source.strip()[:8].lower().startswith(("http://", "https://"))


def named(source: ImageSource, picture: Picture, folder: Path) -> str:
    """What names the picture in code: its path or address, else its copy in the study's `inputs/`.

    Raises:
        OSError: The copy cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source).strip()
        if not text[:5].lower().startswith("data:"):
            return text
    return kept(picture, folder)


def kept(picture: Picture, folder: Path) -> str:
    """The picture's copy in the study's `inputs/`, made if it is not there, as a run would make it.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / "inputs" / picture.sha256
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_bytes(picture.read())
        part.replace(path)
    return str(path)


def _loaded(source: ImageSource) -> Picture | LabError:
    assert source is not None
    try:
        if isinstance(source, Upload):
            return replace(images.load(source.data), name=source.name)
        return images.load(source.strip() if isinstance(source, str) else source)
    except LabError as error:
        return error


def _identity(source: ImageSource) -> Any:
    """What a picture is known by while the panel is open; a file that was changed is another one."""
    if source is None or isinstance(source, Upload | Picture | bytes):
        return source
    if hasattr(source, "getbands"):  # a PIL image
        return id(source)
    text = os.fspath(source).strip()
    try:
        stat = Path(text).expanduser().stat()
    except (OSError, ValueError, RuntimeError):
        return text
    return text, stat.st_mtime_ns, stat.st_size
