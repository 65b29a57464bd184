"""A study, or one pass of it, to be looked at while this or another process runs it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedance_lab import measuring, progress
from seedance_lab.clip import Clip, file_name
from seedance_lab.errors import RequestError
from seedance_lab.folder import StudyFolder
from seedance_lab.judging import lines, ratings, votes
from seedance_lab.measuring.store import FILE as MEASURES
from seedance_lab.measuring.store import Store
from seedance_lab.record import Record
from seedance_lab.request import Request
from seedance_lab.run import Run
from seedance_lab.view.entries import FACTS, FILE_FACTS, Entry, as_written, known, told_apart
from seedance_lab.view.holding import holder_of, is_running, stamp_of
from seedance_lab.view.queue import Queue


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
        return (state, self._is_live(), *(stamp_of(self._study.folder / name) for name in names))

    def live(self) -> dict[str, str]:
        """How far it is; by the journal where another process runs it."""
        if self._run is not None:
            return {"state": self._run.state, "line": progress.told(self._run.snapshot())}
        holder = holder_of(self._study.folder)
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
        told = Told(self._study.folder, self._measured, records)
        queue = Queue(records.values())
        planned = {request.key: request for request in self._run.plan} if self._run is not None else {}
        over = self._why_not_sent()
        entries = []
        for key in keys:
            if key in records:
                entries.append(self._of_record(records[key], told, queue, live=live))
            else:
                settings = known(planned[key])
                entries.append(Entry(id=key, settings=settings, state="waiting", why="" if live else over))
        return told_apart(entries)

    def _why_not_sent(self) -> str:
        why = self._run.why if self._run is not None and self._run.done else None
        return f"not sent: {why}" if why else "the run ended before it was sent; run the plan again"

    def _is_live(self) -> bool:
        if self._run is not None:
            return not self._run.done
        return is_running(self._study.folder)

    def _of_record(self, record: Record, told: Told, queue: Queue, *, live: bool) -> Entry:
        settings, request = self._settings(record)
        values = {name: getattr(record, name) for name in FACTS}
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
        shown = replace(
            entry,
            values={**values, "seconds": clip.get("seconds"), "size_bytes": clip.get("size_bytes")},
            clip=Clip(path=path, request=request, record=record, views=views),
            file={name: clip.get(name) for name in FILE_FACTS},
        )
        return told.about(shown, record)

    def _settings(self, record: Record) -> tuple[Mapping[str, Any], Request | None]:
        """What was asked for; it never changes, and reading it checks it, which takes a while."""
        if record.key not in self._asked:
            try:
                request = record.request(self._study.folder)
                self._asked[record.key] = known(request), request
            except (RequestError, KeyError, TypeError):  # another version's
                self._asked[record.key] = as_written(record), None
        return self._asked[record.key]


class Told:
    """What was measured of a study's clips and said about them, read once for all of them.

    Args:
        folder: The study's.
        store: Its measures.
        records: All of its records, by key.
    """

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

    def about(self, entry: Entry, record: Record | None) -> Entry:
        """The entry of a record, with all of it."""
        if record is None or record.key not in self._rows:
            return entry
        return replace(
            entry, values={**entry.values, **self._values(record)}, rating=self._rated.get(record.key, {})
        )

    def _values(self, record: Record) -> dict[str, Any]:
        row = self._rows[record.key]
        values: dict[str, Any] = {name: column[row] for name, column in self._measured.items()}
        if self._shares:
            share, n = self._shares.get((record.key, str((record.clip or {}).get("sha256"))), (None, 0))
            values |= {"preference": share, "votes": n}
        return values


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
