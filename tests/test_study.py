"""The doors of a study: blocking, not blocking, await, for; and what it refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import seedance_lab as lab
from seedance_lab.errors import (
    BudgetError,
    EngineError,
    JournalDamaged,
    LinkGone,
    RunFailed,
    StudyError,
    StudyLocked,
)
from seedance_lab.journal import Journal, read
from seedance_lab.local.served import Served
from seedance_lab.progress import told
from tests.conftest import REPO

ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video"


@pytest.fixture
def plan(picture: bytes, request: pytest.FixtureRequest) -> lab.Plan:
    return lab.sweep(image=picture, prompt=request.node.name, duration=2, resolution="480p", seed=range(3))


@pytest.fixture
def study(served: str, tmp_path: Path) -> lab.Study:
    return lab.Study(tmp_path / "study", engine=served, track=False)


def posted(url: str, prompt: str) -> Counter[int]:
    """How often each seed of this prompt was posted, by the engine's own books."""
    headers = {"Authorization": "Key a:b"}
    counts: Counter[int] = Counter()
    params = {"endpoint_id": ENDPOINT, "expand": "payloads", "limit": "100"}
    while True:
        page = httpx.get(f"{url}/api/v1/models/requests/by-endpoint", params=params, headers=headers).json()
        counts.update(i["json_input"]["seed"] for i in page["items"] if i["json_input"]["prompt"] == prompt)
        if not page["has_more"]:
            return counts
        params["cursor"] = page["next_cursor"]


def test_run_blocks_until_every_clip_is_there(study: lab.Study, plan: lab.Plan) -> None:
    run = study.run(plan, progress=False)
    assert run.done
    assert [c.request.seed for c in run.clips] == [0, 1, 2]
    assert run.failures == []
    assert repr(run) == "3 saved · $0.00"


def test_start_returns_at_once_and_wait_waits(study: lab.Study, plan: lab.Plan) -> None:
    run = study.start(plan)
    assert run.wait(30)
    assert len(run.clips) == 3


def test_a_run_can_be_awaited_in_any_loop(study: lab.Study, plan: lab.Plan) -> None:
    """A notebook's cell awaits in the kernel's loop, which is not the core's."""

    async def cell() -> lab.Run:
        return await study.start(plan)

    assert len(asyncio.run(cell()).clips) == 3


def test_an_interrupted_await_begins_nothing_new(study: lab.Study, picture: bytes) -> None:
    """A notebook's stop button cancels the awaiting cell; the sweep must not go on spending behind it."""
    plan = lab.sweep(image=picture, prompt="awaited", duration=2, seed=range(4000))

    async def cell() -> lab.Run:
        run = study.start(plan, in_flight=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run, 0.5)
        return run

    run = asyncio.run(cell())
    assert run.wait(30)
    assert {r.stage for r in study.records().values()} <= {"saved"}
    assert len(run.failures) > 3000


def test_run_blocks_inside_a_running_loop_too(study: lab.Study, plan: lab.Plan) -> None:
    """In a notebook a loop is always running in the main thread."""

    async def cell() -> lab.Run:
        return study.run(plan, progress=False)

    assert len(asyncio.run(cell()).clips) == 3


def test_clips_come_as_they_arrive_from_both_loops(study: lab.Study, plan: lab.Plan, tmp_path: Path) -> None:
    seeds = sorted(clip.request.seed for clip in study.start(plan))

    async def cell() -> list[int]:
        return sorted([clip.request.seed async for clip in study.start(plan)])

    assert seeds == asyncio.run(cell()) == [0, 1, 2]


def test_several_studies_run_at_a_time(served: str, picture: bytes, tmp_path: Path) -> None:
    plans = [lab.sweep(image=picture, prompt=f"many {n}", duration=2, seed=range(4)) for n in range(3)]
    runs = [lab.Study(tmp_path / f"s{n}", engine=served, track=False).start(p) for n, p in enumerate(plans)]
    assert all(run.wait(60) for run in runs)
    assert [len(run.clips) for run in runs] == [4, 4, 4]


def test_one_request_is_a_plan(study: lab.Study, plan: lab.Plan) -> None:
    assert len(study.run(plan[0], progress=False).clips) == 1


def test_a_second_run_pays_for_nothing_again(study: lab.Study, plan: lab.Plan, served: str) -> None:
    study.run(plan, progress=False)
    again = lab.Study(study.folder, track=False).run(plan, progress=False)
    assert len(again.clips) == 3
    assert posted(served, plan[0].prompt) == {0: 1, 1: 1, 2: 1}


def test_a_preview_knows_what_is_paid_for(study: lab.Study, plan: lab.Plan) -> None:
    study.run(plan[:1], progress=False)
    assert "1 already paid for, 2 to run" in repr(study.preview(plan))


def test_stop_begins_nothing_new_and_saves_what_is_there(study: lab.Study, picture: bytes) -> None:
    plan = lab.sweep(image=picture, prompt="stopped", duration=2, seed=range(400))
    run = study.start(plan, in_flight=2)
    next(iter(run))
    run.stop()
    assert run.wait(30)
    stages = Counter(r.stage for r in study.records().values())
    assert set(stages) == {"saved"}
    assert 0 < stages["saved"] < 400
    assert {f.stage for f in run.failures} == {"not sent"}
    assert "the run was stopped" in run.failures[0].why


def test_a_failure_is_told_and_not_raised(
    study: lab.Study, tmp_path: Path, picture: bytes, monkeypatch: Any
) -> None:
    """One bad picture must not end a night's sweep."""
    plan = lab.sweep(image=picture, prompt="lost upload", duration=2, seed=[1])

    async def elsewhere(*_: Any, **__: Any) -> str:
        return "http://127.0.0.1:9/nothing.png"

    monkeypatch.setattr("seedance_lab.engine.client.Engine.upload", elsewhere)
    run = study.run(plan, progress=False)
    assert [(f.stage, f.request.seed) for f in run.failures] == [("failed", 1)]
    assert "run.failures says why" in repr(run)
    with pytest.raises(RunFailed, match="1 of 1 requests have no clip"):
        run.raise_if_failed()


def test_a_budget_that_is_too_small_is_an_error_at_the_call(tmp_path: Path, plan: lab.Plan) -> None:
    study = lab.Study(tmp_path / "study", track=False)
    with pytest.raises(BudgetError, match="Nothing was sent"):
        study.run(plan, budget_usd=0.01)
    assert not study.folder.exists(), "bad input must write nothing"


@pytest.mark.parametrize("budget", [-1, "5", True, float("nan")])
def test_a_budget_that_is_no_amount_is_refused(study: lab.Study, plan: lab.Plan, budget: Any) -> None:
    with pytest.raises(BudgetError, match="budget_usd="):
        study.run(plan, budget_usd=budget)


def test_money_is_never_spent_without_a_budget(tmp_path: Path, plan: lab.Plan) -> None:
    with pytest.raises(BudgetError, match="no budget is set"):
        lab.Study(tmp_path / "study", engine="fal", track=False).run(plan)


def test_a_hosted_run_without_a_key_says_what_to_do(tmp_path: Path, plan: lab.Plan, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EngineError, match="FAL_KEY"):
        lab.Study(tmp_path / "study", engine="fal", track=False).run(plan, budget_usd=5, progress=False)


@pytest.mark.parametrize("plan_", [None, "boats", [1], {}])
def test_only_plans_and_requests_are_run(study: lab.Study, plan_: Any) -> None:
    with pytest.raises(TypeError, match="sweep"):
        study.run(plan_)


def test_a_study_stays_with_its_engine(study: lab.Study, plan: lab.Plan) -> None:
    """A rehearsal must never count as paid for."""
    study.run(plan[:1], progress=False)
    for other in ("fal", "local"):
        with pytest.raises(StudyError, match="belongs to engine"):
            lab.Study(study.folder, engine=other)
    assert lab.Study(study.folder).place.name == study.place.name


def test_a_study_does_not_take_another_simulator_for_its_own(
    study: lab.Study, plan: lab.Plan, serve: Callable[..., Served], tmp_path: Path
) -> None:
    """The other one has never heard of its requests."""
    study.run(plan[:1], progress=False)
    url = serve(tmp_path / "other").url
    with pytest.raises(StudyError, match="another simulator"):
        lab.Study(study.folder, engine=url, track=False).run(plan, progress=False)


def test_a_folder_with_other_things_in_it_is_no_study(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(StudyError, match="holds other files"):
        lab.Study(tmp_path)
    with pytest.raises(StudyError, match="is a file"):
        lab.Study(tmp_path / "thesis.tex")


def test_opening_a_study_writes_nothing(tmp_path: Path) -> None:
    study = lab.Study(tmp_path / "new")
    assert study.records() == {}
    assert study.clips() == []
    assert len(study.frame()) == 0
    assert not study.folder.exists()


def test_a_damaged_journal_is_named_with_its_line_and_left_alone(study: lab.Study, plan: lab.Plan) -> None:
    study.run(plan, progress=False)
    path = study.folder / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], "rubbish\n", *lines[5:]]))
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match="line 5"):
        lab.Study(study.folder).records()
    assert path.read_bytes() == before


def test_a_study_that_runs_in_another_process_says_which(
    study: lab.Study, plan: lab.Plan, served: str
) -> None:
    code = (
        "import sys; from pathlib import Path; from seedance_lab.journal import Journal\n"
        "with Journal(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(study.folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StudyLocked, match=f"process {holder.pid}"):
        study.run(plan, progress=False)
    assert posted(served, plan[0].prompt) == {}
    holder.kill()
    holder.communicate()
    assert len(study.run(plan, progress=False).clips) == 3, "a killed process must leave nothing locked"


def test_an_unknown_request_is_settled_by_hand(study: lab.Study, plan: lab.Plan) -> None:
    request = plan[0]
    with Journal(study.folder) as journal:
        journal.append("study", version=1, engine=study.place.name)
        for r in plan[:2]:
            journal.append("sending", r.key, request=r.record(), wire={"prompt": "x"}, usd=r.usd)
            journal.append("unknown", r.key, error="the answer was lost")
    assert set(study.unknown) == {r.key for r in plan[:2]}
    study.resolve(request.key, lost=True)
    study.resolve(plan[1].key, request_id="abc")
    assert {key: r.stage for key, r in study.records().items()} == {
        request.key: "declined",
        plan[1].key: "accepted",
    }
    with pytest.raises(StudyError, match="not in doubt"):
        study.resolve(request.key, lost=True)
    with pytest.raises(StudyError, match="Did you mean"):
        study.resolve(request.key[:-2] + "zz", lost=True)
    with pytest.raises(StudyError, match="either"):
        study.resolve(request.key)


def test_the_in_process_engine_makes_real_videos(picture: bytes, tmp_path: Path) -> None:
    """No stub, no port: what a newcomer's first run uses."""
    plan = lab.sweep(image=picture, prompt="slow zoom in", duration=2, resolution="480p", seed=[1, 2])
    study = lab.Study(tmp_path / "study", track=False)
    clips = study.run(plan, progress=False).raise_if_failed().clips
    facts = [clip.facts() for clip in clips]
    assert [(f.width, f.height, f.fps, f.n_frames, f.codec, f.pix_fmt) for f in facts] == [
        (736, 544, 24.0, 48, "h264", "yuv420p")
    ] * 2
    assert clips[0].path.read_bytes() != clips[1].path.read_bytes()
    assert [clip.seed for clip in clips] == [1, 2]


SWEEP = """
import sys; from pathlib import Path
import seedance_lab as lab
plan = lab.sweep(image=Path(sys.argv[2]), prompt=sys.argv[4], duration=2, resolution="480p", seed=range(24))
lab.Study(sys.argv[3], engine=sys.argv[1], track=False).run(plan, progress=False, in_flight=3).raise_if_failed()
"""


def test_a_sweep_that_is_killed_again_and_again_pays_once(
    served: str, picture: bytes, tmp_path: Path
) -> None:
    """kill -9 at moments that follow the journal's growth, then run to the end: the engine's record decides."""
    (tmp_path / "p.png").write_bytes(picture)
    journal = tmp_path / "study" / "journal.jsonl"
    prompt = f"killed {tmp_path.name}"
    command = [sys.executable, "-c", SWEEP, served, str(tmp_path / "p.png"), str(tmp_path / "study"), prompt]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    kills = 0
    for more_lines in (3, 4, 7, 12, 18):
        before = journal.read_text().count("\n") if journal.exists() else 0
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None:
            if journal.exists() and journal.read_text().count("\n") >= before + more_lines:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert kills >= 3
    assert posted(served, prompt) == dict.fromkeys(range(24), 1)
    assert len(lab.Study(tmp_path / "study").clips()) == 24


def test_interrupting_a_run_stops_and_saves_what_is_there(
    served: str, picture: bytes, tmp_path: Path
) -> None:
    """Ctrl-C once: nothing new begins, what is at the service is waited for, and the process ends well."""
    (tmp_path / "p.png").write_bytes(picture)
    code = SWEEP.replace("range(24)", "range(4000)").replace(".raise_if_failed()", "")
    code += "print('left well', flush=True)\n"
    command = [
        sys.executable,
        "-c",
        code,
        served,
        str(tmp_path / "p.png"),
        str(tmp_path / "study"),
        "interrupted",
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "study" / "journal.jsonl"
    while not (journal.exists() and '"kind":"saved"' in journal.read_text()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        out, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # it says where its threads are
        pytest.fail(f"It goes on: {process.communicate()}\n{journal.read_text()[-3000:]}")
    assert (out, said, process.returncode) == ("left well\n", "", 0)
    assert {r.stage for r in lab.Study(tmp_path / "study").records().values()} == {"saved"}
    assert [e.kind for e in read(journal)][-1] == "ended"


def test_cancel_asks_the_service_and_says_what_came_back(
    serve: Callable[..., Served], picture: bytes, tmp_path: Path
) -> None:
    """Slow real rendering in one slot: the queued ones can be taken back."""
    url = serve(tmp_path / "slow", "--slots", "1").url
    plan = lab.sweep(image=picture, prompt="cancelled", duration=12, resolution="1080p", seed=range(4))
    study = lab.Study(tmp_path / "study", engine=url, track=False)
    accepted = threading.Semaphore(0)
    run = study.start(
        plan, listener=lambda event, _: accepted.release() if event.kind == "accepted" else None
    )
    for _ in range(4):
        assert accepted.acquire(timeout=30)
    run.cancel()
    assert run.wait(60)
    stages = Counter(r.stage for r in study.records().values())
    assert stages["cancelled"] >= 3
    assert set(stages) <= {"cancelled", "saved"}
    assert f"{stages['cancelled']} cancelled" in repr(run)


# ── from outside: signals, threads, the end of the process ──────────────────────────────────────────────

STARTED = """
import signal, sys, time
from pathlib import Path
import seedance_lab as lab
plan = lab.sweep(image=Path(sys.argv[2]), prompt=sys.argv[4], duration=2, resolution="480p", seed=range(400))
study = lab.Study(sys.argv[3], engine=sys.argv[1], track=False)
"""


def script(body: str, served: str, picture: bytes, tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "p.png").write_bytes(picture)
    command = [sys.executable, "-c", STARTED + body, served, str(tmp_path / "p.png"), str(tmp_path / "study"),
               f"script {tmp_path.name}"]  # fmt: skip
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_saved(process: subprocess.Popen[str], folder: Path) -> Path:
    journal = folder / "study" / "journal.jsonl"
    while not (journal.exists() and '"kind":"saved"' in journal.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return journal


def finishes(served: str, picture: bytes, tmp_path: Path, n: int = 400) -> None:
    """The next run of what was begun posts each request once in all; a few of the plan stand for it."""
    prompt = f"script {tmp_path.name}"
    study = lab.Study(tmp_path / "study", track=False)
    begun = {r.wire["seed"] for r in study.records().values()}
    plan = lab.sweep(
        image=picture, prompt=prompt, duration=2, resolution="480p", seed=sorted(begun | {398, 399})
    )
    study.run(plan, progress=False).raise_if_failed()
    assert set(posted(served, prompt).values()) == {1}
    assert len({r.request_id for r in study.records().values()}) == len(study.records())


def test_sigterm_leaves_the_run_and_ends_the_process_by_that_signal(
    served: str, picture: bytes, tmp_path: Path
) -> None:
    process = script("study.run(plan, progress=False)", served, picture, tmp_path)
    journal = until_saved(process, tmp_path)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert "Traceback" not in err
    assert read(journal)[-1].kind == "ended"
    finishes(served, picture, tmp_path)


def test_a_script_that_starts_a_run_and_ends_leaves_a_journal_that_goes_on(
    served: str, picture: bytes, tmp_path: Path
) -> None:
    """No wait, no await: the process ends while requests are at the service."""
    body = "run = study.start(plan)\nwhile not run.clips: time.sleep(0.01)\n"
    process = script(body, served, picture, tmp_path)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert read(tmp_path / "study" / "journal.jsonl")[-1].kind == "ended"
    finishes(served, picture, tmp_path)


def test_a_handler_of_the_programs_own_is_left_alone(served: str, picture: bytes, tmp_path: Path) -> None:
    body = (
        "def own(*_):\n    print('mine', flush=True)\n    run.stop()\n"
        "signal.signal(signal.SIGTERM, own)\n"
        "run = study.start(plan)\n"
        "from seedance_lab.leaving import leaving_on_sigterm\n"
        "with leaving_on_sigterm():\n    run.wait()\n"
        "assert signal.getsignal(signal.SIGTERM) is own\nprint('over', flush=True)\n"
    )
    process = script(body, served, picture, tmp_path)
    until_saved(process, tmp_path)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, ["mine", "over"])


def test_a_run_in_a_thread_is_a_run(study: lab.Study, plan: lab.Plan) -> None:
    """Python lets only the main thread handle signals."""
    runs: list[lab.Run] = []
    thread = threading.Thread(target=lambda: runs.append(study.run(plan, progress=False)))
    thread.start()
    thread.join(60)
    assert len(runs[0].clips) == 3


def test_a_second_run_of_a_study_that_is_running_here_is_refused(
    study: lab.Study, picture: bytes, served: str
) -> None:
    plan = lab.sweep(image=picture, prompt="twice at once", duration=2, seed=range(400))
    first = study.start(plan)
    next(iter(first))
    with pytest.raises(StudyLocked, match=f"process {os.getpid()}"):
        lab.Study(study.folder, track=False).run(plan, progress=False)
    with pytest.raises(StudyLocked):
        study.resolve(plan[0].key, lost=True)
    first.stop()
    assert first.wait(60)
    assert set(posted(served, "twice at once").values()) == {1}


def test_pause_and_resume_are_states_that_are_shown(study: lab.Study, picture: bytes) -> None:
    plan = lab.sweep(image=picture, prompt="paused", duration=2, seed=range(60))
    run = study.start(plan, in_flight=2)
    run.pause()
    while run.state != "paused" or run.snapshot().n_in_flight:
        time.sleep(0.01)
    n = len(study.records())
    assert "paused" in repr(run)
    assert "paused" in told(run.snapshot())
    assert "paused" in run._repr_html_()
    run.resume()
    while len(study.records()) == n:
        time.sleep(0.01)
    run.stop()
    assert run.wait(60)
    assert run.state == "done"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("in_flight", 0, "in_flight=0 must be a whole number, 1 or more"),
        ("in_flight", True, "in_flight=True must be"),
        ("in_flight", 2.5, "in_flight=2.5 must be"),
        ("max_requests", 0, "max_requests=0 must be"),
        ("stop_if", 1, "stop_if=1 must be a share of failures"),
        ("stop_if", -0.1, "such as 0.5"),
        ("stop_if", float("nan"), "stop_if=nan"),
        ("requests_per_s", 0, "requests_per_s=0 must be more than 0"),
        ("requests_per_s", float("inf"), "requests_per_s=inf"),
        ("retry_failed", "some", "retry_failed='some' must be True, False or 'all'"),
        ("retry_failed", 1, "retry_failed=1 must be"),
        ("retry_failed", ["all"], r"retry_failed=\['all'\] must be"),
    ],
)
def test_an_option_that_makes_no_sense_is_told_and_nothing_is_sent(
    study: lab.Study, plan: lab.Plan, option: str, value: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=f"{said}.*Nothing was sent"):
        study.run(plan, progress=False, **{option: value})
    assert not study.folder.exists()


@pytest.mark.parametrize("value", ["2h", "", 59, 0, -1, True, [], float("nan")])
@pytest.mark.parametrize("name", ["keep_uploads", "keep_outputs"])
def test_a_lifetime_that_is_none_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(
        ValueError, match=f"{name}=.*'1h', '1d', '7d', '30d', '1y', seconds.*Nothing was sent"
    ):
        lab.Study(tmp_path / "study", **{name: value})


def test_a_clip_that_is_gone_and_cannot_be_fetched_again_is_a_failure(
    study: lab.Study, plan: lab.Plan, monkeypatch: Any
) -> None:
    """It says `saved`, and there is no file: a run must not pass for complete."""
    run = study.run(plan, progress=False)
    run.clips[0].path.unlink()
    assert [f.stage for f in run.failures] == ["saved"]
    assert "fetch it, which costs nothing" in run.failures[0].why

    async def gone(*_: Any, **__: Any) -> Any:
        raise LinkGone("The video is no longer under its link. It was paid for.")

    monkeypatch.setattr("seedance_lab.engine.client.Engine.download", gone)
    again = study.run(plan, progress=False)
    assert [(f.stage, f.why) for f in again.failures] == [
        ("saved", "The video is no longer under its link. It was paid for.")
    ]
    with pytest.raises(RunFailed):
        again.raise_if_failed()
