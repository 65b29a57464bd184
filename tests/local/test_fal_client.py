"""The unmodified official Python client against the engine on a real port.

What works here works at the service only if the engine tells the truth; what fails here fails there too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import fal_client
import fal_client.client
import httpx
import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT

from .support import KEY, picture, server

ARGUMENTS = {"prompt": "boats", "duration": "2", "resolution": "480p", "seed": 11}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("engine"), "--stub", "--slots", "4") as url:
        yield url


@pytest.fixture(autouse=True)
def pointed_here(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads these at each call; it has no public way to name another host over plain http."""
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{url}/queue/")
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{url}/run/")
    monkeypatch.setattr(fal_client.client, "REST_URL", f"{url}/rest")
    monkeypatch.setattr(fal_client.client, "CDN_URL", f"{url}/cdn")


def test_submit_status_events_and_result(tmp_path: Path) -> None:
    """The handle follows the URLs that we returned."""
    client = fal_client.SyncClient(key="id:secret")
    handle = client.submit(
        LITE.id, {**ARGUMENTS, "image_url": client.upload(picture(), "image/png", "p.png")}
    )
    events = list(handle.iter_events(with_logs=True, interval=0.01))
    assert isinstance(events[-1], fal_client.Completed)
    assert events[-1].metrics["inference_time"] >= 0
    assert events[-1].logs
    result = handle.get()
    assert result["seed"] == 11
    assert httpx.get(result["video"]["url"]).content[4:8] == b"ftyp"
    again = client.get_handle(LITE.id, handle.request_id)
    assert isinstance(again.status(), fal_client.Completed)
    assert again.get() == result


def test_subscribe_and_run(tmp_path: Path) -> None:
    """Both of the client's one-call ways."""
    client = fal_client.SyncClient(key="id:secret")
    seen: list[str] = []
    subscribed = client.subscribe(LITE_TEXT.id, ARGUMENTS, with_logs=True, on_enqueue=seen.append)
    run = client.run(LITE_TEXT.id, ARGUMENTS)
    assert subscribed["seed"] == run["seed"] == 11
    assert len(seen) == 1


def test_the_async_client_does_the_same() -> None:
    """The one that this package is built on."""

    async def main() -> None:
        client = fal_client.AsyncClient(key="id:secret")
        image_url = await client.upload(picture(), "image/png", "p.png")
        handle = await client.submit(LITE.id, {**ARGUMENTS, "image_url": image_url})
        events = [event async for event in handle.iter_events(interval=0.01)]
        assert isinstance(events[-1], fal_client.Completed)
        assert (await handle.get())["seed"] == 11
        with pytest.raises(fal_client.FalClientHTTPError) as caught:
            await handle.cancel()
        assert caught.value.status_code == 400
        assert (await client.subscribe(LITE_TEXT.id, ARGUMENTS))["seed"] == 11
        assert (await client.run(LITE_TEXT.id, ARGUMENTS))["seed"] == 11

    asyncio.run(main())


def test_a_refused_request_raises_at_the_result_only() -> None:
    """Nothing is raised while waiting; the result carries pydantic's items."""
    client = fal_client.SyncClient(key="id:secret")
    handle = client.submit(LITE.id, {"prompt": "p"})
    (*_, last) = handle.iter_events(interval=0.01)
    assert isinstance(last, fal_client.Completed)
    assert last.error == "Invalid status code: 422"
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422
    assert caught.value.response.json()["detail"][0]["loc"] == ["body", "image_url"]


def test_an_unknown_request_raises() -> None:
    """With the status that says so, not a KeyError in the client's parser."""
    handle = fal_client.SyncClient(key="id:secret").get_handle(LITE.id, "none")
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.status()
    assert caught.value.status_code == 404


@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
def test_every_upload_repository_works(repository: fal_client.client.UploadRepositoryId) -> None:
    """The second one is what the client falls back to when the first fails."""
    client = fal_client.SyncClient(key="id:secret")
    data = picture()
    url = client.upload(data, "image/png", "p.png", repository=repository, fallback_repository=[])
    assert httpx.get(url).content == data


def test_a_large_file_is_uploaded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 100 MB the client sends ten parts at a time; here the threshold is lower."""
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1000)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 700)
    data = bytes(range(256)) * 40
    url = fal_client.SyncClient(key="id:secret").upload(data, "application/octet-stream", "big.bin")
    assert httpx.get(url).content == data


def test_cancelling_what_is_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queued request ends at once; the real workers keep the only slot busy meanwhile."""
    with server(tmp_path, "--slots", "1", "--workers", "1") as url:
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{url}/queue/")
        client = fal_client.SyncClient(key="id:secret")
        long = {"prompt": "p", "duration": "12", "resolution": "1080p"}
        running, queued = [client.submit(LITE_TEXT.id, long) for _ in range(2)]
        assert queued.status() == fal_client.Queued(position=0)
        queued.cancel()
        running.cancel()
        for handle in (queued, running):
            (*_, last) = handle.iter_events(interval=0.01)
            assert isinstance(last, fal_client.Completed)
            assert last.error_type == "client_cancelled"
        billing = httpx.get(f"{url}/api/v1/models/billing-events", headers=KEY).json()
        assert billing["billing_events"] == []
