"""The pictures of a request: fetched, then held against the model's limits before any work is done."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from seedance_lab.endpoints import Size
from seedance_lab.image import MAX_BYTES, MAX_SIDE, MIN_SIDE, Unfit, inspect
from seedance_lab.local.examples import example
from seedance_lab.local.fetch import Fetcher, FetchError, FetchTooLargeError
from seedance_lab.local.files import Files
from seedance_lab.local.refusals import refuse, refuse_value

_REMEMBERED = 256
_FORMATS = [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tiff", ".gif"]


class Picture(NamedTuple):
    """A picture that can be used. `temporary` files are the request's own, and go with it."""

    path: Path
    size: Size
    temporary: bool


class Pictures:
    """Finds, fetches and checks pictures.

    Args:
        files: Where own uploads are.
        fetcher: Gets everything else.
    """

    def __init__(self, files: Files, fetcher: Fetcher) -> None:
        self._files = files
        self._fetcher = fetcher
        # A sweep sends hundreds of requests with one picture; decoding it once is enough, its bytes
        # never change.
        self._sizes: dict[str, Size] = {}

    async def get(self, url: str, field: str) -> Picture:
        """The picture that input `field` names.

        Raises:
            ModelError: It cannot be had or is outside the limits.
        """
        if (shipped := example(url)) is not None:
            return Picture(shipped, await asyncio.to_thread(_checked, shipped, field, url), temporary=False)
        file = self._files.find_url(url)
        if file is None:
            return await self._fetched(url, field)
        path = self._files.path(file)
        size = self._sizes.get(file.file_id)
        if size is None:
            if (file.size or 0) > MAX_BYTES:
                raise refuse("file_too_large", field, url, max_size=MAX_BYTES)
            size = await asyncio.to_thread(_checked, path, field, url)
            if len(self._sizes) >= _REMEMBERED:
                self._sizes.clear()
            self._sizes[file.file_id] = size
        return Picture(path, size, temporary=False)

    async def _fetched(self, url: str, field: str) -> Picture:
        path = self._files.scratch()
        try:
            await self._fetcher.fetch(url, path, limit=MAX_BYTES)
            size = await asyncio.to_thread(_checked, path, field, url)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, FetchTooLargeError):
                raise refuse("file_too_large", field, url, max_size=MAX_BYTES) from error
            if isinstance(error, FetchError):
                raise refuse("file_download_error", field, url, reason=str(error)) from error
            raise
        return Picture(path, size, temporary=True)


def _checked(path: Path, field: str, url: str) -> Size:
    """Pixels as shown, EXIF orientation applied.

    Raises:
        ModelError: Not a picture that the model takes.
    """
    try:
        return inspect(path).size
    except Unfit as unfit:
        match unfit.kind:
            case "too_small":
                raise refuse(
                    "image_too_small", field, url, min_height=MIN_SIDE, min_width=MIN_SIDE
                ) from unfit
            case "too_large":
                raise refuse(
                    "image_too_large", field, url, max_height=MAX_SIDE, max_width=MAX_SIDE
                ) from unfit
            case "aspect":
                raise refuse_value(field, url, f"The image {unfit}") from unfit
            case "format":
                raise refuse(
                    "unsupported_image_format", field, url, reason=str(unfit), supported_formats=_FORMATS
                ) from unfit
        raise refuse("image_load_error", field, url, reason=str(unfit)) from unfit
