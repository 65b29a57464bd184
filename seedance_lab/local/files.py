"""The files of the engine: what was uploaded and what it made, by unguessable ids.

A path on disk is made of an id and a suffix that are both ours, never of what a client wrote. The row in
the store is the truth: bytes without a row (a killed upload, a half-written clip) are not served.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import mimetypes
import re
import secrets
import shutil
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from seedance_lab.local.records import FileRecord
from seedance_lab.local.store import Store

ROUTE = "/cdn/files"
MAX_FILE_BYTES = 1024**3
_OWN_URL = re.compile(r"^/cdn/files/([0-9a-f]{32})(?:/[^/]*)?$")
_NAME_MAX = 100


class TooLargeError(Exception):
    """More bytes than are taken; the argument is the limit."""


class UnfinishedError(Exception):
    """Parts of an upload are missing."""


class WrittenError(Exception):
    """A file never changes once it is complete."""


class Files:
    """Saves and finds files.

    Args:
        store: Keeps the records; gives the folders.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def path(self, file: FileRecord) -> Path:
        """Where its bytes are."""
        return self._store.files / (file.file_id + _suffix(file.content_type))

    def open(self, name: str, content_type: str) -> FileRecord:
        """Announce a file that will be written by whoever has its `secret`."""
        file = self._record(name, content_type, secret=secrets.token_hex(16))
        self._store.put_file(file)
        return file

    def find(self, file_id: str) -> FileRecord | None:
        """A complete file."""
        file = self._store.find_file(file_id)
        return file if file is not None and file.size is not None else None

    def announced(self, file_id: str, secret: str) -> FileRecord | None:
        """An announced file, for whoever knows its secret."""
        file = self._store.find_file(file_id)
        if file is None or file.secret is None or not secrets.compare_digest(file.secret, secret):
            return None
        return file

    def find_url(self, url: str) -> FileRecord | None:
        """The complete file that this URL names, whatever host and port the engine had at that time.

        The id is unguessable, so whoever knows it was given it by this engine.
        """
        parts = urllib.parse.urlsplit(url)
        match = _OWN_URL.match(parts.path)
        return self.find(match[1]) if match and parts.scheme in {"http", "https"} else None

    async def save(
        self, chunks: AsyncIterator[bytes], name: str, content_type: str, *, limit: int = MAX_FILE_BYTES
    ) -> FileRecord:
        """Save a new file.

        Raises:
            TooLargeError: There are more than `limit` bytes.
        """
        return await self.fill(self._record(name, content_type), chunks, limit=limit)

    async def fill(
        self, file: FileRecord, chunks: AsyncIterator[bytes], *, limit: int = MAX_FILE_BYTES
    ) -> FileRecord:
        """Write an announced file's bytes.

        Raises:
            TooLargeError: There are more than `limit` bytes.
            WrittenError: It has other bytes already. (The same ones again are a repeated request.)
        """
        part, path = self._store.scratch / secrets.token_hex(16), self.path(file)
        try:
            size, _ = await _write(part, chunks, limit)
            if file.size is None:
                part.replace(path)
            elif not filecmp.cmp(part, path, shallow=False):
                raise WrittenError
        finally:
            part.unlink(missing_ok=True)
        file = file._replace(size=size)
        self._store.put_file(file)
        return file

    async def fill_part(
        self, file: FileRecord, number: int, chunks: AsyncIterator[bytes], *, limit: int
    ) -> str:
        """Write part `number` (from 1) of an announced file. Returns its ETag.

        Raises:
            TooLargeError: There are more than `limit` bytes.
        """
        folder = self._parts(file)
        folder.mkdir(exist_ok=True)
        arriving = folder / f"{number}.{secrets.token_hex(4)}"
        try:
            _, digest = await _write(arriving, chunks, limit)
            arriving.replace(folder / str(number))
        finally:
            arriving.unlink(missing_ok=True)
        return f'"{digest}"'

    def join_parts(self, file: FileRecord, numbers: Iterable[int]) -> FileRecord:
        """Make an announced file of its parts, in the order of their numbers.

        Raises:
            UnfinishedError: A part is missing.
            TooLargeError: Together they are more than `MAX_FILE_BYTES`.
        """
        parts = [self._parts(file) / str(number) for number in sorted(set(numbers))]
        if not parts or not all(part.is_file() for part in parts):
            raise UnfinishedError
        size = sum(part.stat().st_size for part in parts)
        if size > MAX_FILE_BYTES:
            raise TooLargeError(MAX_FILE_BYTES)
        whole = self._store.scratch / secrets.token_hex(16)
        with whole.open("wb") as target:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, target)
        whole.replace(self.path(file))
        file = file._replace(size=size)
        self._store.put_file(file)
        shutil.rmtree(self._parts(file), ignore_errors=True)
        return file

    def output(self, request_id: str) -> FileRecord:
        """The record of a request's clip, the same on every attempt; its bytes come later."""
        return FileRecord(request_id.replace("-", ""), "video.mp4", "video/mp4", None, None, self._clock())

    def scratch(self) -> Path:
        """A path for a file that lives no longer than its request."""
        return self._store.scratch / secrets.token_hex(16)

    def _parts(self, file: FileRecord) -> Path:
        return self._store.files / f"{file.file_id}.parts"

    def _record(self, name: str, content_type: str, *, secret: str | None = None) -> FileRecord:
        file_id = secrets.token_hex(16)
        kind = content_type.split(";")[0].strip().lower()
        return FileRecord(
            file_id, plain_name(name), kind or "application/octet-stream", None, secret, self._clock()
        )


def url_path(file: FileRecord) -> str:
    """Path of its URL, under the engine's base."""
    return f"{ROUTE}/{file.file_id}/{file.name}"


def plain_name(name: str) -> str:
    """A file name of letters, digits, dots, dashes and underscores, for URLs."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".")[-_NAME_MAX:] or "file"


def describe(file: FileRecord, base: str) -> dict[str, Any]:
    """The service's `File`: `url`, `content_type`, `file_name`, `file_size`."""
    return {
        "url": base + url_path(file),
        "content_type": file.content_type,
        "file_name": file.name,
        "file_size": file.size,
    }


def _suffix(content_type: str) -> str:
    guessed = mimetypes.guess_extension(content_type)
    return guessed if guessed and re.fullmatch(r"\.[a-z0-9]{1,8}", guessed) else ".bin"


async def _write(path: Path, chunks: AsyncIterator[bytes], limit: int) -> tuple[int, str]:
    """Bytes written and their sha256."""
    digest, size = hashlib.sha256(), 0
    with contextlib.closing(path.open("wb")) as target:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLargeError(limit)
            digest.update(chunk)
            target.write(chunk)
    return size, digest.hexdigest()
