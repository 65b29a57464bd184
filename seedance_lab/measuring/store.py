"""What was measured of a study's clips: `measures.jsonl` in its folder, appended to and never rewritten.

A line is about a file, by the sha256 of its bytes, and holds what follows from the file alone; with an `asked` it
is about that file held against what was asked for. A later line has the last word, measure by measure. Everything
here can be measured again: a line that cannot be read is passed over, and the file may be deleted.

    {"sha256": "…", "values": {"flicker": 0.8}, "missing": {"smoothness": "nothing moves"}}
    {"sha256": "…", "key": "k1:…", "asked": "…", "values": {"conforms": 1.0}}

`versions` has those that are not 1; `saved` is the journal's checksum where the file has another one by now. What is
in `failed` may go better another time, and is tried again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from seedance_lab.journal import uncollected

FILE = "measures.jsonl"


class Entry(NamedTuple):
    """What is known of one measure of one file.

    Attributes:
        version: Of the measure, when it was taken.
        value: Finite; None when there is none.
        reason: Why there is none.
        failed: Whether it may go better another time.
    """

    version: str
    value: float | None
    reason: str = ""
    failed: bool = False


class Line(NamedTuple):
    """A line of the file about some bytes; of each name, in one of the first three.

    Attributes:
        values: By measure.
        missing, failed: Why there is no value, by measure; what failed may go better another time.
        versions: Those that are not 1.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]
    failed: Mapping[str, str]
    versions: Mapping[str, str]

    def version(self, name: str) -> str:
        """Of a measure, when it was taken."""
        return str(self.versions.get(name, "1"))


class Taken(NamedTuple):
    """What one file gave. Crosses from a worker to whoever asked.

    Attributes:
        values: By measure.
        missing: Why the file gives no value.
        failed: Why it could not be measured this time.
        versions: Of all of these.
        of_request: Those of these that hold the file against what was asked for.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]
    failed: Mapping[str, str]
    versions: Mapping[str, str]
    of_request: frozenset[str]

    def entries(self) -> dict[str, Entry]:
        """The same, measure by measure."""
        return dict(_entries(Line(self.values, self.missing, self.failed, self.versions)))


_NOTHING: dict[str, Any] = {}
NOTHING = Taken({}, {}, {}, {}, frozenset())


class Store:
    """The file of one study, and what it says. Cheap to make; reads when it is asked.

    Args:
        folder: The study's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._forget()

    def _forget(self) -> None:
        # Lines as they stand: ten thousand clips have half a million values, and few are asked for one by one.
        self._of_file: dict[str, list[Line]] = {}
        self._of_asked: dict[tuple[str, str], list[Line]] = {}
        self._last: dict[tuple[str, str], tuple[str, str]] = {}
        self._state: tuple[int, int, int] | None = None
        self._read_to = 0

    def of(self, sha256: str, asked: str) -> dict[str, Entry]:
        """What is known of these bytes, held against what was asked for (`Asked.digest`)."""
        self._read()
        return {name: entry for line in self._lines(sha256, asked) for name, entry in _entries(line)}

    def of_key(self, key: str, saved: str) -> dict[str, Entry]:
        """What is known of a request's clip, by its key and its checksum in the journal."""
        return self.of(*self.last(key, saved))

    def lines_of_keys(self, keys: Iterable[tuple[str, str]]) -> Iterator[Sequence[Line]]:
        """The same as it was written, of many: of a clip's lines about one measure the later one holds."""
        self._read()
        return (self._lines(*self._last.get(one, (one[1], ""))) for one in keys)

    def _lines(self, sha256: str, asked: str) -> Sequence[Line]:
        return (*self._of_file.get(sha256, ()), *self._of_asked.get((sha256, asked), ()))

    def last(self, key: str, saved: str) -> tuple[str, str]:
        """Which bytes a clip had when it was last measured, and against what they were held."""
        self._read()
        return self._last.get((key, saved), (saved, ""))

    def add(
        self, taken: Taken, *, sha256: str, key: str | None, asked: str, saved: str | None = None
    ) -> None:
        """Keep what a file gave; whole lines, so that several processes may add to the file at a time.

        Args:
            taken: What it gave; nothing where all of it was known already.
            sha256: Of its bytes.
            key: Of its request; None for a file of nobody.
            asked: Digest of what it was held against.
            saved: Its checksum in the journal, if that may be another one.

        Raises:
            OSError: It could not be written.
        """
        of_file = _line(taken, frozenset(taken.versions) - taken.of_request)
        of_asked = _line(taken, frozenset(taken.versions) & taken.of_request)
        lines = [{"sha256": sha256, **of_file}] if of_file else []
        if of_asked or key is not None:
            other = {"saved": saved} if saved not in {None, sha256} else {}
            lines.append({"sha256": sha256, "key": key, "asked": asked, **other, **of_asked})
        raw = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                raw = b"\n" + raw  # the last line was torn: it must not swallow this one
            while raw:
                raw = raw[os.write(file, raw) :]
        finally:
            os.close(file)

    def _read(self) -> None:
        """Read what is new."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._forget()
            return
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if state == self._state:
            return
        if self._state is not None and (state[0] != self._state[0] or state[1] < self._read_to):
            self._forget()  # another file, or one that was cut
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            content = file.read()
        whole = content.rfind(b"\n") + 1
        with uncollected():
            for line in content[:whole].split(b"\n"):
                self._hear(line)
        self._read_to += whole
        self._state = state

    def _hear(self, raw: bytes) -> None:
        try:
            told = orjson.loads(raw)
            sha256, asked = told["sha256"], told.get("asked")
            line = _heard(told)
            if asked is None:
                self._of_file.setdefault(sha256, []).append(line)
            else:
                self._of_asked.setdefault((sha256, asked), []).append(line)
                if told.get("key"):
                    self._last[told["key"], told.get("saved", sha256)] = sha256, asked
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):  # a text for a mapping, a list for a name, …
            pass


def _line(taken: Taken, names: frozenset[str]) -> dict[str, Any]:
    """The parts of a line about these measures; empty where there are none."""
    parts: dict[str, Any] = {
        "values": {n: v for n, v in taken.values.items() if n in names},
        "missing": {n: why for n, why in taken.missing.items() if n in names},
        "failed": {n: why for n, why in taken.failed.items() if n in names},
        "versions": {n: version for n, version in taken.versions.items() if n in names and version != "1"},
    }
    return {name: part for name, part in parts.items() if part}


def _heard(told: Mapping[str, Any]) -> Line:
    """A line of the file as one of ours.

    Raises:
        TypeError: A part of it is no mapping, or a value no number.
        ValueError: A value is a text.
    """
    part = told.get
    line = Line(
        part("values", _NOTHING),
        part("missing", _NOTHING),
        part("failed", _NOTHING),
        part("versions", _NOTHING),
    )
    if {*map(type, line)} != {dict}:
        raise TypeError("no mapping")
    if {*map(type, line.values.values())} <= {float}:
        return line
    return line._replace(values={name: float(value) for name, value in line.values.items()})


def _entries(line: Line) -> Iterator[tuple[str, Entry]]:
    for name, value in line.values.items():
        yield name, Entry(line.version(name), value)
    for part, is_failed in ((line.missing, False), (line.failed, True)):
        for name, why in part.items():
            yield name, Entry(line.version(name), None, str(why), is_failed)


def names_of(entries: Iterable[Mapping[str, Entry]]) -> list[str]:
    """Every measure that is in any of these, each once."""
    return list(dict.fromkeys(name for one in entries for name in one))
