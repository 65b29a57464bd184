"""Every call of fal's Python client, as a program that knows nothing of the engine; prints what came back as JSON.

Run by test_python.py with an environment and nothing else. `fal_client` is not touched here; where it needs more
than its environment (uploads), README's own lines are run first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import fal_client
import httpx
import PIL.Image

ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video"
TEXT = "fal-ai/bytedance/seedance/v1/lite/text-to-video"
INPUT = {"prompt": "boats", "duration": "2", "resolution": "480p", "seed": 11}
LONG = {"prompt": "boats", "duration": "12", "resolution": "1080p"}
BYTES = bytes(range(256)) * 8


def digest(url: str) -> str:
    return hashlib.sha256(httpx.get(url).raise_for_status().content).hexdigest()


def size(url: str) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(httpx.get(url).raise_for_status().content)
        with PIL.Image.open(path) as picture:
            return list(picture.size)


def kind(status: fal_client.Status) -> str:
    return type(status).__name__


def sync_calls(picture: Path) -> dict[str, Any]:
    said: dict[str, Any] = {}
    said["upload"] = digest(fal_client.upload(BYTES, "application/octet-stream", "b.bin"))
    url = fal_client.upload_file(picture)
    said["upload_file"] = digest(url)
    with PIL.Image.open(picture) as image:
        said["upload_image"] = size(fal_client.upload_image(image))
    arguments = {**INPUT, "image_url": url}
    said["run"] = fal_client.run(ENDPOINT, arguments)
    handle = fal_client.submit(ENDPOINT, arguments)
    said["submit"] = handle.request_id
    said["iter_events"] = [kind(event) for event in handle.iter_events(with_logs=True, interval=0.01)]
    said["status"] = kind(fal_client.status(ENDPOINT, handle.request_id, with_logs=True))
    said["result"] = fal_client.result(ENDPOINT, handle.request_id)
    said["get"] = handle.get()
    enqueued: list[str] = []
    updates: list[str] = []
    said["subscribe"] = fal_client.subscribe(
        ENDPOINT,
        arguments,
        with_logs=True,
        on_enqueue=enqueued.append,
        on_queue_update=lambda update: updates.append(kind(update)),
    )
    said["enqueued"], said["updates"] = enqueued, updates
    try:
        fal_client.cancel(ENDPOINT, handle.request_id)
    except fal_client.FalClientHTTPError as error:
        said["cancel"] = [error.status_code, error.response.json()]
    return said


async def async_calls(picture: Path) -> dict[str, Any]:
    said: dict[str, Any] = {}
    said["upload"] = digest(await fal_client.upload_async(BYTES, "application/octet-stream", "b.bin"))
    url = await fal_client.upload_file_async(picture)
    said["upload_file"] = digest(url)
    with PIL.Image.open(picture) as image:
        said["upload_image"] = size(await fal_client.upload_image_async(image))
    arguments = {**INPUT, "image_url": url}
    said["run"] = await fal_client.run_async(ENDPOINT, arguments)
    handle = await fal_client.submit_async(ENDPOINT, arguments)
    said["submit"] = handle.request_id
    said["iter_events"] = [kind(event) async for event in handle.iter_events(with_logs=True, interval=0.01)]
    said["status"] = kind(await fal_client.status_async(ENDPOINT, handle.request_id, with_logs=True))
    said["result"] = await fal_client.result_async(ENDPOINT, handle.request_id)
    said["get"] = await handle.get()
    enqueued: list[str] = []
    updates: list[str] = []
    said["subscribe"] = await fal_client.subscribe_async(
        ENDPOINT,
        arguments,
        with_logs=True,
        on_enqueue=enqueued.append,
        on_queue_update=lambda update: updates.append(kind(update)),
    )
    said["enqueued"], said["updates"] = enqueued, updates
    try:
        await fal_client.cancel_async(ENDPOINT, handle.request_id)
    except fal_client.FalClientHTTPError as error:
        said["cancel"] = [error.status_code, error.response.json()]
    return said


def sync_cancel() -> list[str | None]:
    """Of one that runs and one that waits; how each ended."""
    running, waiting = fal_client.submit(TEXT, LONG), fal_client.submit(TEXT, LONG)
    fal_client.cancel(TEXT, waiting.request_id)
    running.cancel()
    return [list(handle.iter_events(interval=0.01))[-1].error_type for handle in (running, waiting)]


async def async_cancel() -> list[str | None]:
    running, waiting = await fal_client.submit_async(TEXT, LONG), await fal_client.submit_async(TEXT, LONG)
    await fal_client.cancel_async(TEXT, waiting.request_id)
    await running.cancel()
    return [
        [e async for e in handle.iter_events(interval=0.01)][-1].error_type for handle in (running, waiting)
    ]


def main(what: str, setup: str, picture: str) -> None:
    exec(setup)
    calls: dict[str, Any] = {
        "sync": lambda: sync_calls(Path(picture)),
        "async": lambda: asyncio.run(async_calls(Path(picture))),
        "sync_cancel": sync_cancel,
        "async_cancel": lambda: asyncio.run(async_cancel()),
    }
    print(json.dumps(calls[what]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
