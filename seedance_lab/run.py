"""One pass of a study over a plan, under way or over: what it has made, what failed and why.

The core runs on the portal's loop; a `Run` is its handle in every other thread and loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import html
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from seedance_lab import leaving, portal
from seedance_lab.budget import Options
from seedance_lab.clip import Clip
from seedance_lab.engine import Place
from seedance_lab.errors import RequestError, RunFailed
from seedance_lab.folder import StudyFolder
from seedance_lab.journal import Event
from seedance_lab.measuring.live import Live
from seedance_lab.plan import Plan
from seedance_lab.progress import Snapshot
from seedance_lab.record import Record
from seedance_lab.request import Request
from seedance_lab.running import Runner
from seedance_lab.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

TICK_S = 0.2
"""A wait is cut into ticks: an interrupt is noticed between them, never during a bare wait."""

_NAP_S = 0.02

Listener = Callable[[Event, Record | None], None]


class Failure(NamedTuple):
    """Why a request of a run has no clip."""

    request: Request
    stage: str
    """Its last journal kind, or `not sent`."""
    why: str


class Run:
    """One pass of a study over a plan, under way or over.

    It never raises for one request's fate (see `failures`, `raise_if_failed`), only for what concerns the
    whole run.
    """

    def __init__(
        self,
        study: StudyFolder,
        place: Place,
        plan: Plan,
        options: Options,
        tracker: Tracker | None,
        listener: Listener | None,
        *,
        measure: bool = False,
    ) -> None:
        self.study, self.place, self.plan, self.options = study, place, plan, options
        self.id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.interrupted = False
        self._listener = listener
        self._began = time.monotonic()
        self._seconds: float | None = None
        self._over = False
        self._arrived: list[str] = []
        self._tracker = tracker
        self._live = Live(study.folder, self._measured) if measure else None
        before = study.records()
        self._done_before = sum(
            1 for r in plan if r.key in before and study.clip_of(before[r.key]) is not None
        )
        self._runner = Runner(
            folder=study.folder,
            place=place,
            plan=plan,
            run=self.id,
            options=options,
            listener=self._hear,
        )
        self._future: concurrent.futures.Future[None] = portal.start(self._main())
        self._future.add_done_callback(self._end)
        leaving.begun(self)

    def _end(self, _: object) -> None:
        self._over = True

    async def _main(self) -> None:
        if self._tracker:
            self._tracker.start(self.id, self.plan)
        try:
            await self._runner()
        finally:
            self._seconds = time.monotonic() - self._began
            if self._live:
                await self._rest(self._live)
            if self._tracker:
                await _closed(self._tracker)

    def _hear(self, event: Event, record: Record | None) -> None:
        if self._tracker:
            self._tracker.put(event, record)
        if event.kind == "saved":
            self._arrived.append(event.key)
            if self._live and record is not None:
                self._measure(self._live, record)
        if self._listener:
            self._listener(event, record)

    def _measure(self, live: Live, record: Record) -> None:
        with contextlib.suppress(RequestError, OSError):  # `study.measure()` will say what is wrong with it
            if (clip := self.study.clip_of(replace(record))) is not None:
                live.put(clip)

    def _measured(self, clip: Clip, values: Mapping[str, float]) -> None:
        """A clip was measured; told to MLflow as one more line of the run, which the journal need not have."""
        if self._tracker and clip.key is not None:
            data = {"run": self.id, "values": dict(values)}
            self._tracker.put(Event(0, dt.datetime.now(dt.UTC), "measured", clip.key, data), clip.record)

    async def _rest(self, live: Live) -> None:
        """Wait for the measures of the last clips, unless somebody is in a hurry."""
        while live.n_left and not (self.interrupted or self._runner.signals.leaving):
            await asyncio.sleep(_NAP_S)
        live.leave()

    # ── waiting and stopping ────────────────────────────────────────────────────────────────────────────

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; False when the time ran out first. Raises nothing of the run's own."""
        # Asleep and without a lock: an interrupt between taking a lock and holding it would leave it taken, and
        # the core would wait for it for ever.
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._over:
            left_s = _NAP_S if deadline is None else min(_NAP_S, deadline - time.monotonic())
            if left_s <= 0:
                return False
            time.sleep(left_s)
        return True

    def check(self) -> None:
        """Raise what concerns the whole run, once it is over.

        Raises:
            LabError: Locked, damaged, no engine, no money.
            OSError: The journal could not be written.
        """
        if self._over and (error := self._future.exception()) is not None:
            raise error

    def stop(self) -> None:
        """Begin nothing new; what is at the service is still waited for and saved."""
        self._tell("stop")

    def pause(self) -> None:
        """Begin nothing new until `resume`; what is at the service is waited for and saved."""
        self._tell("pause")

    def resume(self) -> None:
        """Go on after `pause`."""
        self._tell("resume")

    def cancel(self) -> None:
        """Stop, and ask the service to take back what is there.

        What still waits in its queue is taken back first and costs nothing. What runs may be made and billed
        all the same; its record says `may_be_billed`.
        """
        self._tell("cancel")

    def leave(self) -> None:
        """Stop, and wait for nothing: the next run of the study fetches what is at the service."""
        self._tell("leave")

    def _tell(self, word: str) -> None:
        portal.loop().call_soon_threadsafe(getattr(self._runner.signals, word))

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._over

    @property
    def state(self) -> Literal["running", "paused", "stopping", "cancelling", "done"]:
        """`running`, `paused`, `stopping` (nothing new), `cancelling` (what is there is asked back) or `done`."""
        if self.done:
            return "done"
        if self._runner.signals.cancelling:
            return "cancelling"
        if self._runner.signals.stopping:
            return "stopping"
        return "paused" if self._runner.signals.paused else "running"

    @property
    def why(self) -> str | None:
        """Why it began nothing new before the plan was done; None when nothing kept it."""
        return self._runner.signals.why

    def __await__(self) -> Generator[Any, None, Self]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Self:
        # In ticks: a cell that awaits a bare future cannot be interrupted.
        try:
            while not self.done:
                await asyncio.sleep(TICK_S)
        except asyncio.CancelledError:
            # An interrupted cell comes here; it must not go on spending behind its reader's back.
            self.interrupted = True
            self.stop()
            raise
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
            if record is not None and self.study.clip_of(record) is not None:
                continue
            stage = record.stage if record else "not sent"
            why = problems.get(request.key) or (record.error if record else None)
            if why is None and stage == "not sent" and self.why:
                why = f"not sent: {self.why}"
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
            yield from self._new(told)
            if over:
                return
            try:
                time.sleep(_NAP_S)
            except KeyboardInterrupt:
                # As with `await`: it must not go on spending behind its reader's back.
                self.interrupted = True
                self.stop()
                raise

    async def __aiter__(self) -> AsyncIterator[Clip]:
        """The same for `async for`."""
        told: set[str] = set()
        while True:
            over = self.done
            for clip in self._new(told):
                yield clip
            if over:
                return
            try:
                await asyncio.sleep(TICK_S)
            except asyncio.CancelledError:
                self.interrupted = True
                self.stop()
                raise

    def _new(self, told: set[str]) -> list[Clip]:
        records, new = self._records(), []
        first = [r.key for r in self.plan] if not told else []
        for key in [*first, *self._arrived]:
            if (
                key not in told
                and key in records
                and (clip := self.study.clip_of(replace(records[key]))) is not None
            ):
                told.add(key)
                new.append(clip)
        return new

    def frame(self) -> pd.DataFrame:
        """The study's frame, cut to this plan."""
        df = self.study.frame()
        return df[df["key"].isin([r.key for r in self.plan])].reset_index(drop=True)

    def snapshot(self) -> Snapshot:
        """Counts, dollars and times for a progress display."""
        records, flying = self._records(), set(self._runner.in_flight)
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
            n_unknown=sum(_is_unknown(records[r.key], flying) for r in self.plan if r.key in records),
            n_in_flight=len(flying),
            cost_usd=self.cost_usd,
            free=self.place.free,
            elapsed_s=elapsed,
            eta_s=elapsed / made * left if made > 0 and not self.done else None,
            n_to_measure=self._live.n_left if self._live and not self.done else 0,
        )

    @property
    def tracking_warning(self) -> str | None:
        """Why MLflow does not have everything; None when it has, or was not asked."""
        return self._tracker.warning if self._tracker else None

    @property
    def measuring_warning(self) -> str | None:
        """Why some clips of this run have no measures; None when all have, or it was not to measure."""
        return self._live.warning if self._live else None

    @property
    def cost_usd(self) -> float | None:
        """Dollars of this pass: 0 on a free engine; None when something of it is unknown."""
        flying = set(self._runner.in_flight)
        # A request on its way is counted at its list price: it is not lost yet, only not answered.
        costs = [r.usd if r.cost_usd is None and r.key in flying else r.cost_usd for r in self._mine()]
        return None if None in costs else sum(c for c in costs if c is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the service said of prices and models when the run began; empty on a free engine."""
        return self._runner.prices.notes(self.plan, self.place.name) if self.place.hosted else ()

    def _mine(self) -> list[Record]:
        return [r for r in self._records().values() if r.run == self.id]

    def __repr__(self) -> str:
        s = self.snapshot()
        if self.done and (error := self._future.exception()) is not None:
            return f"ended early: {type(error).__name__}: {error}"
        told = [f"{s.n_saved} saved"]
        stages = [f.stage for f in self.failures] if self.done else []
        told += [f"{stages.count(stage)} {stage}" for stage in dict.fromkeys(stages)]
        if not self.done:
            told += [f"{s.n_failed} failed"] if s.n_failed else []
            told += [f"{s.n_unknown} unknown"] if s.n_unknown else []
            told.append(f"{s.n_in_flight} in flight of {s.n_total}")
            told += [s.state] if s.state != "running" else []
        if self.done and (n := sum(bool(r.differs) for r in self._mine())):
            told.append(f"{n} not as asked for (see the column differs)")
        if self.done and self.why:
            told.append(self.why)
        cost = "cost unknown" if s.cost_usd is None else f"${s.cost_usd:.2f}"
        why = " · run.failures says why" if stages else ""
        tracking = f" · {self.tracking_warning}" if self.tracking_warning else ""
        notes = "".join(f" · {note}" for note in self.notes)
        return f"{', '.join(told)} · {cost}{why}{notes}{tracking}"

    def _repr_html_(self) -> str:
        told = [(repr(f.request.seed), f.stage, f.why) for f in self.failures[:10]] if self.done else []
        rows = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(text)}</td>" for text in row)
            + "</tr>"
            for row in told
        )
        table = f"<table><tr><th>seed</th><th>stage</th><th>why</th></tr>{rows}</table>" if rows else ""
        return f"<div class='tex2jax_ignore mathjax_ignore'><b>{html.escape(repr(self))}</b>{table}</div>"


def under_way(folder: Path) -> Run | None:
    """The run of this process that has the study in this folder; None where there is none."""
    runs = (run for run in leaving.under_way() if isinstance(run, Run))
    found = [run for run in runs if run.study.folder == folder]
    return min(found, key=lambda run: run.id, default=None)  # a later one is on its way to being refused


def _is_unknown(record: Record, flying: set[str]) -> bool:
    """Whether its answer was lost. One that is on its way just now is not lost yet."""
    return record.stage == "unknown" or (record.stage == "sending" and record.key not in flying)


async def _closed(tracker: Tracker) -> None:
    try:
        await asyncio.to_thread(tracker.close)
    except RuntimeError:
        tracker.close()  # the interpreter is ending and lends no more threads


_WHY = {
    "saved": "its file is no longer in clips/; run the plan again to fetch it, which costs nothing",
    "not sent": "the run was stopped before it was sent",
    "accepted": "it is at the service; run the plan again to fetch it",
    "finished": "it is made and paid for; run the plan again to fetch it",
    "unknown": "the answer was lost; run the plan again to look for it",
    "sending": "the answer was lost; run the plan again to look for it",
    "declined": "the service did not take it; run the plan again",
}
