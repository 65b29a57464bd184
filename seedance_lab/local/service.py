"""The queue: takes requests in, runs a few at a time in order of arrival, remembers how each ended.

Everything that a client was told is in the store first. What is in memory can be lost at any moment:
after a restart the unfinished requests are queued again in their old order.
"""

from __future__ import annotations

import asyncio
import bisect
import functools
import json
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seedance_lab.endpoints import Endpoint, find
from seedance_lab.errors import EngineError
from seedance_lab.local.fetch import Fetcher
from seedance_lab.local.files import Files, describe
from seedance_lab.local.model import Made, Model
from seedance_lab.local.pictures import Pictures
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.records import Charge, FileRecord, Outcome, Record, as_json, timestamp
from seedance_lab.local.refusals import ModelError, internal
from seedance_lab.local.renderer import IDENTITY, Renderer
from seedance_lab.local.store import Store

log = logging.getLogger(__name__)

Cancelled = Literal["OK", "CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]
CANCELLED = 499
_CANCELLED_BODY = {"detail": "Request was cancelled", "error_type": "client_cancelled"}
_LOGGED_STEPS = 4  # a line at each quarter of the work


class _Live:
    """A request that is not finished."""

    __slots__ = ("done", "endpoint_id", "logs", "seq", "started_at", "stop", "task")

    def __init__(self, seq: int, endpoint_id: str) -> None:
        self.seq = seq
        self.endpoint_id = endpoint_id
        self.logs: list[dict[str, Any]] = []
        self.started_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self.stop = False
        self.done: asyncio.Event | None = None


class View(NamedTuple):
    """What can be said of a request at this moment.

    `position` counts from 0 and is None unless queued; `logs` is None unless asked for.
    """

    endpoint_id: str
    state: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    position: int | None = None
    logs: list[dict[str, Any]] | None = None
    inference_s: float | None = None
    error: str | None = None
    error_type: str | None = None


class Service:
    """The engine without its wire: one folder, one queue, one renderer.

    Everything runs on the event loop that called `start`, in whatever thread that is.

    Args:
        folder: Where everything is kept; one running service to a folder.
        slots: How many requests run at a time. New accounts of the hosted service have 2.
        renderer: Who draws; default: worker processes of our own.
        clock: Seconds since the epoch.
        fetcher: Who downloads pictures named by URL.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int = 2,
        renderer: Renderer | None = None,
        clock: Callable[[], float] = time.time,
        fetcher: Fetcher | None = None,
    ) -> None:
        if slots < 1:
            raise EngineError(f"slots={slots} must be at least 1. Nothing was sent.")
        self.slots = slots
        self.clock = clock
        self.store = Store(folder)
        self.files = Files(self.store, clock)
        self._given = renderer
        self._renderer: Renderer | None = None
        self._fetcher = fetcher or Fetcher()
        self._model: Model | None = None
        self._live: dict[str, _Live] = {}
        self._queue: list[tuple[int, str]] = []
        self._running: set[asyncio.Task[None]] = set()

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
        self._renderer = self._given or WorkerPool(log=self.store.folder / "workers.log")
        self._model = Model(self.files, Pictures(self.files, self._fetcher), self._renderer)
        for seq, request_id, endpoint_id in self.store.requeue():
            self._live[request_id] = _Live(seq, endpoint_id)
            self._queue.append((seq, request_id))
        self._pump()

    async def aclose(self) -> None:
        """Stop at once. Unfinished requests stay in the folder and go on at the next start."""
        self._model = None
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for live in self._live.values():
            if live.done is not None:
                live.done.set()
        self._queue.clear()
        self._live.clear()
        if self._renderer is not None:
            await self._renderer.aclose()
        self.store.close()

    def submit(self, endpoint: Endpoint, arguments: object) -> tuple[str, int]:
        """Take a request in. Returns its id and how many are queued before it."""
        if self._model is None:
            raise EngineError("The engine is not running. Nothing was sent. Start it first.")
        request_id = str(uuid.uuid4())
        seq = self.store.add(request_id, endpoint.id, as_json(arguments), self.clock())
        self._live[request_id] = _Live(seq, endpoint.id)
        self._queue.append((seq, request_id))
        position = len(self._queue) - 1
        self._pump()
        return request_id, position

    def has_room(self) -> bool:
        """Whether a request would run at once."""
        return len(self._running) < self.slots and not self._queue

    async def wait(self, request_id: str) -> None:
        """Until the request is finished, or the service is closed."""
        live = self._live.get(request_id)
        if live is not None:
            live.done = live.done or asyncio.Event()
            await live.done.wait()

    def view(self, request_id: str, *, logs: bool = False) -> View | None:
        """How a request stands; None when there is none with this id."""
        live = self._live.get(request_id)
        if live is None:
            record = self.store.find(request_id)
            return None if record is None else _finished(record, logs=logs)
        shown = list(live.logs) if logs else None
        if live.task is not None:
            return View(live.endpoint_id, "IN_PROGRESS", logs=shown)
        position = bisect.bisect_left(self._queue, (live.seq, request_id))
        return View(live.endpoint_id, "IN_QUEUE", position, shown)

    def cancel(self, request_id: str) -> Cancelled:
        """Take a queued request out, or ask a running one to stop. What is cancelled is not charged."""
        live = self._live.get(request_id)
        if live is None:
            return "NOT_FOUND" if self.store.find(request_id) is None else "ALREADY_COMPLETED"
        if live.task is not None:
            if not live.stop:
                live.stop = True
                live.task.cancel()
            return "CANCELLATION_REQUESTED"
        del self._queue[bisect.bisect_left(self._queue, (live.seq, request_id))]
        self._finish(request_id, live, _cancelled())
        return "OK"

    def output(self, record: Record, base: str) -> Any:
        """The JSON body of a finished request; `base` is where the caller reaches this engine.

        Files are stored by path, because port and host may be others after a restart.
        """
        body = json.loads(record.output) if record.output else None
        if record.status_code == 200 and isinstance(body, dict):
            body["video"]["url"] = base + body["video"]["url"]
        return body

    def _pump(self) -> None:
        while self._queue and len(self._running) < self.slots and self._model is not None:
            _, request_id = self._queue.pop(0)
            live = self._live[request_id]
            live.started_at = self.clock()
            self.store.begin(request_id, live.started_at)
            live.task = asyncio.get_running_loop().create_task(self._work(request_id, live))
            self._running.add(live.task)
            live.task.add_done_callback(functools.partial(self._worked, request_id, live))

    def _worked(self, request_id: str, live: _Live, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            # Here and not in the task: one that is cancelled before its first step never runs.
            if live.stop and request_id in self._live:
                self._finish(request_id, live, _cancelled())
        elif (error := task.exception()) is not None:
            log.error("request %s could not be finished", request_id, exc_info=error)
        self._pump()

    async def _work(self, request_id: str, live: _Live) -> None:
        record = self.store.find(request_id)
        assert record is not None
        assert self._model is not None
        self._say(live, IDENTITY)
        began = self.clock()
        step = 0

        def on_progress(share: float) -> None:
            nonlocal step
            if int(share * _LOGGED_STEPS) > step:
                step = int(share * _LOGGED_STEPS)
                self._say(live, f"rendered {step * 100 // _LOGGED_STEPS} %")

        try:
            made = await self._model.make(
                request_id, find(record.endpoint_id), json.loads(record.input), on_progress=on_progress
            )
        except ModelError as refusal:
            self._refused(request_id, live, refusal)
        except Exception as error:
            # Whatever broke, the request must end and its owner be told.
            log.exception("request %s", request_id)
            self._refused(request_id, live, internal(f"{type(error).__name__}: {error}"))
        else:
            self._made(request_id, live, made, self.clock() - began)

    def _made(self, request_id: str, live: _Live, made: Made, inference_s: float) -> None:
        output = {"video": describe(made.file, ""), "seed": made.seed}
        outcome = Outcome(200, as_json(output), inference_s=max(0.0, inference_s))
        self._finish(request_id, live, outcome, made.charge, made.file)

    def _refused(self, request_id: str, live: _Live, refusal: ModelError) -> None:
        log.info("request %s refused: %s", request_id, refusal)
        self._say(live, f"refused: {refusal.type}", "ERROR")
        outcome = Outcome(
            refusal.status,
            as_json({"detail": refusal.detail}),
            error=f"Invalid status code: {refusal.status}",
            error_type=refusal.type,
        )
        self._finish(request_id, live, outcome)

    def _finish(
        self,
        request_id: str,
        live: _Live,
        outcome: Outcome,
        charge: Charge | None = None,
        file: FileRecord | None = None,
    ) -> None:
        self.store.finish(
            request_id,
            outcome._replace(logs=as_json(live.logs), started_at=live.started_at, ended_at=self.clock()),
            charge,
            file,
        )
        del self._live[request_id]
        if live.done is not None:
            live.done.set()

    def _say(self, live: _Live, message: str, level: str = "INFO") -> None:
        live.logs.append(
            {
                "message": message,
                "level": level,
                "source": "USER",
                "timestamp": timestamp(self.clock()),
                "labels": {},
            }
        )


def _cancelled() -> Outcome:
    return Outcome(
        CANCELLED,
        as_json(_CANCELLED_BODY),
        error=_CANCELLED_BODY["detail"],
        error_type=_CANCELLED_BODY["error_type"],
    )


def _finished(record: Record, *, logs: bool) -> View:
    return View(
        record.endpoint_id,
        "COMPLETED",
        logs=json.loads(record.logs or "[]") if logs else None,
        inference_s=record.inference_s,
        error=record.error,
        error_type=record.error_type,
    )
