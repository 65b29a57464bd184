"""A study written into MLflow later: by `Study.track` and by `seedance-lab track`."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from seedance_lab import mlflow_client, mlflow_store
from seedance_lab.cli import main
from seedance_lab.errors import StudyError, StudyLocked
from seedance_lab.journal import Journal
from seedance_lab.plan import Plan
from seedance_lab.study import Study
from tests.tracked import Books, Grumpy, Tracked, fresh_store, keys, tiny_mp4


@pytest.fixture
def untracked(study: Path, plan: Plan) -> Tracked:
    """A study that MLflow knows nothing of: two passes, every kind of end, one of them retried."""
    with Tracked(study, plan, track=False) as first:
        first.save(plan[0])
        first.fail(plan[1])
        first.refuse(plan[2])
    with Tracked(study, plan, track=False) as second:
        second.save(plan[1])
        second.cancel(plan[3])
    return second


def track(study: Path, **how: str) -> object:
    return Study(study, experiment="harbour").track(**how)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_study_made_without_tracking_is_written_whole(
    store: str, study: Path, plan: Plan, untracked: Tracked
) -> None:
    """Two passes, five ends: the attempt that failed before it was sent again is part of the story."""
    written = track(study)
    assert (written.n_written, written.n_there, written.problems) == (7, 0, ())
    books = Books(store)
    ends = sorted((run.data.tags["seedance_lab.key"], run.info.status) for run in books.children)
    assert ends == sorted(
        zip(
            [plan[0].key, plan[1].key, plan[1].key, plan[2].key, plan[3].key],
            ["FINISHED", "FAILED", "FINISHED", "FAILED", "KILLED"],
            strict=True,
        )
    )
    assert sorted(run.data.metrics["n_saved"] for run in books.parents) == [1, 1]
    assert sorted(run.data.metrics["n_failed"] for run in books.parents) == [1, 2]
    for run in books.children:
        parent = next(p for p in books.parents if p.info.run_id == run.data.tags["mlflow.parentRunId"])
        assert parent.data.tags["seedance_lab.run"] == run.data.tags["seedance_lab.run"]
    saved = books.of(plan[0])
    assert (Path(saved.info.artifact_uri) / "clip.mp4").read_bytes() == tiny_mp4()
    for parent in books.parents:
        assert books.artifacts(parent) == {"plan.json", "results.csv", "contact_sheet.jpg"}


def test_twice_is_once(store: str, study: Path, untracked: Tracked) -> None:
    """It may stand in a script that runs every night."""
    track(study)
    before = {run.info.run_id: run for run in Books(store).runs}
    written = track(study)
    assert (written.n_written, written.n_there) == (0, 7)
    assert repr(written) == f"0 runs written · 7 were there · experiment 'harbour' of MLflow at {store}"
    after = {run.info.run_id: run for run in Books(store).runs}
    assert after.keys() == before.keys()
    assert all(after[i].to_dictionary() == before[i].to_dictionary() for i in before)


def test_what_a_live_run_wrote_is_left_alone(store: str, study: Path, plan: Plan) -> None:
    """It knows more than the journal: the whole plan, and the commit."""
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
    before = {run.info.run_id: run.to_dictionary() for run in Books(store).runs}
    written = track(study)
    assert (written.n_written, written.n_there) == (0, 4)
    assert {run.info.run_id: run.to_dictionary() for run in Books(store).runs} == before


def test_a_lost_database_is_written_again_as_it_was(
    store: str, study: Path, plan: Plan, tmp_path: Path
) -> None:
    """All that the journal knows: params, metrics, times and files; what it does not know is not made up."""
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
        one.cancel(plan[3])
    before = {run.info.run_name: run for run in Books(store).runs}
    (tmp_path / "mlflow.db").unlink()
    shutil.rmtree(tmp_path / "mlruns")
    (tmp_path / "new").mkdir()
    new = fresh_store(tmp_path / "new")
    assert track(study, tracking_uri=new).n_written == 5
    after = {run.info.run_name: run for run in Books(new).runs}
    assert after.keys() == before.keys()
    unknown = {"mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.dirty"}
    unknown |= {"fal_client.version", "mlflow_client.version", "python.version", "seedance_lab.version"}
    changes = {"mlflow.parentRunId", "mlflow.note.content"}
    for name, old in before.items():
        new = after[name]
        assert new.data.params == old.data.params
        assert new.data.metrics == pytest.approx(old.data.metrics)
        assert (new.info.status, new.info.start_time, new.info.end_time) == (
            old.info.status,
            old.info.start_time,
            old.info.end_time,
        )
        assert {k: v for k, v in new.data.tags.items() if k not in changes | unknown} == {
            k: v for k, v in old.data.tags.items() if k not in changes | unknown
        }
        assert new.data.tags["seedance_lab.version"] == "0"  # as the journal's `run` line says
        assert "python.version" not in new.data.tags


def test_a_database_deleted_under_an_open_process_is_told(
    store: str, study: Path, plan: Plan, tmp_path: Path
) -> None:
    """SQLite goes on with the file that has no name any more: all would seem to be there, and vanish at the end."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
    (tmp_path / "mlflow.db").unlink()
    with pytest.raises(StudyError, match="Restart Python"):
        track(study)


def test_versions_that_the_journal_noted_are_given_to_runs_that_are_written_later(
    store: str, study: Path, plan: Plan
) -> None:
    """They are of the process that made the clips, not of the one that writes."""
    noted = {"mlflow.source.git.commit": "c0ffee", "python.version": "3.99"}
    with Tracked(study, plan, track=False) as one:
        one.say("run", run="later", n_requests=4, budget_usd=None, version="0", lineage=noted)
        one.run = "later"
        one.save(plan[0])
    track(study)
    tags = Books(store).of(plan[0]).data.tags
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["python.version"] == "3.99"
    assert "fal_client.version" not in tags


def test_another_store_and_another_experiment_can_be_named(
    store: str, study: Path, untracked: Tracked, tmp_path: Path
) -> None:
    """To give a study to somebody else's server."""
    (tmp_path / "theirs").mkdir()
    theirs = fresh_store(tmp_path / "theirs")
    assert track(study, tracking_uri=theirs, experiment="boats").n_written == 7
    assert len(Books(theirs, "boats").runs) == 7
    assert Books(store, "boats").runs == []


def test_a_store_that_cannot_be_reached_is_a_clear_error(
    study: Path, untracked: Tracked, closed_port: int
) -> None:
    """It must not look as if all were well, and not wait for minutes."""
    with pytest.raises(
        StudyError, match=f"MLflow at http://127.0.0.1:{closed_port} did not take the runs"
    ) as raised:
        track(study, tracking_uri=f"http://127.0.0.1:{closed_port}")
    assert "--tracking-uri" in str(raised.value)


def test_a_password_is_not_shown(study: Path, untracked: Tracked, closed_port: int) -> None:
    with pytest.raises(StudyError) as raised:
        track(study, tracking_uri=f"postgresql://ada:hunter2@127.0.0.1:{closed_port}/mlflow")
    assert "hunter2" not in str(raised.value)


def test_a_folder_without_a_study_is_left_as_it_is(store: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nothing to track"):
        Study(tmp_path / "nothing").track()
    assert not (tmp_path / "nothing").exists()


def test_a_study_that_is_being_run_is_not_written_twice(store: str, study: Path, untracked: Tracked) -> None:
    """Its own run writes what is missing, at the same time."""
    with Journal(study), pytest.raises(StudyLocked):
        track(study)
    assert Books(store).runs == []


def test_a_deleted_experiment_is_named(store: str, study: Path, untracked: Tracked) -> None:
    """MLflow would refuse each run, one by one, with a sentence about its id."""
    client = Books(store).client
    client.delete_experiment(client.create_experiment("harbour"))
    with pytest.raises(StudyError, match="is deleted in MLflow"):
        track(study)


def test_one_run_that_mlflow_refuses_is_told_and_the_rest_is_written(
    store: str, study: Path, plan: Plan, untracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[str] = []

    def once(name: str, _: tuple[object, ...]) -> Exception | None:
        if name == "log_batch":
            batches.append(name)
        return RuntimeError("no such thing") if name == "log_batch" and len(batches) == 2 else None

    real = mlflow_client.opened
    monkeypatch.setattr(mlflow_client, "opened", lambda uri: Grumpy(real(uri), once))
    written = track(study)
    assert (written.n_written, written.problems) == (6, ("RuntimeError: no such thing",))
    monkeypatch.setattr(mlflow_client, "opened", real)
    written = track(study)
    assert (written.n_written, written.n_there, written.problems) == (1, 6, ())


def test_a_store_that_ends_half_way_is_gone_on_with(
    store: str, study: Path, plan: Plan, untracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is kept; the next call writes the rest."""
    calls: list[str] = []

    def dead(name: str, _: tuple[object, ...]) -> Exception | None:
        calls.append(name)
        return ConnectionError("gone") if len(calls) > 12 else None

    real = mlflow_client.opened
    monkeypatch.setattr(mlflow_client, "opened", lambda uri: Grumpy(real(uri), dead))
    with pytest.raises(StudyError, match="gone"):
        track(study)
    monkeypatch.setattr(mlflow_client, "opened", real)
    written = track(study)
    assert 0 < written.n_there < 7
    assert written.n_there + written.n_written == 7
    books = Books(store)
    assert len(books.runs) == 7
    assert "RUNNING" not in {run.info.status for run in books.runs}


def test_its_progress_is_told(store: str, study: Path, untracked: Tracked) -> None:
    told: list[tuple[int, int]] = []
    Study(study, experiment="harbour").track(listener=lambda done, n: told.append((done, n)))
    assert told == [(i, 7) for i in range(1, 8)]


# ── on the command line ─────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_and_says_how_many(store: str, study: Path, untracked: Tracked) -> None:
    done = CliRunner().invoke(main, ["track", str(study), "--experiment", "boats"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"7 runs written · 0 were there · experiment 'boats' of MLflow at {store}\n"
    again = CliRunner().invoke(main, ["track", str(study), "--experiment", "boats", "--tracking-uri", store])
    assert again.stdout.startswith("0 runs written · 7 were there")


def test_the_command_fails_clearly_when_nobody_answers(
    study: Path, untracked: Tracked, closed_port: int
) -> None:
    done = CliRunner().invoke(
        main, ["track", str(study), "--tracking-uri", f"http://127.0.0.1:{closed_port}"]
    )
    assert done.exit_code == 3
    assert done.stderr.startswith(
        f"StudyError: MLflow at http://127.0.0.1:{closed_port} did not take the runs ("
    )
    assert len(done.stderr.splitlines()) == 1


def test_the_command_fails_when_something_was_not_taken(
    store: str, study: Path, untracked: Tracked, tmp_path: Path
) -> None:
    """The numbers are there, the files are not: a script should notice."""
    (tmp_path / "mlruns").write_text("not a folder")
    done = CliRunner().invoke(main, ["track", str(study), "--experiment", "harbour"])
    assert done.exit_code == 1
    assert "1 problem: its artifact store" in done.stdout
    assert len(Books(store).children) == 5
    (tmp_path / "mlruns").unlink()
    done = CliRunner().invoke(main, ["track", str(study), "--experiment", "harbour"])
    assert (done.exit_code, done.stdout[:30]) == (0, "7 runs written · 0 were there ")
    books = Books(store)
    assert len(books.runs) == 7
    assert json.loads((Path(books.parents[0].info.artifact_uri) / "plan.json").read_text())["requests"]


def test_a_uri_of_this_package_s_own_location_rules(
    store: str, study: Path, untracked: Tracked, tmp_path: Path
) -> None:
    """A relative location is meant from here, as everywhere."""
    track(study, tracking_uri="sqlite:///mlflow.db")
    assert len(Books(store).runs) == 7
    assert mlflow_store.Location("sqlite:///mlflow.db", tmp_path).absolute() == store


def test_keys_of_all_ends_are_there(store: str, study: Path, plan: Plan, untracked: Tracked) -> None:
    track(study)
    assert set(Books(store).keys()) == set(keys(plan))


def test_a_paid_study_is_written_without_a_key(store: str, study: Path, plan: Plan) -> None:
    """Nothing is asked of the service; the machine that has the folder need not have the key."""
    with Tracked(study, plan, engine="fal", track=False) as one:
        one.save(plan[0])
        one.lose(plan[1])
    assert track(study).n_written == 2
    books = Books(store)
    assert books.of(plan[0]).data.tags["seedance_lab.engine"] == "fal"
    assert books.of(plan[0]).data.metrics["cost_usd"] == pytest.approx(plan[0].usd)
    assert "cost_usd" not in books.parents[0].data.metrics
    note = books.of(plan[0]).data.tags["mlflow.note.content"]
    assert "[The video at the service](<https://cdn.invalid/" in note
