"""What was charged, held against what was estimated; what nobody said stays unknown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import seedance_lab as lab
from seedance_lab import bill as bills
from seedance_lab.bill import Bill, Row
from seedance_lab.cli import main
from seedance_lab.endpoints import LITE
from seedance_lab.errors import EngineError, StudyError
from seedance_lab.journal import Journal, read
from seedance_lab.plan import Plan, sweep
from seedance_lab.running.pace import Pace
from tests.faults import Lab

Send = Callable[[], Awaitable[httpx.Response]]


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(2))


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab(tmp_path, monkeypatch)
    lab.engine_folder = lab.folder / "engine"
    monkeypatch.setattr(bills, "open_engine", lab._open)
    monkeypatch.setattr(
        Pace, "expected_s", lambda *_: 0.0
    )  # a hosted clip takes half a minute, a fake one nothing
    return lab


def study_of(books: Lab) -> lab.Study:
    return lab.Study(books.folder, track=False)


def billing(rows: Callable[[list[str]], list[dict[str, Any]]] | int) -> Any:
    """A service with this bill, made from the ids that are asked about; a number is a refusal."""

    async def answer(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/billing-events"):
            return await send()
        if isinstance(rows, int):
            return httpx.Response(rows, json={"error": {"type": "authorization_error"}})
        events = rows(request.url.params.get_list("request_id"))
        return httpx.Response(200, json={"billing_events": events, "next_cursor": None, "has_more": False})

    return answer


def event(request_id: str, usd: float | None = 0.05, **more: Any) -> dict[str, Any]:
    return {"request_id": request_id, "endpoint_id": LITE.id, "timestamp": "2026-11-23T20:00:00Z",
            "output_units": 0.02, "unit_price": 2.5, "cost_total": usd, **more}  # fmt: skip


def test_the_bill_has_every_request_with_its_charge(books: Lab, plan: Plan) -> None:
    books.run(plan, place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [event(i) for i in ids])
    before = (books.folder / "journal.jsonl").read_bytes()
    bill = study_of(books).bill()
    assert {row.key for row in bill.rows} == {r.key for r in plan}
    assert bill.charged_usd == pytest.approx(0.10)
    assert bill.estimated_usd == pytest.approx(plan.usd)
    assert bill.difference_usd == pytest.approx(0.10 - plan.usd)
    assert (bill.n_unknown, bill.duplicates, bill.problem) == (0, (), None)
    assert repr(bill) == "2 requests taken · estimated $0.07 · charged $0.10 · difference +$0.03"
    assert (books.folder / "journal.jsonl").read_bytes() == before


def test_the_simulators_ledger_is_its_bill(books: Lab, plan: Plan) -> None:
    books.run(plan)
    bill = study_of(books).bill()
    assert bill.charged_usd == pytest.approx(plan.usd)
    assert bill.difference_usd == pytest.approx(0)
    assert [row.n_charges for row in bill.rows] == [1, 1]
    assert bill.rows[0].unit_price == LITE.price.usd_per_million_tokens
    assert "no money was charged" in repr(bill)


def test_what_is_not_on_the_bill_is_unknown_and_never_nothing(books: Lab, plan: Plan) -> None:
    books.run(plan, place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [event(ids[0])])
    bill = study_of(books).bill()
    one, other = sorted(bill.rows, key=lambda row: row.charged_usd is None)
    assert (one.n_charges, other.n_charges) == (1, 0)
    assert (other.charged_usd, other.difference_usd) == (None, None)
    assert (bill.charged_usd, bill.n_unknown) == (0.05, 1)
    assert "charged $0.05 for 1 of them, 1 unknown" in repr(bill)
    assert "1 of 2 not on the bill, or not yet: unknown, which is not nothing" in repr(bill)
    assert "unknown" in bill._repr_html_()


def test_a_charge_without_an_amount_is_unknown(books: Lab, plan: Plan) -> None:
    books.run(plan[:1], place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [event(ids[0], None)])
    (row,) = study_of(books).bill().rows
    assert (row.charged_usd, row.n_charges) == (None, 1)


def test_a_charge_of_nothing_is_nothing(books: Lab, plan: Plan) -> None:
    books.run(plan[:1], place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [event(ids[0], 0.0)])
    bill = study_of(books).bill()
    assert (bill.charged_usd, bill.n_unknown) == (0.0, 0)


def test_two_charges_for_one_request_are_shown_as_such(books: Lab, plan: Plan) -> None:
    books.run(plan, place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [*(event(i) for i in ids), event(ids[0], 0.06, unit_price=3)])
    bill = study_of(books).bill()
    (twice,) = bill.duplicates
    assert (twice.n_charges, twice.charged_usd, twice.unit_price) == (2, pytest.approx(0.11), None)
    assert f"{twice.key} was charged 2 times ({twice.request_id})" in repr(bill)
    assert "(charged 2 times)" in bill._repr_html_()


@pytest.mark.parametrize("status", [401, 403])
def test_without_an_admin_key_all_is_unknown_and_it_says_how_to_know(
    books: Lab, plan: Plan, status: int
) -> None:
    books.run(plan, place="fal", budget_usd=1)
    books.fault = billing(status)
    bill = study_of(books).bill()
    assert (bill.n_unknown, bill.charged_usd, bill.difference_usd) == (2, None, None)
    assert [row.n_charges for row in bill.rows] == [None, None]
    assert "charged: unknown" in repr(bill)
    assert "ADMIN key" in repr(bill)
    assert "FAL_KEY=… seedance-lab bill" in repr(bill)


def test_an_earlier_attempt_that_the_service_took_is_on_the_bill_too(books: Lab, plan: Plan) -> None:
    async def fails(request: httpx.Request, send: Send) -> httpx.Response:
        path = request.url.path
        is_result = request.method == "GET" and "/requests/" in path and path.startswith("/queue/")
        if is_result and not path.endswith("/status"):
            return httpx.Response(500, json={"detail": "oops"}, headers={"x-fal-request-id": "x"})
        return await send()

    books.fault = fails
    books.run(plan[:1], place="fal", budget_usd=1)
    books.fault = billing(lambda ids: [event(i) for i in ids])
    books.run(plan[:1], place="fal", budget_usd=1, retry_failed=True)
    bill = study_of(books).bill()
    assert [row.stage for row in bill.rows] == ["failed", "saved"]
    assert len({row.request_id for row in bill.rows}) == 2
    assert bill.charged_usd == pytest.approx(0.10)


def test_what_is_in_doubt_has_no_id_and_is_said(books: Lab, plan: Plan) -> None:
    books.run(plan[:1])
    with Journal(books.folder) as journal:
        journal.append("sending", plan[1].key, request=plan[1].record(), wire={}, usd=0.03)
        journal.append("unknown", plan[1].key, error="lost")
    bill = study_of(books).bill()
    assert (len(bill.rows), bill.n_in_doubt) == (1, 1)
    assert "1 more request may have been received and charged" in repr(bill)


def test_a_study_that_sent_nothing_asks_nobody(tmp_path: Path) -> None:
    bill = lab.Study(tmp_path / "paid", engine="fal", track=False).bill()
    assert repr(bill) == "no request is known to have been taken, so there is no bill"
    assert (bill.charged_usd, bill.estimated_usd, bill.n_unknown) == (0.0, 0.0, 0)
    assert len(bill.frame()) == 0
    assert "no bill" in bill._repr_html_()


def test_the_frame_is_typed_whatever_is_in_it(books: Lab, plan: Plan) -> None:
    books.run(plan)
    full = study_of(books).bill().frame()
    empty = Bill(rows=(), engine="fal").frame()
    row = Row(key="k", request_id="r", stage="saved", sent_at=None, estimated_usd=None)
    unknown = Bill(rows=(row,), engine="fal").frame()
    assert list(full.columns) == list(Row.__dataclass_fields__)
    assert full.dtypes.equals(empty.dtypes)
    assert full.dtypes.equals(unknown.dtypes)
    assert str(full["charged_at"].dtype) == "datetime64[ms, UTC]"
    assert str(full["n_charges"].dtype) == "Int64"
    assert unknown["charged_usd"].isna().all()
    assert full.attrs["units"]["charged_usd"] == "USD"


def test_a_bill_with_an_unknown_estimate_has_no_estimate(books: Lab) -> None:
    rows = [
        Row(key="a", request_id="1", stage="saved", sent_at=None, estimated_usd=None, charged_usd=0.1),
        Row(key="b", request_id="2", stage="saved", sent_at=None, estimated_usd=0.2),
    ]
    bill = Bill(rows=tuple(rows), engine="fal")
    assert (bill.estimated_usd, bill.charged_usd, bill.difference_usd) == (None, 0.1, None)
    assert "estimated unknown · charged $0.10 for 1 of them, 1 unknown" in repr(bill)


def test_another_simulator_has_no_bill_of_this_study(books: Lab, plan: Plan) -> None:
    books.run(plan)
    books.engine_folder = books.folder.parent / "another"
    with pytest.raises(StudyError, match="another simulator"):
        study_of(books).bill()


def _known_at(folder: Path, plan: Plan, engine: str = "local") -> lab.Study:
    """A study whose journal says that a request was taken."""
    with Journal(folder) as journal:
        journal.append("study", version=1, engine=engine)
        journal.append("run", run="r", n_requests=1, engine_id=None)
        journal.append("sending", plan[0].key, request=plan[0].record(), wire={}, usd=0.03)
        journal.append("accepted", plan[0].key, request_id="id-1", urls={})
    return lab.Study(folder, track=False)


def test_a_run_that_holds_the_in_process_engine_is_waited_for_by_the_person(
    tmp_path: Path, plan: Plan
) -> None:
    import asyncio

    from seedance_lab import local

    study = _known_at(tmp_path / "study", plan)

    async def held() -> None:
        service = local.Service(study.folder / "engine", renderer=local.StubRenderer())
        await service.start()
        try:
            with pytest.raises(EngineError, match="If a run of this study is under way, wait for it"):
                await asyncio.to_thread(study.bill)
        finally:
            await service.aclose()

    asyncio.run(held())


def test_a_ledger_that_is_gone_leaves_the_charges_unknown_and_makes_no_new_one(
    tmp_path: Path, plan: Plan
) -> None:
    study = _known_at(tmp_path / "study", plan)
    bill = study.bill()
    assert bill.n_unknown == 1
    assert "is gone" in repr(bill)
    assert not (study.folder / "engine").exists()


def test_a_paid_study_without_a_key_is_an_engine_error(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(EngineError, match="needs a key"):
        _known_at(tmp_path / "study", plan, "fal").bill()


def test_charges_are_asked_for_from_before_the_first_request_on(books: Lab, plan: Plan) -> None:
    asked: list[httpx.URL] = []

    async def look(request: httpx.Request, send: Send) -> httpx.Response:
        asked.append(request.url)
        return await send()

    books.run(plan)
    books.fault = look
    study_of(books).bill()
    first = min(e.at for e in read(books.folder / "journal.jsonl") if e.kind == "sending")
    (url,) = [u for u in asked if "billing" in u.path]
    assert dt.datetime.fromisoformat(url.params["start"]) < first
    assert len(url.params.get_list("request_id")) == 2


# ── the command line ────────────────────────────────────────────────────────────────────────────────────


def call(*args: str) -> Any:
    return CliRunner().invoke(main, args, catch_exceptions=False)


def test_bill_shows_the_rows_and_writes_csv(books: Lab, plan: Plan, tmp_path: Path) -> None:
    books.run(plan)
    result = call("bill", str(books.folder), "--csv", str(tmp_path / "bill.csv"))
    assert result.exit_code == 0
    assert plan[0].key in result.output
    assert "2 requests taken · estimated $0.07 · charged $0.07" in result.output
    assert len((tmp_path / "bill.csv").read_text().splitlines()) == 3


def test_bill_of_an_engine_that_cannot_be_reached_ends_with_3(plan: Plan, tmp_path: Path) -> None:
    _known_at(tmp_path / "study", plan, "http://127.0.0.1:9")
    result = call("bill", str(tmp_path / "study"))
    assert result.exit_code == 3
    assert "No engine answers" in result.stderr


def test_bill_without_an_admin_key_is_no_failure(books: Lab, plan: Plan) -> None:
    books.run(plan, place="fal", budget_usd=1)
    books.fault = billing(403)
    result = call("bill", str(books.folder))
    assert result.exit_code == 0
    assert "ADMIN key" in result.output


def test_plan_live_asks_the_engine_for_its_price(served: str, picture: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(picture)
    args = ("plan", str(tmp_path / "p.png"), "-p", "boats", "--seed", "1-3")
    result = call(*args, "--live", "--engine", served)
    assert result.exit_code == 0
    assert "now: 3 requests" in result.output
    assert "live price $1.80 per 1m tokens, read 20" in result.output
    assert "note: Seedance 1.0 Lite is deprecated" in result.output
    assert call(*args, "--live", "--engine", "fal").exit_code == 3
    assert call(*args, "--engine", served).exit_code == 2
