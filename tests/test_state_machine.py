"""Whatever is run, stopped, broken on the wire, killed and decided in whatever order: nothing is paid twice or lost.

Hypothesis makes up the story. The engine is the real one, on a loop of its own, so that it outlives the passes; a pass
that dies is abandoned in the middle of a journal line or of a call, and nothing of it runs on. After every step the
books of the engine are held against the journal, and at the end one sound pass must bring everything home.

    LONG=1 python -m pytest tests/test_state_machine.py       some minutes instead of some seconds
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import io
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import fal_client
import httpx
import PIL.Image
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedance_lab import local
from seedance_lab.budget import Options, spent_usd
from seedance_lab.engine import Engine, client, place_of, places
from seedance_lab.errors import BudgetError, LabError
from seedance_lab.journal import Event, Journal, read
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import IN_DOUBT, Record, fold
from seedance_lab.request import Request
from seedance_lab.running import Runner, runner
from seedance_lab.running.book import Book
from seedance_lab.running.reconcile import Reconciler
from seedance_lab.running.signals import Signals
from seedance_lab.study import Study
from tests.faults import Lab, is_submit

RENDERER = local.StubRenderer()
LONG = bool(os.environ.get("LONG"))
BEFORE = ("drop-before", "500", "no-connection", "429", "400", "402")
AFTER = ("drop-after", "502-after", "cut")
ONLY_SUBMIT = {"429", "400", "402"}
DEATHS = ("line-before", "line-torn", "line-after", "call-before", "call-after")
CENT = 0.0001


class Died(KeyboardInterrupt):
    """The process is dead: the loop stops where it is, and nothing of the pass runs on."""


class Death(NamedTuple):
    """Where a pass is to end: at its n-th journal line, or at its n-th call of the engine."""

    where: str
    n: int


def plan_of() -> Plan:
    """Six requests; the last two have the same input."""
    picture = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, 90, 200)).save(picture, "PNG")
    common = {"image": picture.getvalue(), "prompt": "boats", "duration": 2, "resolution": "480p"}
    return sweep(**common, seed=range(4)) + sweep(**common, seed=9, repeat=2)


PLAN = plan_of()
EACH_USD = PLAN[0].usd or 0.0


class Elsewhere:
    """A loop in a thread of its own, where the engine lives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Wire(httpx.AsyncBaseTransport):
    """To the engine on its own loop, breaking what it is told to break."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._n = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        machine, n = self._machine, self._n
        self._n += 1
        is_submit = request.method == "POST" and request.url.path.startswith("/queue/")
        kind = machine.faults.get(n, "")
        if kind in ONLY_SUBMIT and not is_submit:
            kind = "drop-before"
        machine.die_at("call-before", n)
        if is_submit:
            machine.look_at_the_intent()
        if kind in BEFORE:
            return _broken_before(kind, request)
        response = await self._pass_on(request)
        if is_submit and response.is_success:
            machine.n_taken += 1
        machine.die_at("call-after", n)
        if kind in AFTER:
            return _broken_after(kind, request, response)
        return response

    async def _pass_on(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        machine = self._machine

        async def there() -> httpx.Response:
            response = await machine.asgi.handle_async_request(request)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        future = asyncio.run_coroutine_threadsafe(there(), machine.elsewhere.loop)
        machine.under_way.append(future)
        return await asyncio.wrap_future(future)


def _broken_before(kind: str, request: httpx.Request) -> httpx.Response:
    if kind == "drop-before":
        raise httpx.ReadError("reset", request=request)
    if kind == "no-connection":
        raise httpx.ConnectError("refused", request=request)
    headers = {"Retry-After": "0"} if kind == "429" else {}
    return httpx.Response(int(kind), headers=headers, json={"detail": "broken on purpose"})


def _broken_after(kind: str, request: httpx.Request, response: httpx.Response) -> httpx.Response:
    if kind == "drop-after":
        raise httpx.ReadError("reset", request=request)
    if kind == "502-after":
        return httpx.Response(502, html="<html>nginx</html>")
    content = response.content
    return httpx.Response(response.status_code, content=content[: len(content) // 2])


class Machine(RuleBasedStateMachine):
    """One study and one engine, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "study"
        self.elsewhere = Elsewhere()
        self.service = self.elsewhere.call(self._started())
        self.asgi = httpx.ASGITransport(local.create_app(self.service))
        self.under_way: list[concurrent.futures.Future[Any]] = []
        self.faults: dict[int, str] = {}
        self.death: Death | None = None
        self.dead = self.died = False
        self.n_lines = self.n_taken = self.n_passes = 0
        self.said_lost: Counter[int] = Counter()
        self.deleted: set[str] = set()
        self.most_usd = 0.0
        self.patches = contextlib.ExitStack()
        self._patch()

    async def _started(self) -> local.Service:
        service = local.Service(self.home / "engine", slots=2, renderer=RENDERER, retention_s=None)
        await service.start()
        return service

    def _patch(self) -> None:
        nap, write = Signals.nap, Journal.write
        machine = self

        async def short_nap(one: Signals, seconds: float) -> None:
            await nap(one, min(seconds, 0.001))

        async def no_pause(_: int) -> None:
            await asyncio.sleep(0)

        async def opened(place: Any, folder: Path, **_: Any) -> Engine:
            return places._simulator(Wire(machine), places.IN_PROCESS, machine.service.engine_id, ())

        def dying(journal: Journal, kind: str, key: str = "", **data: Any) -> Event:
            n = machine.n_lines
            machine.n_lines += 1
            machine.die_at("line-before", n)
            line = write(journal, kind, key, **data)
            if machine.death == ("line-torn", n):
                assert journal._file is not None
                size = os.fstat(journal._file).st_size
                os.ftruncate(journal._file, (journal._before_last + size) // 2)
            machine.die_at("line-torn", n)
            machine.die_at("line-after", n)
            return line

        for target, name, value in (
            (Signals, "nap", short_nap),
            (Signals, "sleep", short_nap),
            (Journal, "write", dying),
            (client, "_pause", no_pause),
            (runner, "open_engine", opened),
            (fal_client.client, "_get_retry_delay", lambda *_: 0.0),
        ):
            self.patches.enter_context(mock.patch.object(target, name, value))

    def teardown(self) -> None:
        try:
            self.everything_comes_home()
        finally:
            self.patches.close()
            self.elsewhere.call(self.service.aclose())
            self.elsewhere.close()
            shutil.rmtree(self.home)

    # ── what the steps use ──────────────────────────────────────────────────────────────────────────────

    def die_at(self, where: str, n: int) -> None:
        if self.dead or self.death == (where, n):
            self.dead = True
            raise Died

    def look_at_the_intent(self) -> None:
        """Rule 2: what is taken was written down before, one line a POST."""
        n_intents = sum(e.kind == "sending" for e in self.events())
        assert n_intents > self.n_taken, "a POST without a line of its own"

    def events(self) -> list[Event]:
        return read(self.folder / "journal.jsonl")

    def records(self) -> dict[str, Record]:
        return fold(self.events())

    def history(self) -> list[tuple[str, int]]:
        """The service's books: id and seed of what it took."""
        for future in self.under_way:
            with contextlib.suppress(Exception):
                future.result(30)
        self.under_way.clear()
        with contextlib.closing(sqlite3.connect(self.home / "engine" / "engine.db")) as db:
            rows = db.execute(
                "SELECT request_id, json_extract(input, '$.seed') FROM requests ORDER BY seq"
            ).fetchall()
        return [(str(request_id), int(seed)) for request_id, seed in rows]

    def one_pass(self, plan: Plan, word: tuple[str, int] | None = None, **options: Any) -> Runner | None:
        """A pass, to its end or to its death; None when it died or was refused."""
        self.n_lines, self.dead = 0, False
        self.n_passes += 1
        heard: list[Event] = []

        def hear(event: Event, _: Record | None) -> None:
            heard.append(event)
            if one._book.at_stake_usd > self.most_usd + CENT:
                raise AssertionError(f"${one._book.at_stake_usd} at stake of ${self.most_usd}")
            if word is not None and len(heard) == word[1]:
                getattr(one.signals, word[0])()
                if word[0] == "pause":
                    asyncio.get_running_loop().call_later(0.002, one.signals.resume)

        before = spent_usd(self.records())
        budget = options.get("budget_usd")
        self.most_usd = 1e9 if budget is None else max(before, budget)
        one = Runner(
            folder=self.folder,
            place=place_of("local"),
            plan=plan,
            run=f"pass-{self.n_passes}",
            options=Options(**options),
            listener=hear,
        )
        try:
            _to_its_end(one)
        except Died:
            return None
        except BudgetError:
            return None
        except LabError as error:
            if self.faults:
                return None
            raise AssertionError(f"a sound pass ended with {error}") from error
        finally:
            self.faults, self.death, self.died, self.dead = {}, None, self.dead, False
            n_sent = Counter(e.kind for e in heard)
            most = options.get("max_requests")
            assert most is None or n_sent["sending"] - n_sent["declined"] <= most
        return one

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────

    @initialize()
    def begin(self) -> None:
        """There is something to break from the start."""
        self.one_pass(PLAN[:1])

    @rule(
        chosen=st.sets(st.integers(0, len(PLAN) - 1), min_size=1),
        in_flight=st.sampled_from([None, 1, 3]),
        faults=st.dictionaries(st.integers(0, 20), st.sampled_from(BEFORE + AFTER), max_size=5),
        death=st.none() | st.builds(Death, st.sampled_from(DEATHS), st.integers(0, 24)),
        word=st.none() | st.tuples(st.sampled_from(["stop", "pause", "cancel", "leave"]), st.integers(1, 16)),
        budget=st.none() | st.integers(0, 12),
        most=st.none() | st.integers(1, 4),
        again=st.sampled_from([False, True, "all"]),
    )
    def run(
        self,
        chosen: set[int],
        in_flight: int | None,
        faults: dict[int, str],
        death: Death | None,
        word: tuple[str, int] | None,
        budget: int | None,
        most: int | None,
        again: Any,
    ) -> None:
        self.faults, self.death = faults, death
        one = self.one_pass(
            Plan.of([PLAN[i] for i in sorted(chosen)]),
            word,
            in_flight=in_flight,
            budget_usd=None if budget is None else budget * EACH_USD,
            max_requests=most,
            retry_failed=again,
        )
        if one is not None:
            assert abs(one._book.at_stake_usd - spent_usd(self.records())) < CENT

    def in_doubt(self) -> list[str]:
        return [key for key, record in self.records().items() if record.stage in IN_DOUBT]

    @rule(which=st.integers(0, 5), lost=st.booleans())
    def resolve(self, which: int, lost: bool) -> None:
        """A person decides, wrongly at times: what is called lost may be there."""
        if not (doubts := self.in_doubt()):
            return  # no precondition: which request is in doubt may depend on which thread was quicker
        key = doubts[which % len(doubts)]
        request = next(r for r in PLAN if r.key == key)
        study = Study(self.folder, track=False)
        candidates = self.unclaimed(request)
        if lost:
            self.said_lost[request.seed or 0] += 1
            study.resolve(key, lost=True)
        elif candidates:
            study.resolve(key, request_id=candidates[0])

    def unclaimed(self, request: Request) -> list[str]:
        taken = {e.data["request_id"] for e in self.events() if e.kind == "accepted"}
        return [id_ for id_, seed in self.history() if seed == request.seed and id_ not in taken]

    @rule(which=st.integers(0, len(PLAN) - 1))
    def delete(self, which: int) -> None:
        """A clip that is gone is fetched again, and never paid again."""
        key = PLAN[which].key
        record = self.records().get(key)
        if record is not None and record.clip is not None and record.stage == "saved":
            (self.folder / record.clip["file"]).unlink(missing_ok=True)
            self.deleted.add(key)

    # ── what must be true after every step ──────────────────────────────────────────────────────────────

    @invariant()
    def nothing_was_paid_twice(self) -> None:
        """Each request once; once more for each time that it ended without a clip, or a person called it lost."""
        seeds = {r.key: r.seed or 0 for r in PLAN}
        allowed = Counter(seeds.values()) + self.said_lost
        allowed.update(seeds[e.key] for e in self.events() if e.kind in {"failed", "cancelled"})
        taken = Counter(seed for _, seed in self.history())
        assert not taken - allowed, f"paid {taken}, allowed {allowed}"

    @invariant()
    def no_two_requests_share_a_video(self) -> None:
        owners: dict[str, set[str]] = {}
        for line in self.events():
            if line.kind == "accepted":
                owners.setdefault(line.data["request_id"], set()).add(line.key)
        assert not {id_: keys for id_, keys in owners.items() if len(keys) > 1}

    @invariant()
    def a_saved_clip_is_the_one_that_the_journal_names(self) -> None:
        for key, record in self.records().items():
            if record.stage != "saved" or record.clip is None:
                continue
            path = self.folder / record.clip["file"]
            if path.exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == record.clip["sha256"]
                self.deleted.discard(key)
            else:
                assert key in self.deleted

    @invariant()
    def the_dollars_at_stake_are_the_sum_of_the_records(self) -> None:
        if not (self.folder / "journal.jsonl").exists():
            return
        with Journal(self.folder) as journal:
            book = Book(journal, place_of("local"), "look", lambda *_: None)
        assert abs(book.at_stake_usd - spent_usd(self.records())) < CENT

    def everything_comes_home(self) -> None:
        """At the end: one sound pass, the person's word on what only a person can decide, and one more."""
        self.faults, self.death, self.dead = {}, None, False
        for _ in range(len(PLAN) + 2):
            assert self.one_pass(PLAN, retry_failed="all") is not None
            self.nothing_was_paid_twice()
            if not (doubts := self.in_doubt()):
                break
            request = next(r for r in PLAN if r.key == doubts[0])
            candidates = self.unclaimed(request)
            assert candidates, f"{doubts[0]} is in doubt, and there is nothing that it could be"
            Study(self.folder, track=False).resolve(doubts[0], request_id=candidates[0])
        records = self.records()
        assert {r.key: records[r.key].stage for r in PLAN} == {r.key: "saved" for r in PLAN}
        self.deleted.clear()
        self.no_two_requests_share_a_video()
        self.a_saved_clip_is_the_one_that_the_journal_names()
        before = self.history()
        self.one_pass(PLAN)
        assert self.history() == before, "a plan that is done sends nothing"


def _to_its_end(one: Runner) -> None:
    """Run it on a loop of its own; at its death leave everything where it stands."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # the dead have things to say about the way they went
    threads = concurrent.futures.ThreadPoolExecutor(4)
    loop.set_default_executor(threads)
    main = loop.create_task(one())
    try:
        loop.run_until_complete(main)
    except Died:
        threads.shutdown()
        _bury(loop)
        journal: Journal = one._book._journal
        journal.close()  # the system lets go of the dead's lock and files
        raise
    finally:
        threads.shutdown()
        loop.close()


def _bury(loop: asyncio.AbstractEventLoop) -> None:
    """What was suspended is never taken up again; its clean-up finds a dead journal and a dead wire."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(BaseException):
            task.get_coro().close()  # type: ignore[union-attr]


MACHINE = settings(
    derandomize=not LONG,
    deadline=None,
    database=None,
    max_examples=1500 if LONG else 25,
    stateful_step_count=20 if LONG else 8,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


TestAnyStory = Machine.TestCase
TestAnyStory.settings = MACHINE


def _tell(story: list[tuple[str, dict[str, Any]]]) -> None:
    machine = Machine()
    try:
        machine.begin()
        for name, values in story:
            getattr(machine, name)(**values)
            machine.nothing_was_paid_twice()
            machine.no_two_requests_share_a_video()
            machine.a_saved_clip_is_the_one_that_the_journal_names()
    finally:
        machine.teardown()


async def _lost_at_once(self: Reconciler, record: Record) -> bool:
    await self._book.say("resolved", record.key, outcome="lost")
    return True


def _run(**values: Any) -> tuple[str, dict[str, Any]]:
    usual: dict[str, Any] = {
        "chosen": set(range(len(PLAN))),
        "in_flight": 3,
        "faults": {},
        "death": None,
        "word": None,
        "budget": None,
        "most": None,
        "again": False,
    }
    return "run", {**usual, **values}


def test_the_machine_turns_red_when_what_was_left_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot fail proves nothing."""
    monkeypatch.setattr(Reconciler, "settle", _lost_at_once)
    with pytest.raises(AssertionError, match="paid"):
        _tell([_run(death=Death("call-after", n)) for n in range(12)])


def test_no_more_are_sent_than_were_allowed_however_many_ask_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a look at the limit and the line that counts, another request could slip through to its POST."""
    bench = Lab(tmp_path, monkeypatch)
    run = bench.run(PLAN, in_flight=4, max_requests=1)
    assert sum(bench.posted().values()) == 1
    assert "max_requests=1" in " ".join(run.problems.values())


def test_a_doubt_waits_for_its_twin_whose_intent_is_not_on_the_disk_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two equal requests: one in doubt looks around while the other's first line is being brought to the disk."""
    bench = Lab(tmp_path, monkeypatch)
    sync = Journal.sync

    def slow(journal: Journal) -> None:
        threading.Event().wait(0.02)
        sync(journal)

    monkeypatch.setattr(Journal, "sync", slow)
    lost: list[bool] = []

    async def drop_first(request: httpx.Request, send: Any) -> httpx.Response:
        response = await send()
        if is_submit(request) and not lost:
            lost.append(True)
            raise httpx.ReadError("reset", request=request)
        return response

    bench.fault = drop_first
    bench.run(PLAN[4:], in_flight=2)
    records = fold(read(bench.folder / "journal.jsonl"))
    assert {r.stage for r in records.values()} == {"saved"}
    assert len({r.request_id for r in records.values()}) == 2
    assert sum(bench.posted().values()) == 2
