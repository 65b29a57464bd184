"""What became of a request whose answer was lost: the account's request history decides.

Found: adopted, never sent again. Shown never to have arrived: free to be sent. Neither: left to the person,
with the candidates. What another study on the same account made is not adopted: the URL of the uploaded
picture, which no other study has, tells them apart; where there is no picture, nothing does, and the person is
asked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from seedance_lab.engine import Engine, Found, Place
from seedance_lab.errors import EngineError
from seedance_lab.record import IN_DOUBT, Record
from seedance_lab.running.book import Book
from seedance_lab.running.signals import Signals

_SKEW = dt.timedelta(minutes=10)
"""How far the service's clock may be from ours when its history is searched."""
_FIRST_LOOK_S, _LONGEST_S = 1.0, 60.0
_SHOWN = 5


class Reconciler:
    """Settles doubts by the account's history.

    Args:
        engine: Open.
        book: The pass's journal.
        place: How long its history lags, and whether the account is shared with other studies.
        signals: What the person says.
        problems: Why a request is still in doubt, by key; written here.
    """

    def __init__(
        self, *, engine: Engine, book: Book, place: Place, signals: Signals, problems: dict[str, str]
    ) -> None:
        self._engine, self._book, self._place = engine, book, place
        self._signals, self._problems = signals, problems
        self._looking = asyncio.Lock()

    async def settle(self, record: Record) -> bool:
        """Decide a request that is in doubt.

        Returns:
            True when it is decided: found (now `accepted`) or shown never to have arrived (now `declined`,
            and free to be sent). False when only a person or time can decide; it stays in doubt.
        """
        wait_s = _FIRST_LOOK_S
        while True:
            # One look at a time, so that two equal requests do not adopt the same video.
            async with self._looking:
                decided = await self._look(record)
            if decided is not None:
                return decided
            left_s = self._left_s(record)
            if self._signals.stopping:
                self._problems[record.key] = (
                    "unknown: the account's history does not have it yet; run the plan again in "
                    f"{max(1.0, left_s / 60):.0f} min, when its absence will mean that it never arrived"
                )
                return False
            await self._signals.nap(max(0.05, min(wait_s, left_s)))
            wait_s = min(_LONGEST_S, 2 * wait_s)

    def _left_s(self, record: Record) -> float:
        """Seconds until absence is proof. Counted from the sending, so yesterday's is decided at once."""
        assert record.sent_at is not None
        return self._place.history_lag_s - (dt.datetime.now(dt.UTC) - record.sent_at).total_seconds()

    async def _look(self, record: Record) -> bool | None:
        """One look at the history; None when it does not decide yet."""
        while True:
            while self._has_twin_on_its_way(record):
                await self._signals.nap(0.1)
            late = self._left_s(record) <= 0  # before the look: it must be the look that came late enough
            try:
                candidates = await self._candidates(record)
            except EngineError as error:
                self._problems[record.key] = (
                    f"unknown: the answer was lost, so it may have been received and paid for, and {error} Nothing is "
                    "sent again meanwhile. Run the plan again later."
                )
                return False
            if not self._has_twin_on_its_way(record):
                break
        rivals = [r for r in self._book.records.values() if r.stage in IN_DOUBT and _are_equal(r, record)]
        readable = [c for c in candidates if c.input is not None]
        if len(readable) > len(rivals) or (readable and not self._is_ours_alone(record)):
            return await self._ask_the_person(record, readable)
        if readable:
            await self._adopt(record, readable[0].request_id)
            return True
        if late and candidates:
            return await self._ask_the_person(record, candidates)
        if late:
            await self._book.say("resolved", record.key, outcome="lost",
                           why="the account's history does not have it")  # fmt: skip
            return True
        return None

    def _is_ours_alone(self, record: Record) -> bool:
        """Whether no other study could have sent this input: its pictures' URLs, or the engine, are ours."""
        has_picture = any(name in record.wire for name in ("image_url", "end_image_url"))
        return has_picture or self._place.private

    async def _adopt(self, record: Record, request_id: str) -> None:
        await self._book.say("resolved", record.key, outcome="found", request_id=request_id)
        ticket = await self._engine.ticket(record.asked["endpoint"], request_id)
        await self._book.say("accepted", record.key, request_id=request_id, urls=dict(ticket.urls))

    async def _ask_the_person(self, record: Record, candidates: list[Found]) -> bool:
        told: list[dict[str, Any]] = [
            {"request_id": c.request_id, "sent_at": c.sent_at.isoformat() if c.sent_at else None}
            for c in candidates
        ]
        if [c["request_id"] for c in record.candidates] != [c["request_id"] for c in told]:
            await self._book.say(
                "unknown", record.key, error=record.error or "the answer was lost", candidates=told
            )
        shown = ", ".join(f"{c.request_id} sent {c.sent_at:%H:%M:%S}" if c.sent_at else c.request_id
                          for c in candidates[:_SHOWN])  # fmt: skip
        more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
        self._problems[record.key] = (
            f"unknown: {len(candidates)} request{'s' * (len(candidates) > 1)} of this account could be this one "
            f"({shown}{more}); decide with study.resolve({record.key!r}, request_id=…) or, if it is none of them, "
            f"study.resolve({record.key!r}, lost=True)"
        )
        return False

    def _has_twin_on_its_way(self, record: Record) -> bool:
        """Whether an equal request is being answered just now: what the history shows may be that one's."""
        on_their_way = (r for key in self._book.posting if (r := self._book.records.get(key)) is not None)
        return any(_are_equal(r, record) for r in on_their_way)

    async def _candidates(self, record: Record) -> list[Found]:
        """What the history has with this input, sent about then, that belongs to no other request; by time.

        A request whose input the history does not show is among them: it could be this one.
        """
        assert record.sent_at is not None
        until = dt.datetime.now(dt.UTC) + _SKEW
        found = await self._signals.unless_left(
            self._engine.history(record.asked["endpoint"], since=record.sent_at - _SKEW, until=until)
        )
        # One without a seed is like every one with a seed: what fits another that is in doubt, too, is that one's.
        closer = [
            r.wire
            for r in self._book.records.values()
            if r.stage in IN_DOUBT
            and r.asked["endpoint"] == record.asked["endpoint"]
            and len(r.wire) > len(record.wire)
        ]
        mine = [
            f
            for f in found
            if f.request_id not in self._book.claimed
            and (
                _is_about(f, record.sent_at)
                if f.input is None
                else _fits(f.input, record.wire) and not any(_fits(f.input, wire) for wire in closer)
            )
        ]
        return sorted(mine, key=lambda f: f.sent_at or until)


def _are_equal(one: Record, other: Record) -> bool:
    """Whether the service cannot tell them apart."""
    return one.wire == other.wire and one.asked.get("endpoint") == other.asked.get("endpoint")


def _fits(shown: Mapping[str, Any], wire: Mapping[str, Any]) -> bool:
    """Whether what the history shows has all that was sent; the service may have added to it."""
    return all(name in shown and shown[name] == value for name, value in wire.items())


def _is_about(found: Found, sent_at: dt.datetime) -> bool:
    return found.sent_at is None or abs(found.sent_at - sent_at) <= _SKEW
