"""An engine inside the test's process whose wire can be broken at will, and a look into its books."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedance_lab import local
from seedance_lab.budget import Options
from seedance_lab.engine import Engine, places
from seedance_lab.plan import Plan
from seedance_lab.running import Runner, runner

Fault = Callable[[httpx.Request, Callable[[], Awaitable[httpx.Response]]], Awaitable[httpx.Response]]


class Faulty(httpx.AsyncBaseTransport):
    """Passes requests on through `fault`, which may do anything to them."""

    def __init__(self, inner: httpx.AsyncBaseTransport, fault: Fault) -> None:
        self.inner, self.fault = inner, fault
        self.seen: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.method, request.url.path))
        return await self.fault(request, lambda: self.inner.handle_async_request(request))


async def sound(_: httpx.Request, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """No fault."""
    return await send()


def is_submit(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.startswith("/queue/")


class Lab:
    """A study folder, an engine that outlives the passes, and faults between them."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = home / "study"
        self.engine_folder = home / "engine"
        self.fault: Fault = sound
        self.events: list[Any] = []
        self.wire: Faulty | None = None
        monkeypatch.setattr(runner, "open_engine", self._open)

    async def _open(self, place: Any, folder: Path, **_: Any) -> Engine:
        service = local.Service(self.engine_folder, slots=2, renderer=local.StubRenderer())
        await service.start()
        self.service = service

        async def late(
            request: httpx.Request, send: Callable[[], Awaitable[httpx.Response]]
        ) -> httpx.Response:
            return await self.fault(request, send)

        self.wire = Faulty(httpx.ASGITransport(local.create_app(service)), late)
        return places._simulator(self.wire, places.IN_PROCESS, service.engine_id, (service.aclose,))

    def run(self, plan: Plan, *, place: str = "local", **options: Any) -> Runner:
        """One pass."""
        one = Runner(
            folder=self.folder,
            place=places.place_of(place),
            plan=plan,
            run=f"run-{len(self.events)}",
            options=Options(**options),
            listener=lambda event, record: self.events.append(event),
        )
        asyncio.run(one())
        return one

    def posted(self) -> Counter[tuple[Any, ...]]:
        """How often each input was taken, by the engine's own books."""

        async def look() -> Counter[tuple[Any, ...]]:
            self.fault = sound
            engine = await self._open(None, self.folder)
            assert self.wire is not None
            client = httpx.AsyncClient(
                transport=self.wire, base_url=places.IN_PROCESS, headers={"Authorization": "Key a:b"}
            )
            items: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                path = "/api/v1/models/requests/by-endpoint"
                params = {"endpoint_id": ENDPOINT, "expand": "payloads", "limit": "100", **cursor}
                page = (await client.get(path, params=params)).json()
                items += page["items"]
                if not page["has_more"]:
                    break
                cursor = {"cursor": page["next_cursor"]}
            await engine.aclose()
            return Counter((i["json_input"]["prompt"], i["json_input"].get("seed")) for i in items)

        return asyncio.run(look())


ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video"
