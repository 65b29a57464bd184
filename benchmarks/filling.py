"""MLflow stores of any size, filled in seconds: rows straight into a schema that MLflow itself has made.

What is in a row is what the mirror writes: the values where `columns` says that they are, and the tags that
every run of ours has beside them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from seedance_lab.columns import COLUMNS, RUN, TAG
from seedance_lab.plan import sweep
from seedance_lab.record import Record

EXPERIMENT = "harbour"
PICTURE = Path(__file__).parent.parent / "data" / "street.jpg"
BEGAN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
ENDS = (*["saved"] * 17, "failed", "refused", "cancelled")


def records(n: int, *, first: int = 0) -> Iterator[tuple[Record, dt.datetime]]:
    """So many requests that came to an end, and when; the same ones each time."""
    plan = sweep(
        image=PICTURE,
        prompt=["the boats drift apart, slow push in", "the tide comes in, gulls rise, static shot"],
        resolution=["480p", "720p", "1080p"],
        duration=[5, 10],
        seed=range(first, first + n // 12 + 1),
    )
    for i, request in enumerate(itertools.islice(plan, n), start=first):
        chance = random.Random(i)
        stage = chance.choice(ENDS)
        sent = BEGAN + dt.timedelta(seconds=13 * i)
        took_s = round(chance.uniform(20, 90), 3)
        ended = sent + dt.timedelta(seconds=took_s)
        record = Record(request.key, request.record(), stage=stage, attempts=1, run="r1", engine="fal")
        record.sent_at, record.usd = sent, request.usd
        if stage != "refused":
            record.request_id = f"764cabcf-b745-4b3e-ae38-{i:012d}"
            record.accepted_at = sent + dt.timedelta(milliseconds=300)
            record.finished_at = ended
            record.metrics = {"inference_time": took_s - 5}
        if stage == "saved":
            record.result = {"video": {"url": f"https://v3.fal.media/files/b/0a8d/{i}_video.mp4"}, "seed": i}
            record.saved_at = ended = ended + dt.timedelta(milliseconds=400)
            record.download_s = 0.4
            record.clip = {
                "file": f"clips/{i}.mp4", "sha256": f"{i:064x}", "size_bytes": 2_000_000 + i, "width": 1248,
                "height": 704, "fps": 24.0, "n_frames": 120, "seconds": 5.0, "codec": "h264",
            }  # fmt: skip
        else:
            record.error, record.error_type = "prompt: not allowed", "content_policy_violation"
        yield record, ended


def kept(n: int, *, first: int = 0) -> list[dict[str, Any]]:
    """So many requests as MLflow runs, and the run of the pass they belong to."""
    common = {
        f"{TAG}version": "0.1.0", "fal_client.version": "1.0.3", "mlflow.source.name": "seedance_lab",
        "mlflow.user": "someone", "mlflow.source.git.commit": "0" * 40,
    }  # fmt: skip
    parent = _run_id(f"pass {first}")
    runs = [{"id": parent, "start": _ms(BEGAN), "end": None, "status": "RUNNING", "name": f"{n:,} requests",
             "tags": {**common, RUN: "r1"}, "params": {"n_requests": str(n)}, "metrics": {}}]  # fmt: skip
    for i, (record, ended) in enumerate(records(n, first=first), start=first):
        values: dict[str, dict[str, Any]] = {"params": {}, "metrics": {}, "tags": {}}
        for column in COLUMNS:
            place, _, name = column.home.partition(".")
            value = column.of(record, Path("/nowhere")) if place else None
            if value is not None and value != "":
                values[place][name] = float(value) if place == "metrics" else str(value)
        tags = {
            **common, **values["tags"], "mlflow.parentRunId": parent, f"{TAG}endpoint": record.asked["endpoint"],
            f"{TAG}image_sha256": record.asked["image"]["sha256"], f"{TAG}size": "1248×704",
        }  # fmt: skip
        runs.append({"id": _run_id(i), "start": _ms(record.sent_at or BEGAN), "end": _ms(ended), "name": f"run {i}",
                     "status": STATUS[record.stage], **values, "tags": tags})  # fmt: skip
    return runs


STATUS = {"saved": "FINISHED", "failed": "FAILED", "refused": "FAILED", "cancelled": "KILLED"}


def _run_id(i: int | str) -> str:
    return hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest()


def _ms(at: dt.datetime) -> int:
    return round(1000 * at.timestamp())


def make(path: Path) -> str:
    """An empty store with our experiment; returns its URI."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{path}"
    MlflowClient(tracking_uri=uri).create_experiment(
        EXPERIMENT, artifact_location=(path.parent / "mlruns").as_uri()
    )
    return uri


def fill(path: Path, n: int, *, first: int = 0) -> None:
    """Add so many requests to a store that `make` made."""
    runs = kept(n, first=first)
    with closing(sqlite3.connect(path)) as database, database:
        rows = database.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)
        )
        experiment_id, place = rows.fetchone()
        for table, values in tables(runs, experiment_id, place).items():
            names = ", ".join(f'"{name}"' for name in SCHEMA[table])
            marks = ", ".join("?" * len(SCHEMA[table]))
            database.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


SCHEMA = {
    "runs": ("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time",
             "end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
}  # fmt: skip


def tables(runs: list[dict[str, Any]], experiment_id: int, place: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows by table, in the order in which they refer to each other."""
    metrics = [
        (key, value, run["end"], 0, False, run["id"]) for run in runs for key, value in run["metrics"].items()
    ]
    return {
        "runs": [
            (run["id"], run["name"], "UNKNOWN", "", "", "someone", run["status"], run["start"], run["end"], "",
             "active", f"{place}/{run['id']}/artifacts", experiment_id)
            for run in runs
        ],
        "params": [(key, value, run["id"]) for run in runs for key, value in run["params"].items()],
        "tags": [
            (key, value, run["id"])
            for run in runs
            for key, value in {**run["tags"], "mlflow.runName": run["name"]}.items()
        ],
        "latest_metrics": metrics,
        "metrics": metrics,
    }  # fmt: skip
