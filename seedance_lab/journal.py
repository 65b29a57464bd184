"""The record of everything that may have cost money.

One JSON object a line, appended, fsynced before anything is done on its strength, and never rewritten. A line
is also the event that live views and the tracker receive, so watching a run and replaying it are the same code.
Not SQLite: a person must be able to read and mend it with an editor.

    study      first line: version, engine                     run, ended   one pass over a plan
    uploaded   a picture is at the service                     sending      about to POST: may cost money
    accepted   the service has it, under this request_id       refused      the service did not take it
    unknown    the answer was lost: it may have it             declined     not taken now; may be sent again
    finished   the service's JSON, verbatim                    failed       it ended without a video
    saved      the file is in clips/, with its sha256          cancelled    taken back before it was made
    resolved   what a person or the account's history said of an unknown one
    unfetched  the file is made and paid for, and could not be brought here
    price      what the service charged for a unit when the run began, and which price was reckoned with
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import filelock
import orjson

from seedance_lab.errors import JournalDamaged, StudyError, StudyLocked

VERSION = 1


class Event(NamedTuple):
    """One line of the journal.

    Attributes:
        n: Line number, from 1.
        at: When it was written, aware UTC.
        kind: See the module's docstring.
        key: The request's key; empty for lines that concern the whole study.
        data: Everything else.
    """

    n: int
    at: dt.datetime
    kind: str
    key: str
    data: Mapping[str, Any]


def read(path: Path) -> list[Event]:
    """All whole lines; a torn last line is left out, and left in the file.

    Raises:
        JournalDamaged: A line other than the last one cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    events, _ = _parse(path, content)
    return events


def _parse(path: Path, content: bytes) -> tuple[list[Event], int]:
    """The events, and how many bytes of the file they fill."""
    with uncollected():
        return _parsed(path, content)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Leave the garbage collector out for a while.

    Of a million new objects that all live it would look at each again and again: half the time of opening a
    long journal.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _parsed(path: Path, content: bytes) -> tuple[list[Event], int]:
    events: list[Event] = []
    end = 0
    lines = content.split(b"\n")
    last = len(lines) - 1 if lines[-1] else len(lines) - 2
    for i, line in enumerate(lines[: last + 1]):
        try:
            events.append(_event(i + 1, _decoded(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if i == last and not content.endswith(b"\n"):
                break
            raise JournalDamaged(
                f"{path}, line {i + 1} cannot be read ({error}). Nothing was sent, and nothing was changed. "
                "Mend that line with an editor, or put back a copy of the file; do not delete the file: it "
                "says what has been paid for."
            ) from error
        end += len(line) + 1
    return events, min(end, len(content))


def _decoded(line: bytes) -> Any:
    """The line's JSON; orjson is five times faster and stricter than the library's own, which has the last word."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)


def _event(n: int, line: Any) -> Event:
    if not isinstance(line, dict):
        raise TypeError("not a JSON object")
    at = dt.datetime.fromisoformat(line.pop("at"))
    if at.tzinfo is None:
        raise ValueError("its time has no zone")
    return Event(n, at, line.pop("kind"), line.pop("key", ""), line)


class Journal:
    """The journal of a study, open for appending: one process at a time.

    Args:
        folder: The study's folder; made if it is not there.

    Raises:
        StudyLocked: Another process has it open; the message says which.
        JournalDamaged: A line other than the last one cannot be read.
        StudyError: The folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self._lock = filelock.FileLock(folder / ".lock", blocking=False)
        self._holder = folder / ".lock.holder"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._take_lock(folder)
        except OSError as error:
            raise StudyError(
                f"The study folder {folder} cannot be used: {error.strerror or error}. Nothing was sent."
            ) from error
        try:
            self._before = self._mend()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise StudyError(
                    f"{self.path} cannot be read: {error.strerror}. Nothing was sent."
                ) from error
            raise
        self._n = len(self._before)
        self._file: int | None = None
        self._torn_at: int | None = None
        self._before_last = 0
        self._is_closed = False

    def _take_lock(self, folder: Path) -> None:
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            with contextlib.suppress(OSError):
                holder = self._holder.read_text().strip()
                raise StudyLocked(
                    f"The study {folder} is being run by {holder}. Nothing was sent. Wait for it, stop it, or use "
                    "another folder; reading (study.frame(), seedance-lab status) is possible meanwhile."
                ) from error
            raise StudyLocked(
                f"The study {folder} is being run by another process. Nothing was sent."
            ) from error
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}\n")

    def _mend(self) -> list[Event]:
        """Cut off a torn last line, so that the next one does not grow onto it."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        events, end = _parse(self.path, content)
        if end < len(content):
            os.truncate(self.path, end)
        elif content and not content.endswith(b"\n"):
            # The line is whole but for its end: what it says was about to be true, so it is kept.
            with self.path.open("ab") as file:
                file.write(b"\n")
                os.fsync(file.fileno())
        return events

    def append(self, kind: str, key: str = "", **data: Any) -> Event:
        """Write one line and wait until it is on the disk.

        Raises:
            OSError: It is not; the file is as it was before.
        """
        event = self.write(kind, key, **data)
        try:
            self.sync()
        except OSError:
            self._take_back(self._before_last)
            raise
        return event

    def write(self, kind: str, key: str = "", **data: Any) -> Event:
        """Write one line. It outlives this process from now on, and the machine only after `sync`.

        Raises:
            OSError: It could not be written; the file is as it was before.
        """
        if self._is_closed:
            raise ValueError(f"{self.path} is closed; another process may be writing it.")
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "kind": kind, **({"key": key} if key else {}), **data}
        raw = _encoded(line)
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            _sync_folder(self.path.parent)
        if self._torn_at is not None:
            os.ftruncate(self._file, self._torn_at)
            self._torn_at = None
        self._before_last = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(raw):
                written += os.write(self._file, raw[written:])
        except OSError:
            self._take_back(self._before_last)
            raise
        self._n += 1
        return _event(self._n, json.loads(raw))

    def _take_back(self, size: int) -> None:
        assert self._file is not None
        # Should even this fail, the next line must not grow onto the torn one.
        self._torn_at = size
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, size)
            self._torn_at = None

    def sync(self) -> None:
        """Wait until every line is on the disk; may be called from another thread than `write`.

        Raises:
            OSError: The disk does not say so.
        """
        if self._file is not None:
            os.fsync(self._file)

    def close(self) -> None:
        """Let go of the lock; nothing can be written after that."""
        self._is_closed = True
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> list[Event]:
        """The lines that were there when it was opened; once, so that nothing keeps them in memory."""
        before, self._before = self._before, []
        return before


def _encoded(line: dict[str, Any]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        # Half an emoji, cut by the service, is JSON all the same; a paid result must not be lost over it.
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too: without this a new journal can vanish with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
