"""The files of the engine: what was uploaded and what it made, by unguessable ids.

A path on disk is made of an id and a suffix that are both ours, never of what a client wrote. The row in
the store is the truth: bytes without a row (a killed upload, a half-written clip) are not served.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import re
import secrets
import shutil
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from seedance_lab.local.disk import Disk
from seedance_lab.local.records import FileRecord
from seedance_lab.local.store import Store

ROUTE = "/cdn/files"
MAX_FILE_BYTES = 1024**3
_OWN_URL = re.compile(r"^/cdn/files/([0-9a-f]{32})(?:/[^/]*)?$")
_NAME_MAX = 100
_PICTURES = ("image_url", "end_image_url")


class TooLargeError(Exception):
    """More bytes than are taken; the argument is the limit."""


class UnfinishedError(Exception):
    """Parts of an upload are missing."""


class WrittenError(Exception):
    """A file never changes once it is complete."""


class GoneError(Exception):
    """It was removed while its bytes arrived."""


class Files:
    """Saves and finds files.

    Args:
        store: Keeps the records; gives the folders.
        clock: Seconds since the epoch.
        disk: Counts what is held, and makes room.
    """

    def __init__(self, store: Store, clock: Callable[[], float], disk: Disk) -> None:
        self._store = store
        self._clock = clock
        self._disk = disk

    def path(self, file: FileRecord) -> Path:
        """Where its bytes are."""
        return self._disk.path(file)

    def open(self, name: str, content_type: str, lifetime_s: float | None = None) -> FileRecord:
        """Announce a file that will be written by whoever has its `secret`; it is to be had for so many seconds."""
        file = self._record(name, content_type, lifetime_s, secret=secrets.token_hex(16))
        self._store.put_file(file)
        return file

    def find(self, file_id: str) -> FileRecord | None:
        """A complete file that can be had."""
        file = self._store.find_file(file_id)
        return file if file is not None and file.is_there(self._clock()) else None

    def announced(self, file_id: str, secret: str) -> FileRecord | None:
        """An announced file, for whoever knows its secret."""
        file = self._store.find_file(file_id)
        if file is None or file.secret is None or not secrets.compare_digest(file.secret, secret):
            return None
        is_gone = file.removed_at is not None or (file.size is not None and file.is_expired(self._clock()))
        return None if is_gone else file

    def find_url(self, url: str) -> FileRecord | None:
        """The complete file that this URL names, for a request: an expired one too, if it was sent in time.

        Whatever host and port the engine had at that time: the id is unguessable, so whoever knows it was given
        it by this engine.
        """
        file = self._store.find_file(_own_id(url))
        if file is None or file.size is None or file.removed_at is not None:
            return None
        return file if self._disk.is_needed(file.file_id) or not file.is_expired(self._clock()) else None

    def needed_by(self, arguments: object, sent_at: float) -> tuple[str, ...]:
        """Ids of the uploads that a request names which was sent at this moment, in seconds since the epoch."""
        if not isinstance(arguments, dict):
            return ()
        urls = [url for name in _PICTURES if isinstance(url := arguments.get(name), str)]
        found = [self._store.find_file(file_id) for file_id in {_own_id(url) for url in urls} if file_id]
        return tuple(
            file.file_id
            for file in found
            if file is not None and file.removed_at is None and not file.is_expired(sent_at)
        )

    async def save(
        self,
        chunks: AsyncIterator[bytes],
        name: str,
        content_type: str,
        lifetime_s: float | None = None,
        *,
        limit: int = MAX_FILE_BYTES,
    ) -> FileRecord:
        """Save a new file, to be had for so many seconds; None for ever.

        Raises:
            TooLargeError: There are more than `limit` bytes.
            FullError: There is no room for it.
        """
        return await self.fill(self._record(name, content_type, lifetime_s), chunks, limit=limit)

    async def fill(
        self, file: FileRecord, chunks: AsyncIterator[bytes], *, limit: int = MAX_FILE_BYTES
    ) -> FileRecord:
        """Write an announced file's bytes.

        Raises:
            TooLargeError: There are more than `limit` bytes.
            FullError: There is no room for it.
            WrittenError: It has other bytes already. (The same ones again are a repeated request.)
            GoneError: It was removed meanwhile.
        """
        part, path = self._store.scratch / secrets.token_hex(16), self.path(file)
        try:
            with self._disk.arriving() as arriving:
                size, _ = await _write(part, arriving.counted(chunks), limit)
                file = self._store.find_file(file.file_id) or file  # as it is by now
                if file.removed_at is not None:
                    raise GoneError
                if file.size is None:
                    part.replace(path)
                    file = self._complete(file, size)
                    arriving.keep()
                elif not path.is_file():
                    raise GoneError
                elif not filecmp.cmp(part, path, shallow=False):
                    raise WrittenError
        finally:
            part.unlink(missing_ok=True)
        return file

    def _complete(self, file: FileRecord, size: int) -> FileRecord:
        """Note that its bytes are there. Its time runs from now on."""
        now = self._clock()
        ends = None if file.expires_at is None else now + (file.expires_at - file.created_at)
        file = file._replace(size=size, created_at=now, expires_at=ends)
        self._store.put_file(file)
        return file

    async def fill_part(
        self, file: FileRecord, number: int, chunks: AsyncIterator[bytes], *, limit: int
    ) -> str:
        """Write part `number` (from 1) of an announced file. Returns its ETag.

        Raises:
            TooLargeError: There are more than `limit` bytes.
            FullError: There is no room for it.
            GoneError: The upload was removed meanwhile.
        """
        folder = self._disk.parts(file)
        folder.mkdir(exist_ok=True)
        part = folder / f"{number}.{secrets.token_hex(4)}"
        try:
            with self._disk.arriving() as arriving:
                size, digest = await _write(part, arriving.counted(chunks), limit)
                try:
                    part.replace(folder / str(number))
                except FileNotFoundError as error:  # its folder went
                    raise GoneError from error
                arriving.keep()
                self._disk.note_part(file, str(number), size)
        finally:
            part.unlink(missing_ok=True)
        return f'"{digest}"'

    def join_parts(self, file: FileRecord, numbers: Iterable[int]) -> FileRecord:
        """Make an announced file of its parts, in the order of their numbers.

        Raises:
            UnfinishedError: A part is missing.
            TooLargeError: Together they are more than `MAX_FILE_BYTES`.
        """
        parts = [self._disk.parts(file) / str(number) for number in sorted(set(numbers))]
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
        self._disk.take(size)
        file = self._complete(file, size)
        self._disk.drop_parts(file)
        return file

    def output(self, request_id: str) -> FileRecord:
        """The record of a request's clip, the same on every attempt; its bytes come later."""
        file_id = request_id.replace("-", "")
        return FileRecord(file_id, "video.mp4", "video/mp4", None, None, self._clock(), is_clip=1)

    def scratch(self) -> Path:
        """A path for a file that lives no longer than its request."""
        return self._store.scratch / secrets.token_hex(16)

    def _record(
        self, name: str, content_type: str, lifetime_s: float | None, *, secret: str | None = None
    ) -> FileRecord:
        now = self._clock()
        kind = content_type.split(";")[0].strip().lower() or "application/octet-stream"
        ends = None if lifetime_s is None else now + lifetime_s
        return FileRecord(secrets.token_hex(16), plain_name(name), kind, None, secret, now, expires_at=ends)


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


def _own_id(url: str) -> str:
    """The id in a URL of ours; empty in any other."""
    if not url[:6].lower().startswith(("http:", "https:")):  # what is inside a data URI is not looked through
        return ""
    try:
        match = _OWN_URL.match(urllib.parse.urlsplit(url).path)
    except ValueError:
        return ""
    return match[1] if match else ""


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
