"""A folder, an engine and a journal; and one pass of it over a plan.

The core runs on the portal's loop; what is here are its doors: `run` blocks, `start` does not, `await`
and `for` work too, from a script, a notebook's cell, a callback or another loop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from seedance_lab import bill as bills
from seedance_lab import portal
from seedance_lab import quote as quotes
from seedance_lab.bill import Bill
from seedance_lab.budget import Options, check_budget, check_limit
from seedance_lab.engine import Place, place_of
from seedance_lab.errors import StudyError, near
from seedance_lab.folder import StudyFolder
from seedance_lab.interrupts import counted
from seedance_lab.journal import Journal, read
from seedance_lab.judging import logged
from seedance_lab.leaving import LEAVING_S, leaving_on_sigterm
from seedance_lab.measuring.live import is_on
from seedance_lab.plan import Plan
from seedance_lab.progress import Reporter, reporter
from seedance_lab.quote import Quote
from seedance_lab.record import IN_DOUBT, PAID, Record, fold
from seedance_lab.request import Request
from seedance_lab.retrack import Written, retrack
from seedance_lab.run import TICK_S, Failure, Listener, Run
from seedance_lab.tracking import Tracker

_LIFETIMES = {"1h": 3_600.0, "1d": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0, "1y": 31_536_000.0}
"""fal's own words. Source: fal_client 1.0.3, `StorageSettings`."""
_PREFIX = 6
"""Least characters of a key that is given in part."""


class Study(StudyFolder):
    """A folder that remembers what was asked, sent, paid and saved.

    Args:
        folder: Made at the first run.
        engine: `local` (free, the default), `fal` (paid), or the URL of a served simulator. A study stays
            with the engine of its first run; for a new one `SEEDANCE_LAB_ENGINE` is the default.
        track: Whether runs are mirrored into MLflow, wherever MLflow itself would put them; `track()` does it later.
        experiment: MLflow experiment; the folder's name by default.
        measure: Whether runs measure each clip as it arrives, in processes of the lowest priority; `measure()`
            does it later. On unless the variable `SEEDANCE_LAB_MEASURE` is `off`.
        slots: How many requests the in-process simulator works on at a time; one a core by default.
        keep_uploads: How long pictures stay at the service, readable by anyone who has their URL: `"1h"`, `"1d"`,
            `"7d"`, `"30d"`, `"1y"` or seconds (60 at least); None leaves it to the service.
        keep_outputs: The same for the videos it makes; they are fetched at once.

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
        measure: bool | None = None,
        slots: int | None = None,
        keep_uploads: str | float | None = None,
        keep_outputs: str | float | None = None,
    ) -> None:
        super().__init__(folder)
        self.place = self._place(engine)
        self.tracked = track
        self.experiment = experiment or self.folder.name
        self.measured_live = is_on(measure)
        self.slots = slots
        self._keep_s = {
            "keep_uploads_s": _seconds("keep_uploads", keep_uploads),
            "keep_outputs_s": _seconds("keep_outputs", keep_outputs),
        }

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
        in_flight: int | None = None,
        retry_failed: bool | Literal["all"] = False,
        max_requests: int | None = None,
        stop_if: float | None = None,
        requests_per_s: float | None = None,
        progress: bool = True,
    ) -> Run:
        """Run what of the plan is not done yet, and wait for it.

        The first interrupt (Ctrl-C, or the notebook's stop button) begins nothing new and waits for what is
        at the service; a second one asks the service to take that back, and a third one returns at once.

        Args:
            plan: From `sweep`, or one request.
            budget_usd: Most that this study may have spent, at list prices; needed where it costs money.
            in_flight: Requests at the service at a time; None begins with 2 and follows what the service shows of
                the account's slots.
            retry_failed: True sends again what failed in a way that may pass (a server's error, a time-out);
                `"all"` also what was refused for its content or its input.
            max_requests: Most requests that this run sends.
            stop_if: Share of failures, such as 0.5, above which nothing new is sent; judged from the fifth end on.
            requests_per_s: Most HTTP requests a second to the service, files not counted; None: fal's published
                10, and no limit for simulators.
            progress: Whether to show it.

        Raises:
            BudgetError: It would cost more. Nothing was sent.
            StudyLocked: Another process is running this study.
            EngineError: The engine cannot be used.
        """
        run = self.start(
            plan,
            budget_usd=budget_usd,
            in_flight=in_flight,
            retry_failed=retry_failed,
            max_requests=max_requests,
            stop_if=stop_if,
            requests_per_s=requests_per_s,
        )
        report = reporter(progress)
        try:
            with leaving_on_sigterm():
                _watch(run, report)
        finally:
            report.close(run.snapshot())
        run.check()
        return run

    def start(
        self,
        plan: Plan | Request,
        *,
        budget_usd: float | None = None,
        in_flight: int | None = None,
        retry_failed: bool | Literal["all"] = False,
        max_requests: int | None = None,
        stop_if: float | None = None,
        requests_per_s: float | None = None,
        listener: Listener | None = None,
    ) -> Run:
        """Begin a run and return at once.

        Args:
            plan: As for `run`, and so are the others.
            budget_usd: Dollars.
            in_flight: Requests.
            retry_failed: True, False or `"all"`.
            max_requests: Requests.
            stop_if: 0 to 1.
            requests_per_s: HTTP requests a second.
            listener: Told of every journal line as it is written, with the request's record so far; called
                on the core's thread, so it must be quick.
        """
        if isinstance(plan, Request):
            plan = Plan.of([plan])
        if not isinstance(plan, Plan):
            raise TypeError(
                f"A study runs a Plan or a Request, not {type(plan).__name__}; see seedance_lab.sweep."
            )
        options = Options(
            budget_usd=budget_usd,
            in_flight=in_flight,
            retry_failed=retry_failed,
            slots=self.slots,
            max_requests=max_requests,
            stop_if=stop_if,
            requests_per_s=requests_per_s,
            **self._keep_s,
        )
        # Where it costs money the run itself asks the service for its price first, and then judges.
        (check_limit if self.place.hosted else check_budget)(self.place, plan, self.records(), options)
        tracker = Tracker(self.folder, experiment=self.experiment, place=self.place) if self.tracked else None
        return Run(self, self.place, plan, options, tracker, listener, measure=self.measured_live)

    def preview(self, plan: Plan) -> Plan:
        """The same plan, knowing what this study has already paid for; nothing is sent."""
        return plan.against({key for key, record in self.records().items() if record.stage in PAID})

    def quote(self, plan: Plan) -> Quote:
        """What the plan would cost at the service's prices of this moment; asks it, and sends nothing that costs.

        Args:
            plan: From `sweep`; what this study has paid for already is left out of the price.

        Raises:
            EngineError: No key, no answer, or no price to be read.
        """
        return portal.call(quotes.quote(self.place, self.preview(plan)))

    def bill(self) -> Bill:
        """What the account was charged for this study's requests, held against what was estimated.

        Reads the service's billing events; fal tells them to an ADMIN key only, and without one they are unknown.
        Nothing is written. With `engine="local"` no run may be under way: its ledger is in the engine's folder.

        Raises:
            EngineError: No key, nobody answers, or a run holds the in-process engine.
            StudyError: Another simulator answers there than the one that the study was run on.
        """
        return portal.call(bills.bill(self.place, self.folder, self.events()))

    def track(
        self,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        listener: Callable[[int, int], None] | None = None,
    ) -> Written:
        """Write everything that the journal knows into MLflow now: every pass, every request that came to an end.

        For a study that was made with `track=False`, for a tracking database that was lost, or to copy a study
        into another store. What is there already is left alone, so it may be called at any time, twice too. Votes and
        ratings are written anew, as tables of the last pass's run.

        Args:
            tracking_uri: Where MLflow itself would put runs if not given.
            experiment: The study's own if not given.
            listener: Told after each run how many are done, of how many.

        Returns:
            How many runs were written, how many were there, and what MLflow did not take.

        Raises:
            StudyError: There is no study yet, or the store cannot be reached or written.
            StudyLocked: The study is being run; that run writes what is missing.
        """
        experiment = experiment or self.experiment
        written = retrack(
            self.folder,
            place=self.place,
            experiment=experiment,
            tracking_uri=tracking_uri,
            listener=listener,
        )
        problem = logged.log(self.folder, experiment, tracking_uri=tracking_uri)
        return written._replace(problems=(*written.problems, problem)) if problem else written

    def resolve(self, key: str, *, request_id: str | None = None, lost: bool = False) -> None:
        """Decide what became of a request whose answer was lost and that the history could not settle.

        Args:
            key: The request's key, or as much of its beginning as no other has.
            request_id: The service's id of the request that it is; `study.unknown[key].candidates` has those
                that it could be. The next run fetches its clip.
            lost: It never arrived: the next run sends it again.

        Raises:
            StudyError: No such request, it is not in doubt, or that id is another request's.
            StudyLocked: A run is under way.
        """
        if (request_id is None) != lost:
            raise StudyError("Say either request_id=… or lost=True. Nothing was written.")
        with Journal(self.folder) as journal:
            events = journal.take()
            records = fold(events)
            key = _whole(key, records, self.folder)
            if records[key].stage not in IN_DOUBT:
                raise StudyError(
                    f"The request {key} is not in doubt: it is {records[key].stage}. Nothing was written."
                )
            if request_id is not None and not re.fullmatch(r"[\w-]+", request_id):
                raise StudyError(f"{request_id!r} is no id of a request. Nothing was written.")
            # Earlier attempts too: what was made for them is theirs.
            other = next(
                (e.key for e in events if e.kind == "accepted" and e.data["request_id"] == request_id), None
            )
            if other is not None:
                raise StudyError(
                    f"The id {request_id!r} belongs to the request {other} already. Nothing was written."
                )
            if lost:
                journal.append("resolved", key, outcome="lost", why="a person said so")
            else:
                journal.append(
                    "resolved", key, outcome="found", request_id=request_id, why="a person said so"
                )
                journal.append("accepted", key, request_id=request_id, urls={})

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for record in self.records().values():
            counts[record.stage] = counts.get(record.stage, 0) + 1
        told = ", ".join(f"{n} {stage}" for stage, n in sorted(counts.items(), key=lambda c: -c[1]))
        return f"<Study {self.folder} · engine {self.place.name} · {told or 'nothing asked for yet'}>"


def _watch(run: Run, report: Reporter) -> None:
    """Wait for a run and show how far it is; each interrupt says one word more.

    Raises:
        KeyboardInterrupt: The third.
    """
    with counted() as interrupts:
        for word in (run.stop, run.cancel, run.leave):
            try:
                while not run.wait(TICK_S):
                    interrupts.check()
                    report.show(run.snapshot())
                return
            except KeyboardInterrupt:
                run.interrupted = True
                word()
                report.show(run.snapshot())
    run.wait(LEAVING_S)
    raise KeyboardInterrupt


def _whole(key: str, records: Mapping[str, Record], folder: Path) -> str:
    """The one key that begins so.

    Raises:
        StudyError: None does, or several do.
    """
    found = [known for known in records if known.startswith(key)] if len(key) >= _PREFIX else []
    if key in records or len(found) == 1:
        return key if key in records else found[0]
    if found:
        raise StudyError(f"{len(found)} requests of {folder} begin with {key!r}. Nothing was written.")
    raise StudyError(f"There is no request {key!r} in {folder}.{near(key, records)} Nothing was written.")


def _seconds(name: str, lifetime: str | float | None) -> float | None:
    """A lifetime in seconds; None for the service's own."""
    if lifetime is None or isinstance(lifetime, bool) or not isinstance(lifetime, str | int | float):
        value = None
    else:
        value = _LIFETIMES.get(lifetime) if isinstance(lifetime, str) else float(lifetime)
    if lifetime is not None and (value is None or not value >= 60):
        raise ValueError(
            f"{name}={lifetime!r} is not known; it is {', '.join(map(repr, _LIFETIMES))}, seconds (60 at least), "
            "or None for the service's own. Nothing was sent."
        )
    return value


def _kind(engine: str) -> str:
    return engine if engine in {"local", "fal"} else "served"


__all__ = ["Failure", "Run", "Study"]
