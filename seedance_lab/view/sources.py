"""What can be looked at, as entries: a study, a run, clips, files, a folder of files, a frame of runs.

A source is asked again while something is under way. It reads the study's folder and nothing else, so a run of this
kernel, of another one and of yesterday are looked at in one way.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from seedance_lab import measuring, progress
from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import LabError, RequestError, near
from seedance_lab.folder import StudyFolder
from seedance_lab.judging import lines, ratings, votes
from seedance_lab.measuring.store import FILE as MEASURES
from seedance_lab.measuring.store import Store
from seedance_lab.plan import settings_of
from seedance_lab.record import Record
from seedance_lab.request import Request
from seedance_lab.run import Run
from seedance_lab.view.frame_rows import rows_of
from seedance_lab.view.queue import Queue

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv"})
"""What is taken from a folder, by its name's end."""

_FILE_FACTS = ("width", "height", "fps", "n_frames", "seconds", "codec", "size_bytes")
_FACTS = ("latency_s", "inference_s", "queue_s", "cost_usd", "returned_seed")
_SILENT_S = 120.0
"""A run on another machine that wrote nothing for so long is taken for dead; fal's slowest clips take less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One clip, or why there is none.

    Attributes:
        id: The request's key; for a file that no study made its place in the list.
        settings: By the API's names, pictures by theirs; `file` for a clip that no study made.
        values: Facts, measures and what people think, by the names of a frame's columns.
        state: A word of the grid: `saved`, `waiting`, `queued`, `running`, `refused`, `failed`, `cancelled`,
            `unknown`, `missing` or `unreadable`.
        why: Why there is no clip, for people.
        since: When it began to run, seconds since the epoch; None where nobody knows.
        clip: None where there is none.
        address: Where the clip can be had from if it is not on this machine; `clip` is None then.
        file: `width`, `height`, `fps`, `n_frames`, `seconds`, `codec`, `size_bytes`, as far as they are known.
        rating: `stars`, `tags`, `note`; empty where nobody said anything.
    """

    id: str
    settings: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    state: str = "saved"
    why: str = ""
    since: float | None = None
    clip: Clip | None = None
    address: str = ""
    file: Mapping[str, Any] = field(default_factory=dict)
    rating: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Something that can be looked at.

    Attributes:
        title: Above the grid; empty where there is no name for it.
        nothing: What to say and to do while there are no clips.
        study: The study that ratings are written to; None where there is none.
        units: Of columns that are not declared anywhere, by name.
    """

    title: str
    nothing: str
    study: StudyFolder | None
    units: Mapping[str, str]

    def entries(self) -> list[Entry]:
        """Everything, in the order of asking."""

    def stamp(self) -> Hashable:
        """Something that is another one when `entries` may give other entries; cheap."""

    def live(self) -> dict[str, str]:
        """State and line of what is under way; both empty where nothing is."""


def source_of(what: Any) -> Source:
    """What there is to look at of a study, a run, a clip, files, a folder, a frame, or a list of these.

    Raises:
        LabError: It is none of these, or there is no such folder.
    """
    if isinstance(what, Run):
        return StudySource(what.study, run=what)
    if isinstance(what, StudyFolder):
        return StudySource(what)
    if isinstance(what, str | os.PathLike):
        path = Path(what).expanduser()
        if (path / "journal.jsonl").exists():
            return StudySource(StudyFolder(path))
        return Fixed(_of_path(path), title=path.name if path.is_dir() else "")
    if _is_frame(what):
        found = rows_of(what)
        return Fixed([Entry(**row) for row in found.rows], units=found.units)
    several = [what] if isinstance(what, Clip) else what
    if not isinstance(several, Iterable) or isinstance(several, Mapping | bytes):
        raise LabError(
            f"There is no way to show a {type(what).__name__}. Give a study, a run, a clip, the path of an MP4 or of "
            "a folder of them, a frame of runs, or a list of these."
        )
    return Fixed(_of_several(list(several)))


class Fixed:
    """Entries that stay as they are."""

    def __init__(
        self, entries: Sequence[Entry], *, title: str = "", units: Mapping[str, str] | None = None
    ) -> None:
        self._entries = _told_apart(entries)
        self.title = title
        self.nothing = "There are no clips in this list."
        self.study: StudyFolder | None = None
        self.units = units or {}

    def entries(self) -> list[Entry]:
        """As they were given."""
        return self._entries

    def stamp(self) -> Hashable:
        """Always the same."""
        return ()

    def live(self) -> dict[str, str]:
        """Nothing is under way."""
        return {"state": "", "line": ""}


# ── a study, and one pass of it ─────────────────────────────────────────────────────────────────────────


class StudySource:
    """A study's folder, while this or another process runs it too.

    Args:
        study: The study.
        run: Shows just the requests of this pass, those that were not sent yet too.
    """

    def __init__(self, study: StudyFolder, *, run: Run | None = None) -> None:
        self.study: StudyFolder | None = study
        self._study, self._run = study, run
        self.title = study.folder.name
        self.units: Mapping[str, str] = {}
        self.nothing = (
            "The run's plan is empty."
            if run is not None
            else f"The study {study.folder} has no clips yet. Make some: "
            "study.run(lab.sweep(image=…, prompt=…, seed=range(3)))"
        )
        self._measured = Store(study.folder)
        self._asked: dict[str, tuple[Mapping[str, Any], Request | None]] = {}

    def stamp(self) -> Hashable:
        """Sizes and times of the files, and whether somebody runs it."""
        names = ("journal.jsonl", MEASURES, ratings.FILE, votes.FILE)
        state = self._run.state if self._run is not None else ""
        return (state, self._is_live(), *(_state_of(self._study.folder / name) for name in names))

    def live(self) -> dict[str, str]:
        """How far it is; by the journal where another process runs it."""
        if self._run is not None:
            return {"state": self._run.state, "line": progress.told(self._run.snapshot())}
        holder = _holder(self._study.folder)
        if not self._is_live():
            return {"state": "", "line": ""}
        stages = [record.stage for record in self._study.records().values()]
        flying = sum(stages.count(stage) for stage in ("sending", "accepted", "finished"))
        who = "this kernel" if holder.startswith(f"process {os.getpid()} on ") else holder
        return {
            "state": "running",
            "line": f"{stages.count('saved'):,} saved · {flying:,} in flight · run by {who}",
        }

    def entries(self) -> list[Entry]:
        """Every request, or those of the run."""
        records = self._study.records()
        live = self._is_live()
        keys = [request.key for request in self._run.plan] if self._run is not None else list(records)
        told = _Told(self._study.folder, self._measured, records)
        queue = Queue(records.values())
        planned = {request.key: request for request in self._run.plan} if self._run is not None else {}
        over = self._why_not_sent()
        entries = []
        for key in keys:
            if key in records:
                entries.append(self._of_record(records[key], told, queue, live=live))
            else:
                settings = _known(planned[key])
                entries.append(Entry(id=key, settings=settings, state="waiting", why="" if live else over))
        return _told_apart(entries)

    def _why_not_sent(self) -> str:
        why = self._run.why if self._run is not None and self._run.done else None
        return f"not sent: {why}" if why else "the run ended before it was sent; run the plan again"

    def _is_live(self) -> bool:
        if self._run is not None:
            return not self._run.done
        return _is_running(self._study.folder)

    def _of_record(self, record: Record, told: _Told, queue: Queue, *, live: bool) -> Entry:
        settings, request = self._settings(record)
        values = {name: getattr(record, name) for name in _FACTS}
        state, why, since = _state(record, queue, live=live)
        entry = Entry(id=record.key, settings=settings, values=values, state=state, why=why, since=since)
        if record.stage != "saved":
            return entry
        clip = record.clip or {}
        path = self._study.folder / "clips" / file_name(record.key)
        if not path.exists():
            why = f"clips/{path.name} is gone; run the plan again to fetch it, which costs nothing"
            return replace(entry, state="missing", why=why)
        views = self._study.folder / "views"
        return replace(
            entry,
            values={**values, "seconds": clip.get("seconds"), "size_bytes": clip.get("size_bytes")}
            | told.values(record),
            clip=Clip(path=path, request=request, record=record, views=views),
            file={name: clip.get(name) for name in _FILE_FACTS},
            rating=told.rating(record),
        )

    def _settings(self, record: Record) -> tuple[Mapping[str, Any], Request | None]:
        """What was asked for; it never changes, and reading it checks it, which takes a while."""
        if record.key not in self._asked:
            try:
                request = record.request(self._study.folder)
                self._asked[record.key] = _known(request), request
            except (RequestError, KeyError, TypeError):  # another version's
                self._asked[record.key] = _as_written(record), None
        return self._asked[record.key]


class _Told:
    """What was measured of the clips and said about them, read once for all of them."""

    def __init__(self, folder: Path, store: Store, records: Mapping[str, Record]) -> None:
        measured = measuring.as_columns(store, records) if store.path.exists() else {}
        self._rows = {key: row for row, key in enumerate(records)}
        self._measured = measured
        # Yours: the grid is where you say it. What all think is in study.frame().
        files = {key: str((record.clip or {}).get("sha256")) for key, record in records.items()}
        self._rated = (
            ratings.read(folder).of(lines.voter(), files) if (folder / ratings.FILE).exists() else {}
        )
        self._shares = votes.shares(votes.read(folder).held) if (folder / votes.FILE).exists() else {}

    def values(self, record: Record) -> dict[str, Any]:
        row = self._rows[record.key]
        values: dict[str, Any] = {name: column[row] for name, column in self._measured.items()}
        if self._shares:
            share, n = self._shares.get((record.key, str((record.clip or {}).get("sha256"))), (None, 0))
            values |= {"preference": share, "votes": n}
        return values

    def rating(self, record: Record) -> Mapping[str, Any]:
        return self._rated.get(record.key, {})


_IN_DOUBT = "it was being sent; run the plan again to look for it"
_LEFT: Mapping[str, tuple[str, str]] = {
    "sending": ("unknown", _IN_DOUBT),
    "unknown": ("unknown", "the answer was lost; run the plan again to look for it"),
    "accepted": ("queued", "it is at the service; run the plan again to fetch it"),
    "finished": ("queued", "it is made and paid for; run the plan again to fetch it"),
    "declined": ("waiting", "the service did not take it; run the plan again"),
    "cancelled": ("cancelled", "it was taken back"),
}
"""State and reason of what nobody works on, by the journal's last word."""


def _state(record: Record, queue: Queue, *, live: bool) -> tuple[str, str, float | None]:
    """The grid's word for where a request stands, why, and since when it runs."""
    stage, why = record.stage, record.error or ""
    if not live or stage in {"saved", "refused", "failed", "cancelled"}:
        state, reason = _LEFT.get(stage, (stage, ""))
        return state, why or reason, None
    if stage == "declined":
        return "waiting", why, None
    if stage == "unknown":
        return "unknown", why or "the answer was lost; it is being looked for", None
    if stage == "finished":
        return "running", why or "it is made; its file is being fetched", queue.began(record)
    began = queue.began(record) if stage == "accepted" else None
    return ("queued", "", None) if began is None else ("running", "", began)


# ── who runs a folder ───────────────────────────────────────────────────────────────────────────────────


def _state_of(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_size, stat.st_mtime_ns)


def _holder(folder: Path) -> str:
    """Who holds the study, as the journal writes it down; empty where nobody does."""
    try:
        return (folder / ".lock.holder").read_text().strip()
    except OSError:
        return ""


def _is_running(folder: Path) -> bool:
    """Whether a living process holds the study. A killed one leaves its name behind, so the name is not enough."""
    found = re.match(r"process (\d+) on (\S+) since", _holder(folder))
    if found is None:
        return False
    if found[2] == socket.gethostname():
        return _is_alive(int(found[1]))
    _, mtime_ns = _state_of(folder / "journal.jsonl")
    return time.time() - mtime_ns / 1e9 < _SILENT_S


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # there a signal of 0 ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


# ── files and lists ─────────────────────────────────────────────────────────────────────────────────────


def _of_several(items: list[Any]) -> list[Entry]:
    """The entries of a list, one after another, each id once."""
    found: list[Entry] = []
    for item in items:
        if isinstance(item, Clip):
            found.append(_of_clip(item))
        elif isinstance(item, str | os.PathLike):
            path = Path(item).expanduser()
            found += source_of(path).entries() if (path / "journal.jsonl").exists() else _of_path(path)
        elif isinstance(item, StudyFolder | Run) or _is_frame(item):
            found += source_of(item).entries()
        else:
            raise LabError(
                f"There is no way to show a {type(item).__name__} in a list; clips, paths of MP4s and of folders, "
                "studies, runs and frames are shown."
            )
    return found


def _of_clip(clip: Clip) -> Entry:
    record, saved = clip.record, (clip.record.clip if clip.record else None) or {}
    settings = _known(clip.request) if clip.request else {"file": clip.path.name}
    values = {name: getattr(record, name) for name in _FACTS} if record else {}
    entry = Entry(
        id=clip.key or str(clip.path),
        settings=settings,
        values={**values, "seconds": saved.get("seconds"), "size_bytes": saved.get("size_bytes")},
        clip=clip,
        file={name: saved.get(name) for name in _FILE_FACTS},
    )
    return entry if clip.path.exists() else replace(entry, state="missing", why=_gone(clip.path), clip=None)


def _of_path(path: Path) -> list[Entry]:
    """A file, or every video in a folder.

    Raises:
        LabError: There is no such folder, or no video in it.
    """
    if not path.is_dir():
        if path.suffix.lower() not in VIDEOS and not path.exists():
            beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise LabError(f"There is no file or folder {path}.{near(path.name, beside)}")
        return [_of_clip(Clip(path=path.absolute()))]
    files = sorted((p for p in path.rglob("*") if p.suffix.lower() in VIDEOS and p.is_file()), key=_by_name)
    if not files:
        raise LabError(
            f"There is no video in {path} ({', '.join(sorted(VIDEOS))}), and it is no study. To make clips there: "
            f"lab.Study({str(path)!r}).run(lab.sweep(image=…, prompt=…, seed=range(3)))"
        )
    entries = [_of_clip(Clip(path=file.absolute())) for file in files]
    folders = [file.parent.relative_to(path).as_posix() for file in files]
    if len(set(folders)) == 1:
        return entries
    return [
        replace(entry, settings={"folder": folder, **entry.settings})
        for folder, entry in zip(folders, entries, strict=True)
    ]


def _gone(path: Path) -> str:
    return f"{path.name} is not in {path.parent}; was it moved?"


def _by_name(path: Path) -> list[tuple[int, str]]:
    """`clip2` before `clip10`."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _is_frame(what: Any) -> bool:
    """Whether it is a pandas frame; pandas is not loaded for the question."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(what, pandas.DataFrame)


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Named:
    """A picture as a value to tell requests apart by."""

    name: str
    sha256: str


def _known(request: Request) -> dict[str, Any]:
    """Settings, with the pictures' checksums beside them until `_told_apart` has looked at the names."""
    settings = settings_of(request)
    for name in ("image", "end_image"):
        picture = getattr(request, name)
        if picture is not None:
            settings[name] = _Named(picture.name, picture.sha256)
    return settings


def _as_written(record: Record) -> dict[str, Any]:
    """The settings of a request that this version cannot make any more."""
    asked = record.asked
    pictures = {
        n: asked[n].get("name", n) for n in ("image", "end_image") if isinstance(asked.get(n), Mapping)
    }
    return {"endpoint": asked.get("endpoint"), **pictures, **asked.get("arguments", {})}


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """The same entries; pictures and files of one name get a mark that tells them apart, and so do equal ids."""
    pictures = {v for e in entries for v in e.settings.values() if isinstance(v, _Named)}
    names = [picture.name for picture in pictures]
    shown = {p: p.name if names.count(p.name) == 1 else f"{p.name} ({p.sha256[:6]})" for p in pictures}
    files: dict[Any, int] = {}
    ids: dict[str, int] = {}
    out = []
    for entry in entries:
        settings = {n: shown[v] if isinstance(v, _Named) else v for n, v in entry.settings.items()}
        if "file" in settings:
            at = (settings.get("folder"), settings["file"])
            files[at] = n = files.get(at, 0) + 1
            settings["file"] = f"{settings['file']} ({n})" if n > 1 else settings["file"]
        ids[entry.id] = n = ids.get(entry.id, 0) + 1
        out.append(replace(entry, id=f"{entry.id}#{n}" if n > 1 else entry.id, settings=settings))
    return out
