"""The queue's wire: statuses, bodies and headers as the service's clients expect them."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.local import Service, StubRenderer, create_app, pictures
from seedance_lab.local.fetch import Fetcher, FetchError
from seedance_lab.local.wire import JSON_LIMIT

from .support import BASE, KEY, LITE_URL, HeldRenderer, engine, picture

APP = "/queue/fal-ai/bytedance"


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_a_request_from_submission_to_result(tmp_path: Path) -> None:
    """The shapes that both official clients read, every key of them."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            await lab.submit(prompt="first", image_url=await lab.upload())
            answer = await lab.client.post(LITE_URL, json={"prompt": "p", "image_url": await lab.upload()})
            assert answer.status_code == 200
            handle = answer.json()
            request_id = handle["request_id"]
            assert answer.headers["x-fal-request-id"] == request_id
            url = f"{BASE}{APP}/requests/{request_id}"
            urls = {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}
            queued = {
                "status": "IN_QUEUE",
                "request_id": request_id,
                **urls,
                "logs": None,
                "metrics": {},
                "queue_position": 0,
            }
            assert handle == queued
            answer = await lab.client.get(handle["status_url"])
            assert (answer.status_code, answer.json()) == (202, queued)
            await held.arrived(1)
            held.release(held.jobs[0].id)
            await held.arrived(2)
            answer = await lab.client.get(handle["status_url"], params={"logs": "true"})
            assert answer.status_code == 202
            assert answer.json()["status"] == "IN_PROGRESS"
            assert set(answer.json()["logs"][0]) == {"message", "level", "source", "timestamp", "labels"}
            answer = await lab.client.get(url)
            assert (answer.status_code, answer.json()) == (400, {"detail": "Request is still in progress"})
            held.release(request_id)
            await lab.service.wait(request_id)
            answer = await lab.client.get(handle["status_url"])
            assert answer.status_code == 200
            assert answer.json()["metrics"]["inference_time"] >= 0
            assert "error" not in answer.json()
            answer = await lab.client.get(url)
            assert answer.status_code == 200
            assert answer.headers["x-fal-request-id"] == request_id
            assert answer.headers["x-fal-billable-units"] == "0.10920000"
            assert set(answer.json()) == {"video", "seed"}
            assert set(answer.json()["video"]) == {"url", "content_type", "file_name", "file_size"}

    asyncio.run(main())


@pytest.mark.parametrize("logs", ["1", "true", "True"])
def test_logs_are_there_when_asked_for(tmp_path: Path, logs: str) -> None:
    """Python's client writes true, JavaScript's 1."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload())
            await lab.service.wait(handle["request_id"])
            assert (await lab.client.get(handle["status_url"], params={"logs": logs})).json()["logs"]
            assert (await lab.client.get(handle["status_url"], params={"logs": "0"})).json()["logs"] is None

    asyncio.run(main())


@pytest.mark.parametrize(
    "path",
    [
        "fal-ai/bytedance/requests/{id}",
        f"{LITE.id}/requests/{{id}}",
        "fal-ai/bytedance/requests/{id}/response",
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_urls_are_taken_in_every_form_that_is_in_use(tmp_path: Path, path: str, slash: str) -> None:
    """Owner and app, the full id, /response, and an older client's slash at the end."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload())
            await lab.service.wait(handle["request_id"])
            answer = await lab.client.get("/queue/" + path.format(id=handle["request_id"]) + slash)
            assert answer.status_code == 200

    asyncio.run(main())


def test_urls_come_back_under_the_host_that_was_asked(tmp_path: Path) -> None:
    """Else a handle would leave the loopback, or a video's URL name a port of yesterday."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload())
            await lab.service.wait(handle["request_id"])
            answer = await lab.client.get(handle["response_url"], headers={"Host": "localhost:99"})
            assert answer.json()["video"]["url"].startswith("http://localhost:99/cdn/files/")

    asyncio.run(main())


def test_cancelling_answers_as_documented(tmp_path: Path) -> None:
    """Queued, running, finished, unknown: four answers."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            url = await lab.upload()
            running, queued = [await lab.submit(prompt="p", image_url=url) for _ in range(2)]
            await held.arrived(1)
            seen = []
            for cancel_url in (
                queued["cancel_url"],
                queued["cancel_url"],
                running["cancel_url"],
                f"{APP}/requests/none/cancel",
            ):
                answer = await lab.client.put(cancel_url)
                seen.append((answer.status_code, answer.json()["status"]))
            assert seen == [
                (200, "OK"),
                (400, "ALREADY_COMPLETED"),
                (202, "CANCELLATION_REQUESTED"),
                (404, "NOT_FOUND"),
            ]
            await lab.service.wait(running["request_id"])
            for handle in (queued, running):
                status = (await lab.client.get(handle["status_url"])).json()
                assert (status["status"], status["error_type"]) == ("COMPLETED", "client_cancelled")
                answer = await lab.client.get(handle["response_url"])
                assert answer.status_code == 499
                assert answer.headers["x-fal-error-type"] == "client_cancelled"

    asyncio.run(main())


def test_an_unknown_request_is_not_found_with_and_without_a_key(tmp_path: Path) -> None:
    """A status of a random id is the documented free check of a key; a result has a detail for Python."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.get(f"{APP}/requests/none/status")
            assert (answer.status_code, answer.json()) == (404, {"status": "NOT_FOUND"})
            assert (await lab.client.get(f"{APP}/requests/none")).status_code == 404
            del lab.client.headers["Authorization"]
            assert (await lab.client.get(f"{APP}/requests/none/status")).status_code == 404
            answer = await lab.client.get(f"{APP}/requests/none/status", headers={"Authorization": "Basic x"})
            assert (answer.status_code, answer.json()) == (401, {"detail": "invalid key credentials"})

    asyncio.run(main())


def test_a_request_of_another_app_is_not_found(tmp_path: Path) -> None:
    """The path has to fit the request, as at the service."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload())
            answer = await lab.client.get(f"/queue/fal-ai/flux/requests/{handle['request_id']}/status")
            assert answer.status_code == 404

    asyncio.run(main())


def test_nothing_runs_without_a_key(tmp_path: Path) -> None:
    """A program that forgot its key must find out here, not at the paid service."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", image_url=await lab.upload())
            del lab.client.headers["Authorization"]
            for method, url in (
                ("POST", LITE_URL),
                ("POST", f"/run/{LITE.id}"),
                ("GET", handle["status_url"]),
                ("GET", handle["response_url"]),
                ("PUT", handle["cancel_url"]),
                ("POST", "/cdn/files/upload"),
                ("POST", "/rest/storage/auth/token"),
                ("POST", "/rest/storage/upload/initiate"),
            ):
                assert (await lab.client.request(method, url, json={})).status_code == 401, url

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/queue/fal-ai/nosuch", 'Application "nosuch" not found'),
        ("/run/fal-ai/bytedance/nosuch", "Path /nosuch not found"),
        ("/queue/fal-ai/bytedance", "Path / not found"),
    ],
)
def test_an_unknown_endpoint_is_not_found(tmp_path: Path, path: str, detail: str) -> None:
    """A mistyped id is declined at once, and nothing is queued."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(path, json={})
            assert (answer.status_code, answer.json()["detail"]) == (404, detail)

    asyncio.run(main())


def test_bad_input_is_taken_by_the_queue_and_refused_by_the_model(tmp_path: Path) -> None:
    """As at the service: 200 at submission, COMPLETED later, and the result has pydantic's items."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            handle = await lab.submit(prompt="p", duration="99", camera_fixed="yes")
            await lab.service.wait(handle["request_id"])
            status = await lab.client.get(handle["status_url"])
            assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
            assert status.json()["error"] == "Invalid status code: 422"
            answer = await lab.client.get(handle["response_url"])
            assert answer.status_code == 422
            assert answer.headers["x-fal-billable-units"] == "0"
            seen = {tuple(item["loc"]): item["type"] for item in answer.json()["detail"]}
            assert seen == {
                ("body", "duration"): "literal_error",
                ("body", "camera_fixed"): "bool_type",
                ("body", "image_url"): "missing",
            }

    asyncio.run(main())


def test_a_long_value_is_not_echoed_whole(tmp_path: Path) -> None:
    """A data URI of megabytes would come back in every item of the answer."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.result(image_url="data:," + "x" * 1_000_000)
            assert answer.status_code == 422
            assert len(answer.content) < 10_000

    asyncio.run(main())


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims these sides."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


class _Offline(Fetcher):
    async def fetch(self, url: str, to: Path, *, limit: int) -> None:
        if not url.startswith("data:"):
            raise FetchError("no network in tests")
        await super().fetch(url, to, limit=limit)


@pytest.mark.parametrize(
    ("image_url", "kind", "context"),
    [
        (data_uri(picture(299, 400)), "image_too_small", {"min_height": 300, "min_width": 300}),
        (data_uri(bomb(6001, 5000)), "image_too_large", {"max_height": 6000, "max_width": 6000}),
        (data_uri(bomb(2**31 - 1, 2**31 - 1)), "image_too_large", {"max_height": 6000, "max_width": 6000}),
        (data_uri(picture(1000, 390)), "value_error", None),
        (data_uri(b"no picture"), "image_load_error", None),
        (data_uri(picture()[:-300]), "image_load_error", None),
        (
            data_uri(picture(kind="PPM")),
            "unsupported_image_format",
            {"supported_formats": [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tiff", ".gif"]},
        ),
        ("https://pictures.example/a.png", "file_download_error", None),
        (f"{BASE}/cdn/files/{'0' * 32}/p.png", "file_download_error", None),
    ],
)
@pytest.mark.parametrize("field", ["image_url", "end_image_url"])
def test_a_picture_outside_the_limits_is_refused_by_type(
    tmp_path: Path, image_url: str, kind: str, context: dict[str, int] | None, field: str
) -> None:
    """The documented types, located at the field; nothing is left behind and nothing charged."""

    async def main() -> None:
        async with engine(tmp_path, fetcher=_Offline()) as lab:
            good = data_uri(picture())
            answer = await lab.result(**{"prompt": "p", "image_url": good, field: image_url})
            assert answer.status_code == 422
            (item,) = answer.json()["detail"]
            assert (item["type"], item["loc"], item.get("ctx")) == (kind, ["body", field], context)
            assert list(lab.service.store.scratch.iterdir()) == []
            assert lab.service.store.ledger() == []

    asyncio.run(main())


@pytest.mark.parametrize("uploaded", [True, False])
def test_a_picture_of_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, uploaded: bool
) -> None:
    """By its length, before anything looks into it."""
    monkeypatch.setattr(pictures, "MAX_BYTES", 1000)

    async def main() -> None:
        async with engine(tmp_path) as lab:
            data = b"x" * 1001
            answer = await lab.result(
                prompt="p", image_url=await lab.upload(data) if uploaded else data_uri(data)
            )
            assert answer.status_code == 422
            (item,) = answer.json()["detail"]
            assert (item["type"], item["ctx"]) == ("file_too_large", {"max_size": 1000})

    asyncio.run(main())


@pytest.mark.parametrize("shape", [(300, 300), (6000, 2400)])
def test_a_picture_at_the_limits_is_taken(tmp_path: Path, shape: tuple[int, int]) -> None:
    """The client lets these through; refusing them here would be a disagreement between two of our parts."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.result(prompt="p", image_url=data_uri(picture(*shape)), duration="2")
            assert answer.status_code == 200, answer.text

    asyncio.run(main())


def test_an_uploaded_picture_is_found_under_the_url_of_another_port(tmp_path: Path) -> None:
    """After a restart the engine answers elsewhere, and what was queued names the old port."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            url = (await lab.upload()).replace(BASE, "http://127.0.0.1:1")
            assert (await lab.result(prompt="p", image_url=url, duration="2")).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b'{"seed": NaN}', 422),
        (b"[" * 100_000, 422),
        (b"\xff", 422),
        (b"1e999", 422),
    ],
)
def test_what_is_not_json_is_declined(tmp_path: Path, body: bytes, status: int) -> None:
    """It cannot be stored as JSON, and must not break the server."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            answer = await lab.client.post(LITE_URL, content=body)
            assert answer.status_code == status

    asyncio.run(main())


def test_a_body_above_the_limit_is_declined_unread(tmp_path: Path) -> None:
    """By its declared length, and by its real one where none is declared."""

    async def endless():
        for _ in range(JSON_LIMIT // 2**20 + 2):
            yield b" " * 2**20

    async def main() -> None:
        async with engine(tmp_path) as lab:
            declared = {"Content-Length": str(JSON_LIMIT + 1)}
            assert (await lab.client.post(LITE_URL, content=b"{}", headers=declared)).status_code == 413
            assert (await lab.client.post(LITE_URL, content=endless())).status_code == 413

    asyncio.run(main())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        JSON
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ["prompt", "aspect_ratio", "resolution", "duration", "seed", "image_url"], JSON
            ),
        ),
        min_size=5,
        max_size=5,
    )
)
def test_any_json_ends_as_a_clip_or_as_the_models_refusal(tmp_path_factory, bodies: list[Any]) -> None:
    """Never as a server error: what a client sends cannot break us."""

    async def main() -> None:
        folder = tmp_path_factory.mktemp("any")
        async with engine(folder, fetcher=_Offline()) as lab:
            for body in bodies:
                for endpoint in (LITE, LITE_TEXT):
                    answer = await lab.client.post(f"/queue/{endpoint.id}", content=json.dumps(body))
                    assert answer.status_code == 200
                    await lab.service.wait(answer.json()["request_id"])
                    assert (await lab.client.get(answer.json()["response_url"])).status_code in {200, 422}

    asyncio.run(main())


def test_run_waits_for_the_result(tmp_path: Path) -> None:
    """The synchronous endpoint: same input, the model's answer in one go, in the history like any other."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            body = {"prompt": "p", "image_url": await lab.upload(), "seed": 4}
            answer = await lab.client.post(f"/run/{LITE.id}", json=body)
            assert (answer.status_code, answer.json()["seed"]) == (200, 4)
            assert lab.service.view(answer.headers["x-fal-request-id"]) is not None
            answer = await lab.client.post(f"/run/{LITE.id}", json={})
            assert answer.status_code == 422

    asyncio.run(main())


def test_run_is_refused_when_all_slots_are_taken(tmp_path: Path) -> None:
    """Only the queue waits."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            await lab.submit(prompt="p", image_url=await lab.upload())
            await held.arrived(1)
            answer = await lab.client.post(f"/run/{LITE.id}", json={"prompt": "p"})
            assert answer.status_code == 429
            assert answer.headers["x-fal-error-type"] == "concurrent_requests_limit"
            assert answer.headers["x-fal-needs-retry"] == "1"

    asyncio.run(main())


def test_a_run_that_is_cut_short_by_closing_gets_an_answer(tmp_path: Path) -> None:
    """The waiting caller must not hang on an engine that is gone."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            body = {"prompt": "p", "image_url": await lab.upload()}
            waiting = asyncio.create_task(lab.client.post(f"/run/{LITE.id}", json=body))
            await held.arrived(1)
            await lab.service.aclose()
            assert (await asyncio.wait_for(waiting, 5)).status_code == 503

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("127.5.6.7", 200),
        ("localhost:1", 200),
        ("[::1]:80", 200),
        ("LOCALHOST", 200),
        ("told.example:443", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_only_known_hosts_are_answered(tmp_path: Path, host: str, status: int) -> None:
    """A web page can point a name of its own at loopback and make a browser ask us (DNS rebinding)."""

    async def main() -> None:
        service = Service(tmp_path, renderer=StubRenderer())
        await service.start()
        transport = httpx.ASGITransport(create_app(service, hosts={"told.example"}))
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY) as client:
            assert (await client.get("/", headers={"Host": host})).status_code == status
        await service.aclose()

    asyncio.run(main())


def test_a_bug_is_answered_with_500_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In process an exception would otherwise come out of the client's own call."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            monkeypatch.setattr(lab.service, "view", lambda *a, **k: 1 / 0)
            answer = await lab.client.get(f"{APP}/requests/x/status")
            assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})

    asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_the_root_says_what_this_is(tmp_path: Path) -> None:
    """Whoever finds the port must not take it for the service."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            body = (await lab.client.get("/")).json()
            assert body["engine"] == "seedance-lab simulator, not Seedance"
            assert body["id"] == lab.service.engine_id

    asyncio.run(main())


def test_the_applications_schema_can_be_made(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Operation ids must be unique, or generated clients lose calls."""
    schema = create_app(Service(tmp_path)).openapi()
    assert "/queue/fal-ai/bytedance/requests/{request_id}/status" in schema["paths"]
    assert list(recwarn) == []
