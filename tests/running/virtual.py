"""Passes in virtual time: an event loop whose clock jumps to what comes next, and an engine that lives by it.

Everything but the clock is real: the runner, fal_client, the journal's file, the engine's queue and ledger. An hour
takes no time, nothing depends on how fast this machine is, and what is counted is what was asked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import pytest

from seedance_lab import journal, local
from seedance_lab.budget import Options
from seedance_lab.endpoints import ENDPOINTS, Latency
from seedance_lab.engine import Engine, places
from seedance_lab.journal import Event, read
from seedance_lab.local.latency import Pace
from seedance_lab.plan import Plan
from seedance_lab.record import Record, fold
from seedance_lab.running import Runner, book, fetching, pace, reconcile, runner, sending, waiting

T = TypeVar("T")
Send = Callable[[], Awaitable[httpx.Response]]
Fault = Callable[[httpx.Request, Send], Awaitable[httpx.Response]]

BEGIN = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
_BREATH_S = 1e-6
RENDERER = local.StubRenderer()
"""Shared, because its clip is encoded once."""


class _Selector:
    """Instead of sleeping, moves the clock."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.moved = lambda seconds: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def select(self, timeout: float | None = None) -> Any:
        # Work takes a moment, too: two that wake a breath too early would else wake each other for ever.
        self.moved(_BREATH_S)
        if ready := self._inner.select(0):
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits, and nobody for the clock")
        self.moved(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, from `now` seconds on."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        selector = _Selector()
        super().__init__(selector)  # type: ignore[arg-type]
        selector.moved = self._move

    def _move(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return self.now


def in_virtual_time(story: Coroutine[Any, Any, T], *, now: float = 0.0) -> T:
    """What the coroutine returns; its sleeps take no time."""
    with asyncio.Runner(loop_factory=lambda: Loop(now)) as one:
        return one.run(story)


class World:
    """A study's folder, an engine that outlives the passes, and one clock for all of it.

    Attributes:
        service_s: What every clip takes at the engine.
        slots: How many it works on at a time.
        can_stream: Whether status streams are offered.
        fault: What lies between the library and the engine; may do anything to a request.
        now: Virtual seconds since `BEGIN`.
        asked: Every request on the wire: when, method, path.
        events: Every journal line that was told of.
    """

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.folder = home / "study"
        self.service_s, self.slots, self.can_stream = 40.0, 2, False
        self.fault: Fault = sound
        self.now = 0.0
        self.asked: list[tuple[float, str, str]] = []
        self.headers: list[tuple[str, httpx.Headers]] = []
        self.events: list[Event] = []
        self.problems: dict[str, str] = {}
        self._loop: Loop | None = None
        monkeypatch.setattr(runner, "open_engine", self._open)
        # The clock must not move while a thread works.
        monkeypatch.setattr(asyncio, "to_thread", _inline)
        monkeypatch.setattr("anyio.to_thread.run_sync", _inline_sync)
        clocks = {
            "dt": SimpleNamespace(datetime=_datetime(self.at), UTC=dt.UTC, timedelta=dt.timedelta),
            "time": SimpleNamespace(
                time=lambda: self.at().timestamp(), monotonic=lambda: self.at().timestamp()
            ),
        }
        for module in (journal, book, fetching, pace, reconcile, runner, sending, waiting):
            for name, clock in clocks.items():
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, clock)

    def at(self) -> dt.datetime:
        """What time it is."""
        return BEGIN + dt.timedelta(seconds=self._loop.now if self._loop else self.now)

    async def _open(self, place: Any, folder: Path, **_: Any) -> Engine:
        latency = Pace(latency=Latency(self.service_s, 0.0, "asked for"), queue_s=0.0, spread=0.0)
        service = local.Service(
            self.home / "engine",
            slots=self.slots,
            renderer=RENDERER,
            clock=lambda: self.at().timestamp(),
            latency=latency,
            retention_s=None,
        )
        await service.start()
        self.service = service
        self._app = httpx.ASGITransport(local.create_app(service))
        engine = places._simulator(_Wire(self), places.IN_PROCESS, service.engine_id, (service.aclose,))
        engine.can_stream = self.can_stream
        return engine

    async def pass_wire(self, request: httpx.Request) -> httpx.Response:
        """One request of the library."""
        await request.aread()
        self.asked.append((self.at().timestamp() - BEGIN.timestamp(), request.method, request.url.path))
        self.headers.append((f"{request.method} {request.url.path}", request.headers))
        return await self.fault(request, lambda: self._app.handle_async_request(request))

    def runner(self, plan: Plan, *, place: str = "fal", **options: Any) -> Runner:
        """A pass that has not begun."""
        if place == "fal":
            options.setdefault("budget_usd", 100)
        return Runner(
            folder=self.folder,
            place=places.place_of(place),
            plan=plan,
            run=f"run-{len(self.events)}",
            options=Options(**options),
            listener=lambda event, _: self.events.append(event),
        )

    def run(
        self,
        plan: Plan,
        *,
        place: str = "fal",
        meanwhile: Callable[[Runner], Coroutine[Any, Any, None]] | None = None,
        **options: Any,
    ) -> Runner:
        """One pass, and what a person does meanwhile."""
        one = self.runner(plan, place=place, **options)

        async def story() -> None:
            self._loop = asyncio.get_running_loop()  # type: ignore[assignment]
            person = asyncio.create_task(meanwhile(one)) if meanwhile else None
            try:
                await one()
            finally:
                if person is not None:
                    person.cancel()
                    await asyncio.gather(person, return_exceptions=True)
                assert self._loop is not None
                self.now, self._loop = self._loop.now, None

        in_virtual_time(story(), now=self.now)
        return one

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────

    def records(self) -> dict[str, Record]:
        return fold(read(self.folder / "journal.jsonl"))

    def stages(self) -> Counter[str]:
        return Counter(record.stage for record in self.records().values())

    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in read(self.folder / "journal.jsonl"))

    def posts(self) -> int:
        """How many submissions were on the wire."""
        return sum(m == "POST" and path.startswith("/queue/") for _, m, path in self.asked)

    def rows(self) -> list[Any]:
        """Every request that the engine took, by its own books, in order."""

        async def look() -> list[Any]:
            store = local.Service(self.home / "engine").store
            store.open()
            try:
                rows = store.history(endpoint_ids=[e.id for e in ENDPOINTS], start=0, end=9e9, statuses=[],
                                     request_ids=[], sort_by="", after=None, limit=100_000)  # fmt: skip
                return sorted(rows, key=lambda row: row.seq)
            finally:
                store.close()

        return asyncio.run(look())

    def made(self) -> Counter[str]:
        """How often each input was taken."""
        return Counter(_told(json.loads(row.input)) for row in self.rows())

    def there(self, since: int = 0) -> list[int]:
        """How many were at the engine when each request came, itself included; from the n-th request on."""
        rows = self.rows()
        return [
            sum(
                other.seq <= row.seq and not (other.ended_at and other.ended_at <= row.sent_at)
                for other in rows
            )
            for row in rows[since:]
        ]


def _told(body: dict[str, Any]) -> str:
    return f"{body['prompt']} {body.get('seed')}"


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._world.pass_wire(request)


def _datetime(at: Callable[[], dt.datetime]) -> type[dt.datetime]:
    class Datetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return at()

    return Datetime


async def _inline(work: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    return work(*args, **kwargs)


async def _inline_sync(work: Callable[..., T], *args: Any, **_: Any) -> T:
    return work(*args)


# ── faults ──────────────────────────────────────────────────────────────────────────────────────────────


async def sound(_: httpx.Request, send: Send) -> httpx.Response:
    """No fault."""
    return await send()


def is_submit(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.startswith("/queue/")


def is_history(request: httpx.Request) -> bool:
    return request.url.path.endswith("/by-endpoint")


def is_status(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.endswith("/status")


def is_stream(request: httpx.Request) -> bool:
    return request.url.path.endswith("/status/stream")


def is_result(request: httpx.Request) -> bool:
    path = request.url.path
    asks = path.startswith("/queue/") and "/requests/" in path and "/status" not in path
    return request.method == "GET" and asks


def is_file(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.startswith("/cdn/")


async def lost_after(request: httpx.Request, send: Send) -> httpx.Response:
    """The service has it, and its answer does not come."""
    await send()
    raise httpx.ReadError("connection reset", request=request)


async def lost_before(request: httpx.Request, send: Send) -> httpx.Response:
    """It never arrives, which nobody can know."""
    raise httpx.ReadError("connection reset", request=request)


def at(
    *numbers: int,
    fault: Fault,
    applies: Callable[[httpx.Request], bool] = is_submit,
    otherwise: Fault = sound,
) -> Fault:
    """The fault for the n-th request (from 1) to which it applies; for all of them when no number is given."""
    seen = 0

    async def some(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal seen
        if not applies(request):
            return await otherwise(request, send)
        seen += 1
        return await (fault if not numbers or seen in numbers else sound)(request, send)

    return some


def answers(status: int, body: Any = None, **headers: str) -> Fault:
    """Answers so instead of the service."""

    async def answer(_: httpx.Request, __: Send) -> httpx.Response:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(status, json=body if body is not None else {"detail": "no"}, headers=told)

    return answer


def lagging(world: World, seconds: float, otherwise: Fault = sound) -> Fault:
    """The history lists a request only so long after it was sent."""

    async def lag(request: httpx.Request, send: Send) -> httpx.Response:
        if not is_history(request):
            return await otherwise(request, send)
        answer = await send()
        page = json.loads(await answer.aread())
        page["items"] = [
            item
            for item in page["items"]
            if (world.at() - dt.datetime.fromisoformat(item["sent_at"])).total_seconds() >= seconds
        ]
        return httpx.Response(answer.status_code, json=page)

    return lag
