"""How long files are to be had, and what of a request is kept for the history."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seedance_lab.endpoints import LITE_TEXT

from .support import LITE_URL, Engine, Hands, HeldRenderer, engine, picture

SETTINGS = "/api/v1/storage/settings"
HISTORY = "/api/v1/models/requests/by-endpoint"
TEXT_URL = f"/queue/{LITE_TEXT.id}"
TEXT = {"prompt": "a secret harbour", "duration": 2}
ON_UPLOAD, ON_ALL = "X-Fal-Object-Lifecycle", "X-Fal-Object-Lifecycle-Preference"
HOUR = {"expiration_duration_seconds": 3600}


async def status(lab: Engine, url: str) -> int:
    return (await lab.client.get(url)).status_code


async def clip(lab: Engine, headers: dict[str, str] | None = None, host: str = "queue") -> str:
    """URL of a new one."""
    answer = await lab.client.post(TEXT_URL.replace("queue", host), json=TEXT, headers=headers)
    assert answer.status_code == 200, answer.text
    if host == "queue":
        await asyncio.wait_for(lab.service.wait(answer.json()["request_id"]), 5)
        answer = await lab.client.get(answer.json()["response_url"])
    return str(answer.json()["video"]["url"])


async def uploaded(lab: Engine, how: str, headers: dict[str, str]) -> str:
    """URL of an upload that asks for a lifetime where this way of uploading does."""
    if how == "direct":
        answer = await lab.client.post("/cdn/files/upload", content=b"x", headers=headers)
        return str(answer.json()["access_url"])
    if how == "announced":
        urls = (await lab.client.post("/rest/storage/upload/initiate", json={}, headers=headers)).json()
        await lab.client.put(urls["upload_url"], content=b"x")
        return str(urls["file_url"])
    begun = (await lab.client.post("/cdn/files/upload/multipart", headers=headers)).json()
    parts = f"{begun['access_url']}/multipart/{begun['uploadId']}"
    await lab.client.put(f"{parts}/1", content=b"x")
    await lab.client.post(f"{parts}/complete", json={"parts": [{"partNumber": 1}]})
    return str(begun["access_url"])


@pytest.mark.parametrize("how", ["direct", "announced", "parts"])
@pytest.mark.parametrize("name", [ON_UPLOAD, ON_ALL])
def test_an_upload_is_to_be_had_for_as_long_as_was_asked(tmp_path: Path, how: str, name: str) -> None:
    """The Python client sends both headers, the JavaScript client one of them."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            url = await uploaded(lab, how, {name: json.dumps(HOUR)})
            clock.now += 3599
            assert await status(lab, url) == 200
            clock.now += 1
            assert (await lab.client.get(url)).json() == {"detail": "File not found"}

    asyncio.run(main())


@pytest.mark.parametrize("host", ["queue", "run"])
def test_a_clip_is_to_be_had_for_as_long_as_was_asked(tmp_path: Path, host: str) -> None:
    """From its end on; its result and its history stay, and the bytes go by themselves when the clock moves."""

    async def main() -> None:
        async with engine(tmp_path, clock=Hands(), retention_s=None) as lab:
            url = await clip(lab, {ON_ALL: json.dumps(HOUR)}, host)
            assert await status(lab, url) == 200
            lab.service.clock.move(3601)
            assert await status(lab, url) == 404
            for _ in range(3):  # the sweeper's turn
                await asyncio.sleep(0)
            assert list(lab.service.store.files.iterdir()) == []
            assert lab.service.disk.held == 0
            params = {"endpoint_id": LITE_TEXT.id, "expand": "payloads"}
            (item,) = (await lab.client.get(HISTORY, params=params)).json()["items"]
            assert item["json_output"]["video"]["url"] == url

    asyncio.run(main())


def test_a_lifetime_outlives_a_restart(tmp_path: Path) -> None:
    """Asked for before it, made and expired after it."""

    async def main() -> None:
        clock, held = Hands(), HeldRenderer()
        async with engine(tmp_path, clock=clock, renderer=held) as lab:
            request_id = (
                await lab.client.post(TEXT_URL, json=TEXT, headers={ON_ALL: json.dumps(HOUR)})
            ).json()["request_id"]
            await held.arrived(1)
        async with engine(tmp_path, clock=clock, retention_s=None) as lab:
            await asyncio.wait_for(lab.service.wait(request_id), 5)
            answer = await lab.client.get(f"/queue/fal-ai/bytedance/requests/{request_id}")
            url = answer.json()["video"]["url"]
            assert await status(lab, url) == 200
        clock.now += 3601
        async with engine(tmp_path, clock=clock) as lab:
            assert await status(lab, url) == 404
            assert list(lab.service.store.files.iterdir()) == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        (HOUR, 3600),
        ({"expiration_duration_seconds": "3600"}, 3600),
        ({"expiration_duration_seconds": 3600.0}, 3600),
        ({"expiration_duration_seconds": "1h"}, 3600),
        ({"expiration_duration_seconds": "immediate"}, 60),
        ({"expiration_duration_seconds": None}, None),
        ({"expiration_duration_seconds": 0}, None),
        ({"expiration_duration_seconds": "never"}, None),
        ({**HOUR, "initial_acl": {"default": "forbid", "rules": []}}, 3600),
        ({"initial_acl": {"default": "forbid"}}, None),
        ({}, None),
    ],
)
def test_every_form_of_the_wish_is_understood(
    tmp_path: Path, wish: dict[str, Any], seconds: int | None
) -> None:
    """What clients send, and what a person would write."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            url = await uploaded(lab, "direct", {ON_ALL: json.dumps(wish)})
            file = lab.service.files.find(url.split("/")[-2])
            assert file is not None
            assert file.expires_at == (None if seconds is None else clock.now + seconds)

    asyncio.run(main())


@pytest.mark.parametrize(
    "wish",
    ["", "3600", "[]", "{", '{"expiration_duration_seconds": -1}', '{"expiration_duration_seconds": true}',
     '{"expiration_duration_seconds": 1e99}', '{"expiration_duration_seconds": "soon"}',
     '{"expiration_duration_seconds": NaN}', '{"expiration_duration_seconds": []}', "[" * 100_000],
)  # fmt: skip
def test_a_wish_that_cannot_be_understood_is_declined(tmp_path: Path, wish: str) -> None:
    """To pass over it would keep for ever what was to go."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            for url, body in ((TEXT_URL, {"json": TEXT}), ("/cdn/files/upload", {"content": b"x"})):
                answer = await lab.client.post(url, headers={ON_ALL: wish}, **body)
                assert answer.status_code == 400
                assert answer.json()["error_type"] == "bad_request"
            assert lab.service.store.history(endpoint_ids=[LITE_TEXT.id], start=0, end=1e12, limit=1) == []

    asyncio.run(main())


def test_the_accounts_settings_hold_where_a_request_says_nothing(tmp_path: Path) -> None:
    """For uploads and clips, and after a restart; a header goes before them, a null in it too."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            nothing = {"expiration_duration_seconds": None, "initial_acl": None}
            assert (await lab.client.get(SETTINGS)).json() == nothing
            asked = {
                **HOUR,
                "initial_acl": {"default": "allow", "rules": [{"user": "u", "decision": "hide"}]},
            }
            assert (await lab.client.put(SETTINGS, json=asked)).json() == asked
        async with engine(tmp_path, clock=clock) as lab:
            assert (await lab.client.get(SETTINGS)).json() == asked
            never = {ON_ALL: '{"expiration_duration_seconds": null}'}
            day = {ON_ALL: '{"expiration_duration_seconds": 86400}'}
            urls = [
                await uploaded(lab, "announced", {}),
                await clip(lab),
                await clip(lab, day),
                await clip(lab, never),
            ]
            clock.now += 3600
            assert [await status(lab, url) for url in urls] == [404, 404, 200, 200]
            clock.now += 86_400
            assert [await status(lab, url) for url in urls] == [404, 404, 404, 200]
            assert (await lab.client.put(SETTINGS, json={})).json() == nothing
            url = await clip(lab)
            clock.now += 1e9
            assert await status(lab, url) == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [[], None, {"expiration_duration_seconds": 0}, {"expiration_duration_seconds": "1h"}, {"initial_acl": 3},
     {"expiration_duration_seconds": True}, {"initial_acl": {"default": "maybe"}},
     {"initial_acl": {"rules": [{"user": "u"}]}}],
)  # fmt: skip
def test_settings_that_are_none_are_declined_and_change_nothing(tmp_path: Path, body: Any) -> None:
    """In the platform's envelope."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            await lab.client.put(SETTINGS, json=HOUR)
            answer = await lab.client.put(SETTINGS, json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "validation_error")
            assert (await lab.client.get(SETTINGS)).json()["expiration_duration_seconds"] == 3600

    asyncio.run(main())


def test_a_picture_that_expires_in_the_queue_is_still_used(tmp_path: Path) -> None:
    """Its request was sent in time. One that is sent later finds no picture, and nobody else sees it."""

    async def main() -> None:
        clock, held = Hands(), HeldRenderer()
        async with engine(tmp_path, clock=clock, renderer=held, slots=1) as lab:
            answer = await lab.client.post(
                "/cdn/files/upload",
                content=picture(),
                headers={"Content-Type": "image/png", ON_UPLOAD: json.dumps(HOUR)},
            )
            url = answer.json()["access_url"]
            await lab.submit(**TEXT)
            in_time = await lab.submit(**TEXT, image_url=url)
            lab.service.clock.move(3600)
            for _ in range(3):
                await asyncio.sleep(0)
            assert await status(lab, url) == 404
        async with engine(tmp_path, clock=lab.service.clock) as lab:
            await asyncio.wait_for(lab.service.wait(in_time["request_id"]), 5)
            assert (await lab.client.get(in_time["response_url"])).status_code == 200
            too_late = await lab.result(**TEXT, image_url=url)
            assert (too_late.status_code, too_late.json()["detail"][0]["type"]) == (
                422,
                "file_download_error",
            )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ({}, True),
        ({"X-Fal-Store-IO": "1"}, True),
        ({"X-Fal-Store-IO": "0"}, False),
        ({"x-fal-store-io": "false"}, False),
    ],
)
def test_payloads_are_kept_unless_the_request_forbids_it(
    tmp_path: Path, headers: dict[str, str], is_kept: bool
) -> None:
    """Its result can be had as ever, until it expires; then nothing of it is left in the folder."""

    async def main() -> None:
        clock = Hands()
        async with engine(tmp_path, clock=clock) as lab:
            handle = (await lab.client.post(TEXT_URL, json={**TEXT, "seed": 77}, headers=headers)).json()
            await asyncio.wait_for(lab.service.wait(handle["request_id"]), 5)
            assert (await lab.client.get(handle["response_url"])).json()["seed"] == 77
            params = {"endpoint_id": LITE_TEXT.id, "expand": "payloads", "request_id": handle["request_id"]}
            (item,) = (await lab.client.get(HISTORY, params=params)).json()["items"]
            assert item["status_code"] == 200
            assert (item["json_input"] is not None) == (item["json_output"] is not None) == is_kept
            lab.service.clock.move(3601)
            for _ in range(3):
                await asyncio.sleep(0)
            assert (await lab.client.get(handle["response_url"])).status_code == 404
            assert len(lab.service.store.ledger()) == 1
        with sqlite3.connect(tmp_path / "engine.db") as db:
            ((sent, got),) = db.execute("SELECT input, output FROM requests")
        assert (json.loads(sent or "null") is not None) == (got is not None) == is_kept

    asyncio.run(main())


def test_a_request_whose_payloads_are_not_kept_survives_a_restart(tmp_path: Path) -> None:
    """Until it is finished its input is needed; no history shows it even then."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held) as lab:
            handle = (await lab.client.post(LITE_URL, json={**TEXT, "image_url": await lab.upload()},
                                            headers={"X-Fal-Store-IO": "0"})).json()  # fmt: skip
            await held.arrived(1)
            params = {"endpoint_id": "fal-ai/bytedance/seedance/v1/lite/image-to-video", "expand": "payloads"}
            (item,) = (await lab.client.get(HISTORY, params=params)).json()["items"]
            assert item["json_input"] is None
        async with engine(tmp_path) as lab:
            await asyncio.wait_for(lab.service.wait(handle["request_id"]), 5)
            assert (await lab.client.get(handle["response_url"])).status_code == 200

    asyncio.run(main())
