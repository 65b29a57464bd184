"""What became of a request whose answer was lost: found, shown never to have arrived, or left to the person."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedance_lab.errors import StudyError
from seedance_lab.journal import Journal, read
from seedance_lab.plan import Plan, sweep
from seedance_lab.running import Runner
from seedance_lab.study import Study
from tests.running.virtual import (
    Send,
    World,
    answers,
    at,
    is_history,
    is_submit,
    lagging,
    lost_after,
    lost_before,
    sound,
)

SERVED = "http://127.0.0.1:9999"
"""A shared engine by its name; no test here connects to it."""


def outcomes(world: World) -> list[str]:
    return [e.data["outcome"] for e in read(world.folder / "journal.jsonl") if e.kind == "resolved"]


def test_a_lost_answer_is_found_and_adopted(world: World, plan: Plan) -> None:
    world.fault = at(fault=lost_after)
    world.run(plan)
    assert world.stages() == {"saved": 3}
    assert outcomes(world) == ["found"] * 3
    assert set(world.made().values()) == {1}


def test_what_never_arrived_is_sent_again_only_after_the_history_must_have_it(
    world: World, plan: Plan
) -> None:
    world.fault = at(1, fault=lost_before)
    world.run(plan[:1])
    assert world.stages() == {"saved": 1}
    assert outcomes(world) == ["lost"]
    first, second = (e.at for e in world.events if e.kind == "sending")
    assert 15 * 60 <= (second - first).total_seconds() < 17 * 60
    assert world.made() == {"boats 0": 1}


def test_a_history_that_lags_does_not_pay_twice(world: World, plan: Plan) -> None:
    """It lists a request four minutes after it was sent. A library that took absence for proof would send it again."""
    world.fault = lagging(world, 240.0, otherwise=at(fault=lost_after))
    world.run(plan)
    assert world.stages() == {"saved": 3}
    assert set(world.made().values()) == {1}


def test_the_history_is_asked_less_and_less_often(world: World, plan: Plan) -> None:
    world.fault = at(1, fault=lost_before)
    world.run(plan[:1])
    looks = [when for when, _, path in world.asked if path.endswith("/by-endpoint")]
    waits = [b - a for a, b in itertools.pairwise(looks)]
    assert waits[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.1)
    assert max(waits) <= 60.1
    assert len(looks) < 25


def test_a_history_that_cannot_be_read_leaves_it_in_doubt_and_a_later_run_settles_it(
    world: World, plan: Plan
) -> None:
    world.fault = at(fault=answers(403), applies=is_history, otherwise=at(1, fault=lost_after))
    run = world.run(plan)
    assert world.stages() == {"unknown": 1, "saved": 2}
    assert ["may have been received and paid for" in why for why in run.problems.values()] == [True]
    world.fault = sound
    world.run(plan)
    assert world.stages() == {"saved": 3}
    assert set(world.made().values()) == {1}


@pytest.mark.parametrize("junk", [[], {"items": None}, {"items": [3]}, {"items": [{}]}, "no"])
def test_a_history_that_makes_no_sense_decides_nothing(world: World, plan: Plan, junk: Any) -> None:
    world.fault = at(fault=answers(200, junk), applies=is_history, otherwise=at(1, fault=lost_after))
    run = world.run(plan[:1])
    assert world.stages() == {"unknown": 1}
    assert "could not be understood" in run.problems[plan[0].key]


def test_a_history_that_repeats_its_cursor_ends(world: World, plan: Plan) -> None:
    page = {"items": [], "has_more": True, "next_cursor": "again"}
    world.fault = at(fault=answers(200, page), applies=is_history, otherwise=at(1, fault=lost_before))
    world.run(plan[:1])
    assert world.stages() == {"saved": 1}


def test_a_history_that_hides_inputs_is_no_proof_of_absence(world: World, plan: Plan) -> None:
    """An account may keep payloads out of its history: a request of unknown input at that moment could be this one."""

    async def hidden(_: httpx.Request, send: Send) -> httpx.Response:
        page = json.loads(await (await send()).aread())
        for item in page["items"]:
            item["json_input"] = None
        return httpx.Response(200, json=page)

    world.fault = at(fault=hidden, applies=is_history, otherwise=at(1, fault=lost_after))
    world.run(plan[:1])
    (record,) = world.records().values()
    assert record.stage == "unknown"
    assert len(record.candidates) == 1
    assert world.made() == {"boats 0": 1}


def test_replicates_are_matched_by_count(world: World, picture: bytes) -> None:
    """Three are equal, two answers are lost, one of these never arrived: one is adopted and one is sent again."""
    three = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=1, repeat=3)
    world.fault = at(1, fault=lost_after, otherwise=sound)
    inner = world.fault

    async def both(request: httpx.Request, send: Send) -> httpx.Response:
        if is_submit(request) and world.posts() == 2:
            return await lost_before(request, send)
        return await inner(request, send)

    world.fault = both
    world.run(three, in_flight=3)
    assert world.stages() == {"saved": 3}
    assert world.made() == {"boats 1": 3}
    assert len({r.request_id for r in world.records().values()}) == 3


def test_one_without_a_seed_does_not_take_the_video_of_one_with_a_seed(world: World, picture: bytes) -> None:
    """All that the first sent is in the second's input, too: adopting it would pay for the second twice."""
    both = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=[None, 7])

    async def first_never_arrives(request: httpx.Request, send: Send) -> httpx.Response:
        if not is_submit(request) or world.posts() > 2:
            return await send()
        return await (lost_after if "seed" in json.loads(request.content) else lost_before)(request, send)

    world.fault = first_never_arrives
    world.run(both, in_flight=2, place="local")
    assert world.stages() == {"saved": 2}
    assert world.made() == {"boats None": 1, "boats 7": 1}
    inputs = {r.wire.get("seed"): r.returned_seed for r in world.records().values()}
    assert inputs[7] == 7


def test_equal_inputs_of_two_models_are_two_requests(world: World, picture: bytes) -> None:
    """Two in the history of one model are not explained by one lost answer of each."""
    both = sweep(
        image=picture, prompt="boats", duration=5, resolution="480p", seed=1, endpoint=["lite", "pro"]
    )

    async def twice(request: httpx.Request, send: Send) -> httpx.Response:
        if is_submit(request) and "lite" in request.url.path:
            await send()
        return await (lost_after(request, send) if is_submit(request) else send())

    world.fault = twice
    world.run(both, in_flight=2, place="local")
    stages = {r.asked["endpoint"].split("/")[-2]: r.stage for r in world.records().values()}
    assert stages == {"lite": "unknown", "pro": "saved"}


def test_text_at_a_private_engine_is_adopted(world: World, texts: Plan) -> None:
    world.fault = at(fault=lost_after)
    world.run(texts, place="local")
    assert world.stages() == {"saved": 2}
    assert set(world.made().values()) == {1}


def test_text_at_a_shared_engine_is_left_to_the_person_with_the_candidates(world: World, texts: Plan) -> None:
    """Another study of the account may have sent the same words: nothing tells whose it is."""
    world.fault = at(1, fault=lost_after)
    run = world.run(texts, place=SERVED)
    key = texts[0].key
    record = world.records()[key]
    assert record.stage == "unknown"
    (candidate,) = record.candidates
    assert set(candidate) == {"request_id", "sent_at"}
    assert candidate["request_id"] in run.problems[key]
    assert f"study.resolve({key!r}, request_id=…)" in run.problems[key]
    assert list(Study(world.folder).unknown) == [key]


def test_a_doubt_that_stays_is_written_once(world: World, texts: Plan) -> None:
    """Each run looks again; a journal that grew by the same line each time would hide what happened."""
    world.fault = at(1, fault=lost_after)
    world.run(texts, place=SERVED)
    before = world.kinds()["unknown"]
    world.run(texts, place=SERVED)
    assert world.kinds()["unknown"] == before
    assert world.made() == {"boats 0": 1, "boats 1": 1}, "nothing is sent while it is in doubt"


def test_what_a_person_resolves_is_fetched_and_not_sent(world: World, texts: Plan) -> None:
    world.fault = at(1, fault=lost_after)
    world.run(texts, place=SERVED)
    study, key = Study(world.folder), texts[0].key
    study.resolve(key[:9], request_id=study.unknown[key].candidates[0]["request_id"])
    world.fault = sound
    world.run(texts[1:], place=SERVED)
    assert world.stages() == {"saved": 2}, "any plan of the study fetches it"
    assert world.made() == {"boats 0": 1, "boats 1": 1}


def test_what_a_person_calls_lost_is_sent_again_and_counts_once(world: World, texts: Plan) -> None:
    world.fault = at(1, fault=lost_after)
    world.run(texts)
    key = texts[0].key
    Study(world.folder).resolve(key, lost=True)
    world.fault = sound
    world.run(texts)
    assert world.stages() == {"saved": 2}
    assert world.made() == {"boats 0": 2, "boats 1": 1}
    record = world.records()[key]
    assert record.at_stake_usd == record.cost_usd == texts[0].usd


def test_an_id_that_another_request_has_or_had_is_refused(world: World, texts: Plan) -> None:
    world.fault = at(1, fault=lost_after)
    world.run(texts, place=SERVED)
    study, key = Study(world.folder), texts[0].key
    taken = world.records()[texts[1].key].request_id
    with pytest.raises(StudyError, match=f"belongs to the request {texts[1].key} already"):
        study.resolve(key, request_id=taken)
    with Journal(world.folder) as journal:  # it is sent again; the id was of its first attempt
        record = world.records()[texts[1].key]
        journal.append("sending", texts[1].key, request=record.asked, wire=record.wire, usd=None)
    with pytest.raises(StudyError, match="belongs to the request"):
        study.resolve(key, request_id=taken)
    assert world.records()[key].stage == "unknown"


@pytest.mark.parametrize("id_", ["", "  ", "../../admin", "a b", "x?y=z"])
def test_an_id_that_is_none_is_refused(world: World, texts: Plan, id_: str) -> None:
    world.fault = at(1, fault=lost_after)
    world.run(texts[:1], place=SERVED)
    with pytest.raises(StudyError, match="is no id of a request"):
        Study(world.folder).resolve(texts[0].key, request_id=id_)


def test_an_id_that_the_service_does_not_know_ends_honestly(world: World, texts: Plan) -> None:
    world.fault = at(1, fault=lost_after)
    world.run(texts[:1], place=SERVED)
    Study(world.folder).resolve(texts[0].key, request_id="no-such-request")
    world.fault = sound
    world.run(texts[:1], place=SERVED)
    (record,) = world.records().values()
    assert (record.stage, record.http_status) == ("failed", 404)
    assert record.error
    assert world.made() == {"boats 0": 1}, "and it is not sent again by itself"
    world.run(texts[:1], place=SERVED, retry_failed=True)
    assert world.made() == {"boats 0": 1}


def test_what_another_plan_left_is_settled_and_fetched_but_never_sent(world: World, picture: bytes) -> None:
    """One never arrived, one was lost on the way back, one is at the service, one is made but not fetched."""
    old = sweep(image=picture, prompt="old", duration=2, resolution="480p", seed=range(4))
    new = sweep(image=picture, prompt="new", duration=2, resolution="480p", seed=1)

    async def story(request: httpx.Request, send: Send) -> httpx.Response:
        if is_history(request) and not settled:
            return httpx.Response(403, json={})
        if is_submit(request) and not settled:
            seed = json.loads(request.content).get("seed")
            if seed == 0:
                return await lost_before(request, send)
            if seed == 1:
                return await lost_after(request, send)
        if request.url.path.startswith("/cdn/") and request.method == "GET" and not settled:
            return httpx.Response(503)
        return await send()

    settled: list[bool] = []
    world.fault = story

    async def leave_early(run: Runner) -> None:
        while not any(r.stage == "finished" for r in run.records.values()):
            await run.signals.changed() if run.signals.leaving else await _tick()
        run.signals.leave()

    world.run(old, in_flight=4, meanwhile=leave_early)
    left = world.stages()
    assert left["unknown"] == 2
    assert left["finished"] >= 1
    settled.append(True)
    world.run(new)
    stages = {f"{r.wire['prompt']} {r.wire['seed']}": r.stage for r in world.records().values()}
    assert stages == {
        "old 0": "declined",
        "old 1": "saved",
        "old 2": "saved",
        "old 3": "saved",
        "new 1": "saved",
    }
    assert world.made() == {"old 1": 1, "old 2": 1, "old 3": 1, "new 1": 1}


async def _tick() -> None:
    await asyncio.sleep(0.5)


def test_two_studies_with_one_picture_do_not_take_each_others_videos(
    world: World, plan: Plan, tmp_path: Path
) -> None:
    """Same account, same picture, same words: the uploads' addresses differ, and with them the inputs."""
    world.run(plan, place=SERVED)
    world.folder = tmp_path / "another"
    world.fault = at(fault=lost_before)
    before = world.posts()

    async def stop(run: Runner) -> None:
        while world.posts() < before + 2:
            await _tick()
        run.signals.stop()

    world.run(plan, meanwhile=stop)
    assert set(world.stages()) == {"unknown"}
    assert all(not r.candidates for r in world.records().values())
    world.fault = sound
    world.run(plan)
    assert world.stages() == {"saved": 3}
    assert world.made() == {"boats 0": 2, "boats 1": 2, "boats 2": 2}


def test_leaving_does_not_wait_for_the_history(world: World, plan: Plan) -> None:
    async def silent(_: httpx.Request, __: Send) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async def leave(run: Runner) -> None:
        while not any(path.endswith("/by-endpoint") for _, _, path in world.asked):
            await _tick()
        run.signals.leave()

    world.fault = at(fault=silent, applies=is_history, otherwise=at(1, fault=lost_after))
    world.run(plan[:1], meanwhile=leave)
    assert world.now < 10
    assert world.stages() == {"unknown": 1}
    assert world.kinds()["ended"] == 1


def test_what_was_taken_and_is_not_shown_yet_stays_at_the_service(world: World, plan: Plan) -> None:
    """A store behind the service may lag: an accepted request is not given up, and never paid again, over that."""

    async def forgetful(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method == "GET" and "/requests/" in request.url.path:
            return httpx.Response(404, json={"status": "NOT_FOUND"})
        if request.url.path.endswith("/by-endpoint"):
            return httpx.Response(200, json={"items": [], "has_more": False})
        return await send()

    world.fault = forgetful
    world.run(plan[:1], place="fal", budget_usd=1)
    (record,) = world.records().values()
    assert record.stage == "accepted"
    world.fault = sound
    world.run(plan[:1], place="fal", budget_usd=1)
    assert {r.stage for r in world.records().values()} == {"saved"}
    assert sum(world.made().values()) == 1
