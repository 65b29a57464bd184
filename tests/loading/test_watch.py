"""What is kept of a large experiment is never shown when it is no longer so."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from seedance_lab.loading import load, runs, sql, watch
from tests.tracked import fresh_store

N = 40


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store with some runs, small stretches, and an empty memory."""
    uri = fresh_store(tmp_path)
    monkeypatch.setattr(watch, "LEAST", 1)
    monkeypatch.setattr(watch, "_STRETCH", {"runs": 4, "tags": 8})
    monkeypatch.setattr(load, "_by_api", None)
    watch.forget()
    experiment = MlflowClient(uri).create_experiment("harbour")
    assert experiment == "1"
    with closing(connect(tmp_path)) as db, db:
        for i in range(N):
            add(db, i)
    yield uri
    watch.forget()


def connect(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "mlflow.db")


def add(db: sqlite3.Connection, i: int, *, key: str | None = None, ours: bool = True) -> None:
    """One run, as MLflow writes it."""
    run_id = f"{i:032x}"
    db.execute(
        "INSERT INTO runs (run_uuid, name, source_type, status, start_time, end_time, lifecycle_stage, artifact_uri, "
        "experiment_id) VALUES (?, 'a', 'UNKNOWN', 'FINISHED', ?, ?, 'active', 'file:///a', 1)",
        (run_id, 1000 * i, 1000 * i + 500),
    )
    tags = {"mlflow.user": "someone", "seedance_lab.stage": "saved", "seedance_lab.engine": "fal"}
    if ours:
        tags["seedance_lab.key"] = key or f"k1:{i}"
    db.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(k, v, run_id) for k, v in tags.items()])
    db.execute("INSERT INTO params VALUES ('resolution', '480p', ?)", (run_id,))
    measure(db, run_id, "latency_s", i)


def measure(db: sqlite3.Connection, run_id: str, name: str, value: float) -> None:
    """As MLflow's store does: every value in `metrics`, the latest one in `latest_metrics`."""
    (step,) = db.execute("SELECT count(*) FROM metrics").fetchone()
    db.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, 0)", (name, value, step, run_id, step))
    db.execute(
        "INSERT OR REPLACE INTO latest_metrics VALUES (?, ?, ?, ?, 0, ?)", (name, value, step, step, run_id)
    )


def some(db: sqlite3.Connection, chance: random.Random) -> str:
    """A run's id, the newest one more often than others."""
    ids = [i for (i,) in db.execute("SELECT run_uuid FROM runs ORDER BY rowid")]
    return ids[-1] if chance.random() < 0.3 else chance.choice(ids)


def new_run(db: sqlite3.Connection, chance: random.Random) -> None:
    (n,) = db.execute("SELECT coalesce(max(start_time), 0) / 1000 FROM runs").fetchone()
    add(db, n + 1)


def late_run(db: sqlite3.Connection, chance: random.Random) -> None:
    """A pass that was tracked afterwards: it began before others."""
    (n,) = db.execute("SELECT count(*) FROM runs").fetchone()
    add(db, 10**6 + n * 7 + chance.randrange(10**9))
    db.execute("UPDATE runs SET start_time = 1500 WHERE rowid = (SELECT max(rowid) FROM runs)")


def new_attempt(db: sqlite3.Connection, chance: random.Random) -> None:
    (n,) = db.execute("SELECT coalesce(max(start_time), 0) / 1000 FROM runs").fetchone()
    add(db, n + 1, key=f"k1:{chance.randrange(N)}")


def foreign_run(db: sqlite3.Connection, chance: random.Random) -> None:
    (n,) = db.execute("SELECT coalesce(max(start_time), 0) / 1000 FROM runs").fetchone()
    add(db, n + 1, ours=False)


def tag_changed(db: sqlite3.Connection, chance: random.Random) -> None:
    value = chance.choice(["failed", "saved", "", None])
    db.execute(
        "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = 'seedance_lab.stage'",
        (value, some(db, chance)),
    )


def tag_set(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute(
        "INSERT OR REPLACE INTO tags VALUES ('seedance_lab.error', ?, ?)",
        (str(chance.random()), some(db, chance)),
    )


def tag_deleted(db: sqlite3.Connection, chance: random.Random) -> None:
    name = chance.choice(["seedance_lab.stage", "seedance_lab.key", "seedance_lab.error"])
    db.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (some(db, chance), name))


def tags_swapped(db: sqlite3.Connection, chance: random.Random) -> None:
    """One goes, another one takes its place: as many as before."""
    tag_deleted(db, chance)
    tag_set(db, chance)


def measured(db: sqlite3.Connection, chance: random.Random) -> None:
    measure(db, some(db, chance), chance.choice(["motion_px_s", "latency_s"]), chance.random())


def param_added(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("INSERT OR IGNORE INTO params VALUES ('seed', '7', ?)", (some(db, chance),))


def odd_param(db: sqlite3.Connection, chance: random.Random) -> None:
    """A word that this version does not know: the order of the categories depends on it."""
    word = chance.choice(["8k", "9:9"])
    db.execute("INSERT OR IGNORE INTO params VALUES ('aspect_ratio', ?, ?)", (word, some(db, chance)))


def deleted(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", (some(db, chance),))


def restored(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("UPDATE runs SET lifecycle_stage = 'active' WHERE run_uuid = ?", (some(db, chance),))


def collected(db: sqlite3.Connection, chance: random.Random) -> None:
    """What `mlflow gc` does to a run."""
    run_id = some(db, chance)
    for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
        db.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))


def collected_and_new(db: sqlite3.Connection, chance: random.Random) -> None:
    collected(db, chance)
    new_run(db, chance)


def ended_later(db: sqlite3.Connection, chance: random.Random) -> None:
    db.execute("UPDATE runs SET end_time = end_time + 1 WHERE run_uuid = ?", (some(db, chance),))


def vacuumed(db: sqlite3.Connection, chance: random.Random) -> None:
    db.commit()
    db.execute("VACUUM")


CHANGES: list[Callable[[sqlite3.Connection, random.Random], None]] = [
    new_run, late_run, new_attempt, foreign_run, tag_changed, tag_set, tag_deleted, tags_swapped, measured,
    param_added, odd_param, deleted, restored, collected, collected_and_new, ended_later, vacuumed,
]  # fmt: skip


def same_as_fresh(uri: str) -> pd.DataFrame:
    """What is kept and renewed must be what would be read from nothing."""
    kept = runs("harbour", tracking_uri=uri, attempts="all")
    before = dict(watch._kept)
    watch.forget()
    fresh = runs("harbour", tracking_uri=uri, attempts="all")
    watch.forget()
    watch._kept.update(before)
    pd.testing.assert_frame_equal(kept, fresh)
    assert kept.attrs == fresh.attrs
    return kept


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_every_change_is_noticed(change: Callable[..., None], store: str, tmp_path: Path) -> None:
    """One at a time, in several places. Mutants: no hash of tags; no count of rows; no look at the last row."""
    for seed in range(8):
        same_as_fresh(store)
        with closing(connect(tmp_path)) as db, db:
            change(db, random.Random(seed))
        same_as_fresh(store)


@pytest.mark.parametrize("seed", range(12))
def test_changes_in_any_order_are_noticed(seed: int, store: str, tmp_path: Path) -> None:
    """Several between two readings."""
    chance = random.Random(seed)
    for _ in range(8):
        same_as_fresh(store)
        with closing(connect(tmp_path)) as db, db:
            for change in chance.choices(CHANGES, k=chance.randrange(1, 4)):
                change(db, chance)
    same_as_fresh(store)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many runs each reading was limited to."""
    real, found = sql.read, []

    def noted(*args: object, only: set[str] | None = None) -> object:
        found.append(None if only is None else len(only))
        return real(*args, only=only)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(sql, "read", noted)
    return found


def test_only_what_changed_is_read_again(store: str, tmp_path: Path, reads: list[int | None]) -> None:
    """Ten new runs cost ten runs and the stretch that they stand in."""
    runs("harbour", tracking_uri=store)
    runs("harbour", tracking_uri=store)
    assert reads == [None]
    with closing(connect(tmp_path)) as db, db:
        for _ in range(3):
            new_run(db, random.Random(0))
    assert len(runs("harbour", tracking_uri=store)) == N + 3
    assert reads[0] is None
    assert len(reads) == 2
    assert reads[1] is not None
    assert 3 <= reads[1] <= 3 + 2 * 4


def test_another_file_in_its_place_is_noticed(store: str, tmp_path: Path) -> None:
    """A store that was thrown away and made again has the same name."""
    assert len(runs("harbour", tracking_uri=store)) == N
    other = tmp_path / "other"
    other.mkdir()
    MlflowClient(fresh_store(other)).create_experiment("harbour")
    with closing(connect(other)) as db, db:
        add(db, 999)
    (other / "mlflow.db").replace(tmp_path / "mlflow.db")
    assert len(same_as_fresh(store)) == 1


def test_what_a_reader_does_to_the_frame_is_not_kept(store: str) -> None:
    """The next reader gets MLflow's values."""
    first = runs("harbour", tracking_uri=store)
    first["seed"] = 1
    first.loc[0, "key"] = "mine"
    first.attrs["units"]["latency_s"] = "years"
    first.attrs["n_foreign"] = 99
    again = same_as_fresh(store)
    assert again["key"][0] == "k1:0"
    assert again.attrs["units"]["latency_s"] == "s"


def test_a_filter_reads_what_it_needs(store: str, reads: list[int | None]) -> None:
    """It is MLflow's to say what it finds, each time."""
    runs("harbour", tracking_uri=store)
    assert len(runs("harbour", tracking_uri=store, filter="metrics.latency_s < 3")) == 3
    assert len(runs("harbour", tracking_uri=store)) == N


def test_a_few_experiments_are_kept(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has an end: the one that was used longest ago goes."""
    mlflow = MlflowClient(store)
    for name in ("a", "b", "c"):
        place = mlflow.create_experiment(name)
        mlflow.create_run(place, tags={"seedance_lab.key": f"k1:{name}"})
    monkeypatch.setattr(sql, "WHOLE", 10**6)
    for name in ("a", "b", "a", "c"):
        runs(name, tracking_uri=store)
    assert [ids for _, ids in watch._kept] == [(2,), (4,)]
