"""The platform API: prices, models and bills, as the simulator gives them and as a service might."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from seedance_lab.endpoints import LITE, PRO
from seedance_lab.engine import Engine, LivePrice, open_engine, place_of, places
from seedance_lab.errors import EngineError

T = TypeVar("T")
NOW = dt.datetime.now(dt.UTC)
Answers = Callable[[httpx.Request], httpx.Response]


def ask(answers: Answers, work: Callable[[Engine], Awaitable[T]]) -> T:
    """What the work returns at a service that answers like this."""

    async def whole() -> T:
        engine = places._simulator(httpx.MockTransport(answers), "http://fake", "fake", ())
        try:
            return await work(engine)
        finally:
            await engine.aclose()

    return asyncio.run(whole())


def page(name: str, rows: list[Any], cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={name: rows, "next_cursor": cursor, "has_more": cursor is not None})


def event(request_id: str, **more: Any) -> dict[str, Any]:
    return {"request_id": request_id, "endpoint_id": LITE.id, "timestamp": "2026-11-23T20:00:00Z",
            "output_units": 0.1, "unit_price": 1.0, "cost_total": 0.1, **more}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: int) -> None:
        return None

    monkeypatch.setattr("seedance_lab.engine.client._pause", at_once)


@pytest.mark.parametrize("where", ["local", "served"])
def test_the_simulator_names_prices_and_status(where: str, served: str, tmp_path: Path) -> None:
    async def work() -> tuple[Any, Any]:
        engine = await open_engine(place_of(served if where == "served" else "local"), tmp_path / "engine")
        try:
            return await engine.platform.prices([LITE.id, PRO.id]), await engine.platform.models([LITE.id])
        finally:
            await engine.aclose()

    prices, models = asyncio.run(work())
    assert prices == {LITE.id: LivePrice(1.8, "1m tokens", "USD"), PRO.id: LivePrice(2.5, "1m tokens", "USD")}
    assert models == {LITE.id: "deprecated"}


def test_one_question_is_asked_for_all_models() -> None:
    asked: list[str] = []

    def answers(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        rows = [{"endpoint_id": LITE.id, "unit_price": 1, "unit": "videos", "currency": "USD"}]
        return page("prices", [*rows, {"endpoint_id": "another/model", "unit_price": 9, "unit": "images"}])

    prices = ask(answers, lambda engine: engine.platform.prices([LITE.id, PRO.id]))
    assert prices == {LITE.id: LivePrice(1.0, "videos", "USD")}
    assert len(asked) == 1
    assert asked[0].count("endpoint_id=") == 2


def test_a_model_that_is_not_known_does_not_hide_the_others() -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        ids = request.url.params.get_list("endpoint_id")
        if PRO.id in ids:
            return httpx.Response(404, json={"error": {"type": "not_found", "message": "no such endpoint"}})
        return page("prices", [{"endpoint_id": ids[0], "unit_price": 1, "unit": "u", "currency": "USD"}])

    assert list(ask(answers, lambda engine: engine.platform.prices([LITE.id, PRO.id]))) == [LITE.id]


@pytest.mark.parametrize("price", [None, "free", True, float("nan"), [1]])
def test_a_price_that_is_no_number_is_no_price(price: Any) -> None:
    def answers(request: httpx.Request) -> httpx.Response:
        body = {"endpoint_id": LITE.id, "unit_price": price, "unit": "videos", "currency": "USD"}
        return httpx.Response(200, content=_json({"prices": [body]}))

    assert ask(answers, lambda engine: engine.platform.prices([LITE.id])) == {}


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="oops"),
        httpx.Response(401, json={"error": {"type": "authorization_error"}}),
        httpx.Response(400, json={"error": {"type": "validation_error"}}),
        httpx.Response(200, json={"prices": "many"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="<html>"),
    ],
    ids=["500", "401", "400", "no rows", "a list", "no JSON"],
)
def test_an_answer_that_cannot_be_used_is_an_engine_error(answer: httpx.Response) -> None:
    with pytest.raises(EngineError):
        ask(lambda _: answer, lambda engine: engine.platform.prices([LITE.id]))


def test_the_bill_is_read_to_its_last_page_and_in_portions() -> None:
    ids = [f"id-{n}" for n in range(120)]
    portions: list[int] = []

    def answers(request: httpx.Request) -> httpx.Response:
        asked = request.url.params.get_list("request_id")
        if "cursor" not in request.url.params:
            portions.append(len(asked))
            return page("billing_events", [event(i) for i in asked[:30]], "more")
        return page("billing_events", [event(i) for i in asked[30:]])

    charges = ask(answers, lambda engine: engine.platform.billing_events(ids, since=NOW))
    assert charges is not None
    assert [c.request_id for c in charges] == ids
    assert portions == [50, 50, 20]
    assert charges[0].at == dt.datetime(2026, 11, 23, 20, tzinfo=dt.UTC)


def test_a_bill_goes_back_ninety_days_at_most() -> None:
    seen: list[str] = []

    def answers(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.params["start"])
        return page("billing_events", [])

    long_ago = NOW - dt.timedelta(days=400)
    assert ask(answers, lambda engine: engine.platform.billing_events(["a"], since=long_ago)) == []
    assert NOW - dt.datetime.fromisoformat(seen[0]) < dt.timedelta(days=90)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_bills_makes_them_unknown_and_ends_nothing(status: int) -> None:
    body = {"error": {"type": "authorization_error", "message": "admin key required"}}
    found = ask(
        lambda _: httpx.Response(status, json=body),
        lambda engine: engine.platform.billing_events(["a"], since=NOW),
    )
    assert found is None


def test_what_others_were_charged_and_what_is_not_said_stays_out() -> None:
    rows = [event("a", cost_total=None, timestamp=None), event("b"), event("someone-else")]
    charges = ask(
        lambda _: page("billing_events", rows),
        lambda engine: engine.platform.billing_events(["a", "b"], since=NOW),
    )
    assert charges is not None
    assert [(c.request_id, c.usd, c.at is None) for c in charges] == [("a", None, True), ("b", 0.1, False)]


def test_a_cursor_that_never_moves_ends_the_reading() -> None:
    answer = {"billing_events": [event("a")], "next_cursor": "same", "has_more": True}
    charges = ask(
        lambda _: httpx.Response(200, json=answer),
        lambda engine: engine.platform.billing_events(["a"], since=NOW),
    )
    assert charges is not None
    assert len(charges) == 2
