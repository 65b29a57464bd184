"""How fast runs can be had over HTTP at all: what `mlflow server` itself needs for them, beside `mlflow.search_runs`.

    python benchmarks/floor.py                  # 10,000 runs
    python benchmarks/floor.py --runs 2000 --pages 100 1000

The server makes every run anew for every way there is (REST and GraphQL, pages of any size), and its work is Python:
calls at once share it out over the cores and take none of it away. So no reader is done before the server's seconds
of CPU, divided by the machine's cores, have gone by. `search_runs` calls one page after the other and works in
between: undisturbed, its time is the sum of the server's seconds and its own. Seconds of CPU and not of the clock, so
that other work on the machine hardly counts; in one run, so that its mood is the same for all.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import filling
import httpx
import mlflow
import orjson
from frames import THEIRS, cpu_s, served
from rich.console import Console
from rich.table import Table

from seedance_lab.loading import load

OURS = "runs, REST API"
_QUERY = """query($input: MlflowSearchRunsInput) { mlflowSearchRuns(input: $input) { nextPageToken runs {
info { runId startTime endTime artifactUri } data { params { key value } metrics { key value } tags { key value } }
} } }"""


class Spent(NamedTuple):
    """Seconds: of the server's CPU, of our own, and of the clock."""

    server: float
    own: float
    clock: float


def spent(server: int, call: Callable[[], int], n: int) -> Spent:
    """What it takes to have all runs once."""
    before, own, clock = cpu_s(server), time.process_time(), time.perf_counter()
    came = call()
    took = Spent(0.0, time.process_time() - own, time.perf_counter() - clock)
    if came != n:
        raise RuntimeError(f"{came:,} runs came, not {n:,}.")
    after = cpu_s(server)  # a worker of its jobs may have ended meanwhile
    return took._replace(server=sum(after[pid] - before[pid] for pid in after.keys() & before.keys()))


def by_rest(url: str, page: int) -> int:
    """Every page in turn, parsed and thrown away; how many runs came."""

    def answer(client: httpx.Client, token: str | None) -> tuple[list[Any], str | None]:
        asked = {"experiment_ids": ["1"], "max_results": page, "order_by": ["attributes.start_time ASC"]}
        path = "/api/2.0/mlflow/runs/search"
        told = client.post(url + path, json=asked | ({"page_token": token} if token else {}))
        found = orjson.loads(told.raise_for_status().content)
        return found.get("runs", []), found.get("next_page_token")

    return _pages(answer)


def by_graphql(url: str, page: int) -> int:
    """The same by the interface of MLflow's own pages, which leaves out what we do not need."""

    def answer(client: httpx.Client, token: str | None) -> tuple[list[Any], str | None]:
        asked = {"experimentIds": ["1"], "maxResults": page, "orderBy": ["attributes.start_time ASC"]}
        asked |= {"pageToken": token} if token else {}
        body = {"query": _QUERY, "variables": {"input": asked}, "operationName": None}
        found = orjson.loads(client.post(f"{url}/graphql", json=body).raise_for_status().content)
        runs = found["data"]["mlflowSearchRuns"]
        return runs["runs"], runs["nextPageToken"]

    return _pages(answer)


def _pages(answer: Callable[[httpx.Client, str | None], tuple[list[Any], str | None]]) -> int:
    n, token = 0, None
    with httpx.Client(timeout=600) as client:
        while True:
            runs, token = answer(client, token)
            n += sum(any(tag["key"] == "seedance_lab.key" for tag in run["data"]["tags"]) for run in runs)
            if not token:
                return n


def theirs(url: str) -> int:
    """The call that everybody knows."""
    mlflow.set_tracking_uri(url)
    df = mlflow.search_runs(experiment_names=[filling.EXPERIMENT], max_results=10**6)
    return int(df["tags.seedance_lab.key"].notna().sum())


def tables(url: str, server: int, n: int, pages: list[int], rounds: int) -> Table:
    """All ways in turn; of the rounds the one with the least work counts."""
    ways: dict[str, Callable[[], int]] = {
        THEIRS: lambda: theirs(url),
        OURS: lambda: len(load.runs(filling.EXPERIMENT, tracking_uri=url)),
        **{f"nothing but pages of {page:,}, REST": partial(by_rest, url, page) for page in pages},
        **{f"nothing but pages of {page:,}, GraphQL": partial(by_graphql, url, page) for page in pages},
    }
    found: dict[str, list[Spent]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            found[way].append(spent(server, call, n))
    least = {way: min(readings, key=lambda s: s.server + s.own) for way, readings in found.items()}
    whole = least[THEIRS].server + least[THEIRS].own
    cores = os.cpu_count() or 1
    table = Table(
        "", "server's CPU s", "own CPU s", f"at least, {cores} cores, s", "times as fast at most", "took s",
        title=f"{n:,} runs over HTTP; {THEIRS} undisturbed: {whole:.1f} s",
    )  # fmt: skip
    for way, took in least.items():
        # What only throws pages away has no time of its own that a reader could not save.
        own = took.own if way == OURS else 0.0
        floor = whole if way == THEIRS else (took.server + own) / cores
        figures = (
            f"{took.server:.1f}",
            f"{took.own:.1f}",
            f"{floor:.1f}",
            f"{whole / floor:.2f}",
            f"{took.clock:.1f}",
        )
        table.add_row(way, *figures)
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--pages", type=int, nargs="*", default=[50, 100, 200, 500, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        store = Path(home) / "mlflow.db"
        filling.make(store)
        filling.fill(store, options.runs)
        with served(f"sqlite:///{store}", Path(home)) as server:
            Console().print(tables(server.url, server.pid, options.runs, options.pages, options.rounds))


if __name__ == "__main__":
    main()
