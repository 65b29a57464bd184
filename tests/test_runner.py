"""A pass over a plan: what is sent, what is never sent again, what is fetched again."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from seedance_lab.errors import BudgetError, EngineError, StudyLocked
from seedance_lab.journal import Journal, read
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import fold
from seedance_lab.running import Runner
from seedance_lab.running.signals import Signals
from tests.faults import Lab, is_submit

Send = Callable[[], Awaitable[httpx.Response]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(3))


def once(fault: Callable[[httpx.Request, Send], Awaitable[httpx.Response]], applies=is_submit):
    """The fault, for the first request to which it applies; all others pass."""
    done: list[bool] = []

    async def at_first(request: httpx.Request, send: Send) -> httpx.Response:
        if applies(request) and not done:
            done.append(True)
            return await fault(request, send)
        return await send()

    return at_first


async def drop_after(request: httpx.Request, send: Send) -> httpx.Response:
    await send()
    raise httpx.ReadError("connection reset", request=request)


async def drop_before(request: httpx.Request, send: Send) -> httpx.Response:
    raise httpx.ReadError("connection reset", request=request)


async def time_out(request: httpx.Request, send: Send) -> httpx.Response:
    await send()
    raise httpx.ReadTimeout("no answer", request=request)


async def gateway_after(request: httpx.Request, send: Send) -> httpx.Response:
    await send()
    return httpx.Response(502, html="<html>nginx</html>")


async def cut_short(request: httpx.Request, send: Send) -> httpx.Response:
    whole = await (await send()).aread()
    return httpx.Response(200, content=whole[: len(whole) // 2])


async def no_connection(request: httpx.Request, send: Send) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def too_many(request: httpx.Request, send: Send) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": "0"}, json={"detail": "slow down"})


def stages(lab: Lab) -> Counter[str]:
    return Counter(r.stage for r in fold(read(lab.folder / "journal.jsonl")).values())


def test_every_request_of_a_plan_is_posted_once_and_saved(lab: Lab, plan: Plan) -> None:
    lab.run(plan)
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}


def test_the_same_plan_again_sends_nothing(lab: Lab, plan: Plan) -> None:
    lab.run(plan)
    before = len(read(lab.folder / "journal.jsonl"))
    lab.run(plan)
    kinds = [e.kind for e in read(lab.folder / "journal.jsonl")[before:]]
    assert kinds == ["run", "ended"]
    assert set(lab.posted().values()) == {1}


def test_only_what_is_missing_is_sent(lab: Lab, plan: Plan) -> None:
    lab.run(plan[:1])
    lab.run(plan)
    assert sum(lab.posted().values()) == 3


@pytest.mark.parametrize("fault", [drop_after, time_out, gateway_after, cut_short])
def test_a_lost_answer_is_found_in_the_history_and_not_sent_again(lab: Lab, plan: Plan, fault) -> None:
    """fal_client alone would POST each of these again: a second paid video."""
    lab.fault = once(fault)
    lab.run(plan)
    kinds = [e.kind for e in read(lab.folder / "journal.jsonl")]
    assert "unknown" in kinds
    assert "resolved" in kinds
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}


def test_a_request_that_never_arrived_is_sent_again_once_the_history_shows_it(lab: Lab, plan: Plan) -> None:
    lab.fault = once(drop_before)
    lab.run(plan)
    resolved = [e for e in read(lab.folder / "journal.jsonl") if e.kind == "resolved"]
    assert [e.data["outcome"] for e in resolved] == ["lost"]
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}


def test_at_the_service_absence_is_proof_only_after_a_while(lab: Lab, plan: Plan, monkeypatch) -> None:
    """Its history may not list what is still under way: sending again at once could pay twice."""
    _no_waiting(monkeypatch)
    begin, runs = Runner._prepare, []

    async def stop_at_the_second_look(request: httpx.Request, send: Send) -> httpx.Response:
        if "/by-endpoint" in request.url.path:
            looks.append(1)
            if len(looks) == 2:
                runs[0].signals.stop()
        return await (drop_before(request, send) if is_submit(request) else send())

    looks: list[int] = []
    lab.fault = stop_at_the_second_look
    monkeypatch.setattr(Runner, "_prepare", lambda self: (runs.append(self), begin(self))[1])
    run = lab.run(plan[:1], place="fal", budget_usd=1)
    assert stages(lab) == {"unknown": 1}
    assert "run the plan again in 15 min" in run.problems[plan[0].key]
    sent = [e for e in read(lab.folder / "journal.jsonl") if e.kind == "sending"]
    assert len(sent) == 1


def test_lost_replicates_are_matched_by_count(lab: Lab, picture: bytes) -> None:
    """Replicates have the same input: only how many there are tells them apart."""
    lab.fault = drop_after_submit = _always(drop_after)
    plan = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=1, repeat=3)
    lab.run(plan, in_flight=3)
    assert stages(lab) == {"saved": 3}
    assert lab.posted() == {("boats", 1): 3}
    assert drop_after_submit is not None
    assert len({r.request_id for r in fold(read(lab.folder / "journal.jsonl")).values()}) == 3


def _always(fault):
    async def every(request: httpx.Request, send: Send) -> httpx.Response:
        return await (fault(request, send) if is_submit(request) else send())

    return every


def test_what_another_request_already_has_is_not_adopted(lab: Lab, picture: bytes) -> None:
    """The first replicate's video must not be taken for the second's, which never arrived."""
    plan = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=1, repeat=2)
    lab.run(plan[:1])
    lab.fault = once(drop_before)
    lab.run(plan)
    assert lab.posted() == {("boats", 1): 2}
    assert len({r.request_id for r in fold(read(lab.folder / "journal.jsonl")).values()}) == 2


def test_more_candidates_than_lost_requests_are_left_to_the_person(
    lab: Lab, plan: Plan, tmp_path: Path
) -> None:
    """Two equal requests in the history and one lost answer: taking either could be wrong."""

    async def arrives_twice(request: httpx.Request, send: Send) -> httpx.Response:
        await send()
        return await drop_after(request, send)

    lab.fault = once(arrives_twice)
    run = lab.run(plan[:1])
    assert stages(lab) == {"unknown": 1}
    assert "study.resolve(" in run.problems[plan[0].key]
    lab.run(plan[:1])
    assert sum(lab.posted().values()) == 2, "nothing may be sent while it is in doubt"


def test_a_history_that_cannot_be_read_leaves_the_request_unknown(lab: Lab, plan: Plan) -> None:
    async def broken(request: httpx.Request, send: Send) -> httpx.Response:
        if "/api/" in request.url.path:
            return httpx.Response(403, json={"error": {"type": "authorization_error"}})
        return await (drop_after(request, send) if is_submit(request) else send())

    lab.fault = broken
    run = lab.run(plan[:1])
    assert stages(lab) == {"unknown": 1}
    assert "Run the plan again later" in run.problems[plan[0].key]


@pytest.mark.parametrize("fault", [no_connection, too_many])
def test_what_was_declined_for_now_is_sent_again(lab: Lab, plan: Plan, fault, monkeypatch) -> None:
    _no_waiting(monkeypatch)
    lab.fault = once(fault)
    lab.run(plan)
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}


def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Signals, seconds: float) -> None:
        await nap(self, min(seconds, 0.01))

    async def rest_at_once(self: Signals, seconds: float = 0.0) -> None:
        await rest(self, min(seconds, 0.01))

    nap, rest = Signals.nap, Signals.rest
    monkeypatch.setattr(Signals, "nap", at_once)
    monkeypatch.setattr(Signals, "rest", rest_at_once)
    monkeypatch.setattr(Signals, "sleep", at_once)


def test_a_request_that_is_declined_for_ever_stops_asking(lab: Lab, plan: Plan, monkeypatch) -> None:
    _no_waiting(monkeypatch)
    lab.fault = _always(too_many)
    run = lab.run(plan[:1])
    assert stages(lab) == {"declined": 1}
    assert "declined 8 times" in run.problems[plan[0].key]


def test_a_service_that_cannot_be_reached_ends_the_run(lab: Lab, plan: Plan, monkeypatch) -> None:
    """A thousand requests would otherwise each wait for the same missing network."""
    _no_waiting(monkeypatch)
    lab.fault = _always(no_connection)
    with pytest.raises(EngineError, match="tried 8 times"):
        lab.run(plan, in_flight=1)
    assert stages(lab) == {"declined": 1}


def test_a_hosted_run_costs_list_prices_and_finds_its_lost_answers(lab: Lab, plan: Plan, monkeypatch) -> None:
    """The hosted place differs in money and in patience, in nothing else."""
    _no_waiting(monkeypatch)
    lab.fault = once(drop_after)
    lab.run(plan, place="fal", budget_usd=0.11)
    records = fold(read(lab.folder / "journal.jsonl")).values()
    assert [r.stage for r in records] == ["saved"] * 3
    assert sum(r.cost_usd or 0 for r in records) == pytest.approx(plan.usd)
    assert set(lab.posted().values()) == {1}


def test_what_is_refused_is_not_sent_again_by_itself(lab: Lab, plan: Plan) -> None:
    async def refuse(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(400, json={"detail": "no such thing"})

    lab.fault = once(refuse)
    lab.run(plan)
    assert stages(lab) == {"saved": 2, "refused": 1}
    lab.run(plan)
    assert stages(lab) == {"saved": 2, "refused": 1}
    lab.run(plan, retry_failed=True)
    assert stages(lab) == {"saved": 2, "refused": 1}, "its input would only be refused again"
    lab.run(plan, retry_failed="all")
    assert stages(lab) == {"saved": 3}


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_is_turned_away_stops_the_run(lab: Lab, plan: Plan, status: int) -> None:
    async def locked(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(status, json={"detail": "User is locked. Reason: Exhausted balance."})

    lab.fault = _always(locked)
    with pytest.raises(EngineError, match="balance"):
        lab.run(plan, in_flight=1)
    assert sum(lab.posted().values()) == 0
    lab.run(plan)
    assert stages(lab) == {"saved": 3}, "once the account is well again the plan runs"


def test_a_model_error_is_a_failure_with_the_services_words(lab: Lab, plan: Plan) -> None:
    detail = [
        {"loc": ["body", "prompt"], "msg": "flagged by a content checker", "type": "content_policy_violation"}
    ]

    async def violation(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(422, json={"detail": detail}, headers={"x-fal-request-id": "x"})

    lab.fault = once(violation, _is_result)
    lab.run(plan)
    failed = [r for r in fold(read(lab.folder / "journal.jsonl")).values() if r.stage == "failed"]
    assert [(r.error_type, r.http_status) for r in failed] == [("content_policy_violation", 422)]
    assert "content checker" in (failed[0].error or "")


def _is_result(request: httpx.Request) -> bool:
    path = request.url.path
    is_queue = path.startswith("/queue/") and "/requests/" in path
    return request.method == "GET" and is_queue and not path.endswith("/status")


def _is_file(request: httpx.Request) -> bool:
    return request.method == "GET" and request.url.path.startswith("/cdn/")


def test_a_full_disk_leaves_the_request_finished_and_it_is_fetched_again(
    lab: Lab, plan: Plan, monkeypatch
) -> None:
    """The video is paid for; only its file is missing."""
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if "clips" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    run = lab.run(plan)
    assert stages(lab) == {"finished": 3}
    assert "No space left" in run.problems[plan[0].key]
    assert not list((lab.folder / "clips").iterdir()), "no half file stays"
    monkeypatch.setattr(Path, "replace", replace)
    lab.run(plan)
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}


@pytest.mark.parametrize("content", [b"<html>not a video</html>", b""])
def test_a_file_that_is_no_video_is_not_taken_for_one(
    lab: Lab, plan: Plan, content: bytes, monkeypatch
) -> None:
    async def junk(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(200, content=content) if _is_file(request) else await send()

    monkeypatch.setattr("seedance_lab.engine.client._ATTEMPTS", 1)
    lab.fault = junk
    lab.run(plan[:1])
    assert stages(lab) == {"finished": 1}
    assert not list((lab.folder / "clips").iterdir())


def test_a_clip_that_was_deleted_is_fetched_again_and_not_paid_again(lab: Lab, plan: Plan) -> None:
    lab.run(plan)
    for clip in (lab.folder / "clips").iterdir():
        clip.unlink()
    lab.run(plan)
    assert len(list((lab.folder / "clips").iterdir())) == 3
    assert set(lab.posted().values()) == {1}


def test_the_picture_is_uploaded_once_however_many_requests_use_it(lab: Lab, plan: Plan) -> None:
    lab.run(plan, in_flight=3)
    lab.run(plan + [r.with_(seed=77) for r in plan[:1]])
    assert [e.kind for e in read(lab.folder / "journal.jsonl")].count("uploaded") == 1


def test_the_exact_bytes_that_were_sent_are_kept(lab: Lab, plan: Plan, picture: bytes) -> None:
    lab.run(plan[:1])
    assert [p.read_bytes() for p in (lab.folder / "inputs").iterdir()] == [picture]


def test_the_intent_is_on_the_disk_before_the_post(lab: Lab, plan: Plan) -> None:
    """Rule 2. A `sending` line that came later would let a crash in between pay twice."""
    seen: list[bool] = []

    async def look(request: httpx.Request, send: Send) -> httpx.Response:
        if is_submit(request):
            seed, lines = (
                json.loads(await request.aread())["seed"],
                (lab.folder / "journal.jsonl").read_text().splitlines(),
            )
            sending = [line for line in map(json.loads, lines) if line["kind"] == "sending"]
            seen.append(seed in {line["wire"]["seed"] for line in sending})
        return await send()

    lab.fault = look
    lab.run(plan)
    assert seen == [True] * 3


def test_a_budget_that_is_too_small_sends_and_writes_nothing(lab: Lab, plan: Plan) -> None:
    with pytest.raises(BudgetError, match=r"estimated at \$0\.10 and the budget is \$0\.05.*plan\[:1\]"):
        lab.run(plan, budget_usd=0.05)
    assert not (lab.folder / "journal.jsonl").exists()


def test_a_budget_counts_what_was_spent_before(lab: Lab, plan: Plan) -> None:
    lab.run(plan[:2], budget_usd=0.1)
    with pytest.raises(BudgetError, match="may have been spent"):
        lab.run(plan, budget_usd=0.1)
    lab.run(plan, budget_usd=0.11)
    assert stages(lab) == {"saved": 3}


def test_a_hosted_run_without_a_budget_is_refused(lab: Lab, plan: Plan) -> None:
    with pytest.raises(BudgetError, match="no budget is set"):
        lab.run(plan, place="fal")


def test_a_study_that_is_running_elsewhere_is_left_alone(lab: Lab, plan: Plan) -> None:
    lab.folder.mkdir()
    with Journal(lab.folder), pytest.raises(StudyLocked, match="process"):
        lab.run(plan)


def test_a_plan_runs_at_a_served_engine_as_it_does_inside(served: str, plan: Plan, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from seedance_lab.engine import place_of; from seedance_lab.plan import sweep\n"
        "from seedance_lab.budget import Options; from seedance_lab.running import Runner\n"
        "plan = sweep(image=Path('p.png'), prompt='served', duration=2, resolution='480p', seed=range(3))\n"
        "asyncio.run(Runner(folder=Path('study'), place=place_of(sys.argv[1]), plan=plan, run='r',"
        " options=Options(), listener=lambda *_: None)())\n"
    )
    (tmp_path / "p.png").write_bytes(plan[0].image.read())
    subprocess.run([sys.executable, "-c", code, served], check=True, timeout=60, env=_env())
    assert Counter(r.stage for r in fold(read(tmp_path / "study" / "journal.jsonl")).values()) == {"saved": 3}


def _env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


def test_a_result_that_has_expired_is_found_in_the_history(lab: Lab, plan: Plan) -> None:
    """It was paid for; the service forgets results after an hour, and the account's history does not."""

    async def expired(request: httpx.Request, send: Send) -> httpx.Response:
        return (
            httpx.Response(404, json={"detail": "Request not found"}) if _is_result(request) else await send()
        )

    lab.fault = expired
    lab.run(plan)
    assert stages(lab) == {"saved": 3}
    assert set(lab.posted().values()) == {1}
