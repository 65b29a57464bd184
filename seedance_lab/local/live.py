"""Requests that are not finished: what is known of each in memory, their order, and what can be said of them."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
from typing import Any, Literal, NamedTuple

from seedance_lab.local.records import Outcome, Record, as_json, timestamp

CANCELLED, TIMED_OUT = 499, 504
"""Statuses of results that no model gave."""


class Live:
    """A request that is not finished.

    Args:
        seq: Its place in the order of arrival.
        request_id: Its id.
        endpoint_id: Of its endpoint.
        low: Whether everything of normal priority goes before it.
        start_by: Seconds since the epoch; None for no limit.
        has_webhook: Whether its end is to be told.
    """

    __slots__ = (
        "done", "endpoint_id", "has_webhook", "logs", "low", "needs", "request_id", "seq", "start_by",
        "started_at", "stop", "task", "timer",
    )  # fmt: skip

    def __init__(
        self,
        seq: int,
        request_id: str,
        endpoint_id: str,
        low: bool = False,
        start_by: float | None = None,
        has_webhook: bool = False,
    ) -> None:
        self.seq = seq
        self.request_id = request_id
        self.endpoint_id = endpoint_id
        self.low = low
        self.start_by = start_by
        self.has_webhook = has_webhook
        self.needs: tuple[str, ...] = ()
        self.logs: list[dict[str, Any]] = []
        self.started_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stop = False
        self.done: asyncio.Event | None = None

    def is_late(self, now: float) -> bool:
        """Whether it waited longer than its caller allows."""
        return self.start_by is not None and self.task is None and now >= self.start_by

    def say(self, now: float, message: str, level: str = "INFO") -> None:
        """Add to its log, in the form that every known client reads."""
        self.logs.append(
            {"message": message, "level": level, "source": "USER", "timestamp": timestamp(now), "labels": {}}
        )


class Line:
    """Who waits, in the order in which they will run: normal priority first, then by arrival."""

    def __init__(self) -> None:
        self._waiting: list[tuple[bool, int, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, live: Live) -> int:
        """Take a place. Returns how many are before it."""
        place = (live.low, live.seq, live.request_id)
        if not self._waiting or self._waiting[-1] < place:
            self._waiting.append(place)
            return len(self._waiting) - 1
        position = bisect.bisect_left(self._waiting, place)
        self._waiting.insert(position, place)
        return position

    def position(self, live: Live) -> int:
        """How many are before it."""
        return bisect.bisect_left(self._waiting, (live.low, live.seq, live.request_id))

    def leave(self, live: Live) -> None:
        """Give the place up."""
        del self._waiting[self.position(live)]

    def next(self) -> str:
        """The id of the first, who leaves."""
        return self._waiting.pop(0)[2]

    def clear(self) -> None:
        """Nobody waits."""
        self._waiting.clear()


class Bell:
    """Rung at every change; wakes all who listen at that moment, and costs nothing when nobody does."""

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def ring(self) -> None:
        """Something changed."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def heard(self, timeout_s: float) -> bool:
        """Whether it rang within `timeout_s` seconds."""
        self._event = self._event or asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
            return True
        return False


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


def finished(record: Record, *, logs: bool) -> View:
    """What can be said of a finished request."""
    return View(
        record.endpoint_id,
        "COMPLETED",
        logs=json.loads(record.logs or "[]") if logs else None,
        inference_s=record.inference_s,
        error=record.error,
        error_type=record.error_type,
    )


def cancelled() -> Outcome:
    """The end of a request that its owner took back."""
    return _ended(CANCELLED, "Request was cancelled", "client_cancelled")


def timed_out() -> Outcome:
    """The end of a request that was not begun in the time that its caller gave."""
    return _ended(TIMED_OUT, "Request timed out", "request_timeout")


def _ended(status: int, detail: str, error_type: str) -> Outcome:
    body = as_json({"detail": detail, "error_type": error_type})
    return Outcome(status, body, error=detail, error_type=error_type)
