"""History and billing: how a lost request is found again, and what was paid for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT

from .support import HeldRenderer, engine

HISTORY = "/api/v1/models/requests/by-endpoint"
BILLING = "/api/v1/models/billing-events"


class Clock:
    """A second passes at every look."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1
        return self.now


async def text_clips(lab, n: int) -> list[str]:
    ids = []
    for index in range(n):
        request_id, _ = lab.service.submit(LITE_TEXT, {"prompt": f"p{index}"})
        await lab.service.wait(request_id)
        ids.append(request_id)
    return ids


async def pages(lab, url: str, name: str, **params: Any) -> list[list[dict[str, Any]]]:
    seen = []
    while True:
        answer = await lab.client.get(url, params=params)
        assert answer.status_code == 200, answer.text
        seen.append(answer.json()[name])
        if not answer.json()["has_more"]:
            assert answer.json()["next_cursor"] is None
            return seen
        params["cursor"] = answer.json()["next_cursor"]


@pytest.mark.parametrize(("url", "name"), [(HISTORY, "items"), (BILLING, "billing_events")])
def test_pages_have_everything_once_newest_first(tmp_path: Path, url: str, name: str) -> None:
    """Replicates are found by counting: a doubled or skipped row would decide about money."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            ids = await text_clips(lab, 5)
            for limit, sizes in ((2, [2, 2, 1]), (5, [5]), (100, [5])):
                seen = await pages(lab, url, name, endpoint_id=LITE_TEXT.id, limit=limit)
                assert [len(page) for page in seen] == sizes
                assert [row["request_id"] for page in seen for row in page] == ids[::-1]

    asyncio.run(main())


def test_pages_do_not_shift_when_requests_arrive_between_them(tmp_path: Path) -> None:
    """A cursor by position would repeat rows."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            ids = await text_clips(lab, 3)
            first = (await lab.client.get(HISTORY, params={"endpoint_id": LITE_TEXT.id, "limit": 2})).json()
            await text_clips(lab, 2)
            params = {"endpoint_id": LITE_TEXT.id, "limit": 2, "cursor": first["next_cursor"]}
            second = (await lab.client.get(HISTORY, params=params)).json()
            assert [item["request_id"] for item in first["items"] + second["items"]] == ids[::-1]

    asyncio.run(main())


def test_payloads_are_there_when_asked_for(tmp_path: Path) -> None:
    """The input as it was sent is what a lost request is matched on."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            sent = {"prompt": "p", "duration": 2, "unknown": [1], "image_url": await lab.upload()}
            handle = await lab.submit(**sent)
            await lab.service.wait(handle["request_id"])
            plain = (await lab.client.get(HISTORY, params={"endpoint_id": LITE.id})).json()["items"][0]
            assert "json_input" not in plain
            params = {"endpoint_id": LITE.id, "expand": "payloads"}
            item = (await lab.client.get(HISTORY, params=params)).json()["items"][0]
            assert item["json_input"] == sent
            assert item["json_output"] == (await lab.client.get(handle["response_url"])).json()
            assert item["status_code"] == 200
            assert item["duration"] >= 0
            assert item["sent_at"] <= item["started_at"] <= item["ended_at"]

    asyncio.run(main())


def test_what_still_waits_or_runs_is_in_the_history_with_nulls(tmp_path: Path) -> None:
    """A request whose answer was lost a second ago must be found before it is finished."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            for _ in range(2):
                lab.service.submit(LITE_TEXT, {"prompt": "p"})
            await held.arrived(1)
            params = {"endpoint_id": LITE_TEXT.id, "expand": "payloads"}
            queued, running = (await lab.client.get(HISTORY, params=params)).json()["items"]
            assert queued["started_at"] is None
            assert running["started_at"] is not None
            for item in (queued, running):
                assert [item[n] for n in ("ended_at", "status_code", "duration", "json_output")] == [None] * 4

    asyncio.run(main())


def test_the_history_is_filtered_by_outcome_time_and_id(tmp_path: Path) -> None:
    """The filters of the documented call; the default window is a day."""

    async def main() -> None:
        clock = Clock()
        async with engine(tmp_path, clock=clock) as lab:
            bad, _ = lab.service.submit(LITE_TEXT, {})
            await lab.service.wait(bad)
            (good,) = await text_clips(lab, 1)

            async def ids(**params: Any) -> list[str]:
                answer = await lab.client.get(HISTORY, params={"endpoint_id": LITE_TEXT.id, **params})
                assert answer.status_code == 200, answer.text
                return [item["request_id"] for item in answer.json()["items"]]

            assert await ids(status="success") == [good]
            assert await ids(status="user_error") == [bad]
            assert await ids(status="error") == []
            assert await ids(request_id=bad) == [bad]
            assert await ids(start="1970-01-12T13:46:45Z") == [good]
            assert await ids(end="1970-01-12T13:46:45+00:00") == [bad]
            assert await ids(endpoint_id=LITE.id) == []
            clock.now += 2 * 86_400
            assert await ids() == []
            assert await ids(request_id=good) == [good]

    asyncio.run(main())


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"endpoint_id": "x", "limit": "0"},
        {"endpoint_id": "x", "limit": "101"},
        {"endpoint_id": "x", "limit": "²"},
        {"endpoint_id": "x", "cursor": "?"},
        {"endpoint_id": "x", "start": "yesterday"},
        {"endpoint_id": "x", "status": "maybe"},
    ],
)
def test_bad_questions_get_the_platforms_envelope(tmp_path: Path, params: dict[str, str]) -> None:
    """Its errors look different from the queue's."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.get(HISTORY, params=params)
            assert answer.status_code == 400
            assert answer.json()["error"]["type"] == "validation_error"

    asyncio.run(main())


@pytest.mark.parametrize("url", [HISTORY, BILLING, "/api/v1/models/pricing"])
def test_the_account_is_only_shown_with_a_key(tmp_path: Path, url: str) -> None:
    """In the envelope that names the reason."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            del lab.client.headers["Authorization"]
            answer = await lab.client.get(url)
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authorization_error"

    asyncio.run(main())


def test_a_billing_event_adds_up(tmp_path: Path) -> None:
    """Units times price is the cost, and nano-dollars are the same cost."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            (request_id,) = await text_clips(lab, 1)
            answer = await lab.client.get(BILLING, params={"request_id": request_id})
            (event,) = answer.json()["billing_events"]
            assert event["cost_total"] == pytest.approx(event["output_units"] * event["unit_price"])
            assert event["cost_estimate_nano_usd"] == round(event["cost_total"] * 1e9)
            assert (await lab.client.get(BILLING, params={"request_id": "no"})).json()["billing_events"] == []

    asyncio.run(main())


def test_models_and_prices_are_the_endpoints_own(tmp_path: Path) -> None:
    """Status and price are shown before a sweep; the model list needs no key."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            params = {"endpoint_id": LITE.id}
            (price,) = (await lab.client.get("/api/v1/models/pricing", params=params)).json()["prices"]
            assert price["unit_price"] == LITE.price.usd_per_million_tokens
            for url in ("/api/v1/models", "/api/v1/models/pricing"):
                answer = await lab.client.get(url, params={"endpoint_id": "fal-ai/no"})
                assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
            del lab.client.headers["Authorization"]
            (model,) = (await lab.client.get("/api/v1/models", params=params)).json()["models"]
            assert model["metadata"]["status"] == LITE.status

    asyncio.run(main())
