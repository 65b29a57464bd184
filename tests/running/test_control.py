"""Stop, pause, resume, cancel and leave, as a whole pass obeys them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from seedance_lab.plan import Plan, sweep
from seedance_lab.running import Runner
from seedance_lab.study import Study
from tests.running.virtual import (
    Send,
    World,
    answers,
    at,
    is_file,
    is_result,
    is_status,
    is_submit,
    sound,
)


@pytest.fixture
def many(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(8))


def after(seconds: float, *words: str, then: float = 0.0) -> Callable[[Runner], Any]:
    """A person who says these words, the first after so long and each other one `then` seconds later."""

    async def person(run: Runner) -> None:
        await asyncio.sleep(seconds)
        for word in words:
            getattr(run.signals, word)()
            await asyncio.sleep(then)

    return person


def test_stop_begins_nothing_new_and_saves_what_is_there(world: World, many: Plan) -> None:
    world.run(many, in_flight=3, meanwhile=after(10, "stop"))
    assert world.stages() == {"saved": 3}
    assert world.posts() == 3


def test_a_pause_begins_nothing_new_until_resume(world: World, many: Plan) -> None:
    """Ten minutes of pause: what was there is saved, nothing is sent, and then it goes on to the end."""
    world.run(many, in_flight=2, meanwhile=after(10, "pause", "resume", then=600))
    assert world.stages() == {"saved": 8}
    sent = [(e.at - world.events[0].at).total_seconds() for e in world.events if e.kind == "sending"]
    assert len([s for s in sent if s < 610]) == 2
    assert len([s for s in sent if s >= 610]) == 6


def test_a_pause_during_a_back_off_is_obeyed_and_does_not_cut_it_short(world: World, plan: Plan) -> None:
    """Told to wait a minute, it was paused meanwhile: waking for the pause must not POST again."""
    world.fault = at(1, fault=answers(429, retry_after="60"))
    world.run(plan[:1], meanwhile=after(5, "pause", "resume", then=10))
    posts = [when for when, m, path in world.asked if m == "POST" and path.startswith("/queue/")]
    assert len(posts) == 2
    assert posts[1] - posts[0] >= 60


def test_a_pause_during_the_upload_keeps_the_request_back(world: World, plan: Plan) -> None:
    async def slow(request: httpx.Request, send: Send) -> httpx.Response:
        await asyncio.sleep(30)
        return await send()

    world.fault = at(fault=slow, applies=lambda r: r.method == "POST" and "/storage/" in r.url.path)
    world.run(plan[:1], meanwhile=after(5, "pause", "resume", then=100))
    posts = [when for when, m, path in world.asked if m == "POST" and path.startswith("/queue/")]
    assert len(posts) == 1
    assert posts[0] >= 105


def test_stop_ends_a_back_off(world: World, plan: Plan) -> None:
    world.fault = at(fault=answers(429, retry_after="3600"))
    world.run(plan[:1], meanwhile=after(5, "stop"))
    assert world.now < 10
    assert world.stages() == {"declined": 1}


def test_a_service_that_says_at_once_is_not_hammered(world: World, plan: Plan) -> None:
    """`Retry-After: 0` with every 429: eight POSTs in a breath would give up on a service that is only busy."""
    world.fault = at(fault=answers(429, retry_after="0"))
    world.run(plan[:1])
    assert world.posts() == 8
    assert world.now > 30


def test_cancel_takes_the_newest_back_first_and_knows_what_costs_nothing(world: World, many: Plan) -> None:
    """Taking back what runs first would only let those behind it begin, and cost."""
    world.run(many[:5], in_flight=5, meanwhile=after(10, "cancel"))
    asked = [
        path.split("/")[-2] for _, method, path in world.asked if method == "PUT" and path.endswith("/cancel")
    ]
    ids = [r.request_id for r in sorted(world.records().values(), key=lambda r: r.sent_at, reverse=True)]  # type: ignore[arg-type,return-value]
    assert sorted(asked) == sorted(i for i in ids if i)
    assert set(asked[:3]) == set(ids[:3]), "the three that waited were asked back before the two that ran"
    told = [(r.stage, r.may_be_billed) for r in world.records().values()]
    assert told.count(("cancelled", False)) == 3
    assert told.count(("cancelled", True)) == 2, "what ran may be billed, whatever its metrics say"


def test_a_cancelled_one_that_ran_has_an_unknown_cost(world: World, many: Plan) -> None:
    world.run(many[:1], meanwhile=after(10, "cancel"))
    (record,) = world.records().values()
    assert (record.stage, record.cost_usd) == ("cancelled", None)
    assert record.at_stake_usd == many[0].usd


def test_what_cannot_be_taken_back_is_waited_for_and_saved(world: World, many: Plan) -> None:
    world.fault = at(fault=answers(400, {"status": "ALREADY_COMPLETED"}), applies=lambda r: r.method == "PUT")
    world.run(many[:2], meanwhile=after(10, "cancel"))
    assert world.stages() == {"saved": 2}


def test_a_gateways_error_does_not_end_the_asking_back(world: World, many: Plan) -> None:
    """A 503 in JSON is no answer to the question; it was taken for one."""
    world.fault = at(1, 2, fault=answers(503, {"detail": "busy"}), applies=lambda r: r.method == "PUT")
    world.run(many[:2], in_flight=2, meanwhile=after(10, "cancel"))
    assert world.stages() == {"cancelled": 2}


def test_cancel_asks_back_what_a_person_resolved_too(world: World, texts: Plan) -> None:
    """Its journal lines have an id and no addresses."""
    world.fault = at(1, fault=answers(503))
    world.service_s = 600.0

    async def lose(request: httpx.Request, send: Send) -> httpx.Response:
        if is_submit(request):
            await send()
            raise httpx.ReadError("reset", request=request)
        return await send()

    world.fault = lose
    world.run(texts[:1], place="http://127.0.0.1:9999", meanwhile=after(5, "leave"))
    (record,) = world.records().values()
    Study(world.folder).resolve(record.key, request_id=record.candidates[0]["request_id"])
    world.fault = sound
    world.run(texts[:1], place="http://127.0.0.1:9999", meanwhile=after(10, "cancel"))
    assert world.stages() == {"cancelled": 1}


def test_what_was_taken_back_is_sent_again_by_the_next_run(world: World, many: Plan) -> None:
    world.run(many[:2], in_flight=2, meanwhile=after(10, "cancel"))
    assert world.stages() == {"cancelled": 2}
    world.run(many[:2])
    assert world.stages() == {"saved": 2}


def test_leave_waits_for_nothing_and_loses_nothing(world: World, many: Plan) -> None:
    world.run(many, in_flight=3, meanwhile=after(10, "leave"))
    assert world.now < 11
    assert world.stages() == {"accepted": 3}
    assert world.kinds()["ended"] == 1
    world.run(many)
    assert world.stages() == {"saved": 8}
    assert set(world.made().values()) == {1}


@pytest.mark.parametrize("where", [is_status, is_result, is_file])
def test_leave_does_not_wait_for_an_answer_that_does_not_come(
    world: World, plan: Plan, where: Callable[[httpx.Request], bool]
) -> None:
    async def silent(_: httpx.Request, __: Send) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    world.fault = at(fault=silent, applies=where)
    world.run(plan[:1], meanwhile=after(100, "leave"))
    assert world.now < 101
    world.fault = sound
    world.run(plan[:1])
    assert world.stages() == {"saved": 1}
    assert world.posts() == 1


def test_an_answer_to_a_post_is_waited_for_even_when_leaving(world: World, plan: Plan) -> None:
    """It costs a moment, and saves looking for it in the history."""

    async def slow(request: httpx.Request, send: Send) -> httpx.Response:
        answer = await send()
        await asyncio.sleep(20)
        return answer

    world.fault = at(fault=slow)
    world.run(plan[:1], meanwhile=after(5, "leave"))
    assert world.stages() == {"accepted": 1}
    assert world.now == pytest.approx(20, abs=1)


def test_leaving_during_an_upload_sends_and_writes_nothing_more(world: World, plan: Plan) -> None:
    async def slow(request: httpx.Request, send: Send) -> httpx.Response:
        await asyncio.sleep(600)
        return await send()

    world.fault = at(fault=slow, applies=lambda r: r.method == "POST" and "/storage/" in r.url.path)
    world.run(plan, in_flight=3, meanwhile=after(5, "leave"))
    assert world.now < 6
    assert world.posts() == 0
    assert [e.kind for e in world.events][-1] == "ended"


# ── in flight ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_fixed_number_is_kept(world: World, many: Plan) -> None:
    world.run(many, in_flight=1)
    assert max(world.there()) == 1
    assert world.stages() == {"saved": 8}


def test_without_a_number_it_follows_the_slots(world: World, picture: bytes) -> None:
    world.slots = 6
    world.run(sweep(image=picture, prompt="b", duration=2, resolution="480p", seed=range(36)))
    assert 6 <= max(world.there()) <= 11
    assert world.now < 1.3 * 36 / 6 * world.service_s


def test_leftovers_do_not_widen_a_fixed_number(world: World, many: Plan) -> None:
    """Five were left at the service by a run of five at a time; the next one was told to have one there."""
    world.run(many[:5], in_flight=5, meanwhile=after(5, "leave"))
    world.run(many, in_flight=1)
    assert world.there(since=5) == [1, 1, 1]
    assert world.stages() == {"saved": 8}


def test_leftovers_are_all_looked_after_at_once(world: World, many: Plan) -> None:
    """Results expire; being told to have one there must not put the others off."""
    world.run(many, in_flight=8, meanwhile=after(5, "leave"))
    world.now += 3600
    began = world.now
    world.run(many, in_flight=1)
    assert world.stages() == {"saved": 8}
    # 167 to 203 s by the jitter of the looks; one after the other it would be 8 times 40.
    assert world.now - began < 6 * world.service_s
