"""A folder, an engine and a journal; and one pass of it over a plan.

The core runs on the portal's loop; what is here are its doors: `run` blocks, `start` does not, `await`
and `for` work too, from a script, a notebook's cell, a callback or another loop.
"""

from __future__ import annotations

import os

from seedance_lab.budget import Options, check_budget
from seedance_lab.engine import Place, place_of
from seedance_lab.errors import StudyError, near
from seedance_lab.folder import StudyFolder
from seedance_lab.journal import Journal, read
from seedance_lab.plan import Plan
from seedance_lab.progress import reporter
from seedance_lab.record import PAID, fold
from seedance_lab.request import Request
from seedance_lab.run import TICK_S, Failure, Listener, Run
from seedance_lab.tracking import Tracker


class Study(StudyFolder):
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
        super().__init__(folder)
        self.place = self._place(engine)
        self.track = track
        self.experiment = experiment or self.folder.name
        self.slots = slots

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
            while not run.wait(TICK_S):
                report.show(run.snapshot())
        except KeyboardInterrupt:
            run.interrupted = True
            run.stop()
            report.show(run.snapshot())
            try:
                while not run.wait(TICK_S):
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
        """Begin a run and return at once.

        Args:
            plan: As for `run`.
            budget_usd: As for `run`.
            in_flight: As for `run`.
            retry_failed: As for `run`.
            listener: Told of every journal line as it is written, with the request's record so far; called
                on the core's thread, so it must be quick.
        """
        if isinstance(plan, Request):
            plan = Plan.of([plan])
        if not isinstance(plan, Plan):
            raise TypeError(
                f"A study runs a Plan or a Request, not {type(plan).__name__}; see seedance_lab.sweep."
            )
        if isinstance(in_flight, bool) or not isinstance(in_flight, int) or in_flight < 1:
            raise ValueError(f"in_flight={in_flight!r} must be 1 or more. Nothing was sent.")
        options = Options(
            budget_usd=budget_usd, in_flight=in_flight, retry_failed=retry_failed, slots=self.slots
        )
        check_budget(self.place, plan, self.records(), options)
        tracker = Tracker(self.folder, experiment=self.experiment, place=self.place) if self.track else None
        return Run(self, self.place, plan, options, tracker, listener)

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


def _kind(engine: str) -> str:
    return engine if engine in {"local", "fal"} else "served"


__all__ = ["Failure", "Run", "Study"]
