"""Webhooks: what is sent, signed by whom, how often, and where never."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seedance_lab.endpoints import LITE_TEXT

from .support import BASE, Engine, Hands, engine

TEXT = {"prompt": "p", "duration": 2}


class Receiver:
    """Listens on a port and answers what it is told to, one connection a request."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        self.seen: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.answers.pop(0) if self.answers else 200
        more = "Location: /elsewhere\r\n" if status == 302 else ""
        writer.write(
            f"HTTP/1.1 {status} Said\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        self.seen.put_nowait((headers, body))

    async def next(self) -> tuple[dict[str, str], bytes]:
        return await asyncio.wait_for(self.seen.get(), 5)


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    listening = Receiver()
    async with await asyncio.start_server(listening.handle, "127.0.0.1", 0) as server:
        listening.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=1"
        yield listening


async def submit(lab: Engine, url: str, body: dict[str, Any] = TEXT) -> str:
    answer = await lab.client.post(f"/queue/{LITE_TEXT.id}", json=body, params={"fal_webhook": url})
    assert answer.status_code == 200, answer.text
    await asyncio.wait_for(lab.service.wait(answer.json()["request_id"]), 5)
    return str(answer.json()["request_id"])


async def ended(lab: Engine, request_id: str) -> str | None:
    for task in list(lab.service._webhooks._tasks):
        await asyncio.wait_for(task, 5)
    (row,) = lab.service.store.webhooks(request_id)
    return row.ended


def test_a_webhook_brings_the_result_with_a_good_signature(tmp_path: Path) -> None:
    """Verified as the documents tell receivers to: by the published keys, over the raw body."""

    async def main() -> None:
        async with receiver() as hook, engine(tmp_path, webhooks_to_loopback=True) as lab:
            request_id = await submit(lab, hook.url)
            headers, body = await hook.next()
            told = json.loads(body)
            result = await lab.client.get(f"/queue/fal-ai/bytedance/requests/{request_id}")
            assert told == {
                "request_id": request_id,
                "gateway_request_id": request_id,
                "status": "OK",
                "payload": result.json(),
            }
            assert told["payload"]["video"]["url"].startswith(f"{BASE}/cdn/")
            del lab.client.headers["Authorization"]
            (key,) = (await lab.client.get("/rest/.well-known/jwks.json")).json()["keys"]
            public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
            said = [headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
            message = "\n".join([*said, hashlib.sha256(body).hexdigest()]).encode()
            signature = bytes.fromhex(headers["x-fal-webhook-signature"])
            public.verify(signature, message)
            with pytest.raises(InvalidSignature):
                public.verify(signature, message + b" ")
            assert said[0] == request_id
            assert await ended(lab, request_id) == "delivered"
            assert (tmp_path / "webhook.key").stat().st_mode & 0o077 == 0

    asyncio.run(main())


def test_a_failure_is_told_with_the_models_body(tmp_path: Path) -> None:
    """Receivers decide by `status`."""

    async def main() -> None:
        async with receiver() as hook, engine(tmp_path, webhooks_to_loopback=True) as lab:
            await submit(lab, hook.url, {})
            told = json.loads((await hook.next())[1])
            assert (told["status"], told["error"]) == ("ERROR", "Invalid status code: 422")
            assert told["payload"]["detail"][0]["loc"] == ["body", "prompt"]

    asyncio.run(main())


def test_a_webhook_is_repeated_until_it_is_heard(tmp_path: Path) -> None:
    """Later each time; the body stays the same, byte for byte."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def main() -> None:
        async with receiver() as hook, engine(tmp_path, webhooks_to_loopback=True, pause=pause) as lab:
            hook.answers = [500, 429, 404]
            request_id = await submit(lab, hook.url)
            bodies = {(await hook.next())[1] for _ in range(4)}
            assert await ended(lab, request_id) == "delivered"
            assert (len(bodies), pauses) == (1, [1.0, 2.0, 4.0])

    asyncio.run(main())


def test_a_webhook_is_given_up_when_its_result_expires(tmp_path: Path) -> None:
    """Nobody waits for it any more."""
    clock = Hands()

    async def pause(seconds: float) -> None:
        clock.now += 1800

    async def main() -> None:
        async with (
            receiver() as hook,
            engine(tmp_path, webhooks_to_loopback=True, pause=pause, clock=clock) as lab,
        ):
            hook.answers = [500] * 10
            request_id = await submit(lab, hook.url)
            assert await ended(lab, request_id) == "given up"
            assert hook.seen.qsize() == 3

    asyncio.run(main())


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """It could lead anywhere; it is a failure for good."""

    async def main() -> None:
        async with receiver() as hook, engine(tmp_path, webhooks_to_loopback=True) as lab:
            hook.answers = [302]
            request_id = await submit(lab, hook.url)
            assert await ended(lab, request_id) == "refused: HTTP 302"
            assert hook.seen.qsize() == 1

    asyncio.run(main())


def test_this_machine_is_told_nothing_unless_it_is_allowed(tmp_path: Path) -> None:
    """A submission must not be a way to post to what only this machine can reach."""

    async def main() -> None:
        async with receiver() as hook, engine(tmp_path) as lab:
            request_id = await submit(lab, hook.url)
            assert await ended(lab, request_id) == "refused: 127.0.0.1 is not a public address"
            assert hook.seen.empty()

    asyncio.run(main())


def test_other_private_addresses_are_never_told(tmp_path: Path) -> None:
    """Loopback is allowed for tests; the router and the cloud's metadata are not."""

    async def main() -> None:
        async with engine(tmp_path, webhooks_to_loopback=True) as lab:
            request_id = await submit(lab, "http://169.254.169.254/latest")
            assert await ended(lab, request_id) == "refused: 169.254.169.254 is not a public address"

    asyncio.run(main())


def test_a_webhook_that_was_not_heard_is_told_after_a_restart(tmp_path: Path) -> None:
    """What was promised is in the folder, and the key is the same."""

    async def never(seconds: float) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with receiver() as hook:
            hook.answers = [500]
            async with engine(tmp_path, webhooks_to_loopback=True, pause=never) as lab:
                request_id = await submit(lab, hook.url)
                await hook.next()
                keys = lab.service.signer.jwks()
            async with engine(tmp_path, webhooks_to_loopback=True) as lab:
                await hook.next()
                assert await ended(lab, request_id) == "delivered"
                assert lab.service.signer.jwks() == keys

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ftp://a.example/", "nowhere", "http://", "http://[::1", "http://a:99999/"])
def test_a_webhook_that_is_no_url_is_declined(tmp_path: Path, url: str) -> None:
    """At once, not when the clip is paid for."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            params = {"fal_webhook": url}
            answer = await lab.client.post(f"/queue/{LITE_TEXT.id}", json=TEXT, params=params)
            assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")

    asyncio.run(main())
