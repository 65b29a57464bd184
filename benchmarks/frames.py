"""How long a sweep's runs take to become a frame, and how much memory, beside `mlflow.search_runs`.

    python benchmarks/frames.py                 # 1,000, 10,000 and 50,000 runs in SQLite; 10,000 over HTTP
    python benchmarks/frames.py --sizes 1000 --over-http 1000 --rounds 3

Every reading is a process of its own, begun in turn: the machine's mood is the same for all. The time is that of
the call alone, with pandas and MLflow imported before; the memory is the process's peak, imports included. That the
same values came is checked, cell by cell.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import filling
import httpx
import pandas as pd
import psutil
from journal import write
from rich.console import Console
from rich.table import Table

from seedance_lab import journal
from seedance_lab.columns import COLUMNS
from seedance_lab.folder import StudyFolder
from seedance_lab.frames import frame
from seedance_lab.loading import load
from seedance_lab.measuring.catalog import BUILT_IN, STANDARD
from seedance_lab.measuring.store import Store, Taken
from seedance_lab.measuring.table import as_columns
from seedance_lab.record import fold

THEIRS, CLIENT, REST, SQL = (
    "mlflow.search_runs",
    "runs, public client",
    "runs, REST API",
    "runs, read-only SQL",
)


class Reading(NamedTuple):
    """One call in a process of its own."""

    seconds: float
    peak_mb: float
    df: pd.DataFrame


class Server(NamedTuple):
    """Where it answers, and the process that all of its workers are under."""

    url: str
    pid: int


def read(way: str, uri: str, out: Path) -> None:
    """The child process: one call, then what it took."""
    if way != SQL:
        import mlflow

        mlflow.set_tracking_uri(uri)
    if way in {CLIENT, REST}:
        load.is_database = lambda _: False
    began = time.perf_counter()
    if way == THEIRS:
        df = mlflow.search_runs(experiment_names=[filling.EXPERIMENT], max_results=10**6)
    else:
        df = load.runs(filling.EXPERIMENT, tracking_uri=uri)
    seconds = time.perf_counter() - began
    print(json.dumps([seconds, _peak_mb()]))
    df.to_parquet(out)


def _peak_mb() -> float:
    """Of this process alone: on Linux `getrusage` counts its parent's memory at the fork too."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def reading(way: str, uri: str, folder: Path) -> Reading:
    """That process, from outside."""
    out = folder / "read.parquet"
    done = subprocess.run(
        [sys.executable, __file__, "--read", way, uri, str(out)],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, peak_mb = json.loads(done.stdout.splitlines()[-1])
    return Reading(seconds, peak_mb, pd.read_parquet(out))


def check_same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Every value of ours is MLflow's."""
    mine = ours.set_index("key")
    other = theirs.dropna(subset="tags.seedance_lab.key").set_index("tags.seedance_lab.key").loc[mine.index]
    for column in COLUMNS:
        if column.home and column.name != "key" and column.home in other:
            want, got = other[column.home], mine[column.name]
            if column.dtype in {"Int64", "float64"}:
                same = got.astype("float64").fillna(-1) == want.astype("float64").fillna(-1)
            else:
                same = got.astype("str").fillna("") == want.astype("str").fillna("")
            assert same.all(), column.name
    assert (mine["sent_at"] == other["start_time"]).all()


@contextmanager
def served(uri: str, folder: Path) -> Iterator[Server]:
    """`mlflow server`, as it comes."""
    port = 5000 + os.getpid() % 3000
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--port", str(port)],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd=folder,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/health")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        for _ in range(16):  # each worker of it opens the store at its first call
            body = {"experiment_ids": ["1"], "max_results": 1}
            httpx.post(f"{url}/api/2.0/mlflow/runs/search", json=body, timeout=120)
        settle(server.pid)
        yield Server(url, server.pid)
    finally:
        os.killpg(server.pid, 15)
        server.wait()
        log.close()


def cpu_s(pid: int) -> dict[int, float]:
    """Seconds of CPU of a process and all under it, by process."""
    found = {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            found[process.pid] = sum(process.cpu_times()[:2])
    return found


def settle(pid: int) -> None:
    """Wait until it has no work of its own: `mlflow server` starts its job workers by and by, for 20 s of CPU."""
    time.sleep(5)
    for _ in range(60):
        before = cpu_s(pid)
        time.sleep(2)
        if sum(cpu_s(pid).values()) - sum(before.values()) < 0.1:
            return


def compare(title: str, ways: list[str], uri: str, folder: Path, rounds: int) -> Table:
    """All ways in turn, `rounds` times."""
    readings: dict[str, list[Reading]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            readings[way].append(reading(way, uri, folder))
    theirs = readings[THEIRS][0].df
    table = Table("", "seconds", "times as fast", "peak MB", "of theirs", title=title)
    for way in ways:
        if way != THEIRS:
            check_same(readings[way][0].df, theirs)
        quick = statistics.median(
            t.seconds / o.seconds for t, o in zip(readings[THEIRS], readings[way], strict=True)
        )
        seconds = statistics.median(r.seconds for r in readings[way])
        peak_mb = statistics.median(r.peak_mb for r in readings[way])
        part = peak_mb / statistics.median(r.peak_mb for r in readings[THEIRS])
        table.add_row(way, f"{seconds:.2f}", f"{quick:.1f}", f"{peak_mb:.0f}", f"{part:.0%}")
    return table


def again(path: Path, n: int) -> Table:
    """A second call in the same process, after ten new runs."""
    uri = f"sqlite:///{path}"
    table = Table("", "seconds", title=f"{n:,} runs in SQLite, one process")
    took: dict[str, list[float]] = {"first call": [], "nothing new": [], "ten new runs": []}

    def call(name: str) -> pd.DataFrame:
        began = time.perf_counter()
        df = load.runs(filling.EXPERIMENT, tracking_uri=uri)
        took[name].append(time.perf_counter() - began)
        return df

    call("first call")
    for i in range(5):
        call("nothing new")
        filling.fill(path, 10, first=n + 24 * (i + 1))
        df = call("ten new runs")
    load.watch.forget()
    pd.testing.assert_frame_equal(df, load.runs(filling.EXPERIMENT, tracking_uri=uri))
    for name, seconds in took.items():
        table.add_row(name, f"{statistics.median(seconds):.3f}")
    return table


def own(folder: Path, n: int, *, measured: bool) -> Table:
    """The study's own frame, which needs no MLflow; with the standard measures of every clip, or with none."""
    write(folder, 4 * n)
    if measured:
        measure(folder)
    steps = ["journal read and folded", *(["measures read"] if measured else []), "frame made"]
    took: dict[str, list[float]] = {name: [] for name in [*steps, "together: study.frame()"]}
    StudyFolder(folder).frame()  # imports pandas' parts
    for _ in range(5):
        began = time.perf_counter()
        records = fold(journal.read(folder / "journal.jsonl"))
        folded = time.perf_counter()
        told = as_columns(Store(folder), records) if measured else {}
        known = time.perf_counter()
        frame(records, folder, extra=told)
        ended = time.perf_counter()
        StudyFolder(folder).frame()
        spent = [folded - began, *([known - folded] if measured else []), ended - known]
        for name, seconds in zip(took, [*spent, time.perf_counter() - ended], strict=True):
            took[name].append(seconds)
    measures = f" with {len(STANDARD)} measures" if measured else ""
    table = Table("", "seconds", title=f"study.frame(), {n:,} requests{measures}")
    for name, readings in took.items():
        table.add_row(name, f"{statistics.median(readings):.2f}")
    return table


def measure(folder: Path) -> None:
    """Write down that each clip was measured; the journal says of all of them that their bytes are the same."""
    store, rng = Store(folder), random.Random(1)
    missing = {name: "no end image was sent" for name in STANDARD if name.startswith("last_")}
    versions = {name: str(BUILT_IN[name].version) for name in STANDARD}
    of_request = frozenset(name for name in STANDARD if BUILT_IN[name].of_request)
    path = folder / "journal.jsonl"
    head, *tails = path.read_text().split(f'"{"0" * 64}"')
    path.write_text(head + "".join(f'"{n:064x}"{tail}' for n, tail in enumerate(tails)))
    for n, key in enumerate(fold(journal.read(path))):
        values = {name: 100 * rng.random() for name in versions if name not in missing}
        taken = Taken(values, missing, {}, versions, of_request)
        store.add(taken, sha256=f"{n:064x}", key=key, asked=f"{n:032x}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    parser.add_argument("--over-http", type=int, nargs="*", default=[10_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--read", nargs=3, metavar=("WAY", "URI", "OUT"), help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.read:
        way, uri, out = options.read
        read(way, uri, Path(out))
        return
    console = Console()
    with tempfile.TemporaryDirectory() as home:
        stores: dict[int, Path] = {}
        for n in sorted({*options.sizes, *options.over_http}):
            stores[n] = Path(home) / str(n) / "mlflow.db"
            stores[n].parent.mkdir()
            filling.make(stores[n])
            filling.fill(stores[n], n)
        for n in options.sizes:
            folder = stores[n].parent
            title = f"{n:,} runs in SQLite"
            console.print(
                compare(title, [THEIRS, CLIENT, SQL], f"sqlite:///{stores[n]}", folder, options.rounds)
            )
        for n in options.over_http:
            with served(f"sqlite:///{stores[n]}", stores[n].parent) as server:
                title = f"{n:,} runs over HTTP"
                console.print(compare(title, [THEIRS, REST], server.url, stores[n].parent, options.rounds))
        for n in options.sizes[-1:]:
            console.print(again(stores[n], n))
        for measured in (False, True):
            console.print(own(Path(home), 10_000, measured=measured))


if __name__ == "__main__":
    main()
