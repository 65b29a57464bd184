"""A study's passes and what became of their requests, told from the journal alone.

What MLflow gets of a pass that is over is made from this, so that a lost database can be written again.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from seedance_lab import journal, lineage
from seedance_lab.columns import alias
from seedance_lab.endpoints import LITE
from seedance_lab.journal import Event
from seedance_lab.plan import Plan
from seedance_lab.record import IN_DOUBT, Record, step

STATUS = {"saved": "FINISHED", "failed": "FAILED", "refused": "FAILED", "cancelled": "KILLED"}
"""Journal kinds that end a request, and what MLflow calls such an end."""

_PICTURES = ("image", "end_image")
INPUTS = ("endpoint", *_PICTURES, *LITE.settings, "replicate")
"""What a person tells requests apart by, in the API's order."""


class Totals(NamedTuple):
    """What a pass gave.

    Attributes:
        n_saved: Clips.
        n_failed: Requests that ended without one.
        n_unknown: Requests that may have been received, not settled in this pass.
        cost_usd: Dollars; None when something of it is unknown.
        video_s: Seconds of video in the clips.
        wall_s: Seconds from its first line to its last.
    """

    n_saved: int
    n_failed: int
    n_unknown: int
    cost_usd: float | None
    video_s: float
    wall_s: float


@dataclass(slots=True)
class Pass:
    """One pass of the study.

    Attributes:
        run: Its id.
        began, ended: Aware UTC; `ended` is None for one that was cut off.
        begun: What its `run` line says.
        last: When its last line was written.
        why: What ended it, when that was an error.
        stopped: Whether it was told to begin nothing new, or requests of it were taken back.
        price: What its `price` line says; None when the service was not asked.
        asked: Its plan as JSON by key, where it is known; the journal has only what was sent.
        usd: List price in dollars of the plan; None when it is unknown.
        records: What it touched, by key, as it left it.
        lineage: What it ran with, as MLflow tags; what is not known is not there.
    """

    run: str
    began: dt.datetime
    begun: Mapping[str, Any]
    last: dt.datetime
    ended: dt.datetime | None = None
    why: str | None = None
    stopped: bool = False
    price: Mapping[str, Any] | None = None
    asked: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    usd: float | None = None
    records: dict[str, Record] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    _varying: dict[str, list[Any]] | None = None

    @classmethod
    def of(cls, event: Event, plan: Plan | None = None) -> Pass:
        """The pass that this `run` line begins."""
        one = cls(run=event.data["run"], began=event.at, begun=event.data, last=event.at)
        one.lineage = lineage.of_pass(event.data)
        if plan is not None:
            one.asked = {request.key: request.record() for request in plan}
            one.usd = plan.usd
        return one

    def hear(self, event: Event) -> None:
        """Take in one line of it."""
        self.last = event.at
        if event.kind == "cancelled":
            self.stopped = True
        elif event.kind == "price":
            self.price = event.data
        elif event.kind == "ended":
            self.ended, self.why = event.at, event.data.get("why")
            self.stopped = self.stopped or bool(event.data.get("stopped"))

    @property
    def n_requests(self) -> int:
        """In its plan."""
        return int(self.begun.get("n_requests", 0))

    @property
    def budget_usd(self) -> float | None:
        """Most that the study might have spent; None without a limit."""
        return self.begun.get("budget_usd")

    @property
    def status(self) -> str:
        """As MLflow calls it."""
        if self.why:
            return "FAILED"
        return "KILLED" if self.ended is None or self.stopped else "FINISHED"

    @property
    def requests(self) -> dict[str, Mapping[str, Any]]:
        """Its requests as JSON, by key: the plan, or as much of it as the journal knows."""
        return self.asked or {key: record.asked for key, record in self.records.items()}

    @property
    def in_order(self) -> dict[str, Record]:
        """What it touched, in the order of its plan; where that is lost, by the values of what varies."""
        if self.asked:
            order = {key: i for i, key in enumerate(self.asked)}
            return dict(sorted(self.records.items(), key=lambda item: order.get(item[0], len(order))))
        places = {name: {v: i for i, v in enumerate(values)} for name, values in self.varying.items()}

        def place(item: tuple[str, Record]) -> list[int]:
            return [found.get(value_of(item[1].asked, name), 0) for name, found in places.items()]

        return dict(sorted(self.records.items(), key=place))

    @property
    def is_whole(self) -> bool:
        """Whether `requests` is the whole plan."""
        return len(self.requests) == self.n_requests

    @property
    def estimate_usd(self) -> float | None:
        """List price in dollars of its plan, or of what was sent where the plan is lost; None when it is unknown."""
        if self.asked:
            return self.usd
        prices = [record.usd for record in self.records.values()]
        return None if None in prices or not prices else math.fsum(p for p in prices if p is not None)

    @property
    def varying(self) -> dict[str, list[Any]]:
        """The inputs that take more than one value, in the API's order, with their values in plan order."""
        if self._varying is None:
            self._varying = varying_of(self.requests.values())
            if not self.asked:  # the order of sending is not the plan's
                for values in self._varying.values():
                    if all(type(value) is int for value in values):
                        values.sort()
        return self._varying

    def totals(self) -> Totals:
        """What it gave, of what it touched."""
        records = self.records.values()
        costs = [record.cost_usd for record in records]
        return Totals(
            n_saved=sum(r.stage == "saved" for r in records),
            n_failed=sum(r.stage in STATUS and r.stage != "saved" for r in records),
            n_unknown=sum(r.stage in IN_DOUBT for r in records),
            cost_usd=None if None in costs else math.fsum(c for c in costs if c is not None),
            video_s=math.fsum(r.clip["seconds"] for r in records if r.stage == "saved" and r.clip),
            wall_s=((self.ended or self.last) - self.began).total_seconds(),
        )


class End(NamedTuple):
    """One request's end: the record as it was then, and when."""

    record: Record
    at: dt.datetime


class History(NamedTuple):
    """A journal, told by passes.

    Attributes:
        version: Of the journal's format.
        passes: By their ids, in order.
        ends: Every attempt's end by its identity, earlier attempts of the same request included.
    """

    version: int
    passes: dict[str, Pass]
    ends: dict[tuple[str, int], End]


def history(events: Iterable[Event]) -> History:
    """Tell a journal by passes."""
    version, engine = journal.VERSION, ""
    records: dict[str, Record] = {}
    passes: dict[str, Pass] = {}
    ends: dict[tuple[str, int], End] = {}
    for event in events:
        if event.kind == "study":
            version, engine = event.data.get("version", version), event.data["engine"]
        elif event.kind == "run":
            passes[event.data["run"]] = Pass.of(event)
        elif (one := passes.get(event.data.get("run", ""))) is not None:
            one.hear(event)
        if not event.key:
            continue
        before = records.get(event.key)
        if before is not None and before.run in passes and event.data.get("run", before.run) != before.run:
            passes[before.run].records[event.key] = replace(before)  # as that pass left it
        record = step(records, event, engine)
        if record.run in passes:
            passes[record.run].records[record.key] = record
        if event.kind in STATUS:
            ends[identity(record)] = End(replace(record), event.at)
    return History(version, passes, ends)


def identity(record: Record) -> tuple[str, int]:
    """What a run is found again by: the key, and when it was sent, in MLflow's milliseconds."""
    assert record.sent_at is not None  # a record begins with its `sending` line
    return record.key, ms(record.sent_at)


def ms(at: dt.datetime) -> int:
    """Milliseconds since 1970, exactly: a float would round some of them down."""
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def value_of(asked: Mapping[str, Any], name: str) -> Any:
    """One input of a request, from its JSON: an endpoint by its alias, a picture by its name."""
    if name == "endpoint":
        return alias(asked["endpoint"])
    if name == "replicate":
        return asked.get("replicate", 0)
    if name in _PICTURES:
        return (asked.get(name) or {}).get("name")
    return asked.get("arguments", {}).get(name)


def varying_of(requests: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The inputs in which these requests differ, with their values in order; pictures of one name by digest too."""
    rows = list(requests)
    varying = {}
    for name in INPUTS:
        values = dict.fromkeys(value_of(asked, name) for asked in rows)
        if name in _PICTURES:
            shas = {(asked.get(name) or {}).get("sha256", ""): asked for asked in rows}
            if len(shas) > len(values):
                values = dict.fromkeys(
                    f"{value_of(asked, name)} ({sha[:6]})" if sha else None for sha, asked in shas.items()
                )
        if len(values) > 1:
            varying[name] = list(values)
    return varying
