"""What is sent, how often, and what it may cost; and the pictures that go with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import fal_client
import httpx
import pytest
from fal_client.client import CDN_URL

from seedance_lab.engine.transport import Paced
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from tests.running.virtual import (
    Send,
    World,
    answers,
    at,
    in_virtual_time,
    is_result,
    is_submit,
    lost_before,
    sound,
)


@pytest.fixture
def many(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(12))


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("in_flight", [1, 3, 8])
def test_no_more_than_max_requests_are_sent_however_many_go_at_once(
    world: World, many: Plan, in_flight: int
) -> None:
    run = world.run(many, max_requests=5, in_flight=in_flight)
    assert world.posts() == 5
    assert world.stages() == {"saved": 5}
    assert "max_requests=5 were sent" in (run.signals.why or "")


def test_what_was_declined_does_not_count_and_what_was_lost_does(world: World, many: Plan) -> None:
    world.fault = at(1, fault=answers(429, retry_after="0"), otherwise=sound)
    world.run(many, max_requests=2, in_flight=1)
    assert (world.posts(), world.stages()["saved"]) == (3, 2)


def test_what_is_at_the_service_already_does_not_count(world: World, many: Plan) -> None:
    async def leave(run: Any) -> None:
        await asyncio.sleep(5)
        run.signals.leave()

    world.run(many[:2], in_flight=2, meanwhile=leave)
    world.run(many, max_requests=1)
    assert world.stages() == {"saved": 3}


def test_a_plan_that_fits_is_not_stopped(world: World, many: Plan) -> None:
    run = world.run(many[:3], max_requests=3)
    assert run.signals.why is None
    assert run.problems == {}


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────

POLICY = [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]


def failing(status: int, body: Any = None, *, numbers: tuple[int, ...] = ()) -> Any:
    """The model's own answer to the n-th result: with its request id, so that it is final."""
    return at(*numbers, fault=answers(status, body, x_fal_request_id="x"), applies=is_result)


def test_stop_if_judges_from_the_fifth_end_on(world: World, many: Plan) -> None:
    world.fault = failing(500)
    run = world.run(many, stop_if=0.5, in_flight=1)
    assert world.posts() in {5, 6}, "one may be on its way while the fifth is judged"
    assert "stop_if=0.5: 5 of 5 requests failed" in (run.signals.why or "")


def test_stop_if_lets_a_smaller_share_pass(world: World, many: Plan) -> None:
    world.fault = failing(500, numbers=(1, 2))
    run = world.run(many, stop_if=0.5, in_flight=1)
    assert run.signals.why is None
    assert world.stages() == {"saved": 10, "failed": 2}


@pytest.mark.parametrize(
    ("status", "body", "may_pass"),
    [
        (500, {"detail": "internal"}, True),
        (502, {"detail": "gateway"}, True),
        (504, {"detail": "Request timed out", "error_type": "request_timeout"}, True),
        (422, {"detail": POLICY}, False),
        (400, {"detail": "no"}, False),
        (413, {"detail": "too large"}, False),
    ],
)
def test_what_may_pass_is_sent_again_when_asked_and_the_rest_only_when_all_is(
    world: World, plan: Plan, status: int, body: Any, may_pass: bool
) -> None:
    world.fault = failing(status, body)
    world.run(plan[:1])
    assert world.stages() == {"failed": 1}
    world.fault = sound
    world.run(plan[:1])
    assert world.posts() == 1, "never by itself"
    world.run(plan[:1], retry_failed=True)
    assert world.posts() == (2 if may_pass else 1)
    world.run(plan[:1], retry_failed="all")
    assert (world.posts(), world.stages()) == (2, {"saved": 1})


def test_an_attempt_that_failed_stays_at_stake(world: World, plan: Plan) -> None:
    """A failure may have been billed; sending again must not forget it."""

    async def failed(_: httpx.Request, __: Send) -> httpx.Response:
        return httpx.Response(500, json={"detail": "no"}, headers={"x-fal-request-id": "x"})

    world.fault = at(fault=failed, applies=is_result)
    world.run(plan[:1])
    world.fault = sound
    world.run(plan[:1], retry_failed=True)
    (record,) = world.records().values()
    assert record.at_stake_usd == pytest.approx(2 * plan[0].usd)
    assert record.cost_usd is None


# ── HTTP requests a second ──────────────────────────────────────────────────────────────────────────────


def test_so_many_requests_a_second_pass_and_no_more() -> None:
    async def story() -> list[float]:
        loop, seen = asyncio.get_running_loop(), []

        def note(_: httpx.Request) -> httpx.Response:
            seen.append(loop.time())
            return httpx.Response(200)

        async with httpx.AsyncClient(transport=Paced(httpx.MockTransport(note), 4)) as client:
            await asyncio.gather(*(client.get("http://x") for _ in range(9)))
            await asyncio.sleep(100)  # what was not used is not saved up
            await asyncio.gather(*(client.get("http://x") for _ in range(3)))
        return seen

    seen = in_virtual_time(story())
    assert seen == pytest.approx([n / 4 for n in range(9)] + [102, 102.25, 102.5], abs=0.001)


# ── pictures and their lifetimes ────────────────────────────────────────────────────────────────────────


def uploads(world: World) -> int:
    return sum(e.kind == "uploaded" for e in read(world.folder / "journal.jsonl"))


def test_an_upload_is_used_again_but_not_in_the_last_hour_of_its_life(world: World, plan: Plan) -> None:
    week_s = 7 * 86_400
    world.run(plan[:1], keep_uploads_s=float(week_s))
    world.now = week_s - 3600 - 60
    world.run(plan[1:2], keep_uploads_s=float(week_s))
    assert uploads(world) == 1
    world.now = week_s - 3600 + 60
    world.run(plan[2:3], keep_uploads_s=float(week_s))
    assert uploads(world) == 2
    assert len({r.wire["image_url"] for r in world.records().values()}) == 2


def test_a_pass_that_outlives_its_upload_uploads_again(world: World, many: Plan) -> None:
    """An hour's life and clips of twenty minutes: the fifth request must not name a picture that is gone."""
    world.service_s = 1200.0
    world.run(many[:6], keep_uploads_s=3600.0, in_flight=1)
    assert world.stages() == {"saved": 6}
    at_, urls = {}, []
    for event in read(world.folder / "journal.jsonl"):
        if event.kind == "uploaded":
            at_[event.data["url"]] = event.at
        elif event.kind == "sending":
            urls.append((event.at - at_[event.data["wire"]["image_url"]]).total_seconds())
    assert max(urls) <= 1800
    assert uploads(world) < 6


def test_requests_that_begin_together_share_one_upload(world: World, many: Plan) -> None:
    world.run(many, in_flight=12)
    assert uploads(world) == 1


def test_without_its_picture_nothing_is_sent(world: World, plan: Plan) -> None:
    def is_upload(request: httpx.Request) -> bool:
        return request.method in {"POST", "PUT"} and not is_submit(request)

    world.fault = at(fault=answers(400), applies=is_upload)
    run = world.run(plan)
    assert ["could not be uploaded" in why for why in run.problems.values()] == [True] * 3
    assert world.posts() == 0
    world.fault = sound
    world.run(plan)
    assert world.stages() == {"saved": 3}


def test_lifetimes_are_sent_as_fals_own_client_sends_them(world: World, plan: Plan) -> None:
    world.run(plan[:1], keep_uploads_s=604_800.0, keep_outputs_s=3_600.0)
    told = {
        what: (json.loads(value), name)
        for what, headers in world.headers
        for name, value in headers.items()
        if name.startswith("x-fal-object-lifecycle")
    }
    submit = next(value for what, value in told.items() if what.startswith("POST /queue/"))
    upload = next(value for what, value in told.items() if not what.startswith("POST /queue/"))
    assert submit == ({"expiration_duration_seconds": 3600}, "x-fal-object-lifecycle-preference")
    assert upload[0] == {"expiration_duration_seconds": 604_800}
    assert CDN_URL
    assert fal_client.StorageSettings(expires_in="7d").expires_in == "7d"


def test_without_lifetimes_nothing_is_said_of_them(world: World, plan: Plan) -> None:
    world.run(plan[:1])
    named = [n for _, headers in world.headers for n in headers if n.startswith("x-fal-object-lifecycle")]
    assert named == []


def test_a_disk_that_failed_once_is_not_believed_again(world: World, plan: Plan, monkeypatch: Any) -> None:
    """After a failed fsync Linux may say next time that all is well: the POST after it must not go out."""
    import os

    fsync, failed = os.fsync, []

    def fails_at_the_first_sending(handle: int) -> None:
        journal = world.folder / "journal.jsonl"
        if not failed and journal.exists() and '"sending"' in journal.read_text():
            failed.append(1)
            raise OSError(5, "Input/output error")
        fsync(handle)

    monkeypatch.setattr("os.fsync", fails_at_the_first_sending)
    with pytest.raises(OSError, match="Input/output"):
        world.run(plan, in_flight=3)
    assert world.posts() == 0
    monkeypatch.setattr("os.fsync", fsync)
    world.run(plan)
    assert world.stages() == {"saved": 3}
    assert set(world.made().values()) == {1}


def test_a_request_that_is_never_answered_is_given_up_for_this_pass(world: World, plan: Plan) -> None:
    world.fault = at(fault=lost_before, applies=is_submit)
    run = world.run(plan[:1], place="local")
    assert world.posts() == 8
    assert "its answer was lost 8 times" in run.problems[plan[0].key]
