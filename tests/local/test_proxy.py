"""`/proxy`: a request is what its target header says, and never leaves this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from seedance_lab.endpoints import LITE_TEXT
from seedance_lab.local.proxy import Proxy

from .support import Engine, engine

BODY = {"prompt": "boats", "duration": "2", "resolution": "480p"}


def on(folder: Path, test: Callable[[Engine], Awaitable[None]]) -> None:
    async def main() -> None:
        async with engine(folder) as running:
            await test(running)

    asyncio.run(main())


def towards(url: str) -> dict[str, str]:
    return {"x-fal-target-url": url}


def test_a_request_goes_through_its_whole_life(tmp_path: Path) -> None:
    """Submit, status, result and cancel, each with its own method, query and status code."""

    async def life(here: Engine) -> None:
        base = "https://queue.fal.run/fal-ai/bytedance/requests"
        submitted = await here.client.post(
            "/proxy", json=BODY, headers=towards(f"https://queue.fal.run/{LITE_TEXT.id}")
        )
        request_id = submitted.json()["request_id"]
        await asyncio.wait_for(here.service.wait(request_id), 10)
        status = await here.client.get("/proxy", headers=towards(f"{base}/{request_id}/status?logs=1"))
        assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
        assert status.json()["logs"]
        result = await here.client.get("/proxy", headers=towards(f"{base}/{request_id}"))
        assert result.json()["video"]["url"]
        cancel = await here.client.put("/proxy", headers=towards(f"{base}/{request_id}/cancel"))
        assert (cancel.status_code, cancel.json()["status"]) == (400, "ALREADY_COMPLETED")

    on(tmp_path, life)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("https://fal.run/fal-ai/x/y", "/run/fal-ai/x/y"),
        ("https://queue.fal.run/fal-ai/x/", "/queue/fal-ai/x"),
        ("https://QUEUE.fal.run:443/a%20b?c=d%26e&f", "/queue/a b"),
        (
            "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
            "/rest/storage/upload/initiate",
        ),
        ("https://v3.fal.media/files/upload", "/cdn/files/upload"),
        ("https://api.fal.ai/v1/models", "/api/v1/models"),
        ("https://fal.run", "/run"),
    ],
)
def test_each_of_the_service_s_hosts_has_its_path(target: str, path: str) -> None:
    scope = passed_on(target)
    assert scope["path"] == path
    assert scope["query_string"].decode() == target.partition("?")[2]
    assert b"x-fal-target-url" not in dict(scope["headers"])


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/queue/fal-ai/bytedance",
        "http://queue.fal.run/x",
        "https://example.com/queue.fal.run",
        "https://queue.fal.run.example.com/x",
        "https://queue.fal.run@example.com/x",
        "https://user@queue.fal.run/x",
        "https://queue.fal.run:8443/x",
        "https://queue.fal.run:port/x",
        "https://127.0.0.1:8000/proxy",
        "https://[::1/x",
        "file:///etc/passwd",
        "\xff\xfe",
    ],
)
def test_a_target_elsewhere_is_refused(target: str, tmp_path: Path) -> None:
    async def refused(here: Engine) -> None:
        answer = await here.client.post(
            "/proxy", json=BODY, headers={b"x-fal-target-url": target.encode("latin-1")}
        )
        assert answer.status_code == 412

    on(tmp_path, refused)


def test_a_missing_target_is_refused(tmp_path: Path) -> None:
    async def refused(here: Engine) -> None:
        assert (await here.client.get("/proxy")).status_code == 400

    on(tmp_path, refused)


def test_it_adds_a_key_for_an_application_without_one_and_keeps_a_given_one() -> None:
    """A browser application has none: that is what its proxy is for."""
    without = dict(passed_on("https://fal.run/x")["headers"])
    given = dict(passed_on("https://fal.run/x", (b"authorization", b"Key a:b"))["headers"])
    assert without[b"authorization"].startswith(b"Key ")
    assert given[b"authorization"] == b"Key a:b"


def test_a_page_on_the_web_does_not_reach_it_under_its_own_name(tmp_path: Path) -> None:
    """The gate is in front of it."""

    async def refused(here: Engine) -> None:
        headers = {**towards(f"https://queue.fal.run/{LITE_TEXT.id}"), "Host": "evil.example"}
        assert (await here.client.post("/proxy", json=BODY, headers=headers)).status_code == 400

    on(tmp_path, refused)


def test_other_requests_keep_the_header(tmp_path: Path) -> None:
    """Only `/proxy` is a proxy."""

    async def ignored(here: Engine) -> None:
        answer = await here.client.get("/", headers=towards("https://fal.run/x"))
        assert "simulator" in answer.json()["engine"]

    on(tmp_path, ignored)


def passed_on(target: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """What the application behind the proxy is given."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    scope = {
        "type": "http",
        "path": "/proxy",
        "headers": [(b"x-fal-target-url", target.encode()), *headers],
        "query_string": b"",
    }
    asyncio.run(Proxy(app)(scope, None, None))  # type: ignore[arg-type]
    return seen
