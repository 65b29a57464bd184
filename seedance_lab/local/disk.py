"""How much the engine may hold on the disk, and what goes first when that is too much.

What may go, oldest first: clips that a client has fetched, uploads that no unfinished request needs, the parts of
uploads that nobody goes on with. Never: a clip that nobody has fetched (unless that was asked for), and never the
picture of a request that is still to be made. When only such files are left, nothing new is taken in.

How much is held is counted in memory, from one look at the folder at the start. A file is given up in two steps,
its record first: what a killed process leaves between them is bytes without a record, and those go at the next start.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import mimetypes
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from seedance_lab.errors import EngineError
from seedance_lab.local.records import FileRecord
from seedance_lab.local.store import Store

log = logging.getLogger(__name__)

GB = 1e9
"""Bytes, as disks are sold."""

_UPLOAD_S = 600.0
"""Seconds for which an upload stays that nobody needs (any more): its URL was just handed out, or it is a
sweep's picture between two requests."""
_PARTS_S = 3600.0
"""Seconds after its last part from which on an upload counts as abandoned: as long as a token for uploads is good."""
_FETCHED_S = 60.0
"""Seconds for which a clip stays after it was fetched: its last bytes may be lost on their way and asked for again."""
_AGAIN_S = 1.0
"""Seconds before it is looked again whether anything may go, when nothing might."""


class FullError(Exception):
    """There is no room, and nothing that may go. Its text is for whoever asked."""


class Disk:
    """The files' room.

    Args:
        store: Keeps the records; gives the folder.
        clock: Seconds since the epoch.
        limit: Bytes that the files may take together; None for no limit.
        forget_s: Seconds after which a clip may go though nobody fetched it; None for never.

    Raises:
        EngineError: The limit is none.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        limit: float | None = None,
        forget_s: float | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.limit = math.inf if limit is None else limit
        if not self.limit > 0:
            raise EngineError(
                f"The files cannot be held to {self.limit:g} bytes. The engine was not started and nothing was sent. "
                "Give a limit above 0, such as --disk-gb 20, or --disk-gb 0 for none."
            )
        self._forget_s = forget_s
        self.held = 0
        self._parts: dict[str, dict[str, int]] = {}
        self._touched: dict[str, float] = {}
        self._needed: collections.Counter[str] = collections.Counter()
        self._stuck_until = -math.inf
        self._is_full = False

    def open(self) -> None:
        """Count what is there, and delete what no record knows of."""
        self.held, self._stuck_until, self._is_full = 0, -math.inf, False
        self._parts.clear()
        self._touched.clear()
        self._needed.clear()
        known = {file.file_id: file for file in self._store.files_there()}
        for path in self._store.files.iterdir():
            file = known.get(path.name.partition(".")[0])
            if file is None:
                _delete(path)
            elif path == self.parts(file) and file.size is None:
                self._count_parts(file, path)
            elif path == self.path(file) and file.size is not None:
                self.held += file.size
            else:
                _delete(path)

    def path(self, file: FileRecord) -> Path:
        """Where a file's bytes are."""
        return self._store.files / (file.file_id + _suffix(file.content_type))

    def parts(self, file: FileRecord) -> Path:
        """The folder of a file's parts, until they are joined."""
        return self._store.files / f"{file.file_id}.parts"

    def take(self, n_bytes: int) -> None:
        """Count so many more, or fewer, though it be too much."""
        self.held += n_bytes

    @contextlib.contextmanager
    def arriving(self) -> Iterator[Arrival]:
        """Count bytes while they arrive; those that were not kept are given back."""
        arrival = Arrival(self)
        try:
            yield arrival
        finally:
            self.take(-arrival.n_bytes)

    def make_room(self, n_bytes: int = 1) -> None:
        """See to it that so many more can be held, by deleting what may go.

        Raises:
            FullError: Not even so. Nothing was deleted.
        """
        over = self.held + n_bytes - self.limit
        if over <= 0:
            return
        now = self._clock()
        if now < self._stuck_until:
            raise FullError(self._said())
        # None of them, when all would not do: they would be gone for nothing.
        chosen: list[FileRecord] = []
        abandoned = [file_id for file_id in self._parts if self._is_quiet(file_id, now, _PARTS_S)]
        over -= sum(sum(self._parts[file_id].values()) for file_id in abandoned)
        spare = self.limit / 100  # and a little more, lest the next chunk ask again
        for file in self._removable(now):
            if over <= 0 and (file.size or 0) > spare + over:
                break
            chosen.append(file)
            over -= file.size or 0
        if over > 0:
            self._stuck_until = now + _AGAIN_S
            self._say_full()
            raise FullError(self._said())
        self._give_up([*filter(None, map(self._store.find_file, abandoned)), *chosen], now)
        self._is_full = False

    def tidy(self) -> None:
        """Delete what has expired, and as much as is held beyond the limit and may go."""
        now = self._clock()
        self._give_up(
            [file for file in self._store.expired_files(now) if not self.is_needed(file.file_id)], now
        )
        with contextlib.suppress(FullError):
            self.make_room(0)

    def need(self, file_ids: Iterable[str]) -> None:
        """Keep these, whatever happens, for one request more."""
        self._needed.update(file_ids)

    def release(self, file_ids: Iterable[str]) -> None:
        """One request fewer needs these."""
        for file_id in file_ids:
            self._needed[file_id] -= 1
            if self._needed[file_id] <= 0:
                del self._needed[file_id]
            self._touched[file_id] = self._clock()
        self._stuck_until = -math.inf

    def is_needed(self, file_id: str) -> bool:
        """Whether an unfinished request needs this file."""
        return file_id in self._needed

    def note_fetched(self, file: FileRecord) -> None:
        """A client was handed its last byte."""
        if file.fetched_at is None:
            self._store.note_fetched(file.file_id, self._clock())
            self._stuck_until = -math.inf

    def note_part(self, file: FileRecord, number: str, n_bytes: int) -> None:
        """A part of an upload is in its place, counted already as it arrived."""
        sizes = self._parts.setdefault(file.file_id, {})
        self.take(-sizes.get(number, 0))
        sizes[number] = n_bytes
        self._touched[file.file_id] = self._clock()

    def drop_parts(self, file: FileRecord) -> None:
        """Delete the parts of an upload."""
        self.take(-sum(self._parts.pop(file.file_id, {}).values()))
        shutil.rmtree(self.parts(file), ignore_errors=True)

    def _count_parts(self, file: FileRecord, folder: Path) -> None:
        for part in folder.iterdir():
            if part.name.isdigit():
                size = part.stat().st_size
                self.take(size)
                self.note_part(file, part.name, size)
            else:
                _delete(part)  # one that had not arrived

    def _removable(self, now: float) -> Iterator[FileRecord]:
        for file in self._store.unneeded(uploaded_by=now - _UPLOAD_S, fetched_by=now - _FETCHED_S):
            if file.is_clip or (
                not self.is_needed(file.file_id) and self._is_quiet(file.file_id, now, _UPLOAD_S)
            ):
                yield file
        if self._forget_s is not None:
            yield from self._store.unfetched(now - self._forget_s)

    def _is_quiet(self, file_id: str, now: float, seconds: float) -> bool:
        return self._touched.get(file_id, -math.inf) <= now - seconds

    def _give_up(self, files: list[FileRecord], now: float) -> None:
        if not files:
            return
        self._store.note_removed([file.file_id for file in files], now)
        for file in files:
            self._touched.pop(file.file_id, None)
            if file.size is None:
                self.drop_parts(file)
            elif _delete(self.path(file)):
                self.take(-file.size)
        log.info("%d files removed, %.3g GB are left", len(files), self.held / GB)

    def _said(self) -> str:
        return (
            f"The engine's files take {self.held / GB:.3g} GB of the {self.limit / GB:.3g} GB that they may, and no "
            "more of them may be removed: nobody has fetched these clips, or a request needs these pictures. Nothing "
            "was taken in and nothing is charged. Fetch the clips and try again, or start the engine with a larger "
            "--disk-gb or with --forget-unfetched."
        )

    def _say_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning(
                "The files take %.3g GB of the %.3g GB that they may, and none of them may go: clips that nobody has "
                "fetched, and pictures of unfinished requests. What is accepted is still made; new requests and "
                "uploads are refused with 507 until the clips are fetched. Or start the engine with a larger --disk-gb "
                "or with --forget-unfetched.",
                self.held / GB,
                self.limit / GB,
            )


class Arrival:
    """Bytes on their way into the folder.

    Args:
        disk: Counts them.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.n_bytes = 0

    async def counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, each with room for it.

        Raises:
            FullError: There is none.
        """
        async for chunk in chunks:
            self._disk.make_room(len(chunk))
            self._disk.take(len(chunk))
            self.n_bytes += len(chunk)
            yield chunk

    def keep(self) -> None:
        """They stay."""
        self.n_bytes = 0


def _delete(path: Path) -> bool:
    """Whether it was there and is gone."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        log.info("%s was not deleted: %s", path.name, error)
        return False
    return True


def _suffix(content_type: str) -> str:
    guessed = mimetypes.guess_extension(content_type)
    return guessed if guessed and re.fullmatch(r"\.[a-z0-9]{1,8}", guessed) else ".bin"
