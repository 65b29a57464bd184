"""The queue: takes requests in, runs a few at a time in order of arrival, remembers how each ended.

Everything that a client was told is in the store first. What is in memory can be lost at any moment:
after a restart the unfinished requests are queued again in their old order.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from seedance_lab.endpoints import Endpoint
from seedance_lab.errors import EngineError
from seedance_lab.local.disk import Disk
from seedance_lab.local.faults import Faults
from seedance_lab.local.faulty import FaultyRenderer
from seedance_lab.local.fetch import Fetcher
from seedance_lab.local.files import Files
from seedance_lab.local.latency import Clock, Dispatch, Pace, Timed
from seedance_lab.local.live import Bell, Line, Live, View, cancelled, finished, timed_out
from seedance_lab.local.model import Model
from seedance_lab.local.pictures import Pictures
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.records import PLAIN, Charge, FileRecord, Options, Outcome, Record, as_json
from seedance_lab.local.renderer import Renderer
from seedance_lab.local.store import Store
from seedance_lab.local.tidy import Tidy
from seedance_lab.local.webhooks import Signer, Webhooks
from seedance_lab.local.work import work

log = logging.getLogger(__name__)

Cancelled = Literal["OK", "CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]
_RETENTION_S = 3600.0
_LARGE_BYTES, _LARGE_RETENTION_S = 10_000, 360.0


class Service:
    """The engine without its wire: one folder, one queue, one renderer.

    Everything runs on the event loop that called `start`, in whatever thread that is.

    Args:
        folder: Where everything is kept; one running service to a folder.
        slots: How many requests run at a time. New accounts of the hosted service have 2.
        renderer: Who draws; default: worker processes of our own.
        clock: Seconds since the epoch.
        fetcher: Who downloads pictures named by URL.
        balance_usd: What was paid in, ever; submissions are refused once the folder's ledger has used it up.
            None for no limit.
        retention_s: How long a result can be had after its end (a large one six minutes at most, as at the
            service); the history keeps it. None for ever.
        keep_alive_s: How long a status stream may be silent before it sends a comment.
        webhooks_to_loopback: Whether webhooks may go to this machine too; never to other private addresses.
        pause: Waits between the attempts of a webhook.
        faults: What is to go wrong, here and in the application made of this service.
        latency: The service's times; None for as fast as it renders.
        disk_bytes: What the files may take; beyond it, what is no longer needed goes (see `disk`). None for no limit.
        forget_unfetched: Whether a clip may go too that nobody has fetched, once its result is no longer kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int = 2,
        renderer: Renderer | None = None,
        clock: Callable[[], float] = time.time,
        fetcher: Fetcher | None = None,
        balance_usd: float | None = None,
        retention_s: float | None = _RETENTION_S,
        keep_alive_s: float = 15.0,
        webhooks_to_loopback: bool = False,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        faults: Faults | None = None,
        latency: Pace | None = None,
        disk_bytes: float | None = None,
        forget_unfetched: bool = False,
    ) -> None:
        if slots < 1:
            raise EngineError(f"slots={slots} must be at least 1. Nothing was sent.")
        self.slots = slots
        self.clock = clock if isinstance(clock, Clock) else Clock(clock)
        self.faults = faults or Faults()
        self._latency = latency
        self._dispatch = Dispatch(latency, self.clock, self._pump)
        self.store = Store(folder)
        forget_s = retention_s if forget_unfetched else None
        self.disk = Disk(self.store, self.clock, limit=disk_bytes, forget_s=forget_s)
        self.files = Files(self.store, self.clock, self.disk)
        self._given = renderer
        self._renderer: Renderer | None = None
        self._fetcher = fetcher or Fetcher()
        self._model: Model | None = None
        self._balance_usd = balance_usd
        self._retention_s = retention_s
        self.keep_alive_s = keep_alive_s
        self._spent_usd = 0.0
        self._live: dict[str, Live] = {}
        self._line = Line()
        self._bell = Bell()
        self.signer = Signer(self.store.folder / "webhook.key")
        self._webhooks = Webhooks(
            self.store,
            self.signer,
            clock=self.clock,
            output=self.output,
            is_kept=self.is_kept,
            to_loopback=webhooks_to_loopback,
            pause=pause,
        )
        self._running: set[asyncio.Task[None]] = set()
        self._tidy = Tidy(self.store, self.disk, self.clock, retention_s=retention_s)

    @property
    def engine_id(self) -> str:
        """Made once for each folder: two engines never have the same."""
        return self.store.engine_id

    async def start(self) -> None:
        """Take the folder and go on with what was unfinished.

        Raises:
            EngineError: Another process has the folder, or it cannot be used.
        """
        self.store.open()
        self.disk.open()
        self._renderer = FaultyRenderer(
            self._given or WorkerPool(log=self.store.folder / "workers.log"), self.faults
        )
        if self._latency is not None:
            self._renderer = Timed(self._renderer, self._latency, self.clock)
        self._model = Model(self.files, Pictures(self.files, self._fetcher), self._renderer)
        self._spent_usd = self.store.spent_usd()
        for record in self.store.stopping():  # its owner was told so, and then the process died
            ended = cancelled()._replace(started_at=record.started_at, ended_at=self.clock())
            self.store.finish(record.request_id, ended)
        for unfinished in self.store.requeue():
            live = Live(*unfinished)
            if (waiting := self.store.find(live.request_id)) is not None:
                self._hold(live, json.loads(waiting.input), waiting.sent_at)
            self._enter(live)
        self._webhooks.tell()
        self._pump()
        self._tidy.start()

    async def aclose(self) -> None:
        """Stop at once. Unfinished requests stay in the folder and go on at the next start."""
        self._model = None
        self._dispatch.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._tidy.aclose()
        await self._webhooks.aclose()
        for live in self._live.values():
            if live.done is not None:
                live.done.set()
            if live.timer is not None:
                live.timer.cancel()
        self._line.clear()
        self._live.clear()
        self._bell.ring()
        if self._renderer is not None:
            await self._renderer.aclose()
        self.store.close()

    @property
    def is_open(self) -> bool:
        """Whether it was started and not yet closed."""
        return self._model is not None

    @property
    def balance_usd(self) -> float | None:
        """What is left of what was paid in; None when nobody counts."""
        return None if self._balance_usd is None else self._balance_usd - self._spent_usd

    @property
    def n_queued(self) -> int:
        """How many requests wait."""
        return len(self._line)

    def submit(self, endpoint: Endpoint, arguments: object, options: Options = PLAIN) -> tuple[str, int]:
        """Take a request in. Returns its id and how many are queued before it."""
        if self._model is None:
            raise EngineError("The engine is not running. Nothing was sent. Start it first.")
        request_id = str(uuid.uuid4())
        now, text = self.clock(), as_json(arguments)
        seq = self.store.add(request_id, endpoint.id, text, now, options)
        late = None if options.start_timeout_s is None else now + options.start_timeout_s
        live = Live(seq, request_id, endpoint.id, options.low, late, options.webhook is not None)
        self._hold(live, arguments, now)
        position = self._enter(live)
        self._dispatch.soon(text)
        return request_id, position

    def has_room(self) -> bool:
        """Whether a request would run at once."""
        return len(self._running) < self.slots and not self._line

    async def wait(self, request_id: str) -> None:
        """Until the request is finished, or the service is closed."""
        live = self._live.get(request_id)
        if live is not None:
            live.done = live.done or asyncio.Event()
            await live.done.wait()

    async def changed(self, timeout_s: float) -> bool:
        """Whether the state of any request changed within `timeout_s` seconds."""
        return await self._bell.heard(timeout_s)

    def view(self, request_id: str, *, logs: bool = False) -> View | None:
        """How a request stands; None when there is none with this id."""
        live = self._current(request_id)
        if live is None:
            record = self.store.find(request_id)
            return None if record is None else finished(record, logs=logs)
        shown = list(live.logs) if logs else None
        if live.task is not None:
            return View(live.endpoint_id, "IN_PROGRESS", logs=shown)
        return View(live.endpoint_id, "IN_QUEUE", self._line.position(live), shown)

    def find(self, request_id: str) -> Record | None:
        """The request with this id, as it stands now."""
        self._current(request_id)
        return self.store.find(request_id)

    def is_kept(self, record: Record) -> bool:
        """Whether the result of a finished request can still be had."""
        if self._retention_s is None or record.ended_at is None:
            return True
        is_large = len(record.output or "") >= _LARGE_BYTES
        kept_s = min(self._retention_s, _LARGE_RETENTION_S) if is_large else self._retention_s
        return self.clock() < record.ended_at + kept_s

    def cancel(self, request_id: str) -> Cancelled:
        """Take a queued request out, or ask a running one to stop. What is cancelled is not charged."""
        live = self._current(request_id)
        if live is None:
            return "NOT_FOUND" if self.store.find(request_id) is None else "ALREADY_COMPLETED"
        if live.task is not None:
            if not live.stop:
                self.store.stop(request_id)
                live.stop = True
                live.task.cancel()
            return "CANCELLATION_REQUESTED"
        self._line.leave(live)
        self._finish(request_id, live, cancelled())
        return "OK"

    def output(self, record: Record, base: str) -> Any:
        """The JSON body of a finished request; `base` is where the caller reaches this engine.

        Files are stored by path, because port and host may be others after a restart.
        """
        body = json.loads(record.output) if record.output else None
        if record.status_code == 200 and isinstance(body, dict):
            body["video"]["url"] = base + body["video"]["url"]
        return body

    def _hold(self, live: Live, arguments: object, sent_at: float) -> None:
        live.needs = self.files.needed_by(arguments, sent_at)
        self.disk.need(live.needs)

    def _enter(self, live: Live) -> int:
        self._live[live.request_id] = live
        position = self._line.join(live)
        if live.start_by is not None:
            self._watch(live)
        return position

    def _current(self, request_id: str) -> Live | None:
        """The request if it is unfinished, after a look at the clock."""
        live = self._live.get(request_id)
        if live is not None and live.is_late(self.clock()):
            self._line.leave(live)
            self._finish(request_id, live, timed_out())
            return None
        return live

    def _watch(self, live: Live) -> None:
        """End it when its time is over, though nobody asks."""
        if live.start_by is not None and self._current(live.request_id) is live and live.task is None:
            wait_s = max(0.0, live.start_by - self.clock())
            live.timer = asyncio.get_running_loop().call_later(wait_s, self._watch, live)

    def _pump(self) -> None:
        while self._line and len(self._running) < self.slots and self._model is not None:
            request_id = self._line.next()
            live = self._live[request_id]
            now = self.clock()
            if live.is_late(now):
                self._finish(request_id, live, timed_out())
                continue
            live.started_at = now
            self.store.begin(request_id, live.started_at)
            live.task = asyncio.get_running_loop().create_task(self._work(request_id, live))
            self._running.add(live.task)
            live.task.add_done_callback(functools.partial(self._worked, request_id, live))
            self._bell.ring()

    def _worked(self, request_id: str, live: Live, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            # Here and not in the task: one that is cancelled before its first step never runs.
            if live.stop and request_id in self._live:
                self._finish(request_id, live, cancelled())
        elif (error := task.exception()) is not None:
            log.error("request %s could not be finished", request_id, exc_info=error)
        self._pump()

    async def _work(self, request_id: str, live: Live) -> None:
        record = self.store.find(request_id)
        assert record is not None
        assert self._model is not None
        say = functools.partial(self._say, live)
        ended = await work(self._model, record, clock=self.clock, say=say)
        self._finish(request_id, live, *ended)

    def _finish(
        self,
        request_id: str,
        live: Live,
        outcome: Outcome,
        charge: Charge | None = None,
        file: FileRecord | None = None,
    ) -> None:
        ended = outcome._replace(logs=as_json(live.logs), started_at=live.started_at, ended_at=self.clock())
        if self.store.finish(request_id, ended, charge, file):
            self._spent_usd += charge.cost_usd if charge is not None else 0.0
            self.disk.take(file.size or 0 if file is not None else 0)
        self.disk.release(live.needs)
        del self._live[request_id]
        if live.timer is not None:
            live.timer.cancel()
        self._bell.ring()
        if live.has_webhook:
            self._webhooks.tell(request_id)
        if live.done is not None:
            live.done.set()

    def _say(self, live: Live, message: str, level: str = "INFO") -> None:
        live.say(self.clock(), message, level)
        self._bell.ring()
