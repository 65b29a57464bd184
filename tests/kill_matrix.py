"""Kill a real sweep at random moments until it is done, and count at the service what was paid for.

    python tests/kill_matrix.py --kills 200
    python tests/kill_matrix.py --kills 200 --engine-too
    python tests/kill_matrix.py --faults --requests 1000 --engine-too
    python tests/kill_matrix.py --kills 12 --mutant resend-leftover       must turn it red

A pass is a process of its own: `seedance_lab.Study(folder, engine=url).run(plan)` against a served engine, mirrored
into MLflow. SIGKILL ends it at a seeded moment: some milliseconds after a journal line of its own, or after its start.
The next pass takes up what is left, and so on until every clip is there; then the next sweep begins. `crash_matrix`
dies at exact lines; this one dies anywhere, in any library, with MLflow's thread in the middle of a write. With
`--engine-too` the engine is killed as well, alone or with the client, and started again on the same folder and port.

After each sweep: the service's history and its bill have every request exactly once; every clip opens and has the
sha256 that the journal says; the journal can be read and has every request saved; MLflow has one finished run a
request and one a pass, and none that is still running; one more pass sends nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
from rich.console import Console
from rich.table import Table

import seedance_lab as lab
from seedance_lab import columns, media
from seedance_lab.endpoints import LITE
from seedance_lab.errors import EngineError, LabError
from seedance_lab.journal import read
from seedance_lab.local.faults import KINDS
from seedance_lab.local.served import Served
from seedance_lab.plan import Plan
from seedance_lab.record import fold
from seedance_lab.running.book import Book
from seedance_lab.running.reconcile import Reconciler
from seedance_lab.running.sending import Sender

KEY = {"Authorization": "Key local:simulator"}
N_REQUESTS = 24
PATIENCE_S = 300.0
"""A pass that takes longer hangs."""
MOST_PASSES = 150
"""Passes after which a sweep that is not done will never be."""
_REFUSED = 3
"""Exit code of a pass that found no engine, which is what it should say of a dead one."""
_LAST_LINE = 12
"""A pass is killed after so many of its lines at the latest, so that a sweep takes many kills."""


def plan_of(name: str, n: int = N_REQUESTS) -> Plan:
    """`n` requests that no other sweep makes; half of them are pairs that only their number tells apart."""
    picture = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, 90, 200)).save(picture, "PNG")
    common = {"image": picture.getvalue(), "prompt": name, "duration": 2, "resolution": "480p"}
    pairs = n // 4
    return lab.sweep(**common, seed=range(n - 2 * pairs)) + lab.sweep(
        **common, seed=range(n, n + pairs), repeat=2
    )


def slow_where_it_hurts() -> list[str]:
    """The engine's answers trickle: a request spends most of its life where a death could cost money."""
    return _as_options(["submit:slow=0.003", "result:slow=0.001", "file:slow=0.001"])


def a_fifth_broken() -> list[str]:
    """A fifth of all answers, with every fault but the one that leaves no video, and none that only waits."""
    kinds = [kind for kind in KINDS if kind not in {"failed", "late"}]
    rules = [f"any:{kind}{'=0.01' if kind in {'429', 'slow'} else ''}%1.1" for kind in kinds]
    return _as_options(rules)


def _as_options(rules: list[str]) -> list[str]:
    return [text for rule in rules for text in ("--fault", rule)]


# ── a pass, to be killed ────────────────────────────────────────────────────────────────────────────────


def one_pass(folder: Path, url: str, plan: Plan, in_flight: int | None, *, track: bool) -> int:
    """What a user runs. Returns the exit code."""
    warnings.simplefilter("ignore")  # of a store that was killed in the middle; it is judged at the end
    try:
        lab.Study(folder, engine=url, track=track, measure=False).run(
            plan, in_flight=in_flight, progress=False
        )
    except EngineError:
        return _REFUSED
    return 0


def forked(work: Callable[[], int], log: Path) -> int:
    """Start a process that has everything loaded; returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        faulthandler.register(signal.SIGUSR1, file=sys.stderr)
        code = work()
    except BaseException:  # noqa: BLE001  # the log is read by the parent
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


# ── mutants: what the matrix must catch ─────────────────────────────────────────────────────────────────


async def _resend_leftover(self: Reconciler, record: Any) -> bool:
    await self._book.say("resolved", record.key, outcome="lost")
    return True


async def _adopt_any(self: Reconciler, record: Any) -> list[Any]:
    now = record.sent_at
    day = type(now - now)(days=1)
    return (await self._engine.history(record.asked["endpoint"], since=now - day, until=now + day))[:1]


def _no_intent() -> None:
    say = Book.say

    async def silent(self: Book, kind: str, key: str = "", **data: Any) -> None:
        if kind != "sending":
            await say(self, kind, key, **data)
            return
        self._held = {**getattr(self, "_held", {}), key: data}

    async def accepted(self: Book, kind: str, key: str = "", **data: Any) -> None:
        if key in (held := getattr(self, "_held", {})) and kind != "sending":
            await say(self, "sending", key, **held.pop(key))
        await silent(self, kind, key, **data)

    Book.say = accepted


def _unclaimed() -> None:
    class Forgetful(set):
        def __contains__(self, _: object) -> bool:
            return False

    init = Book.__init__

    def begin(self: Book, *args: Any) -> None:
        init(self, *args)
        self.claimed = Forgetful()

    Book.__init__ = begin


MUTANTS: dict[str, Callable[[], None]] = {
    "resend-leftover": lambda: setattr(Reconciler, "settle", _resend_leftover),
    "intent-after-post": _no_intent,
    "adopt-any": lambda: setattr(Reconciler, "_candidates", _adopt_any),
    "adopt-twice": _unclaimed,
    "never-resend": lambda: setattr(Sender, "send", _refuse_leftover(Sender.send)),
}


def _refuse_leftover(send: Any) -> Any:
    """What never arrived is given up for lost."""

    async def once(self: Sender, request: Any) -> bool:
        record = self._book.records.get(request.key)
        return False if record is not None and record.attempts else await send(self, request)

    return once


# ── killing ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Count:
    """What was done, and what is wrong."""

    n_sweeps: int = 0
    n_passes: int = 0
    n_client_kills: int = 0
    n_engine_kills: int = 0
    n_both: int = 0
    n_at_service: int = 0
    n_requests: int = 0
    n_twice: int = 0
    n_lost: int = 0
    n_in_doubt: int = 0
    by_stage: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def n_kills(self) -> int:
        return self.n_client_kills + self.n_engine_kills


class Lines:
    """The journal's growth, followed from outside."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, path.stat().st_size if path.exists() else 0

    def more(self) -> list[str]:
        """The kinds of the whole lines that came since the last look."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                came = file.read()
        except FileNotFoundError:
            return []
        whole = came[: came.rfind(b"\n") + 1]
        self._at += len(whole)
        return [json.loads(line)["kind"] for line in whole.splitlines()]


class Killer:
    """Runs sweeps and kills them.

    Args:
        home: For everything that is written.
        rng: Of the moments.
        engine: Served.
        in_flight: Of each pass.
        engine_too: Whether the engine is killed as well.
        mutant: Which one is run, if any.
        track: Whether passes are mirrored into MLflow.
        last_line: After how many of a pass's lines it is killed at the latest.
    """

    def __init__(
        self,
        home: Path,
        rng: random.Random,
        engine: Served,
        *,
        in_flight: int | None,
        engine_too: bool,
        mutant: str | None,
        track: bool = True,
        last_line: int = _LAST_LINE,
    ) -> None:
        self.home, self.rng, self.engine = home, rng, engine
        self.in_flight, self.engine_too, self.mutant, self.track = in_flight, engine_too, mutant, track
        self.last_line = last_line
        self._last_kill = 0
        self.count = Count()

    def sweep(self, name: str, n: int = N_REQUESTS, *, kills_left: int) -> None:
        """One plan, killed until it is done or there are no kills left; then judged."""
        folder, plan, log = self.home / name, plan_of(name, n), self.home / f"{name}.log"
        log.touch()
        self._last_kill = self.count.n_kills + kills_left
        for _ in range(MOST_PASSES):
            if not self.engine.is_running:
                self.engine.start()
            may_kill = self.count.n_kills < self._last_kill
            code = self._pass(folder, plan, log, may_kill=may_kill)
            if code not in {0, -signal.SIGKILL, _REFUSED}:
                self.count.wrong.append(f"{name}: a pass ended with {code}: {log.read_text()[-1500:]}")
                return
            records = fold(read(folder / "journal.jsonl"))
            if code == 0 and all(r.key in records and records[r.key].stage == "saved" for r in plan):
                break
            if self.mutant is not None and code == 0:
                break  # it may never get there
        else:
            self.count.wrong.append(f"{name}: not done after {MOST_PASSES} passes")
        self.count.n_sweeps += 1
        self.count.n_requests += n
        before = len(self._posted(plan))
        if (code := self._pass(folder, plan, log, may_kill=False)) != 0:
            self.count.wrong.append(f"{name}: the last pass ended with {code}: {log.read_text()[-1500:]}")
        if len(self._posted(plan)) != before:
            self.count.wrong.append(f"{name}: a pass over a plan that was done sent something")
        self._judge(name, folder, plan)

    def _pass(self, folder: Path, plan: Plan, log: Path, *, may_kill: bool) -> int:
        """One process; returns how it ended."""
        self.count.n_passes += 1
        lines = Lines(folder / "journal.jsonl")
        began = time.monotonic()
        pid = forked(lambda: self._child(folder, plan), log)
        try:
            while True:
                what = self._what() if may_kill else None
                code = self._until(pid, lines, began) if what else _wait(pid, began + PATIENCE_S)
                if code is not None:
                    if code == -signal.SIGUSR1:
                        self.count.wrong.append(f"{folder.name}: a pass hung: {log.read_text()[-6000:]}")
                        code = -signal.SIGKILL
                    return code
                if what in {"engine", "both"}:
                    self.engine.kill()
                    self.count.n_engine_kills += 1
                if what in {"client", "both"}:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    self.count.n_client_kills += 1
                    self.count.n_both += what == "both"
                    self._note(folder)
                    # Sometimes the client is back first and finds nobody.
                    if what == "both" and self.rng.random() < 0.8:
                        self.engine.start()
                    return -signal.SIGKILL
                time.sleep(self.rng.choice([0.0, 0.0, 0.3, 1.5]))
                self.engine.start()
                may_kill = self.count.n_kills < self._last_kill
        finally:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def _child(self, folder: Path, plan: Plan) -> int:
        if self.mutant:
            MUTANTS[self.mutant]()
        return one_pass(folder, self.engine.url, plan, self.in_flight, track=self.track)

    def _what(self) -> str:
        if not self.engine_too:
            return "client"
        # In turn: a sample of five has all of them, however quick the passes are.
        return ("engine", "client", "both")[self.count.n_kills % 3]

    def _until(self, pid: int, lines: Lines, began: float) -> int | None:
        """Wait for the moment; the exit code if the process was quicker."""
        kind = self.rng.choice(["line", "line", "sending", "accepted", "time"])
        left = self.rng.randint(1, self.last_line if kind == "line" else max(3, self.last_line // 4))
        deadline = time.monotonic() + self.rng.uniform(0.0, 1.5) if kind == "time" else began + PATIENCE_S
        while time.monotonic() < deadline:
            if (code := _ended(pid)) is not None:
                return code
            left -= sum(kind in {"line", said} for said in lines.more())
            if kind != "time" and left <= 0:
                time.sleep(self.rng.choice([0.0, self.rng.uniform(0, 0.02), self.rng.uniform(0, 0.15)]))
                return _ended(pid)
            time.sleep(0.001)
        return _hung(pid) if kind != "time" else _ended(pid)

    def _note(self, folder: Path) -> None:
        """Where the requests were when the client died."""
        stages = Counter(r.stage for r in fold(read(folder / "journal.jsonl")).values())
        self.count.by_stage += stages
        self.count.n_in_doubt += stages["sending"] + stages["unknown"]
        self.count.n_at_service += any(stages[s] for s in ("sending", "accepted", "finished"))

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────

    def _asked(self, path: str, **params: Any) -> dict[str, Any]:
        for _ in range(60):  # the engine may have been asked for faults
            with contextlib.suppress(httpx.HTTPError, ValueError):
                answer = httpx.get(f"{self.engine.url}/api/v1/{path}", params=params, headers=KEY, timeout=10)
                if answer.is_success:
                    page: dict[str, Any] = answer.json()
                    return page
        raise EngineError(f"No answer from {path}.")

    def _pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._asked(path, **params)
            yield page
            if not page["has_more"]:
                return
            params["cursor"] = page["next_cursor"]

    def _posted(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """The inputs that the service took, by its ids."""
        pages = self._pages("models/requests/by-endpoint", endpoint_id=LITE.id, expand="payloads", limit=100)
        items = (item for page in pages for item in page["items"])
        return {
            i["request_id"]: i["json_input"] for i in items if i["json_input"]["prompt"] == plan[0].prompt
        }

    def _judge(self, name: str, folder: Path, plan: Plan) -> None:
        wrong, count = self.count.wrong, self.count
        posted = self._posted(plan)
        seeds = Counter(int(asked["seed"]) for asked in posted.values())
        wanted = Counter(int(r.seed) for r in plan if r.seed is not None)
        count.n_twice += (seeds - wanted).total()
        count.n_lost += (wanted - seeds).total()
        if seeds != wanted:
            wrong.append(f"{name}: too many {dict(seeds - wanted)}, missing {dict(wanted - seeds)}")
        charges: Counter[str] = Counter()
        for first in range(0, len(posted), 50):
            ids = list(posted)[first : first + 50]
            for page in self._pages("models/billing-events", request_id=ids, limit=100):
                charges.update(event["request_id"] for event in page["billing_events"])
        if charges != Counter(dict.fromkeys(posted, 1)):
            wrong.append(f"{name}: charged {charges.total()} for {len(posted)} requests")
        records = fold(read(folder / "journal.jsonl"))
        if {r.request_id for r in records.values()} != set(posted):
            wrong.append(f"{name}: the journal's ids are not the service's")
        if len({r.request_id for r in records.values()}) != len(records):
            wrong.append(f"{name}: two requests share one video")
        for request in plan:
            record = records.get(request.key)
            clip = record.clip if record is not None and record.stage == "saved" else None
            if record is None or clip is None:
                wrong.append(f"{name}: {request.key} is {record.stage if record else 'not in the journal'}")
                count.n_lost += 1
                continue
            path = folder / clip["file"]
            if hashlib.sha256(path.read_bytes()).hexdigest() != clip["sha256"]:
                wrong.append(f"{name}: {path.name} is another file than the journal says")
            with _saying(wrong, f"{name}: {path.name}"):
                media.facts(path)
        if left := [p.name for p in (folder / "clips").iterdir() if p.suffix == ".part"]:
            wrong.append(f"{name}: halves were left behind: {left}")
        if self.track:
            self._judge_mirror(name, folder, plan)

    def _judge_mirror(self, name: str, folder: Path, plan: Plan) -> None:
        """Looked up in a process of its own: a database connection must not outlive a fork."""
        out = self.home / f"{name}.runs.json"
        log = self.home / f"{name}.runs.log"
        if _wait(forked(lambda: _told_by_mlflow(name, out), log), time.monotonic() + PATIENCE_S) != 0:
            self.count.wrong.append(f"{name}: MLflow could not be asked: {log.read_text()[-800:]}")
            return
        runs = json.loads(out.read_text())
        wrong = self.count.wrong
        children = [run for run in runs if columns.KEY in run["tags"]]
        parents = [run for run in runs if columns.KEY not in run["tags"]]
        keys = Counter(run["tags"][columns.KEY] for run in children)
        if keys != Counter(r.key for r in plan):
            twice = {key: n for key, n in keys.items() if n > 1}
            wrong.append(f"{name}: MLflow has {keys.total()} runs of {len(plan)} requests, twice: {twice}")
        for run in children:
            if run["status"] != "FINISHED" or not {"latency_s", "size_bytes"} <= set(run["metrics"]):
                wrong.append(f"{name}: MLflow's run of {run['tags'][columns.KEY]} is {run}")
        passes = {e.data["run"] for e in read(folder / "journal.jsonl") if e.kind == "run"}
        told = Counter(run["tags"][columns.RUN] for run in parents)
        if max(told.values(), default=0) > 1 or not set(told) <= passes:
            wrong.append(f"{name}: MLflow has passes twice: {told}")
        if silent := {r.run for r in fold(read(folder / "journal.jsonl")).values()} - set(told):
            wrong.append(f"{name}: MLflow does not have the passes {silent}, which saved something")
        if running := [run for run in runs if run["status"] not in {"FINISHED", "KILLED"}]:
            wrong.append(f"{name}: MLflow's runs have not ended: {running}")


@contextlib.contextmanager
def _saying(wrong: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except (LabError, OSError) as error:
        wrong.append(f"{what}: {error}")


def _told_by_mlflow(name: str, out: Path) -> int:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id], max_results=5000) if experiment else []
    told = [{"status": r.info.status, "tags": r.data.tags, "metrics": r.data.metrics} for r in runs]
    out.write_text(json.dumps(told))
    return 0


def _ended(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _wait(pid: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        if (code := _ended(pid)) is not None:
            return code
        time.sleep(0.005)
    return _hung(pid)


def _hung(pid: int) -> int:
    """Have it say where it is, and end it."""
    os.kill(pid, signal.SIGUSR1)
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGUSR1


def load_everything(home: Path, *, track: bool) -> None:
    """What each pass would load, and a store that is laid out: a fork then dies in our work and not in an import.

    MLflow lays a SQLite store out in its first process. A process that dies just then leaves it half done, which no
    later one of MLflow's mends.
    """
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.chdir(home)
    import av
    import fal_client

    assert av
    assert fal_client
    if not track:
        return
    import mlflow

    assert mlflow
    code = "from mlflow import MlflowClient; MlflowClient().search_experiments()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def matrix(
    home: Path,
    *,
    kills: int,
    seed: int,
    in_flight: int | None = None,
    engine_too: bool = False,
    mutant: str | None = None,
    faults: bool = False,
    requests: int = N_REQUESTS,
    track: bool = True,
    last_line: int = _LAST_LINE,
    say: Callable[[str], None] = lambda _: None,
) -> Count:
    """Sweeps until there were so many kills; what came of them."""
    load_everything(home, track=track)
    options = ["--stub", "--slots", "4", "--latency", "0.05"]
    options += a_fifth_broken() if faults else slow_where_it_hurts()
    with Served(home / "engine", *options, "--seed", str(seed)) as engine:
        killer = Killer(
            home,
            random.Random(seed),
            engine,
            in_flight=in_flight,
            engine_too=engine_too,
            mutant=mutant,
            track=track,
            last_line=last_line,
        )
        count = killer.count
        while count.n_kills < kills and not (mutant and count.wrong):
            name = f"sweep-{seed}-{count.n_sweeps}"
            killer.sweep(name, requests, kills_left=kills - count.n_kills)
            say(f"{name}: {count.n_kills} kills, {count.n_passes} passes, {len(count.wrong)} wrong")
            if faults or len(count.wrong) > 20:
                break
    return count


def main() -> int:
    """Run the matrix and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-flight", type=int)
    parser.add_argument("--engine-too", action="store_true", help="the engine is killed as well")
    parser.add_argument(
        "--faults", action="store_true", help="a fifth of the engine's answers is broken; one sweep"
    )
    parser.add_argument("--requests", type=int, default=N_REQUESTS, help="requests of a sweep")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    parser.add_argument("--no-track", dest="track", action="store_false", help="without MLflow")
    parser.add_argument("--json", action="store_true", help="print one JSON line instead of a table")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        count = matrix(
            Path(home),
            kills=args.kills,
            seed=args.seed,
            in_flight=args.in_flight,
            engine_too=args.engine_too,
            mutant=args.mutant,
            faults=args.faults,
            requests=args.requests,
            track=args.track,
            # Over a long plan the kills are spread from its beginning to its end.
            last_line=max(_LAST_LINE, 8 * args.requests // max(1, args.kills)),
            say=lambda line: None if args.json else print(line, flush=True),
        )
        os.chdir("/")
    rows = {
        "sweeps": count.n_sweeps,
        "requests": count.n_requests,
        "kills": count.n_kills,
        "  of the client": count.n_client_kills,
        "  of the engine": count.n_engine_kills,
        "  of both at once": count.n_both,
        "deaths with requests at the service": count.n_at_service,
        "requests in doubt after a death": count.n_in_doubt,
        "passes": count.n_passes,
        "paid twice": count.n_twice,
        "lost": count.n_lost,
        "wrong": len(count.wrong),
        "seconds": round(time.monotonic() - began),
    }
    if args.json:
        print(json.dumps({**{name.strip(): n for name, n in rows.items()}, "told": count.wrong}))
    else:
        table = Table("", f"in flight {args.in_flight or 'auto'}, seed {args.seed}", title="Killed at random")
        for name, n in rows.items():
            table.add_row(name, str(n))
        console = Console(width=110)
        console.print(table)
        for line in count.wrong:
            console.print(line, markup=False, soft_wrap=True)
    return 1 if count.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
