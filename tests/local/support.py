"""What the tests of the embedded engine share: an engine in this process, one on a port, two renderers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import PIL.Image

from seedance_lab.endpoints import LITE
from seedance_lab.local import Service, StubRenderer, create_app
from seedance_lab.local.renderer import Job, Rendered
from seedance_lab.local.served import Served

BASE = "http://local.seedance-lab.invalid"
KEY = {"Authorization": "Key id:secret"}
LITE_URL = f"/queue/{LITE.id}"


def picture(width: int = 800, height: int = 600, *, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "teal").save(buffer, kind, **options)
    return buffer.getvalue()


class HeldRenderer:
    """Renders nothing until it is told to: makes every moment of the queue observable."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._held: dict[str, asyncio.Event] = {}
        self._arrived = asyncio.Condition()

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        async with self._arrived:
            self.jobs.append(job)
            self._held[job.id] = asyncio.Event()
            self._arrived.notify_all()
        await self._held[job.id].wait()
        job.out.write_bytes(b"clip")
        on_progress(1.0)
        return Rendered(48, 4, 0.0)

    async def arrived(self, n_jobs: int) -> None:
        async with self._arrived:
            await asyncio.wait_for(self._arrived.wait_for(lambda: len(self.jobs) >= n_jobs), 5)

    def release(self, request_id: str) -> None:
        self._held[request_id].set()

    async def aclose(self) -> None:
        pass


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def streamed(service: Service, path: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Reads a streamed answer piece by piece, `""` at its end; httpx's ASGI transport waits for the whole."""
    pieces: asyncio.Queue[str] = asyncio.Queue()
    left = asyncio.Event()
    path, _, query = path.partition("?")
    headers = [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in KEY.items())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers,
             "scheme": "http", "http_version": "1.1", "root_path": "", "server": ("localhost", 80)}  # fmt: skip

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            pieces.put_nowait(message.get("body", b"").decode())

    task = asyncio.create_task(create_app(service)(scope, receive, send))
    try:
        yield lambda: asyncio.wait_for(pieces.get(), 5)
    finally:
        left.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Engine:
    """A service, and a client of its application in this process."""

    def __init__(self, service: Service, client: httpx.AsyncClient) -> None:
        self.service = service
        self.client = client

    async def upload(self, data: bytes | None = None) -> str:
        answer = await self.client.post(
            "/cdn/files/upload",
            content=picture() if data is None else data,
            headers={"Content-Type": "image/png", "X-Fal-File-Name": "p.png"},
        )
        return str(answer.json()["access_url"])

    async def submit(self, **arguments: Any) -> dict[str, Any]:
        answer = await self.client.post(LITE_URL, json=arguments)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def result(self, **arguments: Any) -> httpx.Response:
        handle = await self.submit(**arguments)
        await asyncio.wait_for(self.service.wait(handle["request_id"]), 10)
        return await self.client.get(handle["response_url"])


@contextlib.asynccontextmanager
async def engine(
    folder: Path, *, keys: Sequence[str] = (), admin: bool = False, **options: Any
) -> AsyncIterator[Engine]:
    service = Service(folder, **{"renderer": StubRenderer(), **options})
    await service.start()
    try:
        transport = httpx.ASGITransport(create_app(service, keys=keys, admin=admin))
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=KEY) as client:
            yield Engine(service, client)
    finally:
        await service.aclose()


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[str]:
    """Base URL of an engine in a process of its own, killed without warning at the end."""
    engine = Served(folder, *options).start()
    try:
        yield engine.url
    finally:
        engine.kill()


def poll(done: Callable[[], bool], attempts: int = 500) -> None:
    """Bounded polling across processes, where nothing can be awaited."""
    for _ in range(attempts):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")
