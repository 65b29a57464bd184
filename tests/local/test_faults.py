"""The faults themselves: their grammar, and that what a client sees is what was asked for, on a port too."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from seedance_lab.endpoints import LITE
from seedance_lab.errors import EngineError
from seedance_lab.local import Service, StubRenderer, create_app
from seedance_lab.local.faults import ANY, KINDS, STEPS, WIRE_STEPS, Faults, Rule, parse, parse_all
from seedance_lab.local.faulty import step_of
from seedance_lab.local.latency import Clock
from seedance_lab.local.serve import _Server
from tests.local.support import BASE, KEY, LITE_URL, Engine, engine

ASKED = {"prompt": "boats", "duration": "2", "resolution": "480p"}


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(list(KINDS)))
    when = draw(st.sampled_from(["at", "every", "chance", None]))
    number = st.integers(1, 10**6) if when != "chance" else st.integers(0, 1000).map(lambda n: n / 1000)
    value = draw(st.none() | st.integers(0, 500)) if KINDS[kind].value is not None else None
    return Rule(
        step=draw(st.sampled_from([*KINDS[kind].steps, ANY])),
        kind=kind,
        value=value,
        **({when: draw(number)} if when else {}),
    )


@given(rules())
def test_a_rule_is_read_back_from_its_text(rule: Rule) -> None:
    again = parse(str(rule))
    assert str(again) == str(rule)
    assert (again.step, again.kind, again.at, again.amount) == (rule.step, rule.kind, rule.at, rule.amount)


def test_several_rules_stand_between_commas_and_spaces() -> None:
    assert [str(r) for r in parse_all(" submit:drop-after@2, status:502%20\nfile:slow=0.2/5,")] == [
        "submit:drop-after@2", "status:502%20", "file:slow=0.2/5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("submit", "step:kind"),
        ("submit:drop-after@2@3", "step:kind"),
        ("submit:drop-after@-1", "step:kind"),
        ("submti:500", "Did you mean 'submit'"),
        ("submit:drop-afer", "Did you mean 'drop-after'"),
        ("submit:expired", "can happen at result, not at submit"),
        ("render:500", "not at render"),
        ("file:malformed", "not at file"),
        ("submit:500=3", "no value"),
        ("submit:500@0", "counted from 1"),
        ("submit:500/0", "counted from 1"),
        ("submit:500%101", "0 to 100 %"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_can(spec: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        parse(spec)


@pytest.mark.parametrize(
    ("when", "hit"),
    [("@3", [3]), ("/2", [2, 4, 6]), ("", [1, 2, 3, 4, 5, 6]), ("%0", []), ("%100", [*range(1, 7)])],
)
def test_a_rule_hits_by_number_by_interval_or_always(when: str, hit: list[int]) -> None:
    faults = Faults([f"submit:500{when}"])
    decided = []
    for number in range(1, 7):
        faults.decide("status")
        if faults.decide("submit"):
            decided.append(number)
    assert decided == hit
    assert faults.tallies[0][1:] == (6, len(hit))


def test_chances_are_the_same_for_the_same_seed_whatever_other_steps_do() -> None:
    def hits(seed: int, *, others: int) -> list[bool]:
        faults = Faults(["submit:500%30", "status:502%50"], seed=seed)
        found = []
        for _ in range(200):
            for _ in range(others):
                faults.decide("status")
            found.append(faults.decide("submit") is not None)
        return found

    assert hits(1, others=0) == hits(1, others=3)
    assert hits(1, others=0) != hits(2, others=0)
    assert 40 <= sum(hits(1, others=0)) <= 80


def test_the_first_rule_that_applies_wins_and_all_of_them_count() -> None:
    faults = Faults(["submit:500@2", "any:503/2"])
    assert [str(faults.decide("submit")) for _ in range(4)] == ["None", "submit:500@2", "None", "any:503/2"]
    assert [tally[1:] for tally in faults.tallies] == [(4, 1), (4, 1)]


@pytest.mark.parametrize(
    ("method", "path", "step"),
    [
        ("POST", LITE_URL, "submit"),
        ("POST", f"{LITE_URL}/", "submit"),
        ("POST", f"/run/{LITE.id}", "run"),
        ("GET", "/queue/fal-ai/bytedance/requests/x/status", "status"),
        ("GET", "/queue/fal-ai/bytedance/requests/x/status/stream", None),
        ("GET", "/queue/fal-ai/bytedance/requests/x", "result"),
        ("GET", "/queue/fal-ai/bytedance/requests/x/response", "result"),
        ("PUT", "/queue/fal-ai/bytedance/requests/x/cancel", "cancel"),
        ("POST", "/rest/storage/auth/token", "token"),
        ("POST", "/cdn/files/upload", "upload"),
        ("PUT", "/cdn/files/x/y", "upload"),
        ("GET", "/cdn/files/x/y", "file"),
        ("GET", "/api/v1/models/requests/by-endpoint", "history"),
        ("GET", "/api/v1/models", None),
        ("POST", "/admin/faults", None),
        ("GET", "/", None),
    ],
)
def test_a_step_is_known_by_its_route(method: str, path: str, step: str | None) -> None:
    assert step_of({"method": method, "path": path, "headers": []}) == step


def test_a_step_is_known_behind_the_proxy_too() -> None:
    """The JavaScript client sends everything there."""
    target = (b"x-fal-target-url", f"https://queue.fal.run/{LITE.id}".encode())
    assert step_of({"method": "POST", "path": "/proxy", "headers": [target]}) == "submit"
    assert (
        step_of({"method": "POST", "path": "/proxy", "headers": [(b"x-fal-target-url", b"http://[")]}) is None
    )


@contextlib.asynccontextmanager
async def on_a_port(folder: Path, *specs: str) -> AsyncIterator[Engine]:
    """An engine behind uvicorn, with real connections."""
    service = Service(folder, renderer=StubRenderer(), faults=Faults(specs))
    await service.start()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(service), lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    up = asyncio.Event()
    server = _Server(config, up.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait_for(up.wait(), 10)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, headers=KEY, timeout=5) as client:
            yield Engine(service, client)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)
        await service.aclose()


@contextlib.asynccontextmanager
async def in_process(folder: Path, *specs: str) -> AsyncIterator[Engine]:
    async with engine(folder, faults=Faults(specs)) as one:
        yield one


PLACES = pytest.mark.parametrize("place", [in_process, on_a_port], ids=["in process", "on a port"])


def n_taken(one: Engine) -> int:
    records = one.service.store.history(endpoint_ids=[LITE.id], start=0, end=float("inf"), limit=100)
    return len(records)


async def lost(one: Engine) -> httpx.HTTPError:
    """What the client sees of a submission without an answer."""
    with pytest.raises(httpx.TransportError) as caught:
        await one.client.post(LITE_URL, json=ASKED)
    return caught.value


@PLACES
@pytest.mark.parametrize(("kind", "n"), [("drop-before", 0), ("drop-after", 1), ("cut", 1)])
def test_a_dropped_connection_is_a_transport_error_and_no_answer(
    tmp_path: Path, place: Any, kind: str, n: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An application that just returns, or raises, is answered for by uvicorn with a 500."""

    async def check() -> None:
        async with place(tmp_path, f"submit:{kind}@1") as one:
            error = await lost(one)
            assert isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
            assert n_taken(one) == n
            assert (await one.client.post(LITE_URL, json=ASKED)).status_code == 200, "the next one is whole"

    asyncio.run(check())
    assert [r for r in caplog.records if r.name.startswith("uvicorn") and r.levelname == "ERROR"] == []


def test_a_dropped_connection_sends_not_a_byte(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_a_port(tmp_path, "submit:drop-after") as one:
            host, port = one.client.base_url.host, one.client.base_url.port
            reader, writer = await asyncio.open_connection(host, port)
            head = f"POST {LITE_URL} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key a:b\r\n"
            writer.write(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            assert n_taken(one) == 1

    asyncio.run(check())


def test_a_body_that_is_cut_announces_more_than_comes(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_a_port(tmp_path, "submit:cut") as one:
            with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
                await one.client.post(LITE_URL, json=ASKED)

    asyncio.run(check())


def test_a_late_answer_is_a_read_timeout_in_process(tmp_path: Path) -> None:
    """There is nobody to count the seconds, so none are spent."""

    async def check() -> None:
        async with in_process(tmp_path, "submit:late") as one:
            assert isinstance(await lost(one), httpx.ReadTimeout)
            assert n_taken(one) == 1

    asyncio.run(check())


def test_a_late_answer_on_a_port_is_waited_for_by_the_patient_only(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_a_port(tmp_path, "submit:late=0.01@1", "submit:late@2") as one:
            assert (await one.client.post(LITE_URL, json=ASKED)).status_code == 200
            with pytest.raises(httpx.ReadTimeout):
                await one.client.post(LITE_URL, json=ASKED, timeout=0.05)
            assert n_taken(one) == 2

    asyncio.run(check())


@PLACES
@pytest.mark.parametrize(
    ("kind", "status", "text", "n"),
    [
        ("500", 500, "internal_error", 0), ("500-after", 500, "internal_error", 1),
        ("502", 502, "<center>nginx</center>", 0), ("502-after", 502, "<center>nginx</center>", 1),
        ("503", 503, "runner_connection_refused", 0), ("503-after", 503, "runner_connection_refused", 1),
        ("504", 504, "startup_timeout", 0), ("504-after", 504, "startup_timeout", 1),
    ],
)  # fmt: skip
def test_an_error_comes_before_or_after_the_request_is_taken(
    tmp_path: Path, place: Any, kind: str, status: int, text: str, n: int
) -> None:
    async def check() -> None:
        async with place(tmp_path, f"submit:{kind}") as one:
            answer = await one.client.post(LITE_URL, json=ASKED)
            assert (answer.status_code, text in answer.text) == (status, True)
            assert "x-fal-request-id" not in answer.headers
            assert n_taken(one) == n

    asyncio.run(check())


@PLACES
def test_too_many_requests_says_when_to_come_back(tmp_path: Path, place: Any) -> None:
    async def check() -> None:
        async with place(tmp_path, "submit:429=7", "history:429") as one:
            answer = await one.client.post(LITE_URL, json=ASKED)
            assert (answer.status_code, answer.headers["retry-after"], n_taken(one)) == (429, "7", 0)
            history = await one.client.get("/api/v1/models/requests/by-endpoint")
            assert history.json()["error"]["type"] == "rate_limited", "that host has an envelope of its own"

    asyncio.run(check())


@PLACES
def test_malformed_json_is_framed_as_if_it_were_whole(tmp_path: Path, place: Any) -> None:
    async def check() -> None:
        async with place(tmp_path, "submit:malformed@1") as one:
            answer = await one.client.post(LITE_URL, json=ASKED)
            assert int(answer.headers["content-length"]) == len(answer.content)
            with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
                answer.json()

    asyncio.run(check())


@PLACES
def test_a_status_goes_back_to_the_queue_and_a_result_expires(tmp_path: Path, place: Any) -> None:
    async def check() -> None:
        async with place(tmp_path, "status:requeued@1", "result:expired@2") as one:
            handle = (await one.client.post(LITE_URL, json=ASKED)).json()
            await one.service.wait(handle["request_id"])
            back = await one.client.get(handle["status_url"])
            assert (back.status_code, back.json()["status"], back.json()["queue_position"]) == (
                202,
                "IN_QUEUE",
                0,
            )
            assert (await one.client.get(handle["status_url"])).json()["status"] == "COMPLETED"
            assert (await one.client.get(handle["response_url"])).status_code != 404
            assert (await one.client.get(handle["response_url"])).status_code == 404

    asyncio.run(check())


@PLACES
def test_a_file_can_be_missing_short_of_another_type_or_slow(tmp_path: Path, place: Any) -> None:
    async def check() -> None:
        async with place(tmp_path, "file:404@1", "file:short@2", "file:wrong-type@3", "file:slow=0@4") as one:
            body = b"x" * 1000
            answer = await one.client.post(
                "/cdn/files/upload", content=body, headers={"Content-Type": "video/mp4"}
            )
            url = answer.json()["access_url"]
            assert (await one.client.get(url)).status_code == 404
            short = await one.client.get(url)
            assert (len(short.content), short.headers["content-length"]) == (500, "500")
            page = await one.client.get(url)
            assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
            assert (await one.client.get(url)).content == body
            assert (await one.client.get(url)).headers["content-type"] == "video/mp4"

    asyncio.run(check())


def test_a_model_that_breaks_completes_with_an_error_and_charges_nothing(tmp_path: Path) -> None:
    """The engine itself knows of it: status, result, history and ledger say the same."""

    async def check() -> None:
        async with in_process(tmp_path, "render:failed@1") as one:
            handle = await one.submit(**ASKED, image_url=await one.upload())
            await one.service.wait(handle["request_id"])
            status = (await one.client.get(handle["status_url"])).json()
            assert (status["status"], status["error_type"]) == ("COMPLETED", "internal_server_error")
            assert (await one.client.get(handle["response_url"])).status_code == 500
            assert one.service.store.ledger() == []

    asyncio.run(check())


@contextlib.asynccontextmanager
async def administered(folder: Path) -> AsyncIterator[Engine]:
    service = Service(folder, renderer=StubRenderer(), clock=Clock(lambda: 1_000_000.0))
    await service.start()
    try:
        asgi = httpx.ASGITransport(create_app(service, admin=True))
        async with httpx.AsyncClient(transport=asgi, base_url=BASE, headers=KEY) as client:
            yield Engine(service, client)
    finally:
        await service.aclose()


def test_faults_are_put_in_force_shown_and_lifted_over_the_admin_route(tmp_path: Path) -> None:
    async def check() -> None:
        async with administered(tmp_path) as one:
            said = await one.client.post("/admin/faults", json={"rules": ["submit:503@1"], "seed": 4})
            assert said.json() == {"seed": 4, "rules": [{"rule": "submit:503@1", "seen": 0, "fired": 0}]}
            assert [(await one.client.post(LITE_URL, json=ASKED)).status_code for _ in range(2)] == [503, 200]
            shown = (await one.client.get("/admin/faults")).json()
            assert shown["rules"] == [{"rule": "submit:503@1", "seen": 2, "fired": 1}]
            assert (await one.client.delete("/admin/faults")).json()["rules"] == []

    asyncio.run(check())


@pytest.mark.parametrize(
    "body", [{"rules": ["submit:what"]}, {"rules": "submit:500"}, {}, [], {"rules": [], "seed": "x"}]
)
def test_rules_that_cannot_be_had_change_nothing(tmp_path: Path, body: Any) -> None:
    async def check() -> None:
        async with administered(tmp_path) as one:
            assert (await one.client.post("/admin/faults", json=body)).status_code == 422
            assert (await one.client.get("/admin/faults")).json() == {"seed": 0, "rules": []}

    asyncio.run(check())


def test_the_clock_is_moved_over_the_admin_route(tmp_path: Path) -> None:
    async def check() -> None:
        async with administered(tmp_path) as one:
            assert (await one.client.post("/admin/clock", json={"move_s": 3600})).json() == {
                "now": "1970-01-12T14:46:40.000000+00:00",
                "ahead_s": 3600.0,
            }
            assert one.service.clock() == 1_003_600.0
            for wrong in (-1, "1", None, True, 1e300):
                assert (await one.client.post("/admin/clock", json={"move_s": wrong})).status_code == 422
            assert (await one.client.get("/admin/clock")).json()["ahead_s"] == 3600.0

    asyncio.run(check())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_admin_routes_need_a_key(tmp_path: Path, method: str) -> None:
    """A page on the web can make a browser post to loopback, but not with this header."""

    async def check() -> None:
        async with administered(tmp_path) as one:
            del one.client.headers["Authorization"]
            assert (await one.client.request(method, "/admin/faults", json={"rules": []})).status_code == 401

    asyncio.run(check())


def test_the_admin_routes_exist_only_when_asked_for(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(tmp_path) as one:
            for path in ("/admin/faults", "/admin/clock"):
                assert (await one.client.get(path)).status_code == 404
                assert (await one.client.post(path, json={})).status_code == 404

    asyncio.run(check())


def test_every_kind_names_steps_that_there_are() -> None:
    assert {step for kind in KINDS.values() for step in kind.steps} == set(STEPS)
    assert "render" not in WIRE_STEPS
