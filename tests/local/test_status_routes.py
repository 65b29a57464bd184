"""The status as a stream of server-sent events, as the JavaScript client reads it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from seedance_lab.endpoints import LITE_TEXT

from .support import BASE, HeldRenderer, engine, streamed

TEXT = {"prompt": "boats"}


def stream_path(request_id: str, logs: int = 0) -> str:
    return f"/queue/fal-ai/bytedance/requests/{request_id}/status/stream?logs={logs}"


def said(event: str) -> dict[str, object]:
    assert event.startswith("data: "), event
    assert event.endswith("\n\n")
    return dict(json.loads(event.removeprefix("data: ")))


def test_the_stream_says_every_change_and_ends_when_the_request_does(tmp_path: Path) -> None:
    """A move in the queue is a change too; the objects are those of the status itself."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            first, second, last = (lab.service.submit(LITE_TEXT, TEXT)[0] for _ in range(3))
            await held.arrived(1)
            async with streamed(lab.service, stream_path(last)) as event:
                status = said(await event())
                assert status == (await lab.client.get(f"{BASE}{stream_path(last)[:-14]}")).json() | {
                    name: str(status[name]) for name in ("response_url", "status_url", "cancel_url")
                }
                assert (status["status"], status["queue_position"]) == ("IN_QUEUE", 1)
                held.release(first)
                assert said(await event())["queue_position"] == 0
                await held.arrived(2)
                held.release(second)
                assert said(await event())["status"] == "IN_PROGRESS"
                await held.arrived(3)
                held.release(last)
                assert said(await event())["status"] == "COMPLETED"
                assert await event() == ""

    asyncio.run(main())


def test_the_stream_of_a_finished_request_is_one_event(tmp_path: Path) -> None:
    """Who comes late is told and sent home."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await lab.service.wait(request_id)
            answer = await lab.client.get(stream_path(request_id, logs=1))
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert said(answer.text)["logs"]
            assert (await lab.client.get(stream_path("none"))).status_code == 404

    asyncio.run(main())


def test_a_stream_with_logs_says_every_line_as_it_is_written(tmp_path: Path) -> None:
    """The log is what a person watches; without being asked for it stays null."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await held.arrived(1)
            async with streamed(lab.service, stream_path(request_id, logs=1)) as event:
                assert len(said(await event())["logs"]) == 1
                held.release(request_id)
                while (status := said(await event()))["status"] != "COMPLETED":
                    pass
                assert [line["message"] for line in status["logs"]][-1] == "rendered 100 %"

    asyncio.run(main())


def test_a_silent_stream_sends_comments(tmp_path: Path) -> None:
    """Proxies between close what says nothing; a comment is no event."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1, keep_alive_s=0.001) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await held.arrived(1)
            async with streamed(lab.service, stream_path(request_id)) as event:
                assert said(await event())["status"] == "IN_PROGRESS"
                for _ in range(3):
                    assert (await event()).startswith(":")

    asyncio.run(main())


def test_closing_the_engine_ends_its_streams(tmp_path: Path) -> None:
    """A server that stops must not wait for a watcher."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await held.arrived(1)
            async with streamed(lab.service, stream_path(request_id)) as event:
                await event()
                await lab.service.aclose()
                assert await event() == ""

    asyncio.run(main())
