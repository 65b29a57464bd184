"""One pass over a plan: every request from wherever the journal says it is to its clip.

A request holds a place in the window only while it is at the service; its file is fetched after that. What
is there already comes first: it is paid for, and results expire. What an earlier plan of the same study left at
the service is brought home too, but never sent.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seedance_lab import lineage
from seedance_lab._version import __version__
from seedance_lab.budget import Options, check_budget, check_limit, to_send
from seedance_lab.clip import file_name
from seedance_lab.engine import PART, Engine, Place, open_engine
from seedance_lab.errors import ClipError, EngineError, StudyError
from seedance_lab.image import Picture
from seedance_lab.journal import Event, Journal
from seedance_lab.plan import Plan
from seedance_lab.prices import PUBLISHED, read_prices
from seedance_lab.record import IN_DOUBT, Record
from seedance_lab.request import Request
from seedance_lab.running.book import Book
from seedance_lab.running.fetching import Fetcher
from seedance_lab.running.pace import Pace
from seedance_lab.running.reconcile import Reconciler
from seedance_lab.running.sending import ATTEMPTS, Halt, Sender
from seedance_lab.running.signals import Left, Signals
from seedance_lab.running.waiting import Watcher
from seedance_lab.running.window import Window

_BACKLOG = 64
"""Clips that may be on their way to the disk before nothing new is sent."""
_ENOUGH_TO_JUDGE = 5
"""`stop_if` looks at a share only once so many requests of the pass have ended."""
_LEFT = IN_DOUBT | {"accepted", "finished"}
_ENDED = frozenset({"saved", "failed", "refused"})


class Runner:
    """Runs a plan; use it on one event loop, once.

    Args:
        folder: The study's folder.
        place: Where clips are made.
        plan: What to make.
        run: The pass's id.
        options: How.
        listener: Told of every line that is written, with the request's record; called on the loop, must
            be quick and must not raise.

    Attributes:
        records: Of the whole study, by key; empty until the journal is open.
        problems: Why a request has no clip, by key.
        in_flight: Keys that are being worked on.
        signals: How to stop it.
        prices: What requests are reckoned at; the service is asked once, if there is something to send.
    """

    def __init__(
        self,
        *,
        folder: Path,
        place: Place,
        plan: Plan,
        run: str,
        options: Options,
        listener: Callable[[Event, Record | None], None],
    ) -> None:
        self.folder, self.place, self.plan, self.run, self.options = folder, place, plan, run, options
        self.records: dict[str, Record] = {}
        self.problems: dict[str, str] = {}
        self.in_flight: set[str] = set()
        self._stirred = asyncio.Event()
        self.signals = Signals(self._stirred.set)
        self.prices = PUBLISHED
        self._listener = listener
        waiting = 1 / 2 if place.free else 1 / 8
        self._window = Window(options.in_flight, self._stirred.set, waiting=waiting)
        self._fatal: Exception | None = None
        self._n_ended = self._n_failed = 0
        self._book: Book
        self._sender: Sender
        self._watcher: Watcher
        self._fetcher: Fetcher
        self._reconciler: Reconciler

    async def __call__(self) -> None:
        """Run to the end.

        Raises:
            LabError: What concerns the whole run: locked, damaged, no engine, no money.
            OSError: The journal cannot be written.
        """
        with Journal(self.folder) as journal:
            book = self._book = Book(journal, self.place, self.run, self._hear)
            self.records = book.records
            # Where it costs money the service's own price decides, once it was read; the published one may be old.
            check = check_limit if self.place.hosted else check_budget
            check(self.place, self.plan, self.records, self.options)
            opening = open_engine(
                self.place,
                self.folder / "engine",
                slots=self.options.slots,
                requests_per_s=self.options.requests_per_s,
            )
            # Git is asked meanwhile: in a large repository it may take a second.
            engine, noted = await asyncio.gather(opening, asyncio.to_thread(lineage.now))
            begun = False
            try:
                self._check_engine(engine.identity)
                await self._read_prices(engine)
                parts: Any = {"engine": engine, "book": book, "signals": self.signals}
                pace = Pace(self.place, self.records.values())
                self._reconciler = Reconciler(**parts, place=self.place, problems=self.problems)
                self._watcher = Watcher(**parts, pace=pace)
                self._fetcher = Fetcher(**parts, folder=self.folder)
                self._sender = Sender(
                    **parts,
                    window=self._window,
                    options=self.options,
                    problems=self.problems,
                    usd=self.prices.usd,
                )
                self._prepare()
                begun = True
                await book.begin(n_requests=len(self.plan), engine_id=engine.identity,
                           budget_usd=self.options.budget_usd, version=__version__, lineage=noted)  # fmt: skip
                if self.prices.read_at is not None:
                    await book.say("price", **self.prices.record(self.plan))
                await self._feed()
            finally:
                with contextlib.suppress(OSError):
                    if begun:
                        why = str(self._fatal) if self._fatal else None
                        await book.say(
                            "ended", why=why, stopped=self.signals.stopping, limit=self.signals.why
                        )
                await engine.aclose()
        if self._fatal is not None:
            raise self._fatal

    async def _read_prices(self, engine: Engine) -> None:
        """Ask what the models cost now, if this pass may send anything, and hold that against the budget.

        Raises:
            BudgetError: It would cost more. Nothing was sent.
        """
        in_doubt = [request for request in self.plan if self._stage(request.key) in IN_DOUBT]
        if may_send := [*to_send(self.plan, self.records, self.options), *in_doubt]:
            self.prices = await read_prices(engine, may_send)
            check_budget(self.place, self.plan, self.records, self.options, self.prices)

    def _prepare(self) -> None:
        """Folders and pictures: all that is written before anything is sent."""
        for name in ("inputs", "clips"):
            (self.folder / name).mkdir(exist_ok=True)
        saved = {Path(file_name(r.key)).stem for r in self.records.values() if r.stage == "saved"}
        for part in (self.folder / "clips").glob(f".*{PART}"):
            if part.name.removeprefix(".").split(".mp4")[0] in saved:
                part.unlink(missing_ok=True)  # of a link that was given up for another
        pictures = {p.sha256: p for r in self.plan for p in (r.image, r.end_image) if p is not None}
        for picture in pictures.values():
            _keep(picture, self.folder / "inputs")

    def _check_engine(self, identity: str) -> None:
        if self._book.engine_id not in {None, identity}:
            raise StudyError(
                f"The study {self.folder} was run on another simulator than the one at {self.place.name}. "
                "Nothing was sent. Start that one again (same --folder), or use a new study folder."
            )

    def _hear(self, event: Event, record: Record | None) -> None:
        """Count how the pass's requests end, and tell the listener."""
        if event.kind in _ENDED and record is not None:
            self._n_ended += 1
            self._n_failed += event.kind != "saved"
            limit = self.options.stop_if
            n = self._n_ended
            if limit is not None and n >= _ENOUGH_TO_JUDGE and self._n_failed > limit * n:
                self.signals.stop(
                    f"stop_if={limit:g}: {self._n_failed} of {n} requests failed; nothing more was sent"
                )
        self._listener(event, record)

    # ── what there is to do ─────────────────────────────────────────────────────────────────────────────

    def _todo(self) -> collections.deque[Request | Record]:
        """What is at the service first, then what is to be sent, in plan order."""
        planned = {request.key for request in self.plan}
        wanted = [request for request in self.plan if self._wanted(request)]
        there: list[Request | Record] = [r for r in wanted if self._stage(r.key) in _LEFT]
        there += [r for r in self.records.values() if r.key not in planned and r.stage in _LEFT]
        return collections.deque([*there, *(r for r in wanted if self._stage(r.key) not in _LEFT)])

    def _stage(self, key: str) -> str:
        return self.records[key].stage if key in self.records else "new"

    def _wanted(self, request: Request) -> bool:
        """Whether this pass has something to do for the request."""
        record = self.records.get(request.key)
        if record is None:
            return True
        if record.stage == "saved":
            return not (self.folder / "clips" / file_name(request.key)).exists()
        return record.stage not in {"refused", "failed"} or self.options.retries(record)

    async def _feed(self) -> None:
        """Begin requests as there is room, until there are no more or nothing new may begin."""
        todo, tasks = self._todo(), set[asyncio.Task[None]]()
        # What is at the service counts, however few the window would begin with.
        self._window.found(sum(r.stage == "accepted" for r in self.records.values()))

        def over(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            self._stirred.set()

        obeying = asyncio.create_task(self._obey())
        try:
            while todo and not self.signals.leaving:
                self._stirred.clear()
                if self.signals.stopping:
                    # What is there is still waited for and saved; what was never sent is left.
                    todo = collections.deque(i for i in todo if self._stage(i.key) in _LEFT)
                while todo and self._may_begin(todo[0], len(tasks)):
                    task = asyncio.create_task(self._serve(todo.popleft()))
                    tasks.add(task)
                    task.add_done_callback(over)
                    await asyncio.sleep(0)  # it takes its place
                if todo and not self._stirred.is_set():
                    await self._stirred.wait()
            await asyncio.gather(*tasks)
        finally:
            obeying.cancel()

    def _may_begin(self, item: Request | Record, n_under_way: int) -> bool:
        """Whether there is room for it, at the service and on the way to the disk."""
        if n_under_way >= self._window.size + _BACKLOG:
            return False
        if self._stage(item.key) in _LEFT:
            return not self.signals.leaving
        return self._window.has_room and not self.signals.paused and not self.signals.stopping

    async def _obey(self) -> None:
        """Ask the service to take back what it has, once the person says so."""
        while not self.signals.cancelling:
            await self.signals.changed()
        await self._watcher.take_back()

    # ── one request ─────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, item: Request | Record) -> None:
        """Take one request to its end, and keep what goes wrong with it to itself."""
        key = item.key
        self.in_flight.add(key)
        self.problems.pop(key, None)
        try:
            if await self._through_service(item):
                await self._fetcher.fetch(self.records[key])
        except Left:
            pass
        except Halt as halt:
            self._abort(halt.error)
        except (EngineError, ClipError) as error:
            self.problems[key] = str(error)
        except OSError as error:
            self.problems[key] = f"{error.strerror or error}"
            if self._stage(key) != "finished":
                self._abort(error)
        except Exception as error:  # noqa: BLE001  # told of at the run's end; the others finish first
            self._abort(error)
        finally:
            self.in_flight.discard(key)

    async def _through_service(self, item: Request | Record) -> bool:
        """Settle, send and wait as the journal demands; True when there is a file to fetch."""
        for _ in range(2 * ATTEMPTS):  # to send, and to settle what came of it
            stage = self._stage(item.key)
            if stage in {"finished", "saved"}:
                return True
            if stage in IN_DOUBT:
                # Outside the window: it may take a quarter of an hour until absence is proof.
                if not await self._reconciler.settle(self.records[item.key]):
                    return False
                continue
            async with self._window.place(is_there=stage == "accepted"):
                if stage != "accepted":
                    if not isinstance(item, Request):
                        return False  # no plan of this pass asks for it
                    sent = await self._sender.send(item)
                    if self._stage(item.key) in IN_DOUBT:
                        continue
                    if not sent:
                        return False
                done = await self._watcher.wait(self.records[item.key])
            # Its slot is free: the next may go before the result is fetched.
            return await self._watcher.finish(self.records[item.key], done)
        self.problems[item.key] = f"not sent: its answer was lost {ATTEMPTS} times; run the plan again later"
        return False

    def _abort(self, error: Exception) -> None:
        self._fatal = self._fatal or error
        self.signals.stop()


def _keep(picture: Picture, inputs: Path) -> None:
    """Keep the exact bytes that are sent, under their checksum."""
    path = inputs / picture.sha256
    if path.exists() and path.stat().st_size == picture.n_bytes:
        return
    data = picture.read()
    assert hashlib.sha256(data).hexdigest() == picture.sha256
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
