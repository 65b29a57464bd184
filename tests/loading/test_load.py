"""The table of MLflow's runs: the same by every way, and the same as the study's own."""

from __future__ import annotations

import datetime as dt
import math
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from seedance_lab.columns import COLUMNS
from seedance_lab.errors import LabError
from seedance_lab.frames import frame
from seedance_lab.journal import read
from seedance_lab.loading import client, database, load, rest, runs
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import fold
from tests.loading.conftest import Way
from tests.tracked import Books, Tracked, fresh_store

NAMES = [column.name for column in COLUMNS]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A fresh one, at MLflow's default place."""
    return fresh_store(tmp_path)


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(
        image=picture,
        end_image=[None, picture],
        prompt='the 🌊 boats "drift",\napart; 100 % \\',
        aspect_ratio=["auto", "16:9"],
        resolution=["1080p", "480p", "720p"],
        duration=[2, 5],
        seed=[-1, 7],
    )


def of(study: Path) -> pd.DataFrame:
    return frame(fold(read(study / "journal.jsonl")), study)


def track(study: Path, plan: Plan, experiment: str) -> pd.DataFrame:
    """A pass of every end that is one; the study's own table."""
    with Tracked(study, plan, experiment=experiment) as one:
        one.save(*plan[:3])
        one.fail(plan[3])
        one.refuse(plan[4])
        one.cancel(plan[5])
    return of(study)


# ── every way ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_study_and_mlflow_tell_the_same(way: Way, experiment: str, study: Path, plan: Plan) -> None:
    """To the last millisecond; only the file is MLflow's own copy."""
    own = track(study, plan, experiment)
    df = way.read(experiment)
    pd.testing.assert_frame_equal(
        df.set_index("key").drop(columns="file").loc[own["key"]], own.set_index("key").drop(columns="file")
    )
    assert list(df.columns) == NAMES
    assert df.attrs == {**own.attrs, "n_foreign": 0}
    copies = df["file"].dropna()
    assert len(copies) == 3
    assert {Path(f).read_bytes() for f in copies} == {Path(f).read_bytes() for f in own["file"].dropna()}


def test_an_empty_experiment_is_an_empty_table(way: Way, experiment: str, tmp_path: Path) -> None:
    """With the same columns and types."""
    MlflowClient(way.store).create_experiment(experiment)
    df = way.read(experiment)
    pd.testing.assert_frame_equal(df, frame({}, tmp_path))
    assert df.attrs["n_foreign"] == 0


def test_foreign_runs_are_left_out_and_counted(way: Way, experiment: str, study: Path, plan: Plan) -> None:
    """An experiment is often shared; a parent of ours is not foreign, and a filter counts what it lets through."""
    own = track(study, plan, experiment)
    mlflow = MlflowClient(way.store)
    place = mlflow.get_experiment_by_name(experiment).experiment_id
    for name in ("a", "b"):
        foreign = mlflow.create_run(place, tags={"owner": name})
        mlflow.log_param(foreign.info.run_id, "seed", "not a number")
        mlflow.log_metric(foreign.info.run_id, "loss", 0.5)
    df = way.read(experiment)
    assert len(df) == len(own)
    assert list(df.columns) == NAMES
    assert df.attrs["n_foreign"] == 2
    assert way.read(experiment, filter="tags.owner = 'b'").attrs["n_foreign"] == 1


def test_latest_or_all_attempts(way: Way, experiment: str, study: Path, plan: Plan) -> None:
    """The latest stands where the first one stood, as in the study's own table."""
    with Tracked(study, plan, experiment=experiment) as one:
        one.fail(plan[0])
        one.save(plan[1])
    with Tracked(study, plan, experiment=experiment) as two:
        two.save(plan[0])
    df = way.read(experiment)
    assert df["stage"].tolist() == ["saved", "saved"]
    own = of(study).set_index("key")["attempts"].to_dict()
    assert df.set_index("key")["attempts"].to_dict() == own == {plan[0].key: 2, plan[1].key: 1}
    every = way.read(experiment, attempts="all")
    assert sorted(every["stage"]) == ["failed", "saved", "saved"]
    assert every["attempts"].tolist() == [1, 1, 2]
    assert every["key"].tolist()[2] == plan[0].key
    assert every["sent_at"].is_monotonic_increasing


def test_a_rehearsal_does_not_hide_what_was_paid_for(
    way: Way, experiment: str, tmp_path: Path, plan: Plan
) -> None:
    """Equal requests have equal keys wherever they are made."""
    with Tracked(tmp_path / "paid", plan, engine="fal", experiment=experiment) as paid:
        paid.save(plan[0])
    with Tracked(tmp_path / "free", plan, experiment=experiment) as free:
        free.save(plan[0])
    assert way.read(experiment)["engine"].tolist() == ["fal", "local"]


def test_other_metrics_come_along_as_numbers(way: Way, experiment: str, study: Path, plan: Plan) -> None:
    """Measures and ratings: after the declared columns, by name, the latest value; a NaN is a missing value."""
    track(study, plan, experiment)
    mlflow = MlflowClient(way.store)
    first, second = Books(way.store, experiment).children[:2]
    mlflow.log_metric(first.info.run_id, "motion_px_s", 1.0, step=0)
    mlflow.log_metric(first.info.run_id, "motion_px_s", 2.5, step=1)
    mlflow.log_metric(second.info.run_id, "motion_px_s", math.nan)
    mlflow.log_metric(second.info.run_id, "a rating", 4)
    mlflow.log_metric(second.info.run_id, "prompt", 1)
    df = way.read(experiment)
    assert list(df.columns) == [*NAMES, "a rating", "motion_px_s", "metrics.prompt"]
    assert df["motion_px_s"].dropna().tolist() == [2.5]
    assert df["a rating"].dropna().tolist() == [4.0]
    assert {str(df[name].dtype) for name in df.columns[len(NAMES) :]} == {"float64"}


def test_what_nobody_should_have_logged_is_missing(way: Way, experiment: str, plan: Plan) -> None:
    """A run that says it is ours and has a word for a seed must not end the reading of all others."""
    mlflow = MlflowClient(way.store)
    place = mlflow.create_experiment(experiment)
    odd = mlflow.create_run(
        place, start_time=5, tags={"seedance_lab.key": "k1:odd", "seedance_lab.stage": "saved"}
    )
    mlflow.log_param(odd.info.run_id, "seed", "lucky")
    mlflow.log_param(odd.info.run_id, "resolution", "8k")
    mlflow.log_metric(odd.info.run_id, "width", math.nan)
    df = way.read(experiment)
    assert df["key"].tolist() == ["k1:odd"]
    assert df[["seed", "width", "saved_at", "finished_at"]].isna().all(axis=None)
    assert df["resolution"].tolist() == ["8k"]
    assert df["sent_at"].tolist() == [pd.Timestamp(5, unit="ms", tz="UTC")]


def test_several_experiments_are_one_table(way: Way, experiment: str, tmp_path: Path, plan: Plan) -> None:
    names = [f"{experiment} a", f"{experiment} b"]
    for name in names:
        with Tracked(tmp_path / name, plan, experiment=name, engine=f"http://{name[-1]}.invalid") as one:
            one.save(*plan[:2])
    assert len(way.read(names)) == 4
    assert len(way.read([names[0], names[0]])) == 2


def test_many_pages_are_one_table(
    way: Way, experiment: str, study: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where more runs began in one millisecond than fit on a page, and in a burst far from the others."""
    own = track(study, plan, experiment)
    mlflow = MlflowClient(way.store)
    place = mlflow.get_experiment_by_name(experiment).experiment_id
    began = [5, 5, 5, 5, 5, *range(9_000, 9_010), 10**12]
    for i, at in enumerate(began):
        mlflow.create_run(
            place, start_time=at, tags={"seedance_lab.key": f"k1:{i:02}", "seedance_lab.stage": "failed"}
        )
    monkeypatch.setattr(client, "PAGE", 2)
    monkeypatch.setattr(rest, "PAGE", 2)
    df = way.read(experiment, attempts="all")
    assert len(df) == len(own) + len(began)
    assert sorted(df["key"]) == sorted([*own["key"], *(f"k1:{i:02}" for i in range(len(began)))])
    assert df["sent_at"].is_monotonic_increasing


def test_a_prompt_too_long_for_mlflow_is_cut_there(
    way: Way, experiment: str, study: Path, picture: bytes
) -> None:
    """The one input in which the two tables can differ."""
    plan = sweep(image=picture, prompt="x" * 7000)
    with Tracked(study, plan, experiment=experiment) as one:
        one.refuse(plan[0])
    assert way.read(experiment)["prompt"].str.len().tolist() == [6000]
    assert of(study)["prompt"].str.len().tolist() == [7000]


def test_a_deleted_run_is_gone(way: Way, experiment: str, study: Path, plan: Plan) -> None:
    own = track(study, plan, experiment)
    gone = Books(way.store, experiment).of(plan[0])
    MlflowClient(way.store).delete_run(gone.info.run_id)
    assert sorted(way.read(experiment)["key"]) == sorted(own["key"][1:])


def test_an_unknown_experiment_is_named_with_its_neighbours(
    way: Way, experiment: str, study: Path, plan: Plan
) -> None:
    """A typing slip is the usual reason; a deleted experiment is not there either."""
    track(study, plan, experiment)
    with pytest.raises(LabError, match=rf"no experiment '{experiment}x'.*Did you mean '{experiment}'"):
        way.read(f"{experiment}x")
    mlflow = MlflowClient(way.store)
    mlflow.delete_experiment(mlflow.get_experiment_by_name(experiment).experiment_id)
    with pytest.raises(LabError, match="no experiment"):
        way.read(experiment)


@pytest.mark.parametrize(
    "asked", ["resolution is 480p", "params.seed = 7", "nonsense.x = 'a'", "metrics.fps ~ 3"]
)
def test_a_filter_that_mlflow_does_not_understand_is_told(way: Way, experiment: str, asked: str) -> None:
    """As an error of this package, with MLflow's words."""
    MlflowClient(way.store).create_experiment(experiment)
    with pytest.raises(LabError, match=r"did not answer: .*([Ii]nvalid|Expected)"):
        way.read(experiment, filter=asked)


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────

FILTERS = [
    "", " ",
    "params.resolution = '480p'", "params.resolution != '480p'", "params.resolution LIKE '%80p'",
    "params.resolution ILIKE '%80P'", "params.resolution LIKE '%80P'", "params.nothing = 'a'",
    "params.duration = '5' AND params.resolution = '720p'", "params.prompt LIKE '%100 \\%%'",
    "param.prompt LIKE '%🌊%'", "params.prompt ILIKE '%BOATS \"drift%'", "params.seed IS NULL",
    "params.seed IS NOT NULL AND metrics.width > 3", "parameters.`resolution` = '1080p'",
    "metrics.latency_s >= 0", "metrics.latency_s < 0", "metrics.score > 2", "metrics.score != 2",
    "metrics.score <= 2.0", "metrics.cost_usd = 0", "metric.score = 3 AND metrics.score = 3",
    "tags.`seedance_lab.stage` = 'saved'", 'tags."seedance_lab.stage" != "saved"', "tags.owner = 'me'",
    "tags.owner IS NULL", "tags.note LIKE 'a_c'", "tags.note LIKE '%''%'", "tags.note ILIKE 'AXC'",
    "tag.`seedance_lab.error` LIKE '%:%'",
    "attributes.status = 'FAILED'", "attributes.status != 'FINISHED'", "status ILIKE 'f%'", "attr.status = 'failed'",
    "attributes.start_time > 6", "start_time <= 6", "attributes.end_time > 0", "attributes.start_time = 5.0",
    "attributes.run_name LIKE '480p%'", "run_name = 'odd'", "attributes.run_id IN ('{first}', '{last}')",
    "attributes.run_id NOT IN ('{first}')", "attributes.run_id = '{first}'", "run_id LIKE 'a%'",
    "attributes.artifact_uri LIKE '%artifacts'", "datasets.name = 'd'",
    "attributes.status = 'FINISHED' and params.resolution = '480p' AnD tags.`seedance_lab.engine` = 'local'",
]  # fmt: skip


@pytest.mark.parametrize("database_name", ["sqlite", "postgresql"])
def test_a_filter_finds_the_same_runs_by_every_way(
    database_name: str,
    request: pytest.FixtureRequest,
    experiment: str,
    study: Path,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MLflow's own client says what is right; some filters must find something, and not everything."""
    store = request.getfixturevalue(database_name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    track(study, plan, experiment)
    mlflow = MlflowClient(store)
    children = Books(store, experiment).children
    for run, score in zip(children, [1, 2, math.nan, 3], strict=False):
        mlflow.log_metric(run.info.run_id, "score", score)
    for run, note in zip(children, ["abc", "axc", "a''c", "aXC"], strict=False):
        mlflow.set_tag(run.info.run_id, "note", note)
    place = children[0].info.experiment_id
    mlflow.create_run(place, start_time=5, run_name="odd", tags={"owner": "me", "seedance_lab.key": "k1:odd"})
    found = {}
    for text in FILTERS:
        asked = text.format(first=children[0].info.run_id, last=children[-1].info.run_id)
        with monkeypatch.context() as patch:
            patch.setattr(load, "is_database", lambda uri: False)
            right = runs(experiment, tracking_uri=store, filter=asked, attempts="all")
        with monkeypatch.context() as patch:
            patch.setattr(load, "_by_api", None)
            pd.testing.assert_frame_equal(
                runs(experiment, tracking_uri=store, filter=asked, attempts="all"), right, obj=asked
            )
        if database_name == "sqlite":
            url = request.getfixturevalue("over_http")
            over_http = runs(experiment, tracking_uri=url, filter=asked, attempts="all")
            pd.testing.assert_frame_equal(over_http, right, obj=asked)
        found[text] = len(right)
    n = len(children) + 1
    assert found[""] == n
    assert sum(0 < n_found < n for n_found in found.values()) > len(FILTERS) / 2, found


# ── databases ───────────────────────────────────────────────────────────────────────────────────────────


def test_mlflow_itself_has_the_schemas_that_we_read_in_this_order() -> None:
    """A revision that is listed by mistake would let an unknown schema be read."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    chain = [s.revision for s in ScriptDirectory.from_config(_get_alembic_config("")).walk_revisions()][::-1]
    begin = chain.index(database.SCHEMAS[0])
    known = chain[begin : begin + len(database.SCHEMAS)]
    assert list(database.SCHEMAS[: len(known)]) == known


def test_mlflows_models_have_the_columns_that_we_read() -> None:
    """What the SQL names must be what MLflow's store writes."""
    from mlflow.store.tracking.dbmodels import models

    expected = {
        models.SqlRun: {"run_uuid", "start_time", "end_time", "artifact_uri", "experiment_id", "lifecycle_stage"},
        models.SqlParam: {"run_uuid", "key", "value"},
        models.SqlTag: {"run_uuid", "key", "value"},
        models.SqlLatestMetric: {"run_uuid", "key", "value", "is_nan"},
        models.SqlExperiment: {"experiment_id", "name", "lifecycle_stage", "last_update_time", "workspace"},
    }  # fmt: skip
    for model, names in expected.items():
        assert names <= {column.name for column in model.__table__.columns}


def test_another_schema_is_left_to_mlflow(
    store: str, study: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of a newer MLflow may mean something else by the same names."""
    own = track(study, plan, "harbour")
    monkeypatch.setattr(database, "SCHEMAS", (database.WORKSPACES,))
    asked = []
    by_api = load._by_api
    monkeypatch.setattr(load, "_by_api", lambda *args: asked.append(args) or by_api(*args))
    assert sorted(runs("harbour")["key"]) == sorted(own["key"])
    assert len(asked) == 1


def test_a_schema_that_nobody_knows_is_told_by_mlflow(
    store: str, study: Path, plan: Plan, tmp_path: Path
) -> None:
    """Neither read by us nor by an MLflow that is too old for it."""
    track(study, plan, "harbour")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = 'f00000000000'")
    with pytest.raises(LabError, match="did not answer"):
        runs("harbour", tracking_uri=f"sqlite:///./{'mlflow.db'}?x=1")


def test_a_file_that_cannot_be_written_is_read(store: str, study: Path, plan: Plan, tmp_path: Path) -> None:
    """An archive, or somebody else's; not a byte of it or beside it changes."""
    own = track(study, plan, "harbour")
    path = tmp_path / "mlflow.db"
    before = path.read_bytes()
    path.chmod(0o444)
    beside = set(tmp_path.iterdir())
    assert len(runs("harbour", tracking_uri=store)) == len(own)
    assert path.read_bytes() == before
    assert set(tmp_path.iterdir()) == beside


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_is_read_while_somebody_writes(
    mode: str, store: str, study: Path, plan: Plan, tmp_path: Path, only: Callable[[str], None]
) -> None:
    """One moment's rows: what is not committed is not there."""
    own = track(study, plan, "harbour")
    only("sql")
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode = {mode}")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        assert len(runs("harbour")) == len(own)
        writer.execute("COMMIT")
    assert len(runs("harbour")) == 0


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database, and long enough to be looked at" * 50)
    with pytest.raises(LabError, match="did not answer"):
        runs("harbour", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Reading in the wrong folder must not leave an empty store behind."""
    with pytest.raises(LabError, match="no MLflow store"):
        runs("harbour")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_large_database_is_found_by_its_index(
    sqlite: str,
    experiment: str,
    study: Path,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    only: Callable[[str], None],
) -> None:
    """Whether tables are read whole or run by run, the frame is the same."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite)
    own = track(study, plan, experiment)
    only("sql")
    frames = []
    for whole in (0, 10**9):
        monkeypatch.setattr(load.sql, "WHOLE", whole)
        frames.append(runs(experiment, tracking_uri=sqlite))
    pd.testing.assert_frame_equal(*frames)
    assert len(frames[0]) == len(own)


# ── servers ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    """MLflow by itself would go on trying for minutes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(LabError, match="did not answer: ConnectError"):
            runs("harbour", tracking_uri=f"http://127.0.0.1:{listener.getsockname()[1]}")


def test_a_database_server_that_is_not_there_is_told_without_its_password() -> None:
    """Nothing secret in a message."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with pytest.raises(LabError, match="did not answer") as caught:
            runs("harbour", tracking_uri=f"postgresql://someone:s3cret@127.0.0.1:{port}/mlflow")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing."""
    monkeypatch.setattr(load.mlflow_store, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(LabError, match="Timeout"):
        runs("harbour", tracking_uri=f"http://127.0.0.1:{listener.getsockname()[1]}")


def test_attempts_has_two_words(store: str) -> None:
    with pytest.raises(LabError, match="Did you mean 'latest'"):
        runs("harbour", attempts="lates")


def test_children_keep_their_times_of_day(store: str, study: Path, plan: Plan) -> None:
    """MLflow has whole milliseconds, and so has the journal: nothing is rounded on the way."""
    own = track(study, plan, "harbour")
    by_key = {run.data.tags["seedance_lab.key"]: run for run in Books(store).children}
    for key, sent_at in zip(own["key"], own["sent_at"], strict=True):
        at = dt.datetime.fromtimestamp(by_key[key].info.start_time / 1000, dt.UTC)
        assert abs(at - sent_at.to_pydatetime()) < dt.timedelta(microseconds=1)
