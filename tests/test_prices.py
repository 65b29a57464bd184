"""What a request costs: the live price where its unit is understood, else the published one."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seedance_lab as lab
from seedance_lab import prices, quote
from seedance_lab.endpoints import LITE, PRO
from seedance_lab.engine import LivePrice
from seedance_lab.errors import BudgetError, EngineError
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from seedance_lab.prices import PUBLISHED, Prices, Unit, told, unit_of, usd_of
from seedance_lab.record import fold
from seedance_lab.run import Run
from seedance_lab.running.pace import Pace
from tests.faults import Lab

Send = Callable[[], Awaitable[httpx.Response]]
READ_AT = dt.datetime(2026, 11, 23, 20, 14, tzinfo=dt.UTC)


@pytest.fixture
def plan(picture: bytes) -> Plan:
    """Three clips at $0.034 each, published."""
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(3))


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab(tmp_path, monkeypatch)
    monkeypatch.setattr(quote, "open_engine", lab._open)
    monkeypatch.setattr(
        Pace, "expected_s", lambda *_: 0.0
    )  # a hosted clip takes half a minute, a fake one nothing
    return lab


def naming(
    price: float, unit: str = "1m tokens", currency: str = "USD", status: str = "active", **more: Any
) -> Callable[[httpx.Request, Send], Awaitable[httpx.Response]]:
    """A service with this price; everything else as it was."""

    async def answer(request: httpx.Request, send: Send) -> httpx.Response:
        ids = request.url.params.get_list("endpoint_id")
        if request.url.path.endswith("/models/pricing"):
            row = {"unit_price": price, "unit": unit, "currency": currency, **more}
            return httpx.Response(200, json={"prices": [{"endpoint_id": i, **row} for i in ids]})
        if request.url.path.endswith("/v1/models"):
            rows = [{"endpoint_id": i, "metadata": {"status": status}} for i in ids]
            return httpx.Response(200, json={"models": rows})
        return await send()

    return answer


def sent(books: Lab, kind: str) -> list[Any]:
    return [e.data for e in read(books.folder / "journal.jsonl") if e.kind == kind]


# ── units ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["1m tokens", "1M tokens", "million tokens", "1 million tokens", "1M video tokens", "per 1m tokens",
     "/ 1M tokens", "1,000,000 tokens", "1-million-tokens", "one million video tokens", "m token", " 1m  tokens "],
)  # fmt: skip
def test_a_million_tokens_is_understood_in_its_spellings(text: str) -> None:
    assert unit_of(text) == Unit("tokens", 1_000_000)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1k tokens", Unit("tokens", 1000)),
        ("1000 video tokens", Unit("tokens", 1000)),
        ("thousand tokens", Unit("tokens", 1000)),
        ("second", Unit("seconds", 1)),
        ("seconds", Unit("seconds", 1)),
        ("per second of video", Unit("seconds", 1)),
        ("video second", Unit("seconds", 1)),
        ("video", Unit("videos", 1)),
        ("videos", Unit("videos", 1)),
    ],
)
def test_other_units_that_are_understood(text: str, unit: Unit) -> None:
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    "text",
    ["", "tokens", "token", "units", "compute seconds", "gpu second", "images", "megapixels", "5 seconds",
     "10m tokens", "1m output characters", "generation", "1m tokens (audio)", "milliseconds", "5 second videos"],
)  # fmt: skip
def test_what_is_not_certain_is_not_understood(text: str) -> None:
    """One token and a million of them differ by a factor that no budget survives."""
    assert unit_of(text) is None


@given(st.text(max_size=30))
def test_any_text_has_a_unit_or_none(text: str) -> None:
    assert unit_of(text) is None or unit_of(text) in {
        Unit("tokens", 1_000_000), Unit("tokens", 1000), Unit("seconds", 1), Unit("videos", 1),
    }  # fmt: skip


def test_the_same_price_in_four_units(plan: Plan) -> None:
    request = plan[0]
    assert request.usd is not None
    per_token = request.usd / 1.8
    assert usd_of(request, LivePrice(1.8, "1m tokens", "USD")) == pytest.approx(request.usd)
    assert usd_of(request, LivePrice(1.0, "1m tokens", "usd")) == pytest.approx(per_token)
    assert usd_of(request, LivePrice(0.001, "1k tokens", "USD")) == pytest.approx(per_token)
    assert usd_of(request, LivePrice(0.05, "seconds", "USD")) == pytest.approx(0.10)
    assert usd_of(request, LivePrice(0.2, "videos", "USD")) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "live",
    [
        LivePrice(1.0, "units", "USD"),
        LivePrice(1.0, "1m tokens", "EUR"),
        LivePrice(1.0, "1m tokens", ""),
        LivePrice(0.0, "1m tokens", "USD"),
        LivePrice(-1.0, "videos", "USD"),
    ],
)
def test_what_is_not_understood_leaves_the_published_price(plan: Plan, live: LivePrice) -> None:
    """A price of nothing would let any plan through any budget."""
    assert usd_of(plan[0], live) is None
    known = Prices(live={LITE.id: live}, read_at=READ_AT)
    assert known.usd(plan[0]) == plan[0].usd
    assert any("was not understood" in note for note in known.notes(plan))
    assert any("published price of 2026-08-20, $1.80 per 1m tokens" in note for note in known.notes(plan))
    assert known.record(plan)["endpoints"][LITE.id]["used"] == "published"


@pytest.mark.parametrize(
    ("live", "text"),
    [
        (LivePrice(1.0, "1m tokens", "USD"), "$1.00 per 1m tokens"),
        (LivePrice(0.014, "per 1k tokens", "USD"), "$0.014 per 1k tokens"),
        (LivePrice(0.0000018, "token", "USD"), "$0.0000018 per token"),
        (LivePrice(2, "", "EUR"), "2.00 EUR per a unit without a name"),
    ],
)
def test_a_price_is_told_in_its_own_words(live: LivePrice, text: str) -> None:
    assert told(live) == text


def test_what_was_read_is_told_with_its_date_and_the_published_price(plan: Plan) -> None:
    known = Prices(live={LITE.id: LivePrice(1.0, "1m tokens", "USD")}, read_at=READ_AT)
    assert known.basis(plan) == ("live price $1.00 per 1m tokens, read 2026-11-23 20:14 UTC; published $1.80")
    both = [*plan, plan[0].with_(endpoint=PRO)]
    assert known.basis(both).startswith("live prices, read 2026-11-23 20:14 UTC; of the others the published")
    assert PUBLISHED.basis(plan) == "published price, read 2026-08-20"


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_reads_the_price_once_writes_it_down_and_reckons_with_it(books: Lab, plan: Plan) -> None:
    books.fault = naming(1.0)
    books.run(plan, place="fal", budget_usd=0.06)
    asked = [path for _, path in books.wire.seen if "/api/v1/models" in path and "requests" not in path]
    assert sorted(asked) == ["/api/v1/models", "/api/v1/models/pricing"]
    (line,) = sent(books, "price")
    assert line["endpoints"] == {
        LITE.id: {
            "unit_price": 1.0,
            "unit": "1m tokens",
            "currency": "USD",
            "status": "active",
            "used": "live",
        }
    }
    assert dt.datetime.fromisoformat(line["read_at"]).tzinfo is not None
    assert [s["usd"] for s in sent(books, "sending")] == pytest.approx([plan[0].usd / 1.8] * 3)
    assert {r.stage for r in fold(read(books.folder / "journal.jsonl")).values()} == {"saved"}


def test_a_live_price_that_exceeds_the_budget_stops_the_run_before_anything_is_sent(
    books: Lab, plan: Plan
) -> None:
    books.fault = naming(18.0)
    with pytest.raises(BudgetError) as caught:
        books.run(plan, place="fal", budget_usd=0.5)
    said = str(caught.value)
    assert said.startswith("This plan is estimated at $1.01 (live price $18.00 per 1m tokens, read 20")
    assert "$0.10 at the published price" in said
    assert "the budget is $0.50" in said
    assert "study.run(plan[:1]" in said
    assert not (books.folder / "journal.jsonl").exists()
    assert not any(method == "POST" for method, _ in books.wire.seen)


def test_before_each_post_the_live_price_counts(books: Lab, plan: Plan, monkeypatch) -> None:
    """The first check is left out, so that only the one before the POST is there to hold."""
    from seedance_lab.running import runner

    monkeypatch.setattr(runner, "check_budget", lambda *_: None)
    books.fault = naming(18.0)
    run = books.run(plan, place="fal", budget_usd=0.5, in_flight=1)
    assert len(sent(books, "sending")) == 1
    assert "budget of $0.50 is reached" in run.problems[plan[1].key]


def test_a_free_engine_rehearses_with_the_price_it_names(books: Lab, plan: Plan) -> None:
    books.run(plan, budget_usd=0.2)
    (line,) = sent(books, "price")
    assert line["endpoints"][LITE.id]["unit_price"] == LITE.price.usd_per_million_tokens
    assert [s["usd"] for s in sent(books, "sending")] == pytest.approx([plan[0].usd] * 3)
    assert all(r.cost_usd == 0 for r in fold(read(books.folder / "journal.jsonl")).values())


@pytest.mark.parametrize("trouble", ["401", "500", "no connection", "no sense"])
def test_a_price_that_cannot_be_read_is_said_and_the_published_one_used(
    books: Lab, plan: Plan, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: int) -> None:
        return None

    async def broken(request: httpx.Request, send: Send) -> httpx.Response:
        if "/api/v1/models" not in request.url.path or "requests" in request.url.path:
            return await send()
        if trouble == "no connection":
            raise httpx.ConnectError("refused", request=request)
        return {
            "401": httpx.Response(401, json={"error": {"type": "authorization_error"}}),
            "500": httpx.Response(500),
            "no sense": httpx.Response(200, json={"hello": "world"}),
        }[trouble]

    monkeypatch.setattr("seedance_lab.engine.client._pause", at_once)
    books.fault = broken
    run = books.run(plan, place="fal", budget_usd=0.2)
    (line,) = sent(books, "price")
    assert line["problems"][0].startswith("The live price could not be read (")
    assert line["endpoints"][LITE.id] == {"status": None, "used": "published"}
    assert [s["usd"] for s in sent(books, "sending")] == pytest.approx([plan[0].usd] * 3)
    assert any("reckoned at the published price" in note for note in run.prices.notes(plan))


def test_a_service_that_does_not_answer_is_not_waited_for(books: Lab, plan: Plan, monkeypatch) -> None:
    async def hangs(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("/pricing"):
            await asyncio.sleep(60)
        return await send()

    monkeypatch.setattr(prices, "PATIENCE_S", 0.05)
    books.fault = hangs
    books.run(plan, place="fal", budget_usd=0.2)
    assert sent(books, "price")[0]["problems"] == ["The live price could not be read (no answer in 0 s)"]
    assert len(sent(books, "saved")) == 3


def test_a_run_that_has_nothing_to_send_asks_for_no_price(books: Lab, plan: Plan) -> None:
    books.run(plan)
    books.wire.seen.clear()
    books.run(plan)
    assert len(sent(books, "price")) == 1
    assert not any("/models" in path for _, path in books.wire.seen)


def test_a_deprecated_model_is_said_and_no_error(books: Lab, plan: Plan) -> None:
    books.fault = naming(1.0, status="deprecated")
    run = books.run(plan, place="fal", budget_usd=0.2)
    assert run.prices.notes(plan) == ("Seedance 1.0 Lite is deprecated at fal",)
    assert sent(books, "price")[0]["endpoints"][LITE.id]["status"] == "deprecated"


def test_a_hosted_run_shows_what_it_learned_and_a_free_one_does_not(
    books: Lab, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.fault = naming(1.0, status="deprecated")
    study = lab.Study(books.folder, engine="fal", track=False)
    run = study.run(plan, budget_usd=0.06, progress=False)
    assert "3 saved · $0.06 · Seedance 1.0 Lite is deprecated at fal" in repr(run)
    books.folder, books.engine_folder = books.folder.parent / "free", books.folder.parent / "engine2"
    free = lab.Study(books.folder, track=False).run(plan, progress=False)
    assert repr(free) == "3 saved · $0.00"
    assert isinstance(free, Run)


def test_published_prices_do_not_refuse_what_the_live_one_allows(books: Lab, plan: Plan) -> None:
    """Published $0.10, live $0.06: who was quoted $0.06 may say budget_usd=0.06."""
    books.fault = naming(1.0)
    study = lab.Study(books.folder, engine="fal", track=False)
    assert len(study.run(plan, budget_usd=0.06, progress=False).clips) == 3
    with pytest.raises(BudgetError, match="may have been spent"):
        study.run(Plan.of([r.with_(seed=9) for r in plan[:1]]), budget_usd=0.06, progress=False)


# ── a quote ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quote_tells_the_price_of_now_and_writes_nothing(books: Lab, plan: Plan) -> None:
    books.fault = naming(1.0, status="deprecated")
    study = lab.Study(books.folder, engine="fal", track=False)
    quoted = study.quote(plan)
    assert quoted.usd == pytest.approx(plan.usd / 1.8)
    assert quoted.published_usd == plan.usd
    assert quoted.live == {LITE.id: LivePrice(1.0, "1m tokens", "USD")}
    assert quoted.status == {LITE.id: "deprecated"}
    assert f"est. $0.06 at fal (live price $1.00 per 1m tokens, read {quoted.prices.when}" in repr(quoted)
    assert repr(quoted).endswith("; published $1.80) · endpoint deprecated")
    assert "tex2jax_ignore" in quoted._repr_html_()
    assert not books.folder.exists()
    assert not any(method == "POST" for method, _ in books.wire.seen)


def test_a_quote_leaves_out_what_is_paid_for(books: Lab, plan: Plan) -> None:
    books.run(plan[:2], place="fal", budget_usd=1)
    quoted = lab.Study(books.folder, track=False).quote(plan)
    assert quoted.usd == pytest.approx(plan[2].usd)
    assert "3 requests · 2 already paid for · 2 s of video" in repr(quoted)


def test_a_quote_without_an_answer_is_an_engine_error(books: Lab, plan: Plan) -> None:
    async def refuse(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(401, json={})

    books.fault = refuse
    with pytest.raises(EngineError, match=r"could not be read .*Nothing was sent.*study\.preview"):
        lab.Study(books.folder, engine="fal", track=False).quote(plan)


def test_a_quote_needs_a_key(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(EngineError, match="needs a key"):
        lab.Study(tmp_path / "paid", engine="fal", track=False).quote(plan)


def test_a_quote_of_the_free_engine_says_that_it_is_one(tmp_path: Path, plan: Plan) -> None:
    """It opens an engine in a folder of its own: the study's may be held by a run."""
    quoted = lab.Study(tmp_path / "study", track=False).quote(plan)
    assert repr(quoted).endswith("· $0.00 here, free engine")
    assert any("engine='fal' asks fal" in note for note in quoted.notes)
    assert not (tmp_path / "study").exists()


def test_the_journal_line_is_json_that_reads_back(books: Lab, plan: Plan) -> None:
    record = Prices(live={LITE.id: LivePrice(1.0, "1m tokens", "USD")}, read_at=READ_AT).record(plan)
    assert json.loads(json.dumps(record))["read_at"] == "2026-11-23T20:14:00+00:00"
