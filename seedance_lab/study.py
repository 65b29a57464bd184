"""A folder, an engine and a journal; and one pass of it over a plan.

The core runs on the portal's loop; what is here are its doors: `run` blocks, `start` does not, `await`
and `for` work too, from a script, a notebook's cell, a callback or another loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import html
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from seedance_lab import frames, portal
from seedance_lab.clip import Clip, file_name
from seedance_lab.engine import Place, place_of
from seedance_lab.errors import RunFailed, StudyError, near
from seedance_lab.journal import Event, Journal, read
from seedance_lab.plan import Plan
from seedance_lab.progress import Snapshot, reporter
from seedance_lab.record import PAID, Record, fold
from seedance_lab.request import Request
from seedance_lab.runner import Options, Runner, check_budget
from seedance_lab.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

_TICK_S = 0.2
"""A wait is cut into ticks: an interrupt is noticed between them, never during a bare wait."""

Listener = Callable[[Event, Record | None], None]


class Failure(NamedTuple):
    """Why a request of a run has no clip."""

    request: Request
    stage: str
    """Its last journal kind, or `not sent`."""
    why: str


class Study:
    """A folder that remembers what was asked, sent, paid and saved.

    Args:
        folder: Made at the first run.
        engine: `local` (free, the default), `fal` (paid), or the URL of a served simulator. A study stays
            with the engine of its first run; for a new one `SEEDANCE_LAB_ENGINE` is the default.
        track: Whether runs are mirrored into MLflow, wherever MLflow itself would put them.
        experiment: MLflow experiment; the folder's name by default.
        slots: How many requests the in-process simulator works on at a time; one a core by default.

    Raises:
        EngineError: No such engine.
        StudyError: The folder cannot be a study, or belongs to another engine.
        JournalDamaged: The journal cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        engine: str | None = None,
        track: bool = True,
        experiment: str | None = None,
        slots: int | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser().absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise StudyError(f"{self.folder} is a file, not a folder for a study. Nothing was sent.")
        if self.folder.is_dir() and not (self.folder / "journal.jsonl").exists() and _has_others(self.folder):
            raise StudyError(
                f"The folder {self.folder} holds other files and no study. Nothing was sent or written. "
                "Name a new or an empty folder."
            )
        self.place = self._place(engine)
        self.track = track
        self.experiment = experiment or self.folder.name
        self.slots = slots
        self._cache: tuple[tuple[int, int], list[Event]] | None = None

    def _place(self, engine: str | None) -> Place:
        own = next((e.data["engine"] for e in read(self.folder / "journal.jsonl") if e.kind == "study"), None)
        if own is None:
            return place_of(engine)
        if engine is None:
            return place_of(own)
        asked = place_of(engine)
        if _kind(own) != _kind(asked.name):
            raise StudyError(
                f"The study {self.folder} belongs to engine={own!r}, not to {engine!r}: a rehearsal must never count "
                "as paid for. Nothing was sent. Use a new folder for the other engine."
            )
        return asked

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    def run(
        self,
        plan: Plan | Request,
        *,
        budget_usd: float | None = None,
        in_flight: int = 4,
        retry_failed: bool = False,
        progress: bool = True,
    ) -> Run:
        """Run what of the plan is not done yet, and wait for it.

        The first interrupt (Ctrl-C, or the notebook's stop button) begins nothing new and waits for what is
        at the service; a second one asks the service to take that back and returns to the prompt.

        Args:
            plan: From `sweep`, or one request.
            budget_usd: Most that this study may have spent, at list prices; needed where it costs money.
            in_flight: Requests at the service at a time.
            retry_failed: Whether what was refused or failed before is sent again.
            progress: Whether to show it.

        Raises:
            BudgetError: It would cost more. Nothing was sent.
            StudyLocked: Another process is running this study.
            EngineError: The engine cannot be used.
        """
        run = self.start(plan, budget_usd=budget_usd, in_flight=in_flight, retry_failed=retry_failed)
        report = reporter(progress)
        try:
            while not run.wait(_TICK_S):
                report.show(run.snapshot())
        except KeyboardInterrupt:
            run.interrupted = True
            run.stop()
            report.show(run.snapshot())
            try:
                while not run.wait(_TICK_S):
                    report.show(run.snapshot())
            except KeyboardInterrupt:
                run.cancel()
                raise
        finally:
            report.close(run.snapshot())
        run.check()
        return run

    def start(
        self,
        plan: Plan | Request,
        *,
        budget_usd: float | None = None,
        in_flight: int = 4,
        retry_failed: bool = False,
        listener: Listener | None = None,
    ) -> Run:
        """Begin a run and return at once; see `run`.

        Args:
            plan, budget_usd, in_flight, retry_failed: As for `run`.
            listener: Told of every journal line as it is written, with the request's record so far; called
                on the core's thread, so it must be quick.
        """
        if isinstance(plan, Request):
            plan = Plan.of([plan])
        if not isinstance(plan, Plan):
            raise TypeError(f"A study runs a Plan or a Request, not {type(plan).__name__}; see seedance_lab.sweep.")
        if isinstance(in_flight, bool) or not isinstance(in_flight, int) or in_flight < 1:
            raise ValueError(f"in_flight={in_flight!r} must be 1 or more. Nothing was sent.")
        options = Options(
            budget_usd=budget_usd, in_flight=in_flight, retry_failed=retry_failed, slots=self.slots
        )
        check_budget(self.place, plan, self.records(), options)
        return Run(self, plan, options, listener)

    def preview(self, plan: Plan) -> Plan:
        """The same plan, knowing what this study has already paid for; nothing is sent."""
        return plan.against({key for key, record in self.records().items() if record.stage in PAID})

    def resolve(self, key: str, *, request_id: str | None = None, lost: bool = False) -> None:
        """Decide what became of a request whose answer was lost and that the history could not settle.

        Args:
            key: The request's key.
            request_id: The service's id of the request that it is.
            lost: It never arrived: the next run sends it again.

        Raises:
            StudyError: No such request, or it is not in doubt.
            StudyLocked: A run is under way.
        """
        if (request_id is None) != lost:
            raise StudyError("Say either request_id=… or lost=True. Nothing was written.")
        with Journal(self.folder) as journal:
            records = fold(journal)
            if key not in records:
                raise StudyError(f"There is no request {key!r} in {self.folder}.{near(key, records)}")
            if records[key].stage not in {"unknown", "sending"}:
                raise StudyError(f"The request {key} is not in doubt: it is {records[key].stage}.")
            if lost:
                journal.append("resolved", key, outcome="lost", why="a person said so")
            else:
                journal.append("resolved", key, outcome="found", request_id=request_id, why="a person said so")
                journal.append("accepted", key, request_id=request_id, urls={})

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────

    def events(self) -> list[Event]:
        """The journal's lines so far; works while another process is running the study."""
        path = self.folder / "journal.jsonl"
        try:
            stat = path.stat()
        except FileNotFoundError:
            return []
        state = (stat.st_size, stat.st_mtime_ns)
        if self._cache is None or self._cache[0] != state:
            self._cache = (state, read(path))
        return self._cache[1]

    def records(self) -> dict[str, Record]:
        """What the journal says of each request, by key."""
        return fold(self.events())

    @property
    def unknown(self) -> dict[str, Record]:
        """Requests that may have been received and paid for, and are not settled yet."""
        return {key: r for key, r in self.records().items() if r.stage in {"unknown", "sending"}}

    def clips(self) -> list[Clip]:
        """Every clip that is in the folder, in the order of asking."""
        return [c for record in self.records().values() if (c := self.clip_of(record)) is not None]

    def clip(self, key: str) -> Clip:
        """The clip of a request.

        Raises:
            StudyError: There is none.
        """
        records = self.records()
        clip = self.clip_of(records[key]) if key in records else None
        if clip is None:
            said = records[key].stage if key in records else "never asked for"
            raise StudyError(f"There is no clip for {key!r}: it is {said}.{near(key, records)}")
        return clip

    def clip_of(self, record: Record) -> Clip | None:
        """The clip of a record; None when there is none."""
        path = self.folder / "clips" / file_name(record.key)
        if record.stage != "saved" or not path.exists():
            return None
        return Clip(path=path, request=record.request(self.folder), record=record, views=self.folder / "views")

    def frame(self) -> pd.DataFrame:
        """One row a request, failures included, the API's names as columns; see `seedance_lab.frames`."""
        return frames.frame(self.records(), self.folder)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for record in self.records().values():
            counts[record.stage] = counts.get(record.stage, 0) + 1
        told = ", ".join(f"{n} {stage}" for stage, n in sorted(counts.items(), key=lambda c: -c[1]))
        return f"<Study {self.folder} · engine {self.place.name} · {told or 'nothing asked for yet'}>"


def _has_others(folder: Path) -> bool:
    known = {".lock", ".lock.holder", "engine", "inputs", "clips", "views"}
    return any(entry.name not in known and not entry.name.startswith(".") for entry in folder.iterdir())


def _kind(engine: str) -> str:
    return engine if engine in {"local", "fal"} else "served"


class Run:
    """One pass of a study over a plan, under way or over.

    It never raises for one request's fate (see `failures`, `raise_if_failed`), only for what concerns the
    whole run.
    """

    def __init__(self, study: Study, plan: Plan, options: Options, listener: Listener | None) -> None:
        self.study, self.plan, self.options = study, plan, options
        self.id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.interrupted = False
        self._listener = listener
        self._began = time.monotonic()
        self._seconds: float | None = None
        self._changed = threading.Condition()
        self._arrived: list[str] = []
        self._tracker = Tracker(study.folder, experiment=study.experiment, place=study.place) if study.track else None
        before = study.records()
        self._done_before = sum(1 for r in plan if r.key in before and study.clip_of(before[r.key]) is not None)
        self._runner = Runner(
            folder=study.folder,
            place=study.place,
            plan=plan,
            run=self.id,
            options=options,
            listener=self._hear,
        )
        self._future: concurrent.futures.Future[None] = portal.start(self._main())

    async def _main(self) -> None:
        if self._tracker:
            self._tracker.start(self.id, self.plan)
        try:
            await self._runner()
        finally:
            self._seconds = time.monotonic() - self._began
            if self._tracker:
                await asyncio.to_thread(self._tracker.close)
            with self._changed:
                self._changed.notify_all()

    def _hear(self, event: Event, record: Record | None) -> None:
        if self._tracker:
            self._tracker.put(event, record)
        if event.kind == "saved":
            with self._changed:
                self._arrived.append(event.key)
                self._changed.notify_all()
        if self._listener:
            self._listener(event, record)

    # ── waiting and stopping ────────────────────────────────────────────────────────────────────────────

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; False when the time ran out first. Raises nothing of the run's own."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _TICK_S if deadline is None else min(_TICK_S, max(0.0, deadline - time.monotonic()))
            if concurrent.futures.wait([self._future], timeout=left).done:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def check(self) -> None:
        """Raise what concerns the whole run, once it is over.

        Raises:
            LabError: Locked, damaged, no engine, no money.
            OSError: The journal could not be written.
        """
        if self._future.done() and (error := self._future.exception()) is not None:
            raise error

    def stop(self) -> None:
        """Begin nothing new; what is at the service is still waited for and saved."""
        portal.loop().call_soon_threadsafe(self._runner.stop)

    def cancel(self) -> None:
        """Stop, and ask the service to take back what is there (it may still be billed)."""
        portal.loop().call_soon_threadsafe(self._runner.cancel)

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._future.done()

    @property
    def state(self) -> Literal["running", "stopping", "done"]:
        """`running`, `stopping` (nothing new begins) or `done`."""
        if self.done:
            return "done"
        return "stopping" if self._runner.stopping else "running"

    def __await__(self) -> Generator[Any, None, Self]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Self:
        # In ticks: a cell that awaits a bare future cannot be interrupted.
        while not self.done:
            await asyncio.sleep(_TICK_S)
        self.check()
        return self

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────

    def _records(self) -> dict[str, Record]:
        live = self._runner.records
        return dict(live) if live else self.study.records()

    @property
    def clips(self) -> list[Clip]:
        """The plan's clips that are there, in plan order."""
        records = self._records()
        found = (self.study.clip_of(replace(records[r.key])) for r in self.plan if r.key in records)
        return [clip for clip in found if clip is not None]

    @property
    def failures(self) -> list[Failure]:
        """The plan's requests that have no clip, and why; complete once the run is over."""
        records, problems, failures = self._records(), self._runner.problems, []
        for request in self.plan:
            record = records.get(request.key)
            if record is not None and record.stage == "saved":
                continue
            stage = record.stage if record else "not sent"
            why = problems.get(request.key) or (record.error if record else None)
            failures.append(Failure(request, stage, why or _WHY.get(stage, "the run ended before it")))
        return failures

    def raise_if_failed(self) -> Self:
        """The run itself if every request of the plan has its clip.

        Raises:
            RunFailed: Some have not; the message names the first few.
        """
        self.wait()
        self.check()
        if failures := self.failures:
            told = "; ".join(f"{f.request.key}: {f.stage}, {f.why}" for f in failures[:3])
            more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
            raise RunFailed(f"{len(failures)} of {len(self.plan)} requests have no clip: {told}{more}.")
        return self

    def __iter__(self) -> Iterator[Clip]:
        """The plan's clips as they arrive, those that were there before first."""
        told: set[str] = set()
        while True:
            over = self.done
            for clip in self._new(told):
                yield clip
            if over:
                return
            with self._changed:
                self._changed.wait(_TICK_S)

    async def __aiter__(self) -> AsyncIterator[Clip]:
        """The same for `async for`."""
        told: set[str] = set()
        while True:
            over = self.done
            for clip in self._new(told):
                yield clip
            if over:
                return
            await asyncio.sleep(_TICK_S)

    def _new(self, told: set[str]) -> list[Clip]:
        records, new = self._records(), []
        first = [r.key for r in self.plan] if not told else []
        for key in [*first, *self._arrived]:
            if key not in told and key in records and (clip := self.study.clip_of(replace(records[key]))) is not None:
                told.add(key)
                new.append(clip)
        return new

    def frame(self) -> pd.DataFrame:
        """The study's frame, cut to this plan."""
        df = self.study.frame()
        return df[df["key"].isin([r.key for r in self.plan])].reset_index(drop=True)

    def snapshot(self) -> Snapshot:
        """Counts, dollars and times for a progress display."""
        records = self._records()
        stages = [records[r.key].stage for r in self.plan if r.key in records]
        saved = stages.count("saved")
        failed = sum(stages.count(s) for s in ("refused", "failed", "cancelled"))
        elapsed = self._seconds if self._seconds is not None else time.monotonic() - self._began
        made = saved - self._done_before
        left = len(self.plan) - saved - failed
        return Snapshot(
            state=self.state,
            n_total=len(self.plan),
            n_saved=saved,
            n_before=self._done_before,
            n_failed=failed,
            n_unknown=stages.count("unknown"),
            n_in_flight=len(self._runner.in_flight),
            cost_usd=self.cost_usd,
            free=self.study.place.free,
            elapsed_s=elapsed,
            eta_s=elapsed / made * left if made > 0 and not self.done else None,
        )

    @property
    def cost_usd(self) -> float | None:
        """Dollars of this pass: 0 on a free engine; None when something of it is unknown."""
        costs = [r.cost_usd for r in self._records().values() if r.run == self.id]
        return None if None in costs else sum(c for c in costs if c is not None)

    def __repr__(self) -> str:
        s = self.snapshot()
        told = [f"{s.n_saved} saved"]
        stages = [f.stage for f in self.failures] if self.done else []
        told += [f"{stages.count(stage)} {stage}" for stage in dict.fromkeys(stages)]
        if not self.done:
            told.append(f"{s.n_in_flight} in flight of {s.n_total}")
        cost = "cost unknown" if s.cost_usd is None else f"${s.cost_usd:.2f}"
        why = " · run.failures says why" if stages else ""
        tracking = self._tracker.warning if self._tracker else None
        return f"{', '.join(told)} · {cost}{why}{f' · {tracking}' if tracking else ''}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(repr(f.request.seed))}</td>"
            f"<td style='text-align:left'>{html.escape(f.stage)}</td><td style='text-align:left'>{html.escape(f.why)}</td></tr>"
            for f in (self.failures[:10] if self.done else [])
        )
        table = f"<table><tr><th>seed</th><th>stage</th><th>why</th></tr>{rows}</table>" if rows else ""
        return f"<div><b>{html.escape(repr(self))}</b>{table}</div>"


_WHY = {
    "not sent": "the run was stopped before it was sent",
    "accepted": "it is at the service; run the plan again to fetch it",
    "finished": "it is made and paid for; run the plan again to fetch it",
    "unknown": "the answer was lost; run the plan again to look for it",
    "sending": "the answer was lost; run the plan again to look for it",
    "declined": "the service did not take it; run the plan again",
}

__all__ = ["Failure", "Run", "Study"]
