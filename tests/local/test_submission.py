"""What a submission may ask for besides its input: priority, a time to start, a limit on the queue."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.local import database

from .support import LITE_URL, Hands, HeldRenderer, engine

TEXT = {"prompt": "boats"}
TEXT_URL = f"/queue/{LITE_TEXT.id}"
START, START_OLD = "X-Fal-Request-Start-Timeout", "X-Fal-Request-Timeout"


@pytest.mark.parametrize("headers", [{START: "30"}, {START_OLD: "30.0"}, {START: "30", START_OLD: "1"}])
def test_what_does_not_begin_in_time_ends_with_a_timeout(tmp_path: Path, headers: dict[str, str]) -> None:
    """Both names of the header, the newer one first; the Python client sends a fraction."""

    async def main() -> None:
        held, clock = HeldRenderer(), Hands()
        async with engine(tmp_path, renderer=held, slots=1, clock=clock) as lab:
            lab.service.submit(LITE_TEXT, TEXT)
            handle = (await lab.client.post(TEXT_URL, json=TEXT, headers=headers)).json()
            clock.now += 29
            assert (await lab.client.get(handle["status_url"])).json()["status"] == "IN_QUEUE"
            clock.now += 1
            answer = await lab.client.get(handle["status_url"])
            assert answer.status_code == 200
            status = answer.json()
            assert (status["status"], status["error_type"]) == ("COMPLETED", "request_timeout")
            assert status["error"] == "Request timed out"
            answer = await lab.client.get(handle["response_url"])
            assert answer.status_code == 504
            assert answer.json() == {"detail": "Request timed out", "error_type": "request_timeout"}
            assert answer.headers["x-fal-request-timeout-type"] == "user"
            assert answer.headers["x-fal-error-type"] == "request_timeout"
            assert (await lab.client.put(handle["cancel_url"])).json()["status"] == "ALREADY_COMPLETED"
            assert lab.service.store.ledger() == []

    asyncio.run(main())


def test_what_has_begun_is_not_ended_by_the_time_to_start(tmp_path: Path) -> None:
    """It limits the wait, never the work."""

    async def main() -> None:
        held, clock = HeldRenderer(), Hands()
        async with engine(tmp_path, renderer=held, slots=1, clock=clock) as lab:
            handle = (await lab.client.post(TEXT_URL, json=TEXT, headers={START: "5"})).json()
            await held.arrived(1)
            clock.now += 100
            assert (await lab.client.get(handle["status_url"])).json()["status"] == "IN_PROGRESS"

    asyncio.run(main())


def test_a_late_request_is_ended_though_nobody_asks(tmp_path: Path) -> None:
    """Its webhook or its stream waits for the end; the timer is real and short, and nothing polls."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            lab.service.submit(LITE_TEXT, TEXT)
            handle = (await lab.client.post(TEXT_URL, json=TEXT, headers={START: "0.11"})).json()
            await asyncio.wait_for(lab.service.wait(handle["request_id"]), 5)
            assert (await lab.client.get(handle["response_url"])).status_code == 504

    asyncio.run(main())


def test_the_time_to_start_goes_on_over_a_restart(tmp_path: Path) -> None:
    """It spans every attempt."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, renderer=HeldRenderer(), slots=1, clock=clock) as lab:
            lab.service.submit(LITE_TEXT, TEXT)
            handle = (await lab.client.post(TEXT_URL, json=TEXT, headers={START: "5"})).json()
        clock.now += 6
        async with engine(tmp_path, renderer=HeldRenderer(), slots=1, clock=clock) as lab:
            assert (await lab.client.get(handle["response_url"])).status_code == 504

    asyncio.run(main())


@pytest.mark.parametrize("headers", [{START: "0.1"}, {START: "soon"}, {START_OLD: "nan"}, {START: "-1"}])
def test_a_time_to_start_that_is_none_is_declined(tmp_path: Path, headers: dict[str, str]) -> None:
    """To pass over it would take a request in that its caller wanted to be rid of."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(TEXT_URL, json=TEXT, headers=headers)
            assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
            assert answer.headers["x-fal-error-type"] == "bad_request"

    asyncio.run(main())


def test_low_priority_goes_behind_normal_also_after_a_restart(tmp_path: Path) -> None:
    """Unknown words are passed over; the JavaScript client always says normal."""

    async def main() -> None:
        ids: list[str] = []
        async with engine(tmp_path, renderer=HeldRenderer(), slots=1) as lab:
            ids.append(lab.service.submit(LITE_TEXT, TEXT)[0])
            for priority in ("low", "normal", "low", "urgent"):
                headers = {"X-Fal-Queue-Priority": priority}
                answer = (await lab.client.post(TEXT_URL, json=TEXT, headers=headers)).json()
                ids.append(answer["request_id"])
            positions = [view.position for i in ids[1:] if (view := lab.service.view(i))]
            assert positions == [2, 0, 3, 1]
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            for n, index in enumerate((0, 2, 4, 1, 3), 1):
                await held.arrived(n)
                assert held.jobs[-1].id == ids[index]
                held.release(ids[index])

    asyncio.run(main())


def test_a_submission_can_decline_a_long_queue(tmp_path: Path) -> None:
    """Without the limit nothing is ever turned away."""

    async def main() -> None:
        async with engine(tmp_path, renderer=HeldRenderer(), slots=1) as lab:
            for _ in range(3):
                lab.service.submit(LITE_TEXT, TEXT)

            async def post(limit: Any) -> int:
                params = {"fal_max_queue_length": limit}
                return (await lab.client.post(TEXT_URL, json=TEXT, params=params)).status_code

            assert [await post(limit) for limit in (1, 2, 2, 3, "many", -1)] == [429, 200, 429, 200, 400, 400]
            assert lab.service.n_queued == 4

    asyncio.run(main())


def test_a_result_expires_and_the_history_keeps_it(tmp_path: Path) -> None:
    """An hour at the service; who comes later has lost a clip that was paid for."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload(), duration=2)
            await lab.service.wait(handle["request_id"])
            clock.now += 3599
            assert (await lab.client.get(handle["response_url"])).status_code == 200
            clock.now += 1
            answer = await lab.client.get(handle["response_url"])
            assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")
            params = {"endpoint_id": LITE.id, "expand": "payloads"}
            (item,) = (await lab.client.get("/api/v1/models/requests/by-endpoint", params=params)).json()[
                "items"
            ]
            assert item["json_output"]["video"]["url"]

    asyncio.run(main())


def test_a_large_result_expires_after_six_minutes(tmp_path: Path) -> None:
    """Of 10 kB and more; here a refusal that repeats a long input."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            big = (await lab.client.post(LITE_URL, json={f"k{i}": "x" * 1000 for i in range(12)})).json()
            await lab.service.wait(big["request_id"])
            clock.now += 359
            assert (await lab.client.get(big["response_url"])).status_code == 422
            clock.now += 1
            assert (await lab.client.get(big["response_url"])).status_code == 404

    asyncio.run(main())


def test_results_can_be_kept_for_ever(tmp_path: Path) -> None:
    """For a folder that nobody shares."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock, retention_s=None) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload(), duration=2)
            await lab.service.wait(handle["request_id"])
            clock.now += 1e8
            assert (await lab.client.get(handle["response_url"])).status_code == 200

    asyncio.run(main())


def test_a_folder_of_the_first_layout_goes_on(tmp_path: Path) -> None:
    """What somebody rendered last week is still there after an update."""

    async def main() -> None:
        request_id = str(uuid.uuid4())
        with contextlib.closing(sqlite3.connect(tmp_path / "engine.db")) as db:
            db.executescript(f"{database._FIRST}; INSERT INTO engine VALUES ('e'); PRAGMA user_version=1;")
            db.execute(
                "INSERT INTO requests (request_id, endpoint_id, state, sent_at, input) VALUES (?, ?, 'IN_QUEUE', 1, ?)",
                (request_id, LITE_TEXT.id, json.dumps(TEXT)),
            )
            db.commit()
        async with engine(tmp_path) as lab:
            await asyncio.wait_for(lab.service.wait(request_id), 5)
            assert [line.request_id for line in lab.service.store.ledger()] == [request_id]

    asyncio.run(main())
