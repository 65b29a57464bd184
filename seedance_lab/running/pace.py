"""When to look at a request: at its expected finish, then backing off.

What is expected is learned by endpoint, resolution and duration from this study, and is the endpoint's own
latency model before that. fal_client looks ten times a second, over 300 times for one clip.

The service's status stream serves better in two cases. Of a setting that was never seen, the first few are followed
by it and teach the others when to look. And short clips are: a look a second too late matters there.
"""

from __future__ import annotations

import asyncio
import collections
import math
import random
import statistics
import time
from collections.abc import Iterable

from seedance_lab.endpoints import find
from seedance_lab.engine import Place
from seedance_lab.errors import RequestError
from seedance_lab.record import Record

_REMEMBERED = 30
_SHORTEST_S = 0.03
_GROWTH = 1.5
_LATER = 1.02
"""The first look is this much later than expected: one that comes too early costs another."""
_SHORT_S = 10.0
_TEACHERS, _SHORT_ONES = 4, 16
"""Streams at a time: of settings that nobody knows, and of short clips."""

_CLOSE = 0.05
"""Share of a clip's time from which on one end and one acceptance are told apart."""
_SHOWN = 16
"""Acceptances whose word on the slots is remembered; the most of them counts, as those of a beginning say too few."""

_ENDS = 64
"""Ends that are kept before those are dropped which nothing can have waited for."""

_VOTES = 4
"""So many of them, before they count; and so many clips, before they are known to take the same time."""

Setting = tuple[str, str, int]
"""Endpoint id, resolution, seconds: what a clip's time depends on."""


def setting_of(record: Record) -> Setting:
    """What this request's time depends on."""
    arguments = record.asked["arguments"]
    return record.asked["endpoint"], arguments["resolution"], int(arguments["duration"])


def _accepted(record: Record) -> float:
    """When it was accepted, at the end of the journal's millisecond: what ended in the same one ended before."""
    assert record.accepted_at is not None
    return record.accepted_at.timestamp() + 0.001


class Pace:
    """What was seen of the service's times, and what follows for the next look.

    Args:
        place: Where clips are made.
        records: Of the study so far; what they took is known from the start.

    Attributes:
        n_teaching: Streams that follow a clip of this setting.
    """

    def __init__(self, place: Place, records: Iterable[Record] = ()) -> None:
        self._place = place
        self._seen: dict[Setting, collections.deque[float]] = collections.defaultdict(
            lambda: collections.deque(maxlen=_REMEMBERED)
        )
        self.n_teaching: collections.Counter[Setting] = collections.Counter()
        self._there: dict[str, Record] = {}
        self._begins: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._shown: collections.deque[int] = collections.deque(maxlen=_SHOWN)
        self._lessons: dict[Setting, asyncio.Event] = collections.defaultdict(asyncio.Event)
        for record in records:
            self.learn(record)

    def learn(self, record: Record) -> None:
        """Remember how long a clip took from acceptance to its end, where that is known."""
        if record.result is not None and record.accepted_at is not None and record.finished_at is not None:
            took = record.inference_s or (record.finished_at - record.accepted_at).total_seconds()
            self._seen[setting_of(record)].append(took)
            self._lessons[setting_of(record)].set()

    def may_be_behind(self, record: Record) -> bool:
        """Whether the account's history may not show this request yet, though the service took it."""
        return (
            record.sent_at is not None
            and time.time() < record.sent_at.timestamp() + self._place.history_lag_s
        )

    def streams(self, record: Record) -> int:
        """How many status streams there may be at a time for this one to be followed by another."""
        if not (seen := self._seen.get(setting_of(record))):
            return _TEACHERS
        return _SHORT_ONES if statistics.median(seen) <= _SHORT_S else 0

    def knows(self, record: Record) -> bool:
        """Whether such a clip was seen before."""
        return bool(self._seen.get(setting_of(record)))

    async def lesson(self, record: Record) -> None:
        """Until such a clip was seen to its end."""
        await self._lessons[setting_of(record)].wait()

    def expected_s(self, record: Record) -> float | None:
        """Seconds of work on such a clip; None when nobody can tell."""
        if seen := self._seen.get(setting_of(record)):
            return statistics.median(seen)
        if self._place.free:
            return None  # a simulator's times are nobody's guess
        endpoint, resolution, duration = setting_of(record)
        try:
            model = find(endpoint)
        except RequestError:
            return None
        return model.latency.seconds(model.size(resolution, "16:9"), duration)  # tokens hardly vary with it

    def there(self, record: Record) -> None:
        """It is at the service from now on, as far as this pass is concerned; in the order of acceptance."""
        at = _accepted(record)
        self._reckon_all()
        if record.position:
            alive = [self._due.get(key, math.inf) for key in self._there]
            n_alive, slack = sum(due > at for due in alive), _CLOSE * (self.expected_s(record) or math.inf)
            # Where many end just now, or some have and nobody knows how long such clips take, it cannot be told.
            if 8 * sum(abs(due - at) < slack for due in self._due.values()) <= n_alive:
                self._shown.append(max(1, n_alive - record.position))
        self._there[record.key] = record

    def first_s(self, record: Record) -> float:
        """Seconds from now to the first look.

        What the service begins when is reckoned from this pass's own requests: one that finds all slots taken
        begins when enough of those before it have ended. What should have ended by then holds no slot, though
        nobody may have seen it yet.
        """
        expected = self.expected_s(record)
        if expected is None:
            # While a stream teaches, looking is no use; and if it does not, then now and then.
            taught = self.n_teaching[setting_of(record)] > 0
            return self._place.most_wait_s if taught else _SHORTEST_S
        self._reckon_all()
        return max(0.0, self._due[record.key] - time.time() + (_LATER - 1) * expected)

    def _reckon_all(self) -> None:
        """Each in its turn, where nobody has yet."""
        for record in [r for key, r in self._there.items() if key not in self._due]:
            if (expected := self.expected_s(record)) is not None:
                self._begins[record.key] = self._begin(record)
                self._due[record.key] = self._begins[record.key] + expected

    def _begin(self, record: Record) -> float:
        """When the service should begin it, given what is before it; too early rather than too late."""
        at, before = _accepted(record), record.position or 0
        ends = sorted(due for due in self._due.values() if due > at)
        if len(self._shown) < _VOTES or len(ends) < (slots := max(self._shown)):
            return at
        # Two ways to the same: so many wait before it, and so many slots are taken.
        return min(ends[len(ends) - slots], ends[before] if before < len(ends) else math.inf)

    def waited(self, record: Record, position: int | None) -> None:
        """It was seen waiting just now, with so many before it: it has all its work before it."""
        self._due.pop(record.key, None)
        if (expected := self.expected_s(record)) is not None:
            now, before = time.time(), position or 0
            ends = sorted(due for due in self._due.values() if due > now)
            self._begins[record.key] = ends[before] if before < len(ends) else now
            self._due[record.key] = self._begins[record.key] + expected

    def late_s(self, record: Record, last_s: float | None) -> float:
        """Seconds to the next look at what should be done and is not.

        Where such clips always take the same, it began later than reckoned: when another one had ended. So that is
        tried next, after one more look.
        """
        wait_s, now = self.next_s(record, last_s), time.time()
        if last_s is not None and self._is_steady(record):
            expected = self.expected_s(record) or 0.0
            later = self._begins.get(record.key, now) + _CLOSE * expected
            dues = (end + expected for end in self._due.values() if later < end <= now)
            if due := min((due for due in dues if due > now), default=None):
                self._begins[record.key] = due - expected
                wait_s = due - now + (_LATER - 1) * expected
        self._due[record.key] = now + wait_s
        return wait_s

    def _is_steady(self, record: Record) -> bool:
        seen = self._seen[setting_of(record)]
        return len(seen) >= _VOTES and max(seen) - min(seen) < 2 * _CLOSE * statistics.median(seen)

    def done(self, record: Record) -> None:
        """It is no longer at the service; when it left is still wanted, for what waited for its slot."""
        now = time.time()
        self._due[record.key] = min(now, self._due.get(record.key, now))
        self._there.pop(record.key, None)
        self._begins.pop(record.key, None)
        if len(self._due) > _ENDS + 2 * len(self._there):
            oldest = min((_accepted(r) for r in self._there.values()), default=now)
            self._due = {key: due for key, due in self._due.items() if key in self._there or due > oldest}

    def next_s(self, record: Record, last_s: float | None) -> float:
        """Seconds to the next look, after one that came `last_s` after the one before it."""
        if last_s is None:
            expected = self.expected_s(record) or 0.0
            if not expected and self.n_teaching[setting_of(record)]:
                return 2 * self._place.most_wait_s
            shortest = _SHORTEST_S if self._place.free else 2.0
            wait_s = max(shortest, 0.04 * expected)
        else:
            wait_s = last_s * _GROWTH
            if self.n_teaching[setting_of(record)] and not self.knows(record):
                return 2 * last_s
        return min(self._place.most_wait_s, wait_s) * random.uniform(0.9, 1.1)
