"""What the grid shows, as plain data: cells, columns, and how they are to be laid out.

One model serves the living grid, the plain sheet, a saved page and a contact sheet, so all of them show the same. It
may be used from any thread, knows nothing of widgets, and reads files only when it is asked for what is in them.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, LabError
from seedance_lab.view.artifacts import fetched
from seedance_lab.view.entries import Entry, Source
from seedance_lab.view.headings import columns_of
from seedance_lab.view.views import View, first_view

VERSION = 1
"""Of the snapshot."""

MEDIA = ("poster", "proxy", "full")

_NO_RATING: Mapping[str, Any] = {"stars": 0, "tags": [], "note": ""}


class Change(NamedTuple):
    """What is other than before; `columns` and `live` are None where they are not."""

    cells: list[dict[str, Any]]
    columns: list[dict[str, Any]] | None
    live: dict[str, str] | None


class GridModel:
    """Cells, columns and view of something that can be looked at.

    Args:
        source: From `sources.source_of`.
        view: What to start with.

    Raises:
        LabError: The source cannot be read.
    """

    def __init__(self, source: Source, *, view: View | None = None) -> None:
        self.source = source
        self._lock = threading.RLock()
        self._listeners: list[Callable[..., None]] = []
        self._entries: dict[str, Entry] = {}
        self._cells: dict[str, dict[str, Any]] = {}
        self._columns: list[dict[str, Any]] = []
        self._live = {"state": "", "line": ""}
        self._found: dict[str, Mapping[str, Any]] = {}
        self._broken: dict[str, tuple[tuple[str, Any], str, str]] = {}
        self._clips: dict[str, Clip] = {}
        self._ver = 0
        self._stamp: Any = None
        self._view = view or first_view()
        self.refresh()

    # ── what is shown ───────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> dict[str, Any]:
        """Everything, as JSON: `{v, title, columns, cells, view, live}`. It is the caller's own."""
        with self._lock:
            return {
                "v": VERSION,
                "title": self.source.title,
                "columns": list(self._columns),
                "cells": list(self._cells.values()),
                "view": self._view.as_json(),
                "live": dict(self._live),
            }

    @property
    def ids(self) -> list[str]:
        """Of all cells, in order."""
        with self._lock:
            return list(self._cells)

    @property
    def view(self) -> View:
        """How they are laid out."""
        return self._view

    @property
    def settings(self) -> dict[str, list[Any]]:
        """Every setting and its values, in their natural order."""
        with self._lock:
            return {c["name"]: list(c["values"]) for c in self._columns if c["kind"] == "setting"}

    @property
    def column_names(self) -> list[str]:
        """Everything that can be sorted and filtered by."""
        with self._lock:
            return [*(column["name"] for column in self._columns), "state"]

    @property
    def is_live(self) -> bool:
        """Whether something is under way."""
        with self._lock:
            return self._live["state"] not in {"", "done"}

    def cell(self, id_: str) -> dict[str, Any] | None:
        """One cell; None where there is none of that id."""
        with self._lock:
            return self._cells.get(id_)

    def clip(self, id_: str) -> Clip | None:
        """The clip of a cell; fetched first where it lies elsewhere, which may take long. None where there is none.

        A clip that cannot be had makes its cell `unreadable`, with the reason.
        """
        try:
            return self.clip_of(id_)
        except ClipError:
            return None

    def clip_of(self, id_: str) -> Clip:
        """The same, for who wants to know why there is none.

        Raises:
            ClipError: There is none, or it cannot be fetched.
        """
        with self._lock:
            entry = self._entries.get(id_)
            known = self._clips.get(id_) or (entry.clip if entry else None)
        if known is not None:
            return known
        if entry is None or not entry.address:
            raise ClipError(entry.why if entry and entry.why else f"There is no clip of {id_!r}.")
        try:
            clip = Clip(path=fetched(entry.address))
        except ClipError as error:
            self.broken(id_, str(error))
            raise
        with self._lock:
            self._clips[id_] = clip
        return clip

    def where(self, id_: str) -> str:
        """The path of a cell's file, or its address where it lies elsewhere; empty where there is neither."""
        with self._lock:
            entry = self._entries.get(id_)
            clip = self._clips.get(id_) or (entry.clip if entry else None)
            return str(clip.path) if clip else entry.address if entry else ""

    def is_here(self, id_: str) -> bool:
        """Whether a cell's clip is a file of this machine, so that nothing is fetched for it."""
        with self._lock:
            entry = self._entries.get(id_)
            return id_ in self._clips or (entry is not None and entry.clip is not None)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────

    def on_change(self, listener: Callable[..., None]) -> None:
        """Have a function called with each change, as `Bridge.patch` takes it; the model is locked meanwhile."""
        with self._lock:
            self._listeners.append(listener)

    def off_change(self, listener: Callable[..., None]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = [one for one in self._listeners if one != listener]

    def refresh(self) -> Change:
        """Look at the source again; cheap where nothing has changed.

        Returns:
            What is other than before. Listeners are told, too.
        """
        with self._lock:
            # Taken before reading: what is written meanwhile makes another stamp, and is read next time.
            stamp = self.source.stamp()
            cells: list[dict[str, Any]] = []
            columns = None
            if stamp != self._stamp:
                entries = self.source.entries()
                self._stamp = stamp
                cells = self._take(entries)
                columns = self._take_columns(entries)
            now = self.source.live()
            if not self._cells and not now["line"]:
                now = {**now, "line": self.source.nothing}
            live = now if now != self._live else None
            self._live = now
            change = Change(cells, columns, live)
            if cells or columns is not None or live is not None:
                self._tell(cells=cells, columns=columns, live=live)
            return change

    def complain(self, why: str) -> None:
        """Say that the source cannot be read now; taken back when it can."""
        with self._lock:
            live = {"state": "", "line": why}
            if live != self._live:
                self._live = live
                self._tell(live=live)

    def show(self, view: View) -> None:
        """Lay it out anew."""
        with self._lock:
            self._view = view
            self._tell(view=view.as_json())

    def heard(self, told: Mapping[str, Any]) -> None:
        """Take over what a browser has made of the view; what it says wrongly is left as it was."""
        with self._lock:
            self._view = self._view.heard(told, self.settings, self.column_names)
            now = self._view.as_json()
            # What comes back late would undo what the hand has moved meanwhile: only what was mended is told.
            if any(now.get(name) != value for name, value in told.items()):
                self._tell(view=now)

    def rate(self, id_: str, *, stars: Any = None, tags: Any = None, note: Any = None) -> dict[str, Any]:
        """Write down what somebody thinks of a clip, with its study.

        Returns:
            The rating as it is now.

        Raises:
            LabError: These clips are of no study, there is none of that id, or it could not be written.
        """
        study, cell = self.source.study, self.cell(id_)
        if study is None:
            raise LabError(
                "Ratings are kept with a study, and these clips are of none. Show the study itself: lab.show(study)."
            )
        if cell is None:
            raise LabError(f"There is no clip {id_!r} here.")
        rating = study.rate(id_, stars=stars, tags=tags, note=note).as_cell()
        with self._lock:
            self._put(id_, rating=rating)
        return rating

    def broken(self, id_: str, why: str) -> None:
        """A clip turned out to be unreadable: its cell says so until another file is there."""
        with self._lock:
            entry = self._entries.get(id_)
            if entry is None or (cell := self._cells[id_])["state"] != "saved":
                return
            gone = entry.clip is not None and not entry.clip.path.exists()
            state = "missing" if gone else "unreadable"
            self._broken[id_] = (_identity(entry), state, why)
            self._put(id_, state=state, why=why, media=[], **({} if cell["codec"] else {"bytes": 0}))

    def read_files(self, ids: Iterable[str] | None = None, *, threads: int | None = None) -> None:
        """Read size, rate and length of files of which nothing is written down; it takes 5 ms each.

        Args:
            ids: Of these cells only.
            threads: Files at a time; one a core by default.
        """
        with self._lock:
            wanted = [i for i in (ids or self._cells) if self._is_unread(i)]
        if wanted:
            with ThreadPoolExecutor(max_workers=threads or os.cpu_count() or 1) as pool:
                list(pool.map(self.read_file, wanted))

    def read_file(self, id_: str) -> None:
        """The same for one; a file that is no video makes its cell `unreadable`."""
        with self._lock:
            entry = self._entries.get(id_)
            if entry is None or not self._is_unread(id_):
                return
        try:
            clip = self.clip_of(id_)
            facts = clip.facts()._asdict()
        except ClipError as error:
            self.broken(id_, str(error))
            return
        with self._lock:
            self._found[id_] = facts
            if id_ in self._cells:
                self._put(id_, **_of_file(facts), values=self._values(entry))

    # ── within ──────────────────────────────────────────────────────────────────────────────────────────

    def _is_unread(self, id_: str) -> bool:
        cell = self._cells.get(id_)
        return cell is not None and cell["state"] == "saved" and not cell["width"]

    def _tell(self, **change: Any) -> None:
        for listener in self._listeners:
            listener(**change)

    def _put(self, id_: str, **changes: Any) -> None:
        """Change one cell and tell."""
        self._ver += 1
        self._cells[id_] = {**self._cells[id_], **changes, "ver": self._ver}
        self._tell(cells=[self._cells[id_]])

    def _take(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Keep the entries' cells; those that are other than before."""
        changed = []
        cells: dict[str, dict[str, Any]] = {}
        for entry in entries:
            cell = self._cell(entry)
            before = self._cells.get(entry.id)
            if before is not None and {**before, "ver": 0} == cell:
                cells[entry.id] = before
                continue
            self._ver += 1
            cells[entry.id] = cell = {**cell, "ver": self._ver}
            changed.append(cell)
        self._entries = {entry.id: entry for entry in entries}
        self._cells = cells
        return changed

    def _cell(self, entry: Entry) -> dict[str, Any]:
        file = entry.file if entry.file.get("width") else self._found.get(entry.id, entry.file)
        state, why = entry.state, entry.why
        broken = self._broken.get(entry.id)
        if broken is not None and state == "saved":
            identity, *told = broken
            if identity == _identity(entry):
                state, why = told
            else:
                del self._broken[entry.id]
        return {
            "id": entry.id,
            "ver": 0,
            "settings": {name: _scalar(value) for name, value in entry.settings.items()},
            "values": self._values(entry),
            "state": state,
            "why": why,
            "since": entry.since,
            "title": _title(entry),
            **_of_file(file),
            "media": list(MEDIA) if state == "saved" else [],
            "rating": {**_NO_RATING, **entry.rating},
        }

    def _values(self, entry: Entry) -> dict[str, Any]:
        found = self._found.get(entry.id, {})
        values = {name: _scalar(value) for name, value in entry.values.items()}
        for name in ("seconds", "size_bytes"):
            if values.get(name) is None and name in found:
                values[name] = found[name]
        return values

    def _take_columns(self, entries: Sequence[Entry]) -> list[dict[str, Any]] | None:
        """Keep the columns that the entries have; None where they are as before."""
        settings: dict[str, dict[Any, None]] = {}
        values: dict[str, None] = {}
        for entry in entries:
            for name, value in self._cells[entry.id]["settings"].items():
                settings.setdefault(name, {})[value] = None
            values |= dict.fromkeys(entry.values)
        if self.source.study is not None or any(e.rating for e in entries):
            values.setdefault("stars")
        made = columns_of({n: list(found) for n, found in settings.items()}, values, self.source.units)
        if made == self._columns:
            return None
        self._columns = made
        return made


def _identity(entry: Entry) -> tuple[str, Any]:
    """What file an entry's clip is: another one in its place is looked at again."""
    try:
        stat = entry.clip.path.stat() if entry.clip is not None else None
    except OSError:
        stat = None
    return (str(entry.clip.path if entry.clip else entry.address), stat and (stat.st_size, stat.st_mtime_ns))


def _of_file(file: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell says of its file; 0 and empty where it is not known."""
    return {
        "width": file.get("width") or 0,
        "height": file.get("height") or 0,
        "fps": _scalar(file.get("fps")) or 0,
        "frames": file.get("n_frames") or 0,
        "seconds": _scalar(file.get("seconds")) or 0,
        "codec": file.get("codec") or "",
        "bytes": file.get("size_bytes") or 0,
    }


def _title(entry: Entry) -> str:
    if entry.clip is not None:
        return entry.clip.title
    told = [
        f"{name} {value}" for name, value in entry.settings.items() if value is not None and name != "prompt"
    ]
    return ", ".join(told)


def _scalar(value: Any) -> Any:
    """As JSON has it: what is no finite number is missing, because JSON has no word for it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
