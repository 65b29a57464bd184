"""Watches what is at the service until it is done, with few looks.

Where a stream of the status serves better (`pace`), it is followed: one connection and no looks. Whatever goes wrong
with it, looking goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, NamedTuple

import httpx

from seedance_lab.engine import Answer, Engine, Seen, Ticket
from seedance_lab.errors import EngineError
from seedance_lab.record import Record
from seedance_lab.running.book import Book
from seedance_lab.running.pace import Pace, setting_of
from seedance_lab.running.signals import Left, Signals

_CLIENT_CLOSED = 499
_PATIENCE, _LONG_S = 3.0, 60.0
"""How many times the expected wait, and at least which one, a stream may take before it is looked for without it."""
_AFTER_CANCEL_S = 2.0
"""Longest wait for a look once the service was asked to take everything back."""


class Done(NamedTuple):
    """A request that the service is done with."""

    ticket: Ticket
    seen: Seen


class Watcher:
    """Waits for requests, and writes down how they ended.

    Args:
        engine: Open.
        book: The pass's journal.
        signals: What the person says.
        pace: When to look.
    """

    def __init__(self, *, engine: Engine, book: Book, signals: Signals, pace: Pace) -> None:
        self._engine, self._book, self._signals = engine, book, signals
        self._pace = pace
        self._n_streams = 0
        self._asking = asyncio.Lock()
        self._taken_back: dict[str, str] = {}

    async def wait(self, record: Record) -> Done:
        """Until it is done, in whatever way.

        Raises:
            EngineError: Its state cannot be read now; it stays at the service.
            Left: The pass is to end.
        """
        ticket = await self._ticket(record)
        if self._signals.cancelling:
            await self.take_back()
        self._pace.there(record)
        may_stream = self._engine.can_stream
        while True:
            if self._signals.leaving:
                raise Left
            if may_stream and self._n_streams < self._pace.streams(record):
                may_stream = False  # one that broke off is not tried again
                seen = await self._by_stream(record, ticket)
            else:
                seen = await self._by_looks(record, ticket)
            if seen is not None:
                self._pace.done(record)
                return Done(ticket, seen)

    async def take_back(self) -> None:
        """Ask the service to take back what it has, newest first.

        The newest still wait in the queue, where it costs nothing; taking back what runs first would only let
        them begin.
        """
        async with self._asking:
            there = [r for r in self._book.records.values() if r.stage == "accepted" and r.accepted_at]
            for record in sorted(there, key=lambda r: r.accepted_at, reverse=True):  # type: ignore[arg-type,return-value]  # all have the time
                if record.stage == "accepted" and record.request_id not in self._taken_back:
                    ticket = await self._ticket(record)
                    self._taken_back[ticket.request_id] = await self._engine.cancel(ticket)

    async def _ticket(self, record: Record) -> Ticket:
        assert record.request_id is not None
        if not record.urls:  # a person gave the id
            return await self._engine.ticket(record.asked["endpoint"], record.request_id)
        return Ticket(record.request_id, record.urls, record.position)

    async def _by_stream(self, record: Record, ticket: Ticket) -> Seen | None:
        # One that goes on saying nothing new is given up some time, too: it may have missed the end.
        longest_s = _PATIENCE * max(_LONG_S, self._pace.first_s(record))
        setting = setting_of(record)
        self._n_streams += 1
        self._pace.n_teaching[setting] += 1
        try:
            seen: Seen | None = await self._interruptible(
                asyncio.wait_for(self._engine.stream(ticket), longest_s)
            )
        finally:
            self._n_streams -= 1
            self._pace.n_teaching[setting] -= 1
        return seen

    async def _by_looks(self, record: Record, ticket: Ticket) -> Seen | None:
        """Look until it is done; None when a first lesson about such clips came, which changes what to do."""
        wait_s = self._pace.first_s(record)
        knew, last_s = self._pace.knows(record), None
        while True:
            if self._signals.leaving:
                raise Left
            if self._signals.cancelling:
                wait_s = min(wait_s, _AFTER_CANCEL_S)
            if knew:
                await self._signals.sleep(wait_s)
            else:
                await self._interruptible(asyncio.wait_for(self._pace.lesson(record), wait_s))
                if self._pace.knows(record):
                    return None
            seen = await self._signals.unless_left(self._engine.status(ticket))
            if seen.state == "done":
                return seen
            knows = self._pace.knows(record)
            if seen.state == "queued":
                self._pace.waited(record, seen.position)
                last_s = None if knows else last_s
            due_s = self._pace.first_s(record) if knows and last_s is None else 0.0
            if due_s > 0:
                wait_s = due_s
            else:
                late = self._pace.late_s if knows else self._pace.next_s
                wait_s = last_s = late(record, last_s)

    async def _interruptible(self, work: Awaitable[Any]) -> Any:
        """What the work returns; None when a cancellation or its own time-out ended it.

        Raises:
            Left: The pass is to end.
        """
        task = asyncio.ensure_future(work)
        cancelling = self._signals.cancelling
        try:
            while not task.done():
                change = asyncio.ensure_future(self._signals.changed())
                await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                if self._signals.leaving:
                    raise Left
                if self._signals.cancelling != cancelling:
                    return None
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        error = task.exception()
        if isinstance(error, TimeoutError):
            return None
        if error is not None:
            raise error
        return task.result()

    async def finish(self, record: Record, done: Done) -> bool:
        """Fetch and journal what the model returned; True when there is a video to fetch.

        COMPLETED covers failure and cancellation too: the answer's own status decides.

        Raises:
            EngineError: It cannot be read now; it stays at the service.
        """
        ticket, seen = done
        answer = await self._signals.unless_left(self._engine.result(ticket))
        if answer.status == httpx.codes.NOT_FOUND:
            # The service keeps a result for about an hour; the account's history keeps it for weeks.
            output = await self._engine.recall(record.asked["endpoint"], ticket.request_id)
            if isinstance(output, dict) and output.get("video"):
                answer = Answer(200, output, {})
            elif record.urls and self._pace.may_be_behind(record):  # not an id that a person gave
                raise EngineError(
                    "The service, which took this request, shows nothing of it yet. It may be paid for and is never "
                    "sent again; run the plan again later to fetch it."
                )
        units = answer.headers.get("x-fal-billable-units")
        common: dict[str, Any] = {"metrics": dict(seen.metrics), "billable_units": units}
        if answer.video_url is not None:
            await self._book.say("finished", record.key, result=answer.body, **common)
            self._pace.learn(self._book.records[record.key])
            return True
        reason, kind = answer.reason(seen)
        common |= {"error": reason, "error_type": kind, "http_status": answer.status}
        if answer.status == _CLIENT_CLOSED:
            # OK: it was still queued, and nothing was begun that could be charged. Nobody knows of any other.
            was_queued = self._taken_back.get(ticket.request_id) == "OK"
            await self._book.say("cancelled", record.key, may_be_billed=not was_queued, **common)
        else:
            await self._book.say("failed", record.key, **common)
        return False
