"""What MLflow gets of a study, and that it can never harm one."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from seedance_lab import mlflow_store, tracking
from seedance_lab._version import __version__
from seedance_lab.columns import ARTIFACTS, ATTEMPT, KEY, RUN
from seedance_lab.engine import place_of
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from seedance_lab.tracking import Tracker, TrackingWarning
from tests.conftest import REPO
from tests.tracked import EXPERIMENT, Books, Grumpy, Tracked, fresh_store, keys, tiny_mp4


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An empty store where MLflow looks by default: the working folder."""
    return fresh_store(tmp_path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="the boats drift", duration=[2, 5], resolution="480p", seed=range(2))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# ── a request's run ─────────────────────────────────────────────────────────────────────────────────────


def test_a_saved_request_is_a_run_with_its_inputs_numbers_and_files(
    store: str, study: Path, plan: Plan
) -> None:
    """The page of one run must answer what was asked, what came back and what it cost, and play the clip."""
    request = plan[2]
    with Tracked(study, plan) as one:
        one.save(request)
    books = Books(store)
    run, record = books.of(request), one.records[request.key]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "480p · 5 s · seed 77"
    assert run.info.start_time == record.sent_at.timestamp() * 1000
    assert run.info.end_time == record.saved_at.timestamp() * 1000
    assert run.data.params == {
        "endpoint": "lite",
        "prompt": "the boats drift",
        "aspect_ratio": "auto",
        "resolution": "480p",
        "duration": "5",
        "camera_fixed": "False",
        "seed": "0",
        "enable_safety_checker": "True",
        "image": "picture",
    }
    numbers = run.data.metrics
    assert numbers.keys() == {
        "submit_s",
        "latency_s",
        "queue_s",
        "inference_s",
        "download_s",
        "total_s",
        "cost_usd",
        "estimate_usd",
        "size_bytes",
        "width",
        "height",
        "fps",
        "n_frames",
        "seconds",
        "returned_seed",
    }
    assert (numbers["width"], numbers["height"], numbers["fps"], numbers["n_frames"]) == (64, 48, 24, 12)
    assert (numbers["cost_usd"], numbers["inference_s"], numbers["returned_seed"]) == (0, 0.25, 77)
    assert numbers["estimate_usd"] == pytest.approx(request.usd)
    tags = run.data.tags
    assert tags[KEY] == request.key
    assert tags[RUN] == one.run
    assert tags[ATTEMPT] == "1"
    assert tags["output_url"] == record.output_url
    assert tags["request_id"] == record.request_id
    assert tags["seedance_lab.stage"] == "saved"
    assert tags["seedance_lab.engine"] == "local"
    assert tags["seedance_lab.replicate"] == "0"
    assert tags["seedance_lab.size"] == "64×48"
    assert tags["seedance_lab.image_sha256"] == request.image.sha256
    assert tags["seedance_lab.endpoint"] == request.endpoint.id
    assert tags["seedance_lab.version"] == __version__
    assert tags["fal_client.version"]
    (parent,) = books.parents
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert books.artifacts(run) == {"clip.mp4", "poster.jpg", "request.json", "response.json"}
    kept = Path(run.info.artifact_uri)
    assert (kept / "clip.mp4").read_bytes() == tiny_mp4()
    assert (kept / "poster.jpg").read_bytes().startswith(b"\xff\xd8")
    assert json.loads((kept / "request.json").read_text())["arguments"] == request.arguments
    assert json.loads((kept / "response.json").read_text()) == record.result


@pytest.mark.parametrize(
    ("fate", "status", "says"),
    [
        ("fail", "FAILED", "prompt: not allowed"),
        ("refuse", "FAILED", "HTTP 422: seed is too large"),
        ("cancel", "KILLED", "taken back"),
    ],
)
def test_a_request_without_a_clip_is_a_run_that_says_why(
    store: str, study: Path, plan: Plan, fate: str, status: str, says: str
) -> None:
    """What went wrong is part of a sweep's result, and MLflow's own status filter must find it."""
    with Tracked(study, plan) as one:
        getattr(one, fate)(plan[0])
    books = Books(store)
    run = books.of(plan[0])
    assert run.info.status == status
    assert run.info.end_time is not None
    assert run.data.tags["seedance_lab.error"] == says
    assert run.data.tags.get("seedance_lab.error_type") == (
        "content_policy_violation" if fate == "fail" else None
    )
    assert books.artifacts(run) == {"request.json", "response.json"}


def test_a_request_in_doubt_is_not_a_run_yet(store: str, study: Path, plan: Plan) -> None:
    """It may still turn out to be saved; a run that says otherwise could not be taken back."""
    with Tracked(study, plan) as one:
        one.lose(plan[0])
        one.accept(plan[1])
    assert Books(store).children == []


def test_what_is_not_known_is_left_out(store: str, study: Path, plan: Plan) -> None:
    """One None or NaN among the metrics would make MLflow refuse them all; and unknown is not 0."""
    with Tracked(study, plan, engine="fal") as one:
        one.save(plan[0], metrics={"inference_time": float("nan")})
        one.fail(plan[1])
    books = Books(store)
    saved, failed = books.of(plan[0]).data.metrics, books.of(plan[1]).data.metrics
    assert "inference_s" not in saved
    assert saved["cost_usd"] == pytest.approx(plan[0].usd)
    assert "cost_usd" not in failed
    assert "cost_usd" not in books.parents[0].data.metrics


def test_a_long_prompt_is_cut_in_the_table_and_whole_in_a_file(
    store: str, study: Path, picture: bytes
) -> None:
    """MLflow would cut it silently at 6,000 characters."""
    plan = sweep(image=picture, prompt="böat " * 3000)
    with Tracked(study, plan) as one:
        one.refuse(plan[0])
    run = Books(store).of(plan[0])
    assert len(run.data.params["prompt"]) == 6000
    assert run.data.params["prompt"].endswith("…")
    assert (Path(run.info.artifact_uri) / "prompt.txt").read_text() == plan[0].prompt


def test_the_commit_of_the_working_folder_is_noted(
    store: str, study: Path, plan: Plan, tmp_path: Path
) -> None:
    """A figure can be traced to the code that made it."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with Tracked(study, plan) as one:
        one.refuse(plan[0])
    assert Books(store).of(plan[0]).data.tags["mlflow.source.git.commit"] == commit


def test_no_key_reaches_the_store(
    store: str, study: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server is read by more people than may spend the money."""
    monkeypatch.setenv("FAL_KEY", "id-1234:hunter2-hunter2")
    with Tracked(study, plan, engine="fal") as one:
        one.save(plan[0])
        one.fail(plan[1])
    files = [tmp_path / "mlflow.db", *(p for p in (tmp_path / "mlruns").rglob("*") if p.is_file())]
    assert len(files) > 4
    assert not [file for file in files if b"hunter2" in file.read_bytes()]


# ── a pass's run ────────────────────────────────────────────────────────────────────────────────────────


def test_a_pass_is_a_parent_with_the_plan_and_the_sums(store: str, study: Path, plan: Plan) -> None:
    """The list of runs folds into passes, and a pass tells at a glance what it was for and what it gave."""
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
    books = Books(store)
    (parent,) = books.parents
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "4 requests · duration × seed"
    assert parent.data.tags[RUN] == one.run
    assert parent.data.params == {
        "n_requests": "4",
        "engine": "local",
        "endpoint": "lite",
        "varying": "duration, seed",
        "duration": "2, 5",
        "seed": "0, 1",
    }
    sums = parent.data.metrics
    assert (sums["n_saved"], sums["n_failed"], sums["cost_usd"], sums["video_s"]) == (2, 1, 0, 1)
    assert 0 <= sums["wall_s"] < 60
    assert {run.data.tags["mlflow.parentRunId"] for run in books.children} == {parent.info.run_id}


@pytest.mark.parametrize(
    ("why", "fate", "status"),
    [("no money left", "save", "FAILED"), (None, "cancel", "KILLED"), (None, "fail", "FINISHED")],
)
def test_a_parent_ends_as_its_pass_did(
    store: str, study: Path, plan: Plan, why: str | None, fate: str, status: str
) -> None:
    """One failed request is a result; an aborted pass is not."""
    with Tracked(study, plan, why=why) as one:
        getattr(one, fate)(plan[0])
    (parent,) = Books(store).parents
    assert parent.info.status == status
    assert parent.data.tags.get("seedance_lab.error") == why


def test_a_parent_whose_process_died_is_ended_by_the_next_pass(store: str, study: Path, plan: Plan) -> None:
    """MLflow would show it as running for ever."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
        one.cut_off = True
    books = Books(store)
    books.client.update_run(books.parents[0].info.run_id, status="RUNNING")  # as a kill would leave it
    with Tracked(study, plan) as two:
        two.save(plan[1])
    books = Books(store)
    ended = {run.data.tags[RUN]: run.info.status for run in books.parents}
    assert ended == {one.run: "KILLED", two.run: "FINISHED"}


# ── once, and all ───────────────────────────────────────────────────────────────────────────────────────


def test_running_again_doubles_nothing(store: str, study: Path, plan: Plan) -> None:
    """Whoever runs a notebook's cells again gets a second parent and no second children."""
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.refuse(plan[2])
    with Tracked(study, plan) as two:
        two.save(plan[3])
    books = Books(store)
    assert sorted(books.keys()) == sorted(keys(plan))
    assert len(books.parents) == 2


def test_what_an_untracked_pass_made_is_written_by_the_next_one(store: str, study: Path, plan: Plan) -> None:
    """A tracking server that was down leaves no hole: past times, and a parent of its own."""
    with Tracked(study, plan, track=False) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
    with Tracked(study, plan) as two:
        two.save(plan[3])
    books = Books(store)
    assert sorted(books.keys()) == sorted(keys(plan))
    by_run = {run.data.tags[RUN]: run for run in books.parents}
    assert by_run[one.run].info.status == "FINISHED"
    assert by_run[one.run].data.metrics["n_saved"] == 2
    late = books.of(plan[0])
    assert late.data.tags["mlflow.parentRunId"] == by_run[one.run].info.run_id
    assert late.info.start_time == one.records[plan[0].key].sent_at.timestamp() * 1000
    assert late.info.end_time == one.records[plan[0].key].saved_at.timestamp() * 1000
    assert "clip.mp4" in books.artifacts(late)


def test_a_retry_is_a_run_of_its_own(store: str, study: Path, plan: Plan) -> None:
    """The failure happened and stays; its successor says that it is the second attempt."""
    with Tracked(study, plan) as one:
        one.fail(plan[0])
    with Tracked(study, plan) as two:
        two.save(plan[0])
    first, second = Books(store).children
    assert [run.data.tags[KEY] for run in (first, second)] == [plan[0].key] * 2
    assert (first.data.tags[ATTEMPT], first.info.status) == ("1", "FAILED")
    assert (second.data.tags[ATTEMPT], second.info.status) == ("2", "FINISHED")


def test_a_clip_fetched_again_is_the_same_run(store: str, study: Path, plan: Plan) -> None:
    """A deleted file is fetched and saved anew, but nothing was made twice."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
        record = one.records[plan[0].key]
        one.say("saved", plan[0].key, **record.clip)
    assert len(Books(store).children) == 1


def test_a_run_that_was_cut_off_is_completed_not_doubled(store: str, study: Path, plan: Plan) -> None:
    """The process can die between MLflow's calls."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
    books = Books(store)
    books.client.update_run(books.of(plan[0]).info.run_id, status="RUNNING")
    with Tracked(study, plan) as two:
        two.save(plan[1])
    assert sorted(Books(store).keys()) == sorted(keys(plan[:2]))
    assert Books(store).of(plan[0]).info.status == "FINISHED"


def test_a_rehearsal_and_the_real_thing_share_an_experiment(store: str, tmp_path: Path, plan: Plan) -> None:
    """Two studies may have folders of one name, and equal requests have equal keys."""
    with Tracked(tmp_path / "a" / "harbour", plan) as rehearsal:
        rehearsal.save(plan[0])
    with Tracked(tmp_path / "b" / "harbour", plan, engine="fal", track=False) as untracked:
        untracked.save(plan[0])
    with Tracked(tmp_path / "b" / "harbour", plan, engine="fal") as paid:
        paid.save(plan[1])
    assert sorted(
        (run.data.tags[KEY], run.data.tags["seedance_lab.engine"]) for run in Books(store).children
    ) == sorted([(plan[0].key, "local"), (plan[0].key, "fal"), (plan[1].key, "fal")])


# ── never in the way ────────────────────────────────────────────────────────────────────────────────────


def told(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(w.message) for w in caught if issubclass(w.category, TrackingWarning)]


def test_a_closed_port_costs_one_warning(
    study: Path, plan: Plan, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow by itself would go on trying for minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    began = time.monotonic()
    with pytest.warns(TrackingWarning) as caught, Tracked(study, plan) as one:
        one.save(*plan)
    assert time.monotonic() - began < 60
    assert told(list(caught)) == [one.tracker.warning]
    assert f"127.0.0.1:{closed_port}" in one.tracker.warning
    assert [e.kind for e in read(study / "journal.jsonl")].count("saved") == 4


def test_a_server_that_never_answers_is_waited_for_a_few_seconds_only(
    study: Path, plan: Plan, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection alone is no sign of life."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setattr(mlflow_store, "ANSWER_S", 0.3)
    began = time.monotonic()
    with pytest.warns(TrackingWarning) as caught, Tracked(study, plan) as one:
        one.save(*plan)
    assert time.monotonic() - began < 60
    assert len(told(list(caught))) == 1


def test_a_server_that_falls_silent_does_not_hold_up_the_end(
    study: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may die between the sign of life and the next call; the wait is for movement, not for the end."""
    release = threading.Event()

    class Sleepy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/health":
                release.wait(30)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815  # http.server asks for that name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sleepy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv(
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0"
    )  # so that the abandoned thread ends with the test
    monkeypatch.setattr(tracking, "CALL_S", 0.5)
    began = time.monotonic()
    with pytest.warns(TrackingWarning) as caught, Tracked(study, plan) as one:
        one.save(*plan)
    assert time.monotonic() - began < 60
    assert len(told(list(caught))) == 1
    release.set()
    server.shutdown()
    server.server_close()


def test_a_store_that_cannot_be_written_costs_one_warning(
    study: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow by itself would try to open such a file for over a minute."""
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.warns(TrackingWarning) as caught, Tracked(study, plan) as one:
        one.save(plan[0])
    assert len(told(list(caught))) == 1


def test_what_a_dead_server_missed_is_there_after_the_next_pass(
    store: str, study: Path, plan: Plan, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what the warning promises."""
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
        with pytest.warns(TrackingWarning), Tracked(study, plan) as one:
            one.save(*plan)
    with Tracked(study, plan):
        pass
    assert sorted(Books(store).keys()) == sorted(keys(plan))


def test_a_password_in_the_uri_is_not_shown(
    study: Path, plan: Plan, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning ends up in a notebook's output."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://ada:hunter%402@127.0.0.1:{closed_port}/mlflow")
    with pytest.warns(TrackingWarning), Tracked(study, plan) as one:
        one.refuse(plan[0])
    assert "127.0.0.1" in one.tracker.warning
    assert "hunter" not in one.tracker.warning


def test_a_password_in_a_librarys_message_is_not_shown() -> None:
    """Some drivers repeat the whole URI when they fail, decoded or not."""
    uri = "postgresql://ada:hunter%402@host/mlflow"
    said = mlflow_store.without_secrets("cannot open hunter%402 nor hunter@2", uri)
    assert said == "cannot open *** nor ***"


def test_where_warnings_are_errors_the_run_goes_on(
    study: Path, plan: Plan, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -W error` is for the user's own code."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrackingWarning)
        with Tracked(study, plan) as one:
            one.save(plan[0])
    assert one.tracker.warning


def test_one_request_that_mlflow_refuses_costs_that_request(
    store: str, study: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A surprise in one value must not cost the rest of the sweep."""
    batches: list[str] = []

    def once(name: str, _: tuple[object, ...]) -> Exception | None:
        if name != "log_batch":
            return None
        batches.append(name)
        return RuntimeError("no such thing") if len(batches) == 3 else None  # the parent's, the first's, this

    real = tracking._client
    monkeypatch.setattr(tracking, "_client", lambda uri, **more: Grumpy(real(uri, **more), once))
    with pytest.warns(TrackingWarning, match="no such thing"), Tracked(study, plan) as one:
        one.save(*plan)
    books = Books(store)
    assert [books.of(r).info.status for r in plan] == ["FINISHED", "RUNNING", "FINISHED", "FINISHED"]
    monkeypatch.setattr(tracking, "_client", real)
    with Tracked(study, plan):
        pass
    assert [Books(store).of(r).info.status for r in plan] == ["FINISHED"] * 4


def test_a_picture_that_another_study_writes_at_the_same_moment_costs_nothing(
    store: str, study: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow looks whether it has a dataset and then makes it: of two at once the second is refused."""
    refused: list[str] = []

    def once(name: str, _: tuple[object, ...]) -> Exception | None:
        if name != "log_inputs" or refused:
            return None
        refused.append(name)
        return MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name")

    real = tracking._client
    monkeypatch.setattr(tracking, "_client", lambda uri, **more: Grumpy(real(uri, **more), once))
    with Tracked(study, plan) as one:
        one.save(*plan)
    assert refused
    assert one.tracker is not None
    assert one.tracker.warning is None
    (parent,) = Books(store).parents
    assert parent.inputs.dataset_inputs


def test_a_store_that_takes_no_files_keeps_the_numbers(
    store: str, study: Path, plan: Plan, tmp_path: Path
) -> None:
    """A server whose artifact folder is not ours to write is a common slip; the files come later."""
    (tmp_path / "mlruns").write_text("not a folder")
    with pytest.warns(TrackingWarning, match="artifact store") as caught, Tracked(study, plan) as one:
        one.save(*plan)
    assert len(told(list(caught))) == 1
    books = Books(store)
    assert [books.of(r).info.status for r in plan] == ["FINISHED"] * 4
    assert [run.info.status for run in books.parents] == ["FINISHED"]
    assert all(run.data.tags[ARTIFACTS] == "missing" for run in books.runs)
    (tmp_path / "mlruns").unlink()
    with Tracked(study, plan):
        pass
    books = Books(store)
    assert len(books.children) == 4
    assert all("clip.mp4" in books.artifacts(books.of(r)) for r in plan)
    assert all("plan.json" in books.artifacts(run) for run in books.parents)
    assert not [run for run in books.runs if ARTIFACTS in run.data.tags]


def test_a_pass_that_never_began_writes_nothing_and_waits_for_nothing(
    study: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked study, or an engine without a key, must not leave an empty parent behind."""
    tracker = Tracker(study, experiment=EXPERIMENT, place=place_of("local"))
    tracker.close()
    release = threading.Event()
    monkeypatch.setattr(tracker, "_main", release.wait)  # as slow as an import can be
    tracker.start("run", plan)
    tracker.close()
    release.set()
    assert tracker.warning is None
    assert not (tmp_path / "mlflow.db").exists()


def test_a_change_of_folder_does_not_split_the_store(
    store: str, study: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow ui` is started where the run was started; a cell may change the folder meanwhile."""
    one = Tracked(study, plan)
    (tmp_path / "elsewhere").mkdir()
    before = one.tracker.start

    def start(run: str, plan: Plan) -> None:
        before(run, plan)
        os.chdir(tmp_path / "elsewhere")

    monkeypatch.setattr(one.tracker, "start", start)
    with one:
        one.save(plan[0])
    run = Books(store).of(plan[0])
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(tmp_path / "mlruns")


def test_a_first_use_prints_nothing(study: Path, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    """A new store's migration talks for two screens otherwise; and what was hushed is hushed no longer."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
    assert one.tracker.warning is None
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    logging.getLogger("mlflow").info("a word of the user's own")
    assert "a word of the user's own" in capfd.readouterr().err


def test_other_threads_are_heard_meanwhile(capfd: pytest.CaptureFixture[str]) -> None:
    """The user's own work with MLflow goes on beside a run."""

    def speak() -> None:
        logging.getLogger("mlflow").info("from another thread")

    with mlflow_store.quiet():
        logging.getLogger("mlflow").info("from this one")
        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
    assert "from another thread" in (said := capfd.readouterr().err)
    assert "from this one" not in said


def test_importing_the_study_loads_neither_pandas_nor_mlflow() -> None:
    """They cost seconds, and planning and running need neither."""
    program = (
        "import sys, seedance_lab.study, seedance_lab.frames, seedance_lab.tracking, seedance_lab.loading;"
        "print([m for m in ('mlflow', 'pandas', 'numpy') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert said.stdout.strip() == "[]"


# ── where ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_is_mlflows_own(tmp_path: Path) -> None:
    """`mlflow ui` without options must show the runs."""
    assert (
        mlflow_store.Location.now().absolute()
        == mlflow.get_tracking_uri()
        == f"sqlite:///{tmp_path}/mlflow.db"
    )


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:////somewhere/mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("./mlruns", "file:///somewhere/mlruns"),
        ("/data/mlruns", "file:///data/mlruns"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
        ("databricks", "databricks"),
    ],
)
def test_a_relative_location_is_meant_from_the_folder_of_the_start(uri: str, absolute: str) -> None:
    """SQLAlchemy would open a relative file anew, wherever the process is by then."""
    assert mlflow_store.Location(uri, Path("/somewhere")).absolute() == absolute


def test_an_older_store_of_files_still_works(
    study: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow keeps it for those who ask for it."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    for request in plan[:2]:
        with Tracked(study, plan) as one:
            one.save(request)
        assert one.tracker.warning is None
    assert Books((tmp_path / "mlruns").as_uri()).keys() == keys(plan[:2])


def test_a_folder_left_early_keeps_its_default(tmp_path: Path) -> None:
    """MLflow's rule, for the folder that was meant: an older store there is used on."""
    (tmp_path / "a" / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "a" / "mlruns" / "0" / "meta.yaml").touch()
    assert mlflow_store.Location(None, tmp_path / "a").absolute() == (tmp_path / "a" / "mlruns").as_uri()
    assert mlflow_store.Location(None, tmp_path / "b").absolute() == f"sqlite:///{tmp_path}/b/mlflow.db"


def test_a_real_server_over_http_gets_it_all(
    store: str,
    study: Path,
    plan: Plan,
    tmp_path: Path,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A team's server stores the files itself, and MLflow would print two lines a run."""
    url = f"http://127.0.0.1:{closed_port}"
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(closed_port),
            "--workers",
            "1",
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            str(tmp_path / "served"),
        ],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None
    try:
        assert any("startup complete" in line for line in server.stdout), "the server did not start"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        with Tracked(study, plan) as one:
            one.save(*plan[:2])
            one.fail(plan[2])
        with Tracked(study, plan) as two:
            two.save(plan[3])
        assert (one.tracker.warning, two.tracker.warning) == (None, None)
        assert capfd.readouterr() == ("", "")
        books = Books(url)
        assert sorted(books.keys()) == sorted(keys(plan))
        assert [run.info.status for run in books.parents] == ["FINISHED"] * 2
        assert books.artifacts(books.of(plan[0])) == {
            "clip.mp4",
            "poster.jpg",
            "request.json",
            "response.json",
        }
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its workers too
        server.wait(10)
        server.stdout.close()
