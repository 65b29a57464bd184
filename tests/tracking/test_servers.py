"""The same tracking on MLflow's SQLite file, on a server, and on a server with PostgreSQL; and what can go wrong there.

Every server is real. Each test writes into experiments of its own, so the servers are started once.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils import rest_utils

from seedance_lab import columns, journal, mirror, mlflow_client, mlflow_store, tracking
from seedance_lab.columns import ARTIFACTS, COLUMNS, KEY, RUN
from seedance_lab.passes import STATUS
from seedance_lab.plan import Plan
from seedance_lab.record import fold
from seedance_lab.tracking import TrackingWarning
from tests.conftest import REPO
from tests.tracked import Books, Tracked, fresh_store
from tests.tracking.servers import Mlflow, Postgres, Wire
from tests.tracking.writer import plan_of

_PATIENCE_S = 120.0


# ── servers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    folder = tmp_path_factory.mktemp("on_sqlite")
    server = Mlflow(folder, fresh_store(folder))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    postgres = Postgres()
    try:
        yield postgres
    finally:
        postgres.close()


@pytest.fixture(scope="module")
def on_postgres(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path_factory.mktemp("on_postgres"), database.uri())
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(params=["on_sqlite", "on_postgres"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mlflow:
    """Each of the two, as the store in use."""
    found: Mlflow = request.getfixturevalue(request.param)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.url)
    return found


@pytest.fixture(params=["sqlite", "on_sqlite", "on_postgres"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of each kind of store, as the one in use."""
    found = fresh_store(tmp_path) if request.param == "sqlite" else request.getfixturevalue(request.param).url
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found)
    return str(found)


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def plan() -> Plan:
    return plan_of(5)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a dead store is given up sooner."""
    monkeypatch.setattr(mirror, "CALL_S", 2.0)
    monkeypatch.setattr(tracking, "CALL_S", 2.0)


# ── what must hold ──────────────────────────────────────────────────────────────────────────────────────


def assert_whole(uri: str, experiment: str, *studies: Path) -> None:
    """Everything that these journals tell is in the experiment once, to the byte, and nothing else is."""
    books = Books(uri, experiment)
    with mlflow_store.quiet():
        found = {(run.data.tags[KEY], run.info.start_time, run.data.tags[RUN]): run for run in books.children}
        assert len(found) == len(books.children), "a request is there twice"
        told, passes = {}, []
        for study in studies:
            events = journal.read(study / "journal.jsonl")
            passes += [event.data["run"] for event in events if event.kind == "run"]
            for record in fold(events).values():
                if record.stage in STATUS and record.sent_at is not None:
                    told[record.key, round(record.sent_at.timestamp() * 1000), record.run] = (record, study)
        assert found.keys() == told.keys()
        assert sorted(run.data.tags[RUN] for run in books.parents) == sorted(passes)
        assert "RUNNING" not in {run.info.status for run in books.parents}
        for identity, (record, study) in told.items():
            run = found[identity]
            assert run.info.status == STATUS[record.stage]
            assert ARTIFACTS not in run.data.tags
            kept = {"params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags}
            for column in COLUMNS:
                place, _, name = column.home.partition(".")
                value = column.of(record, study)
                if place and value is not None:
                    assert kept[place][name] == (value if place == "metrics" else str(value))
            files = Path(books.client.download_artifacts(run.info.run_id, ""))
            asked = json.loads((files / "request.json").read_text())
            assert asked["arguments"] == record.asked["arguments"]
            clip = columns.clip_path(record, study)
            assert (files / "clip.mp4").exists() == (clip is not None)
            if clip is not None:
                assert digest(files / "clip.mp4") == digest(clip)
                assert (files / "poster.jpg").read_bytes().startswith(b"\xff\xd8")
                assert json.loads((files / "response.json").read_text()) == record.result


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def once(recwarn: pytest.WarningsRecorder) -> str:
    """The one warning."""
    (said,) = [str(w.message) for w in recwarn if issubclass(w.category, TrackingWarning)]
    return said


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


class Writer:
    """A study in a process of its own."""

    def __init__(self, folder: Path, experiment: str, n: int, uri: str | None, *options: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(REPO)}
        if uri is not None:
            env["MLFLOW_TRACKING_URI"] = uri
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tracking.writer", str(folder), experiment, str(n), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            cwd=folder.parent,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> tuple[int, str | None]:
        """Its exit code, and the tracker's warning."""
        said, _ = self._process.communicate()
        return self._process.returncode, json.loads(said) if said.strip() else None


# ── the same everywhere ─────────────────────────────────────────────────────────────────────────────────


def test_every_end_of_a_request_is_there_once_and_whole(
    anywhere: str, tmp_path: Path, plan: Plan, experiment: str
) -> None:
    """The kind of store is the team's choice, and must not change what a sweep leaves behind."""
    with Tracked(tmp_path / "study", plan, experiment=experiment) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
        one.refuse(plan[3])
        one.cancel(plan[4])
    assert one.tracker.warning is None
    assert_whole(anywhere, experiment, tmp_path / "study")
    with Tracked(tmp_path / "study", plan, experiment=experiment) as two:
        pass
    assert two.tracker.warning is None
    assert_whole(anywhere, experiment, tmp_path / "study")


@pytest.mark.parametrize("shared", [True, False], ids=["one-experiment", "two-experiments"])
def test_two_studies_at_once_lose_and_double_nothing(
    anywhere: str, tmp_path: Path, experiment: str, shared: bool
) -> None:
    """They make the same requests at the same time, and the experiment too."""
    studies = [tmp_path / "a", tmp_path / "b"]
    names = [experiment, experiment if shared else f"{experiment} 2"]
    writers = [Writer(study, name, 8, anywhere) for study, name in zip(studies, names, strict=True)]
    for writer in writers:
        writer.go()
    assert [writer.end() for writer in writers] == [(0, None)] * 2
    if shared:
        assert_whole(anywhere, experiment, *studies)
    else:
        for study, name in zip(studies, names, strict=True):
            assert_whole(anywhere, name, study)


def test_two_studies_may_make_the_default_store_at_once(tmp_path: Path, experiment: str) -> None:
    """MLflow itself trips over the tables that the other one has just made."""
    studies = [tmp_path / name for name in "abc"]
    writers = [Writer(study, experiment, 2, None) for study in studies]
    for writer in writers:
        writer.go()
    assert [writer.end() for writer in writers] == [(0, None)] * 3
    assert_whole(f"sqlite:///{tmp_path}/mlflow.db", experiment, *studies)
    assert not list(tmp_path.glob(".mlflow.db*"))


def test_the_store_that_is_made_is_the_one_that_mlflow_makes(tmp_path: Path, experiment: str) -> None:
    """Schema and default experiment, its folder included."""

    def content(path: Path) -> list[object]:
        with sqlite3.connect(path) as database:
            schema = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
            asked = (
                "SELECT * FROM alembic_version",
                "SELECT experiment_id, name, artifact_location FROM experiments",
            )
            # MLflow writes a table's constraints in any order.
            tables = {
                name: sorted(line.strip(", \t") for line in (sql or "").splitlines()) for name, sql in schema
            }
            return [tables, *(database.execute(sql).fetchall() for sql in asked)]

    with mlflow_store.quiet():
        MlflowClient(f"sqlite:///{tmp_path}/theirs.db").search_experiments()
        mlflow_client.opened(f"sqlite:///{tmp_path}/ours.db").search_experiments()
    assert content(tmp_path / "ours.db") == content(tmp_path / "theirs.db")


# ── a server that dies ──────────────────────────────────────────────────────────────────────────────────


def test_a_server_killed_in_the_middle_costs_one_warning_and_nothing_else(
    server: Mlflow, tmp_path: Path, plan: Plan, experiment: str, short: None, recwarn: pytest.WarningsRecorder
) -> None:
    """What was written stays, what was missed comes with the next pass, and nothing comes twice."""
    study = tmp_path / "study"
    with Tracked(study, plan, experiment=experiment) as one:
        one.save(plan[0])
        until(lambda: any(run.info.status == "FINISHED" for run in Books(server.url, experiment).children))
        server.kill()
        one.save(*plan[1:3])
        one.fail(plan[3])
    assert once(recwarn) == one.tracker.warning
    assert [e.kind for e in journal.read(study / "journal.jsonl")].count("saved") == 3
    server.start()
    with Tracked(study, plan, experiment=experiment) as two:
        two.save(plan[4])
    assert two.tracker.warning is None
    assert_whole(server.url, experiment, study)


def test_a_database_killed_under_its_server_costs_one_warning_and_nothing_else(
    on_postgres: Mlflow,
    database: Postgres,
    tmp_path: Path,
    plan: Plan,
    experiment: str,
    short: None,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """The server still answers, and says 500 to everything."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", on_postgres.url)
    study = tmp_path / "study"
    with Tracked(study, plan, experiment=experiment) as one:
        one.save(plan[0])
        until(lambda: len(Books(on_postgres.url, experiment).children) == 1)
        database.kill()
        one.save(*plan[1:4])
    assert once(recwarn) == one.tracker.warning
    database.start()
    with Tracked(study, plan, experiment=experiment) as two:
        two.save(plan[4])
    assert two.tracker.warning is None
    assert_whole(on_postgres.url, experiment, study)


def test_a_slow_server_is_waited_for_as_long_as_it_moves(
    on_sqlite: Mlflow,
    tmp_path: Path,
    plan: Plan,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every answer comes a second late: together that is longer than any single call may take."""
    wire = Wire(on_sqlite.port)
    wire.delay_s = 1.0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wire.url)
    with Tracked(tmp_path / "study", plan, experiment=experiment) as one:
        one.refuse(plan[0])
    wire.close()
    assert one.tracker.warning is None
    assert_whole(on_sqlite.url, experiment, tmp_path / "study")


def test_a_lost_answer_makes_no_second_run(
    on_sqlite: Mlflow, tmp_path: Path, plan: Plan, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own client sends `runs/create` again: two parents and two children, one of each for ever running."""
    wire = Wire(on_sqlite.port)
    wire.lose = b"runs/create"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wire.url)
    with Tracked(tmp_path / "study", plan, experiment=experiment) as one:
        until(lambda: wire.lost == 1)
        until(lambda: any(run.data.params for run in Books(on_sqlite.url, experiment).parents))
        wire.lose = b"runs/create"
        one.save(plan[0])
        until(lambda: wire.lost == 2)
        one.save(plan[1])
    wire.close()
    assert one.tracker.warning is None
    assert_whole(on_sqlite.url, experiment, tmp_path / "study")


def test_a_server_that_cannot_store_files_keeps_the_numbers(
    server: Mlflow, tmp_path: Path, plan: Plan, experiment: str, recwarn: pytest.WarningsRecorder
) -> None:
    """A full disk, a bucket without rights: the server says 500 to files only. They come when it is mended."""
    study, aside = tmp_path / "study", server.served.with_name("aside")
    if server.served.exists():
        server.served.rename(aside)
    server.served.write_text("not a folder")
    try:
        with Tracked(study, plan, experiment=experiment) as one:
            one.save(*plan[:2])
            one.fail(plan[2])
    finally:
        server.served.unlink()
        if aside.exists():
            aside.rename(server.served)
    assert "artifact store" in once(recwarn)
    books = Books(server.url, experiment)
    assert [books.of(r).info.status for r in plan[:3]] == ["FINISHED", "FINISHED", "FAILED"]
    assert all(books.of(r).data.metrics for r in plan[:2])
    with Tracked(study, plan, experiment=experiment) as two:
        pass
    assert two.tracker.warning is None
    assert_whole(server.url, experiment, study)


# ── a database that cannot be used ──────────────────────────────────────────────────────────────────────


def test_a_read_only_database_costs_one_warning(
    tmp_path: Path,
    plan: Plan,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """SQLite's own read-only mode: a file's permissions would not stop root."""
    uri, study = fresh_store(tmp_path), tmp_path / "study"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true")
    with Tracked(study, plan, experiment=experiment) as one:
        one.save(plan[0])
    assert "readonly" in once(recwarn)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with Tracked(study, plan, experiment=experiment) as two:
        two.save(plan[1])
    assert two.tracker.warning is None
    assert_whole(uri, experiment, study)


def test_a_database_of_another_mlflow_costs_one_warning_that_names_its_version(
    tmp_path: Path, plan: Plan, experiment: str
) -> None:
    """Its runs are somebody's: nothing is proposed that could lose them."""
    uri, study = fresh_store(tmp_path), tmp_path / "study"
    with mlflow_store.quiet():
        MlflowClient(uri).create_run("0")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        (known,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = 'feedfacecafe'")
    # MLflow remembers per process what it has opened.
    writer = Writer(study, experiment, 2, uri)
    writer.go()
    code, warning = writer.end()
    assert code == 0
    assert warning is not None
    assert "feedfacecafe" in warning
    assert "rm " not in warning
    assert [e.kind for e in journal.read(study / "journal.jsonl")].count("saved") == 2
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (known,))
    with Tracked(study, plan, experiment=experiment) as two:
        pass
    assert two.tracker.warning is None
    assert_whole(uri, experiment, study)


@pytest.mark.parametrize("step", [0, 1, 12])
def test_a_kill_while_the_first_store_is_made_leaves_none(
    tmp_path: Path, plan: Plan, experiment: str, step: int
) -> None:
    """MLflow alone leaves a file that it can neither use nor mend; ours is whole when it comes to its place."""
    study = tmp_path / "study"
    writer = Writer(study, experiment, 2, None, "--migration-dies-at", str(step))
    writer.go()
    assert writer.end() == (-signal.SIGKILL, None)
    assert not (tmp_path / "mlflow.db").exists()
    again = Writer(study, experiment, 2, None, "--saves", "0")
    again.go()
    assert again.end() == (0, None)
    assert_whole(f"sqlite:///{tmp_path}/mlflow.db", experiment, study)


def test_a_half_made_database_is_named_with_what_to_type(tmp_path: Path, experiment: str) -> None:
    """Left by another program that was ended while MLflow set it up: the next one cannot use it, and says why."""
    study = tmp_path / "study"
    writer = Writer(study, experiment, 2, None, "--migration-dies-at", "2", "--plain")
    writer.go()
    assert writer.end() == (-signal.SIGKILL, None)
    assert (tmp_path / "mlflow.db").exists()
    with sqlite3.connect(tmp_path / "mlflow.db") as database:  # as far as a kill a moment later leaves it
        database.execute("CREATE TABLE IF NOT EXISTS experiment_tags (x)")
    second = Writer(study, experiment, 2, None)
    second.go()
    code, warning = second.end()
    assert code == 0
    assert warning is not None
    assert f"rm '{tmp_path}/mlflow.db'" in warning
    (tmp_path / "mlflow.db").unlink()
    third = Writer(study, experiment, 2, None, "--saves", "0")
    third.go()
    assert third.end() == (0, None)
    assert_whole(f"sqlite:///{tmp_path}/mlflow.db", experiment, study)


# ── a script that is ended ──────────────────────────────────────────────────────────────────────────────

_SCRIPT = """
import sys, seedance_lab as lab
from tests.tracking.writer import plan_of
study = lab.Study(sys.argv[1], engine=sys.argv[2], experiment=sys.argv[3])
study.run(plan_of(24), in_flight=2, progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_script_that_is_ended_is_completed_by_the_next(
    anywhere: str, served: str, tmp_path: Path, experiment: str, how: signal.Signals
) -> None:
    """`kubectl delete`, a closed terminal, a power cut: the journal goes on, and MLflow gets what it missed."""
    study = tmp_path / "study"
    command = [sys.executable, "-c", _SCRIPT, str(study), served, experiment]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    first = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: sum(e.kind == "saved" for e in journal.read(study / "journal.jsonl")) >= 3)
    first.send_signal(how)
    first.wait(_PATIENCE_S)
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "TrackingWarning" not in again.stderr
    assert_whole(anywhere, experiment, study)


def test_who_was_left_makes_no_run_after_a_lost_answer(
    on_sqlite: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that nobody waits for any more looked for its lost run when the server was back, and made it again."""
    sent: list[str] = []

    def lost(_: object, path: str, *__: object, **___: object) -> None:
        sent.append(path)
        raise MlflowException("no answer") from requests.ConnectionError("reset")

    def left() -> None:
        raise InterruptedError("left")

    monkeypatch.setattr(rest_utils, "http_request", lost)
    client = mlflow_client.opened(on_sqlite.url, before=left)
    with pytest.raises(InterruptedError):
        client.create_run("0", start_time=1, tags={})
    assert len(sent) == 1, "neither looked for nor sent again"
