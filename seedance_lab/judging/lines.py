"""Files of one JSON object a line that several people add to at a time: appended, fsynced, never rewritten.

Votes and ratings cannot be made again by a machine, so a line is on the disk before anybody is told that it counts. A
last line without its newline was cut off by a crash: it is taken off at the next writing, unless it is whole. Any other
line that cannot be read is left where it is, left out, and named.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from seedance_lab.errors import StudyError

_WAIT_S = 10.0
"""Longest wait for another one who is writing a line."""
_MOST_NAME = 80


class Line(NamedTuple):
    """One line.

    Attributes:
        n: Its number, from 1.
        at: When it was written, aware UTC.
        kind: `vote`, `undo` or `rating`.
        data: Everything else.
    """

    n: int
    at: dt.datetime
    kind: str
    data: Mapping[str, Any]


class Read(NamedTuple):
    """What a file says.

    Attributes:
        lines: Those that can be read, in order.
        damaged: Numbers of those that cannot; a torn last one is not among them.
    """

    lines: list[Line]
    damaged: tuple[int, ...]


def read(path: Path) -> Read:
    """Every whole line; nothing where there is no file.

    Raises:
        StudyError: The file is there and cannot be opened.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Read([], ())
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}). Nothing was changed.") from error
    lines, damaged = [], []
    raws = content.split(b"\n")
    for n, raw in enumerate(raws, start=1):
        if not raw.strip():
            continue
        line = _parsed(n, raw)
        if line is not None:
            lines.append(line)
        elif n < len(raws):
            damaged.append(n)
    return Read(lines, tuple(damaged))


def append(path: Path, kind: str, data: Mapping[str, Any]) -> Line:
    """Write one line and wait until it is on the disk. Threads and processes take turns.

    Raises:
        StudyError: It could not be written; the file is as it was before.
    """
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    # Half an emoji is a text here and cannot be UTF-8: escapes hold it.
    raw = json.dumps({"at": at, "kind": kind, **data}, separators=(",", ":")).encode() + b"\n"
    try:
        with _turn(path):
            _put(path, raw)
    except (OSError, filelock.Timeout) as error:
        why = "another process has it locked" if isinstance(error, filelock.Timeout) else error.strerror
        raise StudyError(
            f"{path} could not be written ({why or error}). It is as it was before, and the clips are not touched. "
            "Make room, or the folder writable, and do it again."
        ) from error
    line = _parsed(0, raw)
    assert line is not None
    return line


def voter(name: str | None = None) -> str:
    """The name that is put to votes and ratings: as given, else the account's.

    Raises:
        StudyError: It is empty, or no name.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container whose user has no name
            return "someone"
    told = " ".join(whole_letters(str(name)).split())
    if not told or len(told) > _MOST_NAME or not re.search(r"\w", told):
        raise StudyError(
            f"voter={name!r} is no name. Nothing was written. Give one of 1 to {_MOST_NAME} letters: voter='ada'."
        )
    return told


def whole_letters(text: str) -> str:
    """The same, with � for half an emoji, of which a browser may send one: no table and no file takes it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _parsed(n: int, raw: bytes) -> Line | None:
    try:
        told = json.loads(raw)
        at = dt.datetime.fromisoformat(told.pop("at"))
        return None if at.tzinfo is None else Line(n, at, str(told.pop("kind")), told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One writer at a time, so that nobody takes another one's half-written line for a torn one."""
    lock = filelock.FileLock(path.with_name(".judging.lock"), thread_local=False)
    try:
        lock.acquire(timeout=_WAIT_S)
    except (
        NotImplementedError
    ):  # a file system without locks: whole lines are appended in one call all the same
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _put(path: Path, raw: bytes) -> None:
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = _mended(file)
        try:
            while raw:
                raw = raw[os.write(file, raw) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path.parent)


def _mended(file: int) -> int:
    """Cut off a torn last line, so that the next one does not grow onto it; returns the length."""
    size = os.fstat(file).st_size
    if not size or os.pread(file, 1, size - 1) == b"\n":
        return size
    content = os.pread(file, size, 0)
    end = content.rfind(b"\n") + 1
    if _parsed(0, content[end:]) is not None:  # whole but for its end
        return size + os.write(file, b"\n")
    os.ftruncate(file, end)
    return end


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too; where the system cannot open folders it does so by itself."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
