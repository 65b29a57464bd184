"""The measures of many clips: resumed, shared out, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seedance_lab as lab
from seedance_lab.errors import MeasureError
from seedance_lab.folder import StudyFolder
from seedance_lab.measuring import catalog, custom, work
from seedance_lab.measuring.spec import Measure
from seedance_lab.measuring.workers import WorkerDied, Workers
from seedance_lab.progress import Reporter, Shown, Steps, bar_html, told
from tests.conftest import REPO
from tests.measuring.films import lumas
from tests.measuring.studies import Filmed, counted, film, made, uses

ONLY = ["brightness", "mean_luma", "width_error"]


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "OWN", {})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    counted(tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def plan(picture: bytes) -> lab.Plan:
    return lab.sweep(image=picture, prompt="the boats drift", duration=2, resolution="480p", seed=range(4))


@pytest.fixture
def study(tmp_path: Path, plan: lab.Plan) -> StudyFolder:
    made(tmp_path / "study", plan)
    return StudyFolder(tmp_path / "study")


def measure(what: Any, **how: Any) -> pd.DataFrame:
    return lab.measure(what, progress=False, **{"only": ONLY, **how})


def reasons(df: pd.DataFrame) -> dict[tuple[str, str], str]:
    return {(Path(one["path"]).name, one["measure"]): one["reason"] for one in df.attrs["missing"]}


# ── what may be measured ────────────────────────────────────────────────────────────────────────────────


def test_a_study_gives_a_row_a_clip_in_the_order_of_asking(
    study: StudyFolder, plan: lab.Plan, log: Path
) -> None:
    df = measure(study)
    assert df["key"].tolist() == [request.key for request in plan]
    assert df["path"].tolist() == [str(clip.path) for clip in study.clips()]
    assert df["brightness"].is_monotonic_increasing
    assert [str(df[name].dtype) for name in ONLY] == ["float64"] * 3
    assert df.attrs["units"] == {"brightness": "levels", "mean_luma": "levels", "width_error": "px"}


@pytest.mark.parametrize("how", ["study", "path", "text", "method"])
def test_a_study_may_be_named_in_every_way(study: StudyFolder, log: Path, how: str) -> None:
    df = {
        "study": lambda: measure(study),
        "path": lambda: measure(study.folder),
        "text": lambda: measure(str(study.folder)),
        "method": lambda: study.measure(only=ONLY, progress=False),
    }[how]()
    assert len(df) == 4
    assert (study.folder / "measures.jsonl").exists()


def test_files_of_nobody_are_measured_and_nothing_is_written(tmp_path: Path) -> None:
    paths = [film(tmp_path / f"{level}.mp4", level) for level in (50, 90)]
    before = sorted(tmp_path.iterdir())
    for what in (paths, [str(p) for p in paths], iter(paths), [lab.Clip(path=p) for p in paths]):
        df = measure(what, only="mean_luma")
        assert df["mean_luma"].is_monotonic_increasing
        assert df["key"].isna().all()
    assert len(measure(paths[0], only="mean_luma")) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("gone.mp4", "There is no file gone.mp4"),
        (["gone.mp4"], "There is no file gone.mp4"),
        (7, "int cannot be measured; give a study"),
        ([7], "int cannot be measured"),
        (".", "holds no study"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(what: Any, said: str) -> None:
    with pytest.raises(MeasureError, match=said):
        lab.measure(what, progress=False)


def test_a_measure_that_there_is_not_is_refused_with_the_nearest(study: StudyFolder) -> None:
    with pytest.raises(MeasureError, match=r"no measure 'mean_lumma'.*Did you mean 'mean_luma'"):
        measure(study, only="mean_lumma")
    with pytest.raises(MeasureError, match="names no measure"):
        measure(study, only=[])


def test_an_empty_list_gives_an_empty_table() -> None:
    df = measure([], only="mean_luma")
    assert len(df) == 0
    assert df["mean_luma"].dtype == np.float64


def test_the_standard_ones_are_the_default_and_full_adds_the_others(study: StudyFolder) -> None:
    standard = lab.measures().query("tier == 'standard'")["name"].tolist()
    clip = study.clips()[0]
    assert lab.measure(clip, progress=False).columns[2:].tolist() == standard
    full = lab.measure(clip, full=True, progress=False).columns[2:].tolist()
    assert full == lab.measures().query("tier != 'extra'")["name"].tolist()


# ── resumed ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_known_is_not_measured_again(study: StudyFolder, log: Path) -> None:
    first = measure(study)
    assert uses(log) == 4
    again = measure(StudyFolder(study.folder))
    assert uses(log) == 4
    pd.testing.assert_frame_equal(again, first)


def test_only_what_is_new_is_measured(study: StudyFolder, log: Path, plan: lab.Plan, picture: bytes) -> None:
    measure(study)
    more = lab.sweep(image=picture, prompt="the boats sink", duration=2, resolution="480p", seed=9)
    made(study.folder, more, levels=[150])
    assert measure(study)["brightness"].notna().sum() == 5
    assert uses(log) == 5


def test_a_clip_that_was_lost_from_the_file_is_measured_again(study: StudyFolder, log: Path) -> None:
    first = measure(study)
    path = study.folder / "measures.jsonl"
    path.unlink()
    pd.testing.assert_frame_equal(measure(study), first)
    assert uses(log) == 8


def test_a_higher_version_is_measured_again_and_the_others_are_not(study: StudyFolder, log: Path) -> None:
    measure(study)
    counted(log, version=2)
    before = (study.folder / "measures.jsonl").read_bytes()
    measure(study)
    assert uses(log) == 8
    new = (study.folder / "measures.jsonl").read_bytes().removeprefix(before)
    assert b"brightness" in new
    assert b"mean_luma" not in new


def test_a_new_measure_is_taken_of_the_clips_that_are_there(study: StudyFolder, log: Path) -> None:
    lab.measure(study, only="mean_luma", progress=False)
    assert uses(log) == 0
    measure(study)
    assert uses(log) == 4


def test_another_version_of_a_built_in_measure_is_measured_again(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And until then the old value is in no frame: it is not what its column says."""
    lab.measure(study, only="mean_luma", progress=False)
    one = catalog.BUILT_IN["mean_luma"]
    fields = {name: getattr(one, name) for name in Measure.__slots__}
    monkeypatch.setitem(catalog.BUILT_IN, "mean_luma", Measure(**{**fields, "version": one.version + 1}))
    assert study.frame()["mean_luma"].isna().all()
    said = study.unmeasured().query("measure == 'mean_luma'")["reason"]
    assert said.str.contains("another version").all()
    with ThreadPoolExecutor(1) as here:
        lab.measure(study, only="mean_luma", executor=here, progress=False)
    assert study.frame()["mean_luma"].notna().all()


def test_the_same_bytes_under_another_key_are_not_decoded_again(
    tmp_path: Path, plan: lab.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows from the file alone is known by its checksum."""
    with Filmed(tmp_path / "study", plan, track=False) as one:
        one.save_film(plan[0], 80)
    study = StudyFolder(tmp_path / "study")
    first = lab.measure(study, only="mean_luma", progress=False)
    with Filmed(tmp_path / "study", plan, track=False) as one:
        one.save_film(plan[1], 80)
    monkeypatch.setattr(work.jobs, "take", None)
    df = lab.measure(study, only="mean_luma", progress=False)
    assert df["mean_luma"].tolist() == study.frame()["mean_luma"].tolist() == [first["mean_luma"][0]] * 2


def test_a_file_that_was_changed_is_measured_as_it_is(study: StudyFolder, log: Path) -> None:
    """The journal's checksum is that of the file that came; its length tells that this is another one."""
    before = measure(study)
    film(study.clips()[1].path, 200, n=20)
    after = measure(study)
    assert after["brightness"][1] > before["brightness"][1] + 50
    assert study.frame()["brightness"].tolist() == after["brightness"].tolist()
    assert uses(log) == 5


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_cannot_be_read_costs_nobody_else(study: StudyFolder, log: Path) -> None:
    """Each of its measures says why, and it is tried again when it may have been mended."""
    bad = study.clips()[2].path
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 3])
    df = measure(study)
    assert df["mean_luma"].notna().tolist() == [True, True, False, True]
    said = reasons(df)
    assert {name for name, _ in said} == {bad.name}
    assert {measure for _, measure in said} == set(ONLY)
    assert bad.name in said[bad.name, "mean_luma"]
    (why,) = study.unmeasured().query("measure == 'mean_luma'")["reason"]
    assert bad.name in why
    bad.write_bytes(whole)
    assert measure(study)["mean_luma"].notna().all()
    assert study.frame()["mean_luma"].notna().all()


def test_a_clip_that_is_put_back_has_its_old_numbers(study: StudyFolder, log: Path) -> None:
    """They are known by the checksum; nothing is taken again."""
    path = study.clips()[1].path
    before, whole = measure(study), path.read_bytes()
    film(path, 200, n=20)
    measure(study)
    path.write_bytes(whole)
    pd.testing.assert_frame_equal(measure(study), before)
    assert study.frame()["brightness"].tolist() == before["brightness"].tolist()
    assert uses(log) == 5


def test_why_a_value_is_missing_can_be_asked_later(study: StudyFolder, plan: lab.Plan) -> None:
    """What was never measured is told as well."""
    told = study.unmeasured()
    assert set(told["key"]) == {request.key for request in plan}
    assert told["reason"].str.contains("not measured yet").all()
    study.measure(progress=False)
    told = StudyFolder(study.folder).unmeasured()
    said = told.set_index(["key", "measure"])["reason"]
    assert "end image" in said[plan[0].key, "last_ssim"]
    assert not said.str.contains("not measured yet").any()
    df = study.frame()
    missing = {(key, name) for name in lab.measures()["name"] if name in df
               for key in df["key"][df[name].isna()]}  # fmt: skip
    assert set(said.index) == missing


def test_a_worker_that_dies_costs_the_file_that_it_was_at(study: StudyFolder, plan: lab.Plan) -> None:
    """Out of memory, or a crash in a codec."""
    doomed = plan[1].key

    @lab.new_measure(of="clip")
    def deadly(clip: lab.Clip) -> float:
        if clip.key == doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    df = measure(study, only=["deadly", "mean_luma"])
    assert df["deadly"].notna().tolist() == [True, False, True, True]
    assert "died (exit code -9)" in reasons(df)[Path(df["path"][1]).name, "deadly"]


def test_an_interrupt_keeps_what_is_done(
    study: StudyFolder, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not begun is dropped, and the next call measures it."""

    class Stalling(Executor):
        """Does the first two calls, and none of the others."""

        def __init__(self) -> None:
            self.futures: list[Future[Any]] = []

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.futures.append(Future())
            if len(self.futures) <= 2:
                self.futures[-1].set_result(fn(*args, **kwargs))
            return self.futures[-1]

    class Pressing(Reporter):
        """Somebody presses Ctrl-C when two are done."""

        def show(self, snapshot: Shown) -> None:
            assert isinstance(snapshot, Steps)
            if snapshot.n_done == 2:
                raise KeyboardInterrupt

    who = Stalling()
    with monkeypatch.context() as patch:
        patch.setattr(work, "reporter", lambda _: Pressing())
        with pytest.raises(KeyboardInterrupt):
            measure(study, executor=who)
    assert [future.cancelled() for future in who.futures] == [False, False, True, True]
    assert measure(study)["brightness"].notna().all()
    assert uses(log) == 4


# ── who measures ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["threads", "processes", "workers", "default"])
def test_every_executor_gives_the_same_numbers(study: StudyFolder, log: Path, kind: str) -> None:
    """A function of a test, or of a notebook, goes along to processes that do not know it."""
    here = measure(study.clips()[:2])
    if kind == "default":
        df = measure(study)
    else:
        makers: dict[str, Callable[[], Executor]] = {
            "threads": lambda: ThreadPoolExecutor(2),
            "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
            "workers": lambda: Workers(2),
        }
        with makers[kind]() as who:
            df = measure(study, executor=who)
    pd.testing.assert_frame_equal(df[:2], here)
    assert df[ONLY].notna().all(axis=None)


def test_an_unguarded_script_can_measure(study: StudyFolder, tmp_path: Path) -> None:
    """`multiprocessing` would run it again in every worker. Its own functions and neighbours go along."""
    (tmp_path / "neighbour.py").write_text("def half(x):\n    return x / 2\n")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import sys
            import seedance_lab as lab
            from neighbour import half

            print("begun")

            @lab.new_measure(how="first")
            def mine(luma):
                return half(luma.mean())

            print(lab.measure(sys.argv[1], only="mine")["mine"].tolist())
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script), str(study.folder)],
        capture_output=True, text=True, timeout=120, cwd="/", env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    begun, values = done.stdout.splitlines()
    assert begun == "begun"
    assert json.loads(values) == [lumas(clip.path)[0].mean() / 2 for clip in study.clips()]
    assert "4 of 4 measured" in done.stderr


def test_an_executor_that_fails_is_a_reason_of_its_files(study: StudyFolder, log: Path) -> None:
    class Broken(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(ConnectionError("the cluster is gone"))
            return future

    df = measure(study, executor=Broken())
    assert df[ONLY].isna().all(axis=None)
    assert set(reasons(df).values()) == {"ConnectionError: the cluster is gone"}


# ── the workers ─────────────────────────────────────────────────────────────────────────────────────────


def test_workers_do_what_an_executor_does() -> None:
    with Workers(2) as who:
        assert list(who.map(pow, range(5), [2] * 5)) == [0, 1, 4, 9, 16]
        with pytest.raises(ZeroDivisionError):
            who.submit(divmod, 1, 0).result(30)
        assert who.submit(os.getpid).result(30) != os.getpid()
    with pytest.raises(RuntimeError, match="shut down"):
        who.submit(os.getpid)


def test_no_more_workers_are_started_than_there_are_calls() -> None:
    with Workers(8) as who:
        assert who.submit(os.getpid).result(30) == who.submit(os.getpid).result(30)


def test_a_worker_that_dies_is_replaced() -> None:
    with Workers(1) as who:
        first = who.submit(os.getpid).result(30)
        with pytest.raises(WorkerDied, match="exit code 3"):
            who.submit(os._exit, 3).result(30)
        assert who.submit(os.getpid).result(30) not in {first, os.getpid()}


def test_what_a_measure_prints_disturbs_nobody() -> None:
    with Workers(1) as who:
        who.submit(os.system, "echo noise").result(30)
        who.submit(print, "noise", flush=True).result(30)
        assert who.submit(abs, -1).result(30) == 1


def test_shutting_down_at_once_ends_what_is_under_way() -> None:
    who = Workers(1)
    pid = who.submit(os.getpid).result(30)
    busy, waiting = who.submit(time.sleep, 600), who.submit(os.getpid)
    while not busy.running():
        time.sleep(0.01)
    who.shutdown(cancel_futures=True)
    with pytest.raises(WorkerDied):
        busy.result(0)
    assert waiting.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_end_when_their_parent_is_killed() -> None:
    script = (
        "import os, time; from seedance_lab.measuring.workers import Workers\n"
        "print(Workers(1).submit(os.getpid).result(), flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while _is_alive(pid):
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(MeasureError, match="0 workers measure nothing"):
        Workers(0)


# ── how far it is ───────────────────────────────────────────────────────────────────────────────────────


def test_progress_counts_what_is_done_and_what_was_there(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Steps] = []

    class Noting(Reporter):
        def show(self, snapshot: Shown) -> None:
            assert isinstance(snapshot, Steps)
            shown.append(snapshot)

        close = show

    lab.measure(study, only="mean_luma", progress=False)
    lines = (study.folder / "measures.jsonl").read_bytes().splitlines(keepends=True)
    (study.folder / "measures.jsonl").write_bytes(b"".join(lines[:2]))
    monkeypatch.setattr(work, "reporter", lambda _: Noting())
    with ThreadPoolExecutor(1) as who:
        lab.measure(study, only="mean_luma", executor=who)
    assert {s.n_before for s in shown} == {1}
    assert {1, 2, 3} <= {s.n_done for s in shown}
    assert [s.is_over for s in shown] == [False] * (len(shown) - 1) + [True]


def test_steps_read_like_a_sentence() -> None:
    steps = Steps(verb="measured", n_total=10, n_before=2, n_failed=1, elapsed_s=9.0, n_done=3)
    assert steps.eta_s == pytest.approx(15)
    assert told(steps) == "4 of 10 measured · 2 there before · 1 failed · 9 s · about 15 s left"
    assert told(steps._replace(is_over=True)) == "4 of 10 measured · 2 there before · 1 failed · 9 s"
    assert 'aria-label="Clips measured"' in bar_html(steps)
