"""When work on a request began, as far as the journal tells."""

from __future__ import annotations

import datetime as dt

from seedance_lab.record import Record
from seedance_lab.view.queue import Queue

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def record(
    key: str, accepted_s: float | None = None, *, waited: int | None = None, finished_s: float | None = None
) -> Record:
    def at(s: float | None) -> dt.datetime | None:
        return None if s is None else NOON + dt.timedelta(seconds=s)

    made = Record(key=key, asked={})
    made.accepted_at, made.finished_at, made.position = at(accepted_s), at(finished_s), waited
    return made


def test_what_did_not_wait_began_when_it_was_taken() -> None:
    one = record("a", 5)
    assert Queue([one]).began(one) == NOON.timestamp() + 5


def test_what_waited_behind_two_begins_when_two_have_ended() -> None:
    mine = record("c", 10, waited=2)
    ended_before = record("z", 0, finished_s=9)
    first, second = record("a", 1, finished_s=20), record("b", 2, finished_s=30)
    assert Queue([ended_before, first, mine]).began(mine) is None
    assert Queue([ended_before, first, second, mine]).began(mine) == NOON.timestamp() + 30


def test_what_was_never_taken_has_not_begun() -> None:
    one = record("a")
    assert Queue([one]).began(one) is None
