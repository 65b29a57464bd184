"""The client of fal's protocol: the same contract in this process and over a real port, and its safeguards."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import fal_client
import httpx
import pytest
from fal_client.auth import AuthCredentials

from seedance_lab import local, media
from seedance_lab.engine import Engine, Ticket, open_engine, place_of, places
from seedance_lab.engine.transport import FAL_HOSTS, KeyGuard, OneShot, Router
from seedance_lab.errors import Declined, EngineError, LostAnswer, NotSent

ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video"
T = TypeVar("T")


class EngineContract:
    """What every place must do. Subclasses say how to open one."""

    async def open(self, folder: Path, served: str) -> Engine:
        raise NotImplementedError

    def use(self, tmp_path: Path, served: str, work: Callable[[Engine], Awaitable[T]]) -> T:
        async def whole() -> T:
            engine = await self.open(tmp_path / "engine", served)
            try:
                return await work(engine)
            finally:
                await engine.aclose()

        return asyncio.run(whole())

    async def make(self, engine: Engine, picture: bytes, **settings: Any) -> tuple[Ticket, dict[str, Any]]:
        url = await engine.upload(picture, "image/png", "p.png")
        wire = {"prompt": "boats", "image_url": url, "resolution": "480p", "duration": "2", **settings}
        return await engine.submit(ENDPOINT, wire), wire

    async def done(self, engine: Engine, ticket: Ticket) -> Any:
        for _ in range(600):
            seen = await engine.status(ticket)
            if seen.state == "done":
                return seen
            await asyncio.sleep(0.01)
        raise AssertionError("it never finished")

    def test_a_request_becomes_a_video_file(self, tmp_path: Path, served: str, picture: bytes) -> None:
        async def work(engine: Engine) -> None:
            ticket, _ = await self.make(engine, picture, seed=5)
            seen = await self.done(engine, ticket)
            answer = await engine.result(ticket)
            got = await engine.download(answer.body["video"]["url"], tmp_path / "clip.mp4")
            assert answer.status == 200
            assert answer.body["seed"] == 5
            assert seen.metrics["inference_time"] >= 0
            assert got.sha256 == hashlib.sha256((tmp_path / "clip.mp4").read_bytes()).hexdigest()
            assert (media.facts(tmp_path / "clip.mp4").width, media.facts(tmp_path / "clip.mp4").seconds) == (
                736,
                2.0,
            )

        self.use(tmp_path, served, work)

    def test_a_request_is_found_again_in_the_accounts_history(
        self, tmp_path: Path, served: str, picture: bytes
    ) -> None:
        async def work(engine: Engine) -> None:
            began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
            tickets = [(await self.make(engine, picture, seed=n))[0] for n in range(3)]
            until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
            found = await engine.history(ENDPOINT, since=began, until=until)
            by_id = {f.request_id: f for f in found}
            assert {t.request_id for t in tickets} <= set(by_id)
            assert [by_id[t.request_id].input["seed"] for t in tickets] == [0, 1, 2]
            day = dt.timedelta(days=1)
            assert await engine.history(ENDPOINT, since=began - 2 * day, until=began - day) == []

        self.use(tmp_path, served, work)

    def test_the_history_is_read_to_its_last_page(self, tmp_path: Path, served: str, picture: bytes) -> None:
        """A page holds 100; a lost request may be on the third."""

        async def work(engine: Engine) -> None:
            began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
            url = await engine.upload(picture, "image/png", "p.png")
            for n in range(230):
                await engine.submit(
                    ENDPOINT, {"prompt": "many", "image_url": url, "seed": n, "duration": "2"}
                )
            until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
            found = await engine.history(ENDPOINT, since=began, until=until)
            assert {f.input["seed"] for f in found if f.input["prompt"] == "many"} == set(range(230))

        self.use(tmp_path, served, work)

    def test_a_ticket_can_be_made_from_the_id_alone(
        self, tmp_path: Path, served: str, picture: bytes
    ) -> None:
        """That is all that the history gives."""

        async def work(engine: Engine) -> None:
            ticket, _ = await self.make(engine, picture)
            again = await engine.ticket(ENDPOINT, ticket.request_id)
            await self.done(engine, again)
            assert (await engine.result(again)).status == 200

        self.use(tmp_path, served, work)

    def test_an_unknown_request_is_done_and_says_so(self, tmp_path: Path, served: str) -> None:
        async def work(engine: Engine) -> None:
            seen = await engine.status(await engine.ticket(ENDPOINT, "00000000-0000-0000-0000-000000000000"))
            assert (seen.state, seen.error_type) == ("done", "not_found")

        self.use(tmp_path, served, work)

    def test_a_bad_picture_url_is_the_models_answer_not_an_exception(
        self, tmp_path: Path, served: str
    ) -> None:
        async def work(engine: Engine) -> None:
            wire = {"prompt": "x", "image_url": "http://127.0.0.1:9/nothing.png", "duration": "2"}
            ticket = await engine.submit(ENDPOINT, wire)
            await self.done(engine, ticket)
            answer = await engine.result(ticket)
            assert answer.status == 422
            assert answer.body["detail"][0]["type"] == "file_download_error"

        self.use(tmp_path, served, work)

    def test_a_file_that_is_not_there_is_said_to_be_kept_at_the_service(
        self, tmp_path: Path, served: str, picture: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("seedance_lab.engine.client._ATTEMPTS", 1)

        async def work(engine: Engine) -> None:
            url = await engine.upload(picture, "image/png", "p.png")
            with pytest.raises(EngineError, match="HTTP 404"):
                await engine.download(
                    url.replace("p.png", "q.png").replace("files/", "files/0"), tmp_path / "x.mp4"
                )
            assert not list(tmp_path.glob("*x.mp4*"))

        self.use(tmp_path, served, work)


class TestInProcess(EngineContract):
    async def open(self, folder: Path, served: str) -> Engine:
        service = local.Service(folder, renderer=local.StubRenderer())
        await service.start()
        asgi = httpx.ASGITransport(local.create_app(service))
        return places._simulator(asgi, places.IN_PROCESS, service.engine_id, (service.aclose,))


class TestServed(EngineContract):
    async def open(self, folder: Path, served: str) -> Engine:
        return await open_engine(place_of(served), folder)


# ── one POST ────────────────────────────────────────────────────────────────────────────────────────────


def one_shot(handler: Callable[[httpx.Request], httpx.Response]) -> tuple[Engine, list[httpx.Request]]:
    """An engine at fal's own host names whose wire is `handler`."""
    seen: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return handler(request)

    mock = httpx.MockTransport(record)
    guarded = OneShot(KeyGuard(mock), submit_prefix=fal_client.client.QUEUE_URL_FORMAT)
    credentials = AuthCredentials("Key", "canary:secret")
    return Engine(credentials=credentials, transport=guarded, bare=mock, identity="fal"), seen


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.WriteError("x"), httpx.RemoteProtocolError("x")],
)
def test_a_lost_answer_is_one_post_and_an_error_of_its_own(error: Exception) -> None:
    """fal_client would send this POST ten times."""
    engine, seen = one_shot(raising(error))
    with pytest.raises(LostAnswer, match="may have been received"):
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]
)
def test_a_connection_that_was_never_made_sent_nothing(error: Exception) -> None:
    engine, seen = one_shot(raising(error))
    with pytest.raises(NotSent, match="Nothing was sent"):
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert len(seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", ['{"detail": "x"}', "<html>nginx</html>"])
def test_a_server_error_may_hide_a_received_request(status: int, body: str) -> None:
    engine, seen = one_shot(lambda _: httpx.Response(status, text=body))
    with pytest.raises(LostAnswer):
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert len(seen) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 409, 413, 422])
def test_other_refusals_are_final_and_posted_once(status: int) -> None:
    """409 is among those that fal_client repeats."""
    engine, seen = one_shot(
        lambda _: httpx.Response(status, json={"detail": "no"}, headers={"location": "/x"})
    )
    with pytest.raises(Declined) as raised:
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert (raised.value.status, raised.value.retry_after_s, len(seen)) == (status, None, 1)


@pytest.mark.parametrize(("after", "wait_s"), [("7", 7.0), ("0", 0.0), ("soon", 2.0), (None, 2.0)])
def test_too_many_requests_says_when_to_ask_again(after: str | None, wait_s: float) -> None:
    headers = {} if after is None else {"Retry-After": after}
    engine, seen = one_shot(lambda _: httpx.Response(429, headers=headers))
    with pytest.raises(Declined) as raised:
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert (raised.value.retry_after_s, len(seen)) == (wait_s, 1)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"status": "IN_QUEUE"}', b"[]", b"null", b'{"request_id": 7}']
)
def test_a_success_without_a_request_id_is_a_lost_answer(content: bytes) -> None:
    """The service has the request; only its id is lost."""
    engine, seen = one_shot(lambda _: httpx.Response(200, content=content))
    with pytest.raises(LostAnswer, match="without a request id"):
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert len(seen) == 1


def test_a_body_that_breaks_off_is_a_lost_answer() -> None:
    """The status line came, so fal_client would be reading, and would send again."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b'{"request_'
            raise httpx.RemoteProtocolError("peer closed connection")

    engine, seen = one_shot(lambda _: httpx.Response(200, stream=Broken()))
    with pytest.raises(LostAnswer):
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert len(seen) == 1


def test_an_answer_without_urls_still_gives_a_ticket() -> None:
    """Some of the service's documents show answers without them; the id must not be lost over that."""
    engine, _ = one_shot(lambda _: httpx.Response(200, json={"request_id": "abc"}))
    ticket = asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    assert ticket.urls["status_url"] == "https://queue.fal.run/fal-ai/bytedance/requests/abc/status"


def test_returned_urls_are_used_as_they_are() -> None:
    urls = {f"{n}_url": f"https://queue.fal.run/elsewhere/{n}" for n in ("status", "response", "cancel")}
    engine, seen = one_shot(
        lambda r: httpx.Response(200, json={"request_id": "abc", **urls} if r.method == "POST" else {"a": 1})
    )

    async def work() -> None:
        await engine.result(await engine.submit(ENDPOINT, {"prompt": "x"}))

    asyncio.run(work())
    assert str(seen[-1].url) == urls["response_url"]


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://queue.fal.run/x",
        "https://fal.run.evil.example/x",
        "https://v3.fal.media/x",
    ],
)
def test_the_key_goes_to_no_other_host_and_never_in_the_clear(url: str) -> None:
    """A status URL that the service returned could name any host."""
    seen: list[httpx.Request] = []
    guard = KeyGuard(httpx.MockTransport(lambda r: seen.append(r) or httpx.Response(200)))

    async def work() -> None:
        async with httpx.AsyncClient(transport=guard, headers={"Authorization": "Key canary"}) as client:
            await client.get(url)

    asyncio.run(work())
    assert "authorization" not in seen[0].headers


@pytest.mark.parametrize("host", sorted(FAL_HOSTS))
def test_the_key_goes_to_the_services_own_hosts(host: str) -> None:
    seen: list[httpx.Request] = []
    guard = KeyGuard(httpx.MockTransport(lambda r: seen.append(r) or httpx.Response(200)))

    async def work() -> None:
        async with httpx.AsyncClient(transport=guard, headers={"Authorization": "Key canary"}) as client:
            await client.get(f"https://{host}/x")

    asyncio.run(work())
    assert seen[0].headers["authorization"] == "Key canary"


def test_the_key_is_in_no_repr_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine, _ = one_shot(lambda _: httpx.Response(500))
    with pytest.raises(LostAnswer) as raised:
        asyncio.run(engine.submit(ENDPOINT, {"prompt": "x"}))
    told = [repr(engine), repr(vars(engine)), repr(engine._fal), str(raised.value), caplog.text]
    assert not any("canary" in text for text in told)


def test_a_download_carries_no_key(tmp_path: Path) -> None:
    """Files lie on a public host that has no business with it."""
    engine, seen = one_shot(lambda _: httpx.Response(200, content=b"video"))
    asyncio.run(engine.download("https://v3.fal.media/files/x.mp4", tmp_path / "x.mp4"))
    assert "authorization" not in seen[0].headers


# ── places ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_free_engine_never_reaches_out() -> None:
    """A URL that is neither the service's nor the simulator's is refused before a connection is made."""
    reached: list[str] = []
    inner = httpx.MockTransport(lambda r: reached.append(str(r.url)) or httpx.Response(200))
    router = Router(inner, base="http://127.0.0.1:1", prefixes=places._prefixes())

    async def work() -> None:
        async with httpx.AsyncClient(transport=router) as client:
            await client.get("https://queue.fal.run/a/b")
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("https://elsewhere.example/x")
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("http://127.0.0.1:12/x")

    asyncio.run(work())
    assert reached == ["http://127.0.0.1:1/queue/a/b"]


@pytest.mark.parametrize("name", ["lcoal", "ftp://x", "http://", "http://h/path", "http://u:p@h", 7])
def test_an_engine_that_is_none_is_refused_at_once(name: Any) -> None:
    with pytest.raises(EngineError, match="Nothing was sent"):
        place_of(name)


def test_the_engine_is_free_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_of(None).name == "local"
    monkeypatch.setenv("SEEDANCE_LAB_ENGINE", "http://127.0.0.1:8000/")
    assert place_of(None).name == "http://127.0.0.1:8000"
    assert place_of("local").name == "local"


def test_fal_without_a_key_says_where_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EngineError, match="FAL_KEY"):
        asyncio.run(open_engine(place_of("fal"), tmp_path))


def test_a_port_where_nobody_answers_says_how_to_start_an_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="seedance-lab serve"):
        asyncio.run(open_engine(place_of("http://127.0.0.1:9"), tmp_path))


def test_a_served_engine_that_moved_is_found_at_its_new_port() -> None:
    old = "http://127.0.0.1:1111/queue/fal-ai/bytedance/requests/x/status?logs=1"
    assert places._rebased(old, "http://127.0.0.1:2222") == old.replace("1111", "2222")
    assert places._rebased("https://elsewhere.example/files/x", "http://127.0.0.1:2222").startswith(
        "https://elsewhere"
    )


def test_fal_client_still_has_the_parts_that_are_overridden() -> None:
    """They are private there; a new version that moves them must be noticed here and not in a paid run."""
    for name in ("_auth", "_client", "_token_manager", "_cdn_client"):
        assert hasattr(fal_client.AsyncClient, name)
    assert hasattr(fal_client.client.AsyncCDNTokenManager, "_refresh_token")
    assert fal_client.client.QUEUE_URL_FORMAT == "https://queue.fal.run/"


def test_a_simulator_that_is_full_has_declined_and_not_lost_the_request() -> None:
    """Any other 5xx may have been received; this one says in so many words that it was not."""

    async def story() -> None:
        body = {"detail": "The disk is full.", "error_type": "insufficient_storage"}
        full = httpx.MockTransport(lambda _: httpx.Response(507, json=body))
        async with httpx.AsyncClient(
            transport=OneShot(full, submit_prefix="https://queue.fal.run/")
        ) as client:
            with pytest.raises(Declined, match="disk is full") as caught:
                await client.post("https://queue.fal.run/fal-ai/x", json={})
        assert (caught.value.status, caught.value.retry_after_s) == (507, None)
        unsaid = httpx.MockTransport(lambda _: httpx.Response(507, text="<html>"))
        async with httpx.AsyncClient(
            transport=OneShot(unsaid, submit_prefix="https://queue.fal.run/")
        ) as client:
            with pytest.raises(LostAnswer):
                await client.post("https://queue.fal.run/fal-ai/x", json={})

    asyncio.run(story())
