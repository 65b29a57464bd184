"""Fetches a file whole or not at all, going on where a broken transfer ended.

Half a file lies beside its place under a name of its own link, so that the next pass, even of another process,
goes on with it. Length and checksum are held against what the service says of them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from seedance_lab.engine.values import Download
from seedance_lab.errors import EngineError, LinkGone

PART = ".part"
"""What the name of half a file ends with."""
_GONE = frozenset({403, 404, 410})
"""An expired link: fal's storage answers 404, signed links 403, and 410 says it in so many words."""


class _OtherLength(EngineError):
    """The file is empty, or of another length than the service said."""

    def __init__(self, size: int, said: int | None) -> None:
        super().__init__(f"{size} of {said or '?'} bytes came")
        self.size = size


async def fetch_file(
    client: httpx.AsyncClient,
    url: str,
    to: Path,
    size_bytes: int | None,
    *,
    attempts: int,
    pause: Callable[[int], Awaitable[None]],
) -> Download:
    """Fetch a file to `to`.

    Args:
        client: Carries no key.
        url: Of the file.
        to: Where it is moved once it is whole.
        size_bytes: Its length, where the service said it. A file that comes whole, and at every attempt with the
            same other length, is taken as it is.
        attempts: How often a broken transfer is taken up again.
        pause: Waits before the n-th repeat.

    Raises:
        LinkGone: It is no longer there, however often it was asked for.
        EngineError: It did not come whole.
        OSError: It cannot be written.
    """
    link = hashlib.sha256(url.encode()).hexdigest()[:8]
    part = to.with_name(f".{to.name}.{link}{PART}")
    lengths: list[int] = []
    began = time.monotonic()
    for attempt in range(1, attempts + 1):
        try:
            await _more(client, url, part)
            digest, size = await asyncio.to_thread(_checked, part, size_bytes)
            break
        except (httpx.HTTPError, httpx.InvalidURL, EngineError) as error:
            if isinstance(error, _OtherLength):
                lengths.append(error.size)
                if attempt == attempts - 1 and len(lengths) == attempt and len(set(lengths)) == 1:
                    size_bytes = None  # whole each time, and always the same: what the service said is wrong
            if attempt == attempts:
                raise _said(error, url) from error
            await pause(attempt)
        except OSError:
            part.unlink(missing_ok=True)  # on a full disk, half a file is in the way
            raise
    try:
        part.replace(to)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return Download(digest, size, time.monotonic() - began)


def _said(error: Exception, url: str) -> EngineError:
    if isinstance(error, LinkGone):
        return LinkGone(
            f"The video is no longer under its link ({error}: {url}). It was paid for. If the service still has it "
            "elsewhere, the next run finds it in the account's history."
        )
    text = " ".join(str(error).split())[:200]
    return EngineError(
        f"The video could not be downloaded ({type(error).__name__}: {text}). It is paid for and kept at the "
        "service for a while; run the plan again to fetch it."
    )


async def _more(client: httpx.AsyncClient, url: str, part: Path) -> None:
    """Fetch what is missing of the file, from the start if the service does not give parts.

    Raises:
        LinkGone: It is not there.
        EngineError: The service's answer is no use, or what came is not what it announced.
    """
    there = part.stat().st_size if part.exists() else 0
    # Bytes as they lie there: a compressed answer has neither the length nor the parts that are asked for.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={there}-"} if there else {})}
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise EngineError("the part that was here is no part of it")
        if response.status_code in _GONE:
            raise LinkGone(f"HTTP {response.status_code}")
        if not response.is_success:
            raise EngineError(f"HTTP {response.status_code}")
        first = _first_byte(response)
        if first not in {0, there}:
            part.unlink(missing_ok=True)
            raise EngineError("another part came than was asked for")
        with part.open("ab" if first else "wb") as file:
            before = file.tell()
            async for (
                chunk
            ) in response.aiter_bytes():  # as they come: a chunk that is waited for is lost in a break
                file.write(chunk)
            came = file.tell() - before
        announced = response.headers.get("content-length")
        if announced and "content-encoding" not in response.headers and int(announced) != came:
            raise EngineError(f"{came} of {announced} bytes came")
        _check_md5(response, part)


def _first_byte(response: httpx.Response) -> int:
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match[1]) if match else -1


def _check_md5(response: httpx.Response, part: Path) -> None:
    """Hold the file against the checksum of the whole, where the service gives one.

    Raises:
        EngineError: It is another. The file is gone: going on with it would be no use.
    """
    said = response.headers.get("content-md5") if response.status_code == httpx.codes.OK else None
    for pair in response.headers.get("x-goog-hash", "").split(","):
        name, _, value = pair.strip().partition("=")
        said = value if name == "md5" else said
    if said is None:
        return
    with part.open("rb") as file:
        got = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
    if got != said:
        part.unlink()
        raise EngineError("its checksum is not the one that the service gave")


def _checked(part: Path, size_bytes: int | None) -> tuple[str, int]:
    """Checksum and length of the whole file, once it is on the disk.

    Raises:
        EngineError: It is empty or has another length than the service said.
    """
    size = part.stat().st_size
    if not size or (size_bytes is not None and size != size_bytes):
        part.unlink()
        raise _OtherLength(size, size_bytes)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest(), size
