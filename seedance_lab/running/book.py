"""The journal of a pass, open: every line is written, folded, counted in dollars and told of in one place.

What a pass needs of the past is kept as it goes by (ids that are taken, pictures that are at the service,
dollars at stake), so that nothing here grows with the number of lines or is counted out for each request.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from seedance_lab.engine import Place
from seedance_lab.journal import VERSION, Event, Journal, uncollected
from seedance_lab.record import Record, step


class Upload(NamedTuple):
    """A picture that is at the service. `seconds` is how long it stays there; None for as long as it likes."""

    url: str
    at: dt.datetime
    seconds: float | None


class Book:
    """What the journal says, and the pen.

    Args:
        journal: Open for appending.
        place: Where clips are made.
        run: The pass's id, on every line.
        listener: Told of every line, with a copy of the request's record; must be quick and must not raise.

    Attributes:
        records: By key, in the order of first sending.
        claimed: The service's ids that a request of this study has or had.
        uploads: By the picture's sha256, the newest.
        engine_id: Of the engine of the last pass; None before the first.
        at_stake_usd: Dollars at list prices that may have been charged, in flight included.
        n_sent: POSTs of this pass that were not declined.
        posting: Keys whose answer is on its way just now.
    """

    def __init__(
        self, journal: Journal, place: Place, run: str, listener: Callable[[Event, Record | None], None]
    ) -> None:
        self._journal, self._place, self._listener = journal, place, listener
        self.run = run
        self.records: dict[str, Record] = {}
        self.claimed: set[str] = set()
        self.uploads: dict[str, Upload] = {}
        self.engine_id: str | None = None
        self.at_stake_usd = 0.0
        self.n_sent = 0
        self.posting: set[str] = set()
        self._is_new = True
        self._syncing = asyncio.Lock()
        self._n_written = self._n_synced = 0
        self._broken: OSError | None = None
        with uncollected():
            for event in journal.take():
                self._learn(event)

    async def begin(self, **data: Any) -> None:
        """Write the pass's first line, and the study's before it."""
        if self._is_new:
            await self.say("study", version=VERSION, engine=self._place.name)
        await self.say("run", **data)

    async def say(self, kind: str, key: str = "", **data: Any) -> None:
        """Write a line, wait until it is on the disk, then tell of it.

        Raises:
            OSError: It could not be written.
        """
        event = self._journal.write(kind, key, **({"run": self.run} if kind != "study" else {}), **data)
        self._n_written += 1
        # Learned in one breath with the writing. While the disk works, others look at what is on its way, which ids
        # are taken and what is at stake: a moment later they would adopt another's video or pass the budget.
        record = self._learn(event)
        told = replace(record) if record else None
        if kind == "sending":
            self.n_sent += 1
        elif kind == "declined":
            self.n_sent -= 1
        await self._synced(self._n_written)
        self._listener(event, told)

    async def _synced(self, n: int) -> None:
        """Until the pass's n-th line is on the disk. Lines that wait at the same time share one sync.

        Raises:
            OSError: It is not, or one before it is not: a disk that failed once may say next time that all is well.
        """
        async with self._syncing:
            if self._broken is not None:
                raise self._broken
            if self._n_synced < n:
                upto = self._n_written
                try:
                    await self._sync()
                except OSError as error:
                    self._broken = error
                    raise
                self._n_synced = upto

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._journal.sync)
        except RuntimeError:
            self._journal.sync()  # the interpreter is ending and lends no more threads

    def _learn(self, event: Event) -> Record | None:
        self._is_new = False
        data = event.data
        match event.kind:
            case "run":
                self.engine_id = data.get("engine_id")
            case "uploaded":
                self.uploads[data["sha256"]] = Upload(data["url"], event.at, data.get("kept_s"))
            case "accepted":
                self.claimed.add(data["request_id"])
        if not event.key:
            return None
        known = self.records.get(event.key)
        before = known.at_stake_usd if known else 0.0
        record = step(self.records, event, self._place.name)
        self.at_stake_usd += record.at_stake_usd - before
        return record
