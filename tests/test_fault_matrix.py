"""Every fault of the engine against the library: what it does about each, and what the ledger shows.

The faults are the engine's own (`seedance_lab.local.faults`), inside this process, so that all of fal_client and all of
our transport lie between them and the runner. Waits are cut to nothing; no outcome may depend on them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import fal_client
import httpx
import pytest

from seedance_lab import local
from seedance_lab.budget import Options
from seedance_lab.engine import Engine, client, places
from seedance_lab.errors import LabError
from seedance_lab.journal import Event, read
from seedance_lab.local.faults import KINDS, WIRE_STEPS, Faults
from seedance_lab.local.latency import Pace
from seedance_lab.local.renderer import Job, Rendered
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import Record, fold
from seedance_lab.running import Runner, runner
from seedance_lab.running.signals import Signals

RENDERER = local.StubRenderer()
"""Shared, because its clip is encoded once."""


class Row(NamedTuple):
    """One line of the fault table: what the library does, and what the ledger shows then."""

    library: str
    ledger: str


_FOUND = "*unknown*; the account's history has it: adopted, never sent again. Other steps: asked again"
_NOT_FOUND = "*unknown*; the history shows that it never arrived: sent again. Other steps: asked again"

TABLE = {
    "drop-before": Row(_NOT_FOUND, "once"),
    "drop-after": Row(_FOUND, "once"),
    "late": Row(_FOUND, "once"),
    "429": Row("*declined*; sent again after Retry-After. Other steps: asked again", "once"),
    "500": Row(_NOT_FOUND, "once"),
    "502": Row(_NOT_FOUND, "once"),
    "503": Row(_NOT_FOUND, "once"),
    "504": Row(_NOT_FOUND, "once"),
    "500-after": Row(_FOUND, "once"),
    "502-after": Row(_FOUND, "once"),
    "503-after": Row(_FOUND, "once"),
    "504-after": Row(_FOUND, "once"),
    "cut": Row(_FOUND, "once"),
    "malformed": Row(_FOUND, "once"),
    "slow": Row("waits for it", "once"),
    "requeued": Row("goes on waiting", "once"),
    "expired": Row("found in the account's history, never sent again", "once"),
    "404": Row("asked for again; stays *finished* until the file comes", "once"),
    "short": Row("not taken for a video; stays *finished* until the file comes whole", "once"),
    "wrong-type": Row("not taken for a video; stays *finished* until the file comes", "once"),
    "failed": Row("*failed*, with the service's words; sent again only if a person asks", "nothing"),
}
"""By kind of fault; `markdown` prints it."""

LOST = {("render", "failed")}
"""Nothing can save this: it ends `failed`."""


def markdown() -> str:
    """The table for people: `python -m tests.test_fault_matrix`."""
    lines = ["| fault | what happens | at | what the library does | charged |", "|---|---|---|---|---|"]
    for name, (meaning, steps, _) in KINDS.items():
        where = (
            "every step" if steps == WIRE_STEPS else ", ".join(steps) if len(steps) < 3 else "all but file"
        )
        lines.append(f"| `{name}` | {meaning} | {where} | {TABLE[name].library} | {TABLE[name].ledger} |")
    return "\n".join(lines)


def test_the_readme_shows_this_table() -> None:
    assert markdown() in (Path(__file__).parent.parent / "README.md").read_text()


class Outcome(NamedTuple):
    """What a pass left: how many requests are at each stage, and what was charged how often."""

    stages: dict[str, int]
    charged: Counter[str]
    error: str | None

    @property
    def n_twice(self) -> int:
        return sum(count > 1 for count in self.charged.values())


class Bench:
    """A study and an engine that outlive the passes over them."""

    def __init__(self, home: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.plan = home, plan
        self.faults = Faults()
        self.latency: Pace | None = None
        self.cancelling = False
        self.renderer = RENDERER
        monkeypatch.setattr(runner, "open_engine", self._open)
        nap = Signals.nap

        async def short_nap(one: Signals, seconds: float) -> None:
            await nap(one, min(seconds, 0.002))

        async def short_sleep(one: Signals, seconds: float) -> None:
            await nap(one, min(seconds, 0.002))

        async def no_pause(attempt: int) -> None:
            await asyncio.sleep(0)

        monkeypatch.setattr(Signals, "nap", short_nap)
        monkeypatch.setattr(Signals, "sleep", short_sleep)
        monkeypatch.setattr(client, "_pause", no_pause)
        monkeypatch.setattr(fal_client.client, "_get_retry_delay", lambda *_: 0.0)

    async def _open(self, place: Any, folder: Path, **_: Any) -> Engine:
        service = local.Service(
            self.home / "engine", renderer=self.renderer, faults=self.faults, latency=self.latency
        )
        await service.start()
        asgi = httpx.ASGITransport(local.create_app(service))
        return places._simulator(asgi, places.IN_PROCESS, service.engine_id, (service.aclose,))

    def run(self, rules: Iterable[str] = (), *, in_flight: int = 8, seed: int = 0, **options: Any) -> Outcome:
        """One pass, with these faults in force."""
        self.faults = Faults(rules, seed=seed)
        one = Runner(
            folder=self.home / "study",
            place=places.place_of("local"),
            plan=self.plan,
            run="r",
            options=Options(in_flight=in_flight, **options),
            listener=self._told,
        )
        self._runner = one
        error = None
        try:
            asyncio.run(one())
        except LabError as raised:
            error = str(raised)
        return Outcome(self.stages(), self.charged(), error)

    def _told(self, event: Event, record: Record | None) -> None:
        if self.cancelling and event.kind == "accepted":
            self._runner.signals.cancel()

    def stages(self) -> dict[str, int]:
        """How many requests of the plan are at each stage; `unsent` are those of which the journal knows nothing."""
        records = fold(read(self.home / "study" / "journal.jsonl"))
        return dict(Counter(records[r.key].stage if r.key in records else "unsent" for r in self.plan))

    def charged(self) -> Counter[str]:
        """How often each input was charged, by the engine's own books."""
        db = sqlite3.connect(self.home / "engine" / "engine.db")
        try:
            rows = db.execute("SELECT input FROM requests JOIN ledger USING (request_id)").fetchall()
        finally:
            db.close()
        return Counter(f"{json.loads(text)['prompt']}|{json.loads(text)['seed']}" for (text,) in rows)


def plan_of(picture: bytes, n: int = 6) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(n))


def rules_of(step: str, kind: str) -> list[str]:
    """Some are broken, others not; what a study does once is broken the first time only.

    By number and not by interval: with several in flight every second answer may be the same request's.
    """
    value = "=0" if kind in {"429", "slow"} else ""
    rules = [f"{step}:{kind}{value}@{n}" for n in ((1,) if step in {"token", "upload"} else (1, 3, 5))]
    return [*rules, *(f"submit:drop-after@{n}" for n in (1, 3, 5) if step == "history")]


def cases() -> Iterator[tuple[str, str]]:
    """Each fault at each step of a pass that is left to run. A study cancels only when told to, and never runs."""
    for kind, (_, steps, _) in KINDS.items():
        for step in steps:
            if step not in {"cancel", "run"}:
                yield step, kind


@pytest.fixture
def bench(tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, plan_of(picture), monkeypatch)


@pytest.mark.parametrize("in_flight", [1, 8])
@pytest.mark.parametrize(("step", "kind"), list(cases()))
def test_no_fault_charges_twice_or_loses_a_request(
    bench: Bench, step: str, kind: str, in_flight: int
) -> None:
    """Turns red when `OneShot` lets fal_client see a lost answer, or when `_settle` is skipped."""
    first = bench.run(rules_of(step, kind), in_flight=in_flight)
    n_fired = sum(tally.fired for tally in bench.faults.tallies if tally.rule.step == step)
    assert n_fired > 0, "the fault never happened"
    assert first.error is None
    assert first.n_twice == 0
    n_lost = n_fired if (step, kind) in LOST else 0
    end = {stage: n for stage, n in {"saved": 6 - n_lost, "failed": n_lost}.items() if n}
    assert first.stages == end, "what can be got over is got over in the same pass"


@pytest.mark.parametrize("rule", ["result:500@1", "result:502", "result:503", "result:429=0"])
def test_what_is_paid_for_is_not_failed_because_the_gateway_was_down(bench: Bench, rule: str) -> None:
    """The result is still there; only the way to it was not. `failed` invites to pay a second time."""
    bench.run([rule])
    last = bench.run(retry_failed=True)
    assert last.stages == {"saved": 6}
    assert last.n_twice == 0


class Faststart(local.StubRenderer):
    """Writes the index first, as services do so that a browser can begin to play."""

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        rendered = await super().render(job, on_progress=on_progress)
        plain = job.out.with_suffix(".plain")
        job.out.replace(plain)
        with (
            av.open(str(plain)) as source,
            av.open(str(job.out), "w", format="mp4", options={"movflags": "+faststart"}) as sink,
        ):
            stream = sink.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    sink.mux(packet)
        plain.unlink()
        return rendered._replace(size_bytes=job.out.stat().st_size)


def n_decoded(clip: Path) -> int:
    with av.open(str(clip)) as container, contextlib.suppress(av.FFmpegError):
        return sum(1 for _ in container.decode(video=0))
    return 0


def test_half_a_file_is_not_taken_for_a_video_though_its_index_came(bench: Bench) -> None:
    """Its length fits what was announced; only the service's own file_size, or decoding, tells."""
    bench.renderer = Faststart()
    bench.run(["file:short/2"], in_flight=1)
    clips = list((bench.home / "study" / "clips").glob("*.mp4"))
    assert [n_decoded(clip) for clip in clips] == [48] * len(clips)


@pytest.mark.parametrize("rule", ["status:502", "file:502", "upload:502", "history:502,submit:drop-after"])
def test_a_service_that_is_down_for_a_whole_pass_costs_only_time(bench: Bench, rule: str) -> None:
    first = bench.run(rule.split(","))
    assert "failed" not in first.stages
    last = bench.run()
    assert last.stages == {"saved": 6}
    assert last.n_twice == 0


CANCEL_KINDS = [kind for kind, (_, steps, _) in KINDS.items() if "cancel" in steps]


@pytest.mark.parametrize("in_flight", [1, 8])
@pytest.mark.parametrize("kind", CANCEL_KINDS)
def test_a_cancellation_that_goes_wrong_charges_nothing_twice(
    bench: Bench, kind: str, in_flight: int
) -> None:
    """What could not be taken back is waited for and kept."""
    bench.latency, bench.cancelling = Pace(speed=300, spread=0), True
    value = "=0" if kind in {"429", "slow"} else ""
    first = bench.run([f"cancel:{kind}{value}/{min(2, in_flight)}"], in_flight=in_flight)
    assert bench.faults.tallies[0].fired > 0
    assert set(first.stages) <= {"saved", "cancelled", "unsent"}
    assert first.charged.total() == first.stages.get("saved", 0), "what was taken back is not charged"
    bench.latency, bench.cancelling = None, False
    last = bench.run()
    assert last.stages == {"saved": 6}
    assert last.n_twice == 0


def test_two_equal_requests_never_share_one_video(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is taken and its answer trickles; the second never arrives, and finds the first in the history."""
    plan = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=1, repeat=2)
    bench = Bench(tmp_path, plan, monkeypatch)
    outcome = bench.run(["submit:slow=0.02@1", "submit:drop-before@2"], in_flight=2)
    assert outcome.stages == {"saved": 2}
    assert len({r.request_id for r in fold(read(tmp_path / "study" / "journal.jsonl")).values()}) == 2
    assert outcome.charged.total() == 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fifth_of_all_requests_broken_at_random_makes_no_duplicate(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    bench = Bench(tmp_path, plan_of(picture, 150), monkeypatch)
    kinds = [kind for kind in KINDS if kind != "failed"]
    rules = [f"any:{kind}{'=0' if kind in {'429', 'slow'} else ''}%1.5" for kind in kinds]
    outcome = bench.run(rules, seed=seed)
    n_fired = sum(tally.fired for tally in bench.faults.tallies)
    assert n_fired > 0.15 * max(tally.seen for tally in bench.faults.tallies)
    for more in range(5):
        outcome = bench.run(rules, seed=10 * seed + more)
    last = bench.run()
    assert set(last.stages) <= {"saved", "failed"}
    assert last.stages["saved"] >= 135
    assert sum(last.stages.values()) == 150
    assert last.n_twice == 0
    assert last.charged.total() == 150
    assert outcome.error is None


def test_the_table_has_a_line_for_every_fault() -> None:
    assert list(TABLE) == list(KINDS)
    assert markdown().count("\n") == len(KINDS) + 1


if __name__ == "__main__":
    print(markdown())
