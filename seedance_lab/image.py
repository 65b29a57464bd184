"""Pictures that become a clip's first or last frame, checked before anything is sent.

A picture is known by the sha256 of the exact bytes that will be uploaded, so that a path, a URL and the
bytes themselves name the same request. A URL is downloaded here rather than passed on: the service would
fetch it later, when it may hold something else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import stat
import struct
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import httpx

from seedance_lab.endpoints import Size
from seedance_lab.errors import ImageError

if TYPE_CHECKING:
    import PIL.Image

    ImageSource: TypeAlias = str | os.PathLike[str] | bytes | PIL.Image.Image | "Picture"

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
"""Pillow's format → media type. Source: BytePlus "create video task", read 2026-08-20."""

MIN_SIDE, MAX_SIDE = 300, 6000
MIN_ASPECT, MAX_ASPECT = 0.4, 2.5
MAX_BYTES = 30_000_000
"""Limits of the upstream model, read 2026-08-20; fal may add its own."""

_FETCH_TIMEOUT_S = 30.0
_ORIENTATION = 0x0112  # the EXIF tag
_LYING = frozenset({5, 6, 7, 8})
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF orientation → `PIL.Image.Transpose` that undoes it. Source: Pillow's `ImageOps.exif_transpose`."""


class Facts(NamedTuple):
    """What looking at a picture's bytes tells."""

    size: Size
    """Pixels as a viewer shows them, EXIF orientation applied."""
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that the service will take.

    Attributes:
        sha256: Hex digest of the bytes that are uploaded.
        size: Pixels as shown, EXIF orientation applied.
        media_type: Such as `image/jpeg`.
        n_bytes: Length of the bytes.
        name: File name for people; not part of the identity.
    """

    sha256: str
    size: Size
    media_type: str
    n_bytes: int
    name: str = field(compare=False)
    _data: bytes | None = field(default=None, repr=False, compare=False)
    _path: Path | None = field(default=None, repr=False, compare=False)

    def read(self) -> bytes:
        """The bytes.

        Raises:
            ImageError: The file is gone, or has changed since it was checked.
        """
        if self._data is not None:
            return self._data
        assert self._path is not None
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise ImageError(
                f"The picture {self._path} can no longer be read: {error.strerror}. Nothing was sent."
            ) from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ImageError(
                f"The picture {self._path} has changed since it was checked. Nothing was sent. "
                "Build the plan again to use the new picture."
            )
        return data

    def record(self) -> dict[str, Any]:
        """As JSON for the journal; the bytes are kept in the study's `inputs/`."""
        return {
            "sha256": self.sha256,
            "width": self.size.width,
            "height": self.size.height,
            "media_type": self.media_type,
            "n_bytes": self.n_bytes,
            "name": self.name,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], inputs: Path) -> Picture:
        """The picture of a journal line, its bytes in `inputs/<sha256>`."""
        return cls(
            sha256=record["sha256"],
            size=Size(record["width"], record["height"]),
            media_type=record["media_type"],
            n_bytes=record["n_bytes"],
            name=record["name"],
            _path=inputs / record["sha256"],
        )


def load(source: ImageSource) -> Picture:
    """Read and check a picture.

    Args:
        source: A path, an http(s) or data URL, the file's bytes, or a PIL image (sent as PNG).

    Raises:
        ImageError: It cannot be read, or the service would refuse it. Nothing was sent.
    """
    if isinstance(source, Picture):
        return source
    path: Path | None = None
    scheme = source[:8].lower() if isinstance(source, str) else ""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "picture"
    elif isinstance(source, str) and scheme.startswith("data:"):
        data, name = _from_data_url(source), "picture"
    elif isinstance(source, str) and scheme.startswith(("http://", "https://")):
        data, name = _fetch(source), urllib.parse.urlsplit(source).path.rsplit("/", 1)[-1] or "picture"
    elif isinstance(source, str | os.PathLike):
        path, data = _from_file(source)
        name = path.name
    elif hasattr(source, "save") and hasattr(source, "getbands"):
        data, name = _from_pil(source), "picture.png"
    else:
        raise ImageError(
            f"image={type(source).__name__} is not a picture; give a path, a URL, bytes or a PIL image. "
            "Nothing was sent."
        )
    facts = check(data, name)
    return Picture(
        sha256=hashlib.sha256(data).hexdigest(),
        size=facts.size,
        media_type=facts.media_type,
        n_bytes=len(data),
        name=name,
        _data=None if path else data,
        _path=path,
    )


class Unfit(Exception):
    """A file that the service would not take as a picture.

    Args:
        kind: What is wrong with it.
        said: The same in words, continuing "The picture …".
    """

    def __init__(
        self, kind: Literal["unreadable", "format", "too_small", "too_large", "aspect"], said: str
    ) -> None:
        super().__init__(said)
        self.kind = kind


def check(data: bytes, name: str) -> Facts:
    """Decode the picture and hold it against the service's limits.

    Raises:
        ImageError: With the value, what is allowed, and what to do.
    """
    if not data:
        raise ImageError(f"The picture {name!r} is empty. Nothing was sent.")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_heavy(f"The picture {name!r} has {len(data) / 1e6:.1f} MB"))
    try:
        return inspect(io.BytesIO(data))
    except Unfit as unfit:
        advice = " Crop it first." if unfit.kind == "aspect" else ""
        raise ImageError(f"The picture {name!r} {unfit}. Nothing was sent.{advice}") from unfit


def inspect(file: Path | io.BytesIO) -> Facts:
    """Decode a picture and hold its format and shape against the service's limits.

    Raises:
        Unfit: The service would not take it.
    """
    # Pillow costs 0.1 s to import, and most of this package never looks at a picture.
    import PIL.Image

    try:
        # Pillow's own warning about very many pixels is let through: filters belong to the whole process,
        # and changing them for a moment here would change them for whatever runs in other threads.
        with PIL.Image.open(file) as image:
            media_type = _media_type(image.format)
            _check_shape(Size(*image.size))
            image.load()
            return Facts(_as_shown(image), media_type)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        # Pillow stops at 179 million pixels, of which one side must have more than the service takes.
        raise Unfit("too_large", f"has too many pixels; each side must be at most {MAX_SIDE} px") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise Unfit("unreadable", f"cannot be read as an image ({_plain(error)})") from error


def _plain(error: Exception) -> str:
    """Pillow's words without the object's address that it puts into some of them."""
    return str(error).split(" <", 1)[0]


def _media_type(name: str | None) -> str:
    if name not in MEDIA_TYPES:
        raise Unfit("format", f"is {name}; the service takes JPEG, PNG, WebP, BMP, TIFF and GIF")
    return MEDIA_TYPES[name]


def _check_shape(size: Size) -> None:
    width, height = size
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        raise Unfit(
            "too_small" if min(size) < MIN_SIDE else "too_large",
            f"is {width}×{height} px; each side must be {MIN_SIDE} to {MAX_SIDE} px",
        )
    if not MIN_ASPECT <= width / height <= MAX_ASPECT:
        raise Unfit(
            "aspect",
            f"is {width}×{height} px, an aspect of {width / height:.2f}; the service takes "
            f"{MIN_ASPECT} to {MAX_ASPECT}",
        )


def _too_heavy(subject: str) -> str:
    return (
        f"{subject}; the service takes up to {MAX_BYTES / 1e6:.0f} MB. Nothing was sent. "
        "Save it as JPEG, or smaller."
    )


def _orientation(image: PIL.Image.Image) -> int:
    """EXIF's word on which way up it is shown, 1 to 8; 1 is as stored."""
    return int(image.getexif().get(_ORIENTATION) or 1)


def _as_shown(image: PIL.Image.Image) -> Size:
    width, height = image.size
    return Size(height, width) if _orientation(image) in _LYING else Size(width, height)


def _from_pil(image: PIL.Image.Image) -> bytes:
    """The picture as PNG, the way up that it is shown: PNG readers rarely look at EXIF."""
    try:
        if turn := _TURNS.get(_orientation(image)):
            image = image.transpose(turn)  # type: ignore[arg-type]  # Pillow's enum has these numbers
        if image.mode not in {"RGB", "RGBA", "L", "LA", "P", "1", "I;16"}:
            image = image.convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", exif=b"")
    except (OSError, ValueError, SystemError, AttributeError, TypeError) as error:
        raise ImageError(f"The PIL image cannot be written as PNG ({error}). Nothing was sent.") from error
    return buffer.getvalue()


def _from_file(source: str | os.PathLike[str]) -> tuple[Path, bytes]:
    try:
        path = Path(source).expanduser().absolute()
        facts = path.stat()
        if facts.st_size > MAX_BYTES:
            raise ImageError(_too_heavy(f"The picture {str(path)!r} has {facts.st_size / 1e6:.1f} MB"))
        # A pipe or a device may never end.
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise ImageError(f"The picture {str(path)!r} is not a regular file. Nothing was sent.")
        return path, path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"The picture {str(source)!r} cannot be read: {error.strerror or error}. Nothing was sent."
        ) from error
    except (ValueError, RuntimeError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"The picture {source!r} is not a path that can be read ({error}). Nothing was sent."
        ) from error


def _from_data_url(url: str) -> bytes:
    head, _, body = url.partition(",")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"The data URL of the picture is damaged ({error}). Nothing was sent.") from error


def _fetch(url: str) -> bytes:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise ImageError(
            f"The picture's address cannot be understood ({error}). Nothing was sent."
        ) from error
    # A query may hold a signature, and what stands before the host a password.
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    data = bytearray()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_FETCH_TIMEOUT_S) as response:
            if response.status_code != httpx.codes.OK:
                raise ImageError(
                    f"The picture at {shown} answered HTTP {response.status_code}. Nothing was sent."
                )
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise ImageError(
                        f"The picture at {shown} has over {MAX_BYTES / 1e6:.0f} MB, the most that the service "
                        "takes. Nothing was sent."
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ImageError(
            f"The picture at {shown} cannot be downloaded ({type(error).__name__}: {error}). Nothing was sent."
        ) from error
    return bytes(data)
