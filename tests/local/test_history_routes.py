"""Sorted history, usage over time, estimates, and an endpoint's own document."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from seedance_lab.endpoints import ENDPOINTS, LITE, LITE_TEXT

from .support import Hands, HeldRenderer, engine

API = "/api/v1"
HISTORY = f"{API}/models/requests/by-endpoint"
USAGE = f"{API}/models/usage"
TEXT = {"prompt": "p", "duration": 2}


@pytest.mark.parametrize(("sort_by", "order"), [("ended_at", [1, 2, 0, 3]), ("duration", [2, 1, 0, 3])])
def test_the_history_can_be_sorted_and_paged(tmp_path: Path, sort_by: str, order: list[int]) -> None:
    """Each row once, whatever the page; what is unfinished has neither and comes last."""

    async def main() -> None:
        held, clock = HeldRenderer(), Hands()
        async with engine(tmp_path, renderer=held, slots=3, clock=clock) as lab:
            ids = [lab.service.submit(LITE_TEXT, TEXT)[0] for _ in range(2)]
            await held.arrived(2)
            clock.now += 10
            held.release(ids[0])
            await lab.service.wait(ids[0])
            clock.now += 10
            held.release(ids[1])
            await lab.service.wait(ids[1])
            ids.append(lab.service.submit(LITE_TEXT, TEXT)[0])
            await held.arrived(3)
            clock.now += 30 if sort_by == "duration" else 0
            held.release(ids[2])
            await lab.service.wait(ids[2])
            ids.append(lab.service.submit(LITE_TEXT, TEXT)[0])
            if sort_by == "ended_at":
                order[:2] = [2, 1]  # both ended in one moment: the later arrival first
            for limit in (1, 2, 4):
                seen, params = [], {"endpoint_id": LITE_TEXT.id, "sort_by": sort_by, "limit": limit}
                for _ in itertools.count():
                    answer = (await lab.client.get(HISTORY, params=params)).json()
                    seen += [ids.index(item["request_id"]) for item in answer["items"]]
                    if not answer["has_more"]:
                        break
                    params["cursor"] = answer["next_cursor"]
                assert seen == order

    asyncio.run(main())


@pytest.mark.parametrize(("timeframe", "n_buckets"), [("minute", 7), ("hour", 7), ("day", 2)])
def test_usage_has_every_stretch_once_whatever_the_page(
    tmp_path: Path, timeframe: str, n_buckets: int
) -> None:
    """Oldest first, though the clocks are set back in between; the sum is that of the whole time on every page."""

    async def main() -> None:
        clock = Hands(1_698_525_000.0)  # 2023-10-28 22:30 in Berlin, where 3 o'clock came twice that night
        async with engine(tmp_path, clock=clock) as lab:
            for _ in range(7):
                request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
                await lab.service.wait(request_id)
                clock.now += 3600
            spent = sum(line.cost_usd for line in lab.service.store.ledger())
            asked = {
                "timezone": "Europe/Berlin",
                "timeframe": timeframe,
                "expand": ["time_series", "summary"],
            }
            for limit in (1, 2, n_buckets, 100):
                buckets: list[str] = []
                costs: list[float] = []
                params: dict[str, Any] = {**asked, "limit": limit}
                for _ in range(20):
                    answer = (await lab.client.get(USAGE, params=params)).json()
                    assert len(answer["time_series"]) <= limit
                    buckets += [row["bucket"] for row in answer["time_series"]]
                    costs += [line["cost"] for row in answer["time_series"] for line in row["results"]]
                    assert answer["summary"][0]["cost_total"] == pytest.approx(spent)
                    assert answer["has_more"] == (answer["next_cursor"] is not None)
                    if not answer["has_more"]:
                        break
                    params["cursor"] = answer["next_cursor"]
                moments = [dt.datetime.fromisoformat(bucket) for bucket in buckets]
                assert moments == sorted(set(moments))
                assert len(buckets) == n_buckets
                assert sum(costs) == pytest.approx(spent)

    asyncio.run(main())


def test_pages_of_usage_do_not_shift_while_more_is_used(tmp_path: Path) -> None:
    """What is charged between two pages is on a later one, or in the sum; nothing is told twice."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:

            async def use() -> None:
                request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
                await lab.service.wait(request_id)
                clock.now += 60

            for _ in range(3):
                await use()
            params: dict[str, Any] = {"timeframe": "minute", "limit": 2}
            first = (await lab.client.get(USAGE, params=params)).json()
            await use()
            second = (await lab.client.get(USAGE, params={**params, "cursor": first["next_cursor"]})).json()
            seen = [row["bucket"] for row in first["time_series"] + second["time_series"]]
            assert seen == sorted(set(seen))
            assert [len(seen), second["has_more"]] == [4, False]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "params"),
    [
        (HISTORY, {"endpoint_id": "x", "sort_by": "price"}),
        (HISTORY, {"endpoint_id": "x", "sort_by": "duration", "cursor": "WzFd"}),
        (USAGE, {"timeframe": "decade"}),
        (USAGE, {"timezone": "Mars/Base"}),
        (USAGE, {"timezone": "../etc"}),
        (USAGE, {"limit": "0"}),
        (USAGE, {"cursor": "WzEsMl0="}),
        (USAGE, {"cursor": "no"}),
        (f"{API}/models", {"status": "gone"}),
        (f"{API}/models", {"limit": "many"}),
    ],
)
def test_a_question_that_cannot_be_understood_is_said_so(tmp_path: Path, url: str, params) -> None:
    """To pass over a filter would answer another question."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.get(url, params=params)
            assert answer.status_code == 400
            assert answer.json()["error"]["type"] == "validation_error"

    asyncio.run(main())


def test_usage_adds_up_to_the_ledger(tmp_path: Path) -> None:
    """By day of the caller's time zone, and in sum."""

    async def main() -> None:
        clock = Hands(1_700_000_000.0)  # 2023-11-14 22:13 UTC, in Berlin the same day
        async with engine(tmp_path, clock=clock) as lab:
            for _ in range(3):
                request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
                await lab.service.wait(request_id)
                clock.now += 1800  # the third is past midnight in Berlin: 23:13 is 00:13
            params = {"expand": ["time_series", "summary"], "timezone": "Europe/Berlin"}
            body = (await lab.client.get(USAGE, params=params)).json()
            assert [bucket["bucket"][:10] for bucket in body["time_series"]] == ["2023-11-14", "2023-11-15"]
            spent = sum(line.cost_usd for line in lab.service.store.ledger())
            (total,) = body["summary"]
            assert total["cost_total"] == pytest.approx(spent)
            parts = [row["cost"] for bucket in body["time_series"] for row in bucket["results"]]
            assert sum(parts) == pytest.approx(spent)
            params = {"timeframe": "minute", "endpoint_id": LITE.id}
            assert (await lab.client.get(USAGE, params=params)).json()["time_series"] == []
            body = (await lab.client.get(USAGE, params={"timeframe": "minute"})).json()
            assert [len(body["time_series"]), "summary" in body] == [3, False]

    asyncio.run(main())


def test_an_estimate_is_the_price_times_the_quantity(tmp_path: Path) -> None:
    """By units at the list price, or by calls at what a call has cost."""

    async def main() -> None:
        async with engine(tmp_path) as lab:

            async def estimate(kind: str, **given: float) -> float:
                body = {"estimate_type": kind, "endpoints": {LITE_TEXT.id: given}}
                answer = await lab.client.post(f"{API}/models/pricing/estimate", json=body)
                assert answer.status_code == 200, answer.text
                assert answer.json()["currency"] == "USD"
                return float(answer.json()["total_cost"])

            assert await estimate("unit_price", unit_quantity=50) == pytest.approx(90)
            assert await estimate("historical_api_price", call_quantity=10) == pytest.approx(1.8533, abs=1e-3)
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await lab.service.wait(request_id)
            (line,) = lab.service.store.ledger()
            assert await estimate("historical_api_price", call_quantity=10) == pytest.approx(
                10 * line.cost_usd
            )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"estimate_type": "unit_price", "endpoints": {}}, 400),
        ({"estimate_type": "guess", "endpoints": {LITE.id: {}}}, 400),
        ({"estimate_type": "unit_price", "endpoints": {LITE.id: {"unit_quantity": -1}}}, 400),
        ({"estimate_type": "unit_price", "endpoints": {LITE.id: {"call_quantity": 1}}}, 400),
        ({"estimate_type": "unit_price", "endpoints": {"no": {"unit_quantity": 1}}}, 404),
    ],
)
def test_an_estimate_of_nothing_is_declined(tmp_path: Path, body, status: int) -> None:
    """In the platform's envelope."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(f"{API}/models/pricing/estimate", json=body)
            assert answer.status_code == status
            assert answer.json()["error"]["type"] in {"validation_error", "not_found"}

    asyncio.run(main())


def test_models_are_filtered_and_paged(tmp_path: Path) -> None:
    """By status, kind and words."""

    async def main() -> None:
        async with engine(tmp_path) as lab:

            async def ids(**params: object) -> list[str]:
                answer = (await lab.client.get(f"{API}/models", params=params)).json()
                return [model["endpoint_id"] for model in answer["models"]]

            assert await ids(status="deprecated") == [e.id for e in ENDPOINTS if e.status == "deprecated"]
            assert await ids(category="text-to-video") == [LITE_TEXT.id]
            assert await ids(q="lite image") == [LITE.id]
            first = (await lab.client.get(f"{API}/models", params={"limit": 3})).json()
            assert len(first["models"]) == 3
            assert await ids(cursor=first["next_cursor"]) == [ENDPOINTS[3].id]

    asyncio.run(main())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.alias)
def test_an_endpoints_document_describes_its_input(tmp_path: Path, endpoint) -> None:
    """Generated clients are made of it; it comes from the model that checks the input."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            params = {"endpoint_id": endpoint.id, "expand": "openapi-3.0"}
            (model,) = (await lab.client.get(f"{API}/models", params=params)).json()["models"]
            document = model["openapi"]
            assert document["openapi"].startswith("3.0")
            (name,) = (name for name in document["components"]["schemas"] if name.endswith("Input"))
            schema = document["components"]["schemas"][name]
            assert schema["x-fal-order-properties"] == list(endpoint.input.model_fields)
            assert schema["properties"]["resolution"]["enum"] == ["480p", "720p", "1080p"]
            jsonschema.Draft7Validator.check_schema(schema)
            assert "'type': 'null'" not in str(document)

    asyncio.run(main())


def test_an_unknown_path_of_the_platform_is_answered_in_its_envelope(tmp_path: Path) -> None:
    """A client that reads `error` must find it there."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.get(f"{API}/nothing")
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
            assert (await lab.client.delete(f"{API}/models")).json()["error"]["type"] == "validation_error"
            bad = {"Authorization": "Basic x"}
            answer = await lab.client.get(USAGE, headers=bad)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authorization_error")

    asyncio.run(main())
