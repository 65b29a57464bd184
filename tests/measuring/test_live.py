"""Clips are measured while the run goes on, and whatever goes wrong with that, the run does not notice."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import seedance_lab as lab
from seedance_lab.measuring import custom, live
from seedance_lab.measuring.live import MeasuringWarning
from seedance_lab.measuring.workers import WorkerDied, Workers
from tests.conftest import REPO
from tests.tracked import Books, fresh_store


@pytest.fixture
def plan(picture: bytes, request: pytest.FixtureRequest) -> lab.Plan:
    return lab.sweep(image=picture, prompt=request.node.name, duration=2, resolution="480p", seed=range(3))


@pytest.fixture
def study(served: str, tmp_path: Path) -> lab.Study:
    return lab.Study(tmp_path / "study", engine=served, track=False, measure=True)


class Fake(Executor):
    """Answers each call as a test says.

    Args:
        answer: Given the future; may leave it open, or raise.
    """

    def __init__(self, answer: Callable[[Future[Any]], None]) -> None:
        self.answer = answer
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.answer(future)
        self.futures.append(future)
        return future


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Future[Any]], None]], Fake]:
    """Puts a fake in the place of the workers."""

    def put(answer: Callable[[Future[Any]], None]) -> Fake:
        fake = Fake(answer)
        monkeypatch.setattr(live, "_shared", lambda: fake)
        return fake

    return put


def test_the_clips_of_a_run_are_measured_when_it_is_over(study: lab.Study, plan: lab.Plan) -> None:
    """And a later call has nothing left to do."""
    run = study.run(plan, progress=False)
    df = study.frame()
    assert df["mean_luma"].notna().all()
    assert df["conforms"].notna().all()
    assert not study.unmeasured()["reason"].str.contains("not measured yet").any()
    before = (study.folder / "measures.jsonl").read_bytes()
    study.measure(progress=False)
    assert (study.folder / "measures.jsonl").read_bytes() == before
    assert run.measuring_warning is None


def test_what_was_measured_live_is_in_mlflow(served: str, tmp_path: Path, plan: lab.Plan) -> None:
    """With the numbers of the frame; nothing is left for `track`."""
    store = fresh_store(tmp_path)
    study = lab.Study(tmp_path / "study", engine=served, experiment="harbour", measure=True)
    study.run(plan, progress=False)
    df = study.frame().set_index("key")
    books = Books(store)
    assert len(books.children) == 3
    for request in plan:
        run = books.of(request)
        for name in ("mean_luma", "conforms", "tokens"):
            assert run.data.metrics[name] == df.loc[request.key, name]
        assert run.info.status == "FINISHED"
    assert study.track().n_written == 0
    (parent,) = books.parents
    table = pd.read_csv(Path(parent.info.artifact_uri) / "results.csv").set_index("key")
    assert table["mean_luma"].to_dict() == df["mean_luma"].to_dict()


def test_your_own_measures_are_taken_too(
    study: lab.Study, plan: lab.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom, "OWN", {})

    @lab.new_measure
    def corner(luma: Any) -> float:
        return float(luma[0, 0])

    study.run(plan, progress=False)
    assert study.frame()["corner"].between(16, 235).all()


def test_nothing_heavy_is_loaded_into_the_process_of_the_run(
    served: str, tmp_path: Path, picture: bytes
) -> None:
    """Loading OpenCV would stop the event loop that waits for paid clips for a third of a second."""
    (tmp_path / "me.png").write_bytes(picture)
    script = f"""
import sys
import seedance_lab as lab
plan = lab.sweep(image="me.png", prompt="light", duration=2, resolution="480p", seed=range(2))
study = lab.Study("light", engine={served!r}, track=False, measure=True)
study.run(plan, progress=False)
assert not {{"cv2", "pandas", "seedance_lab.measuring.catalog"}} & sys.modules.keys(), sys.modules.keys()
print((study.folder / "measures.jsonl").read_text().count("mean_luma"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2


@pytest.mark.parametrize(
    ("variable", "asked", "on"),
    [(None, None, True), ("off", None, False), ("off", True, True), (None, False, False), ("on", None, True)],
)
def test_it_is_on_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, asked: bool | None, on: bool
) -> None:
    monkeypatch.delenv("SEEDANCE_LAB_MEASURE")
    if variable is not None:
        monkeypatch.setenv("SEEDANCE_LAB_MEASURE", variable)
    assert live.is_on(asked) is on


def test_a_study_that_is_not_to_measure_does_not(
    served: str, tmp_path: Path, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    who = workers(lambda future: None)
    study = lab.Study(tmp_path / "study", engine=served, track=False, measure=False)
    study.run(plan, progress=False)
    assert who.futures == []
    assert not (study.folder / "measures.jsonl").exists()


def test_workers_that_die_cost_one_warning_and_the_next_call_measures(
    study: lab.Study, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    workers(
        lambda future: future.set_exception(WorkerDied("The process that measured it died (exit code -9)."))
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = study.run(plan, progress=False)
    assert [c.category for c in caught].count(MeasuringWarning) == 1
    assert "died (exit code -9)" in str(run.measuring_warning)
    assert "study.measure()" in str(run.measuring_warning)
    assert repr(run) == "3 saved · $0.00"
    assert study.measure(only="mean_luma", progress=False)["mean_luma"].notna().all()


def test_a_machine_without_processes_to_spare_runs_all_the_same(
    study: lab.Study, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    def refuse(_: Future[Any]) -> None:
        raise OSError("Resource temporarily unavailable")

    workers(refuse)
    with pytest.warns(MeasuringWarning, match="temporarily unavailable"):
        run = study.run(plan, progress=False)
    assert repr(run) == "3 saved · $0.00"


def test_a_disk_that_is_full_costs_the_measures_only(
    study: lab.Study, plan: lab.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(live.Store, "add", full)
    with pytest.warns(MeasuringWarning, match="No space left"):
        run = study.run(plan, progress=False)
    assert repr(run) == "3 saved · $0.00"


def test_where_warnings_are_errors_the_run_does_not_suffer(
    study: lab.Study, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    workers(lambda future: future.set_exception(WorkerDied("It died.")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = study.run(plan, progress=False)
    assert len(run.clips) == 3


def test_who_leaves_a_run_waits_for_no_measures(
    study: lab.Study, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    """What was not begun is dropped."""
    who = workers(lambda future: None)
    run = study.start(plan)
    while run.snapshot().n_saved < 3 or run.snapshot().n_to_measure < 3:
        assert not run.wait(0.05)
    run.leave()
    assert run.wait(20)
    assert all(future.cancelled() for future in who.futures)
    assert run.measuring_warning is None
    assert not study.unmeasured().empty


def test_a_run_shows_what_is_being_measured(
    study: lab.Study, plan: lab.Plan, workers: Callable[..., Fake]
) -> None:
    """The clips are there, and the run is not over."""
    who = workers(lambda future: None)
    run = study.start(plan)
    while run.snapshot().n_to_measure < 3:
        assert not run.wait(0.05)
    assert run.snapshot().n_saved == 3
    who.futures[0].cancel()
    assert run.snapshot().n_to_measure == 2
    for future in who.futures:
        future.cancel()
    assert run.wait(20)
    assert run.snapshot().n_to_measure == 0


def test_the_workers_of_runs_have_the_lowest_priority() -> None:
    group = Path("/proc/self/autogroup")
    with Workers(1, niceness=19) as who:
        assert who.submit(os.nice, 0).result(30) == 19
        if group.exists():  # a worker has a session of its own, within which its niceness alone would count
            said = who.submit(group.read_text).result(30)
            assert said.split()[-1:] in ([], ["10"]), "empty where it is off"


def test_the_workers_are_shared_and_leave_a_core_alone() -> None:
    assert live._shared() is live._shared()
    assert live._shared().n == max(1, live.n_cores() - 1)
