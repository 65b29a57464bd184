"""How fast runs reach MLflow: a study's tracker beside MLflow's fluent API, on three kinds of store.

    python benchmarks/tracking.py [--runs 20] [--studies 1,8] [--stores sqlite,http,postgres] [--no-measures]

Sweeps of real journals are made first, on the stub engine, with clips of 1 MB and their posters. Then each study is a
process. `this lab` gives the tracker the journal's lines and closes it. `fluent` logs the same content as most
notebooks do: `mlflow.start_run`, one call for each param, metric and tag, `log_artifact` for each file. What came out
is read back from the store, and must be equal: params, metrics, tags, status and the bytes of every file.

Stores: MLflow's SQLite file; `mlflow server` on SQLite; `mlflow server` on PostgreSQL (Debian's `postgresql`); both
servers store the files themselves. Wall time, all studies starting at once; imports and the first connection are
before the clock. Goals: 5 times fluent's runs a second on SQLite, 4 times through a server.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
from rich.console import Console
from rich.table import Table

import seedance_lab as lab
from seedance_lab import columns, journal
from seedance_lab.clip import Clip
from seedance_lab.engine import place_of
from seedance_lab.local.served import Served
from seedance_lab.record import Record, step
from seedance_lab.tracking import Tracker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.tracking.servers import Mlflow, Postgres

CLIP_BYTES = 1_000_000
STORES = {"sqlite": "SQLite file", "http": "server, SQLite", "postgres": "server, PostgreSQL"}
GOALS = {"sqlite": 5.0, "http": 4.0, "postgres": 4.0}
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


# ── what is logged ──────────────────────────────────────────────────────────────────────────────────────


def picture() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (640, 480), (3, 90, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def plan_of(n: int) -> lab.Plan:
    """A sweep of n requests with every input given."""
    return lab.sweep(
        image=picture(), end_image=picture(), prompt="run", duration=2, resolution="480p", seed=range(n)
    )


def make(folder: Path, n: int, engine: str, *, measures: bool) -> None:
    """A study of n clips of 1 MB, with posters, untracked; measured, as studies are, or not."""
    study = lab.Study(folder, engine=engine, track=False, measure=measures)
    study.run(plan_of(n), in_flight=16, progress=False)
    for path in (folder / "clips").glob("*.mp4"):
        n_bytes = CLIP_BYTES - path.stat().st_size
        with path.open("ab") as file:  # a box that players skip
            file.write(n_bytes.to_bytes(4, "big") + b"free" + os.urandom(n_bytes - 8))
        Clip(path=path, views=folder / "views").poster()


# ── contenders, each in a process of its own ────────────────────────────────────────────────────────────


def by_lab(folder: Path, experiment: str) -> Callable[[], None]:
    """The tracker, given the lines of the study's pass."""
    records: dict[str, Record] = {}
    told: list[tuple[journal.Event, Record | None]] = []
    engine = ""
    for event in journal.read(folder / "journal.jsonl"):
        engine = event.data.get("engine", engine) if event.kind == "study" else engine
        record = step(records, event, engine) if event.key else None
        told.append((event, replace(record) if record else None))
    begun = next(event for event, _ in told if event.kind == "run")
    plan = plan_of(begun.data["n_requests"])
    tracker = Tracker(folder, experiment=experiment, place=place_of(engine))

    def go() -> None:
        tracker.start(begun.data["run"], plan)
        for item in told:
            tracker.put(*item)
        tracker.close()
        assert tracker.warning is None, tracker.warning

    return go


def by_fluent(folder: Path, experiment: str) -> Callable[[], None]:
    """One call for each thing, inside nested runs."""
    import mlflow

    content = json.loads((folder / "content.json").read_text())
    mlflow.set_experiment(experiment)

    def go() -> None:
        with mlflow.start_run(run_name=content["name"]):
            for run in content["runs"]:
                with mlflow.start_run(run_name=run["name"], nested=True):
                    for name, value in run["params"].items():
                        mlflow.log_param(name, value)
                    for name, value in run["metrics"].items():
                        mlflow.log_metric(name, value)
                    for name, value in run["tags"].items():
                        mlflow.set_tag(name, value)
                    for name in run["files"]:
                        mlflow.log_artifact(folder / "files" / run["tags"][columns.KEY][3:] / name)

    return go


CONTENDERS = {"this lab": by_lab, "fluent": by_fluent}


def contend(name: str, folder: Path, uri: str, experiment: str) -> None:
    """Get ready, wait for the word, log, print how long it took."""
    import mlflow

    mlflow.MlflowClient(uri).get_experiment_by_name(experiment)
    go = CONTENDERS[name](folder, experiment)
    print("ready", flush=True)
    sys.stdin.readline()
    go()
    print("done", flush=True)


def measured(name: str, folders: list[Path], uri: str, experiment: str, cwd: Path) -> float:
    """Seconds from the word until the last study has ended."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    studies = [
        subprocess.Popen(
            [sys.executable, __file__, "--contend", name, str(folder), uri, experiment],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd,
        )
        for folder in folders
    ]  # fmt: skip
    for study in studies:
        if study.stdout.readline().strip() != "ready":  # type: ignore[union-attr]
            raise SystemExit(study.communicate()[1])
    began = time.perf_counter()
    for study in studies:
        study.stdin.write("go\n")  # type: ignore[union-attr]
        study.stdin.flush()  # type: ignore[union-attr]
    for study in studies:
        # MLflow prints two lines for each run that it ends at a server.
        if not any(line.strip() == "done" for line in study.stdout):  # type: ignore[union-attr]
            raise SystemExit(f"{name}: {study.communicate()[1][-3000:]}")
    seconds = time.perf_counter() - began
    for study in studies:
        _, said = study.communicate()
        if study.returncode:
            raise SystemExit(f"{name}: {said[-3000:]}")
    return seconds


# ── reading back ────────────────────────────────────────────────────────────────────────────────────────


def read_back(uri: str, experiment: str, scratch: Path) -> dict[str, dict[str, Any]]:
    """Every request's run by its key and pass: what a person sees of it, files as digests and paths."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=50_000)
    runs = {}
    for run in found:
        tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
        if columns.KEY not in tags:
            continue
        folder = scratch / run.info.run_id
        folder.mkdir(parents=True)
        client.download_artifacts(run.info.run_id, "", str(folder))
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        identity = f"{tags[columns.KEY]} {tags[columns.RUN]}"
        if identity in runs:
            raise SystemExit(f"{experiment}: {identity} is there twice")
        runs[identity] = {
            "name": run.info.run_name,
            "status": run.info.status,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": tags,
            "files": files,
            "folder": str(folder),
        }
    return runs


def prepare_fluent(folder: Path, runs: dict[str, dict[str, Any]]) -> None:
    """What this study's runs hold, for the fluent way to log."""
    (passed,) = {e.data["run"] for e in journal.read(folder / "journal.jsonl") if e.kind == "run"}
    mine = [run for identity, run in runs.items() if identity.endswith(passed)]
    (folder / "files").mkdir(exist_ok=True)
    for run in mine:
        link = folder / "files" / run["tags"][columns.KEY][3:]
        link.unlink(missing_ok=True)
        link.symlink_to(run["folder"])
    (folder / "content.json").write_text(json.dumps({"name": "parent", "runs": mine}))


@contextlib.contextmanager
def store_of(kind: str, home: Path) -> Iterator[str]:
    """A fresh, migrated store of that kind; its URI."""
    import mlflow

    home.mkdir(parents=True)
    uri = f"sqlite:///{home}/mlflow.db"
    if kind == "sqlite":
        mlflow.MlflowClient(uri)
        yield uri
        return
    database = Postgres() if kind == "postgres" else None
    server = Mlflow(home / "server", database.uri() if database else uri)
    try:
        yield server.start().url
    finally:
        server.kill()
        if database:
            database.close()


def compare(kind: str, n_studies: int, n_runs: int, made: list[Path], home: Path) -> list[str]:
    """One row of the table."""
    from mlflow import MlflowClient

    folders = made[:n_studies]
    with store_of(kind, home) as uri:
        took = {}
        took["this lab"] = measured("this lab", folders, uri, "ours", home)
        ours = read_back(uri, "ours", home / "ours")
        for folder in folders:
            prepare_fluent(folder, ours)
        # Made beforehand: of several that make it at once, MLflow's `set_experiment` sends some to another one.
        MlflowClient(uri).create_experiment("fluent")
        took["fluent"] = measured("fluent", folders, uri, "fluent", home)
        theirs = read_back(uri, "fluent", home / "theirs")
    for run in (*ours.values(), *theirs.values()):
        del run["folder"]
    different = [
        identity for identity in ours.keys() | theirs.keys() if ours.get(identity) != theirs.get(identity)
    ]
    if len(ours) != n_studies * n_runs or different:
        both = [books.get(different[0]) if different else None for books in (ours, theirs)]
        raise SystemExit(
            f"{kind}: {len(ours)} and {len(theirs)} runs, {len(different)} of them differ: {both}"
        )
    one = next(iter(ours.values()))
    content = f"{len(one['params'])} / {len(one['metrics'])} / {len(one['tags'])} / {len(one['files'])}"
    ratio = took["fluent"] / took["this lab"]
    per_s = {name: f"{len(ours) / seconds:.1f}" for name, seconds in took.items()}
    return [
        STORES[kind], str(n_studies), content, per_s["this lab"], per_s["fluent"], f"{ratio:.1f}", f"{GOALS[kind]:.0f}",
    ]  # fmt: skip


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="a study")
    parser.add_argument("--studies", default="1,8")
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--measures", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--contend", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contend:
        name, folder, uri, experiment = args.contend
        contend(name, Path(folder), uri, experiment)
        return 0
    counts = [int(n) for n in args.studies.split(",")]
    table = Table(
        title=f"Runs a second into MLflow, clips of {CLIP_BYTES / 1e6:.0f} MB, {args.runs} runs a study"
    )
    for heading in (
        "store",
        "studies at once",
        "params / metrics / tags / files",
        "this lab",
        "fluent",
        "ratio",
        "goal",
    ):
        table.add_column(heading, justify="left" if heading == "store" else "right")
    missed = False
    with tempfile.TemporaryDirectory() as name, Served(f"{name}/engine", "--stub") as engine:
        home = Path(name)
        for n_studies in counts:
            n_runs = args.runs
            made = [home / f"{n_studies}" / f"study-{i}" for i in range(n_studies)]
            for folder in made:
                make(folder, n_runs, engine.url, measures=args.measures)
            for kind in args.stores.split(","):
                row = compare(kind, n_studies, n_runs, made, home / f"{kind}-{n_studies}")
                missed = missed or float(row[-2]) < GOALS[kind]
                table.add_row(*row)
    Console(width=120).print(table)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
