"""What was paid for comes whole, is held against what was asked, and is not given up."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from typing import Any

import av
import httpx
import pytest

from seedance_lab import latency
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import Record
from seedance_lab.study import Study
from tests.running.virtual import Send, World, answers, at, is_file, is_history, is_result, sound


def only(world: World) -> Record:
    (record,) = world.records().values()
    return record


def video(width: int, height: int, n_frames: int, fps: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for index in range(n_frames):
            frame = av.VideoFrame(width, height, "yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def other_file(data: bytes) -> Any:
    """The service delivers this instead, and says its length."""

    async def fault(request: httpx.Request, send: Send) -> httpx.Response:
        if is_file(request):
            return httpx.Response(200, content=data)
        if is_result(request):
            body = json.loads(await (await send()).aread())
            body["video"]["file_size"] = len(data)
            return httpx.Response(200, json=body)
        return await send()

    return fault


def test_a_file_that_does_not_come_is_told_once_and_fetched_by_the_next_run(world: World, plan: Plan) -> None:
    world.fault = at(fault=answers(503), applies=is_file)
    run = world.run(plan[:1])
    assert only(world).stage == "finished"
    assert "paid for" in (only(world).error or "")
    assert "paid for" in run.problems[plan[0].key]
    world.run(plan[:1])
    assert world.kinds()["unfetched"] == 1, "the same words again say nothing new"
    world.fault = sound
    world.run(plan[:1])
    assert (only(world).stage, only(world).error) == ("saved", None)
    assert (world.posts(), sum(world.made().values())) == (1, 1)


def test_a_link_that_has_expired_is_looked_up_in_the_history(world: World, plan: Plan) -> None:
    """The file has moved; the account's history has its new address."""

    async def moved(request: httpx.Request, send: Send) -> httpx.Response:
        if is_file(request) and not request.url.query:
            return httpx.Response(404)
        answer = await send()
        if not is_history(request):
            return answer
        page = json.loads(await answer.aread())
        for item in page["items"]:
            item["json_output"]["video"]["url"] += "?moved"
        return httpx.Response(200, json=page)

    world.fault = moved
    world.run(plan[:1])
    assert only(world).stage == "saved"
    assert world.kinds()["unfetched"] == 0


def test_a_link_that_is_gone_everywhere_says_so(world: World, plan: Plan) -> None:
    world.fault = at(fault=answers(410), applies=is_file)
    world.run(plan[:1])
    assert (only(world).stage, only(world).error_type) == ("finished", "expired")
    (line,) = [e for e in read(world.folder / "journal.jsonl") if e.kind == "unfetched"]
    assert line.data["gone"] is True
    assert "no longer under its link" in line.data["error"]


def test_a_broken_transfer_goes_on_where_it_ended_in_the_next_run_too(world: World, plan: Plan) -> None:
    asked: list[str | None] = []

    async def breaks(request: httpx.Request, send: Send) -> httpx.Response:
        if not is_file(request):
            return await send()
        asked.append(request.headers.get("range"))
        answer = await send()
        data = await answer.aread()

        async def half() -> Any:
            yield data[: len(data) // 2]
            raise httpx.ReadError("reset")

        return httpx.Response(answer.status_code, headers=answer.headers, content=half())

    world.fault = breaks
    world.run(plan[:1])
    assert only(world).stage == "finished"
    assert asked[0] is None
    assert all(range_ and range_.startswith("bytes=") for range_ in asked[1:])
    at_byte = int(str(asked[-1]).removeprefix("bytes=").rstrip("-"))
    after: list[str | None] = []

    async def note(request: httpx.Request, send: Send) -> httpx.Response:
        if is_file(request):
            after.append(request.headers.get("range"))
        return await send()

    world.fault = note
    world.run(plan[:1])
    assert only(world).stage == "saved"
    assert int(str(after[0]).removeprefix("bytes=").rstrip("-")) > at_byte
    assert not [p for p in (world.folder / "clips").iterdir() if p.name.startswith(".")]


def test_lengths_that_change_are_not_taken_for_the_file(world: World, plan: Plan) -> None:
    missing = itertools.count(100)

    async def short(request: httpx.Request, send: Send) -> httpx.Response:
        answer = await send()
        if not is_file(request):
            return answer
        return httpx.Response(200, content=(await answer.aread())[: -next(missing)])

    world.fault = short
    world.run(plan[:1])
    assert only(world).stage == "finished"
    world.fault = sound
    world.run(plan[:1])
    assert only(world).stage == "saved"


def test_a_length_that_the_result_got_wrong_is_marked(world: World, plan: Plan) -> None:
    """A video that opens is not kept away for ever because the service miscounted its bytes."""

    async def wrong(request: httpx.Request, send: Send) -> httpx.Response:
        answer = await send()
        return httpx.Response(200, content=await answer.aread() + b"\0" * 8) if is_file(request) else answer

    world.fault = wrong
    world.run(plan[:1])
    record = only(world)
    assert record.stage == "saved"
    said, got = record.differs["size_bytes"]
    assert got == said + 8


@pytest.mark.parametrize(
    ("made", "differs"),
    [
        ((736, 544, 48, 24), {}),
        ((736, 544, 49, 24), {}),
        ((640, 480, 48, 24), {"width": [736, 640], "height": [544, 480]}),
        ((736, 544, 60, 30), {"fps": [24, 30.0], "n_frames": [48, 60]}),
        ((736, 544, 120, 24), {"n_frames": [48, 120]}),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_is_saved_and_marked(
    world: World, plan: Plan, made: tuple[int, int, int, int], differs: dict[str, list[float]]
) -> None:
    """The service may route to another model. It was paid for, so it is kept; it must not pass for the real one."""
    world.fault = other_file(video(*made))
    world.run(plan[:1])
    assert only(world).stage == "saved"
    assert dict(only(world).differs) == differs
    df = Study(world.folder).frame()
    told = df["differs"].iloc[0]
    assert (told == told) is bool(differs) or told is not None  # missing where nothing differs
    for name in differs:
        assert name in told


def test_several_files_come_at_a_time_and_not_all(world: World, picture: bytes) -> None:
    twelve = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(12))
    now_, most = 0, 0

    async def slow(_: httpx.Request, send: Send) -> httpx.Response:
        nonlocal now_, most
        now_ += 1
        most = max(most, now_)
        await asyncio.sleep(500)
        now_ -= 1
        return await send()

    world.slots = 12
    world.fault = at(fault=slow, applies=is_file)
    world.run(twelve, in_flight=12)
    assert world.stages() == {"saved": 12}
    assert 2 <= most <= 8


def test_a_slow_file_does_not_keep_the_next_request_back(world: World, picture: bytes) -> None:
    """Its slot at the service is free: a sweep is as fast as the service, not as the line."""
    six = sweep(image=picture, prompt="boats", duration=2, resolution="480p", seed=range(6))

    async def slow(_: httpx.Request, send: Send) -> httpx.Response:
        await asyncio.sleep(300)
        return await send()

    world.fault = at(fault=slow, applies=is_file)
    world.run(six, in_flight=1)
    sent = [(e.at - world.events[0].at).total_seconds() for e in world.events if e.kind == "sending"]
    assert max(sent) < 6 * 45


def test_the_times_of_a_clip_add_up(world: World, plan: Plan) -> None:
    """Two seconds to submit, forty of work, five to download."""

    async def slow(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method == "POST" and request.url.path.startswith("/queue/"):
            await asyncio.sleep(2)
        if is_file(request):
            await asyncio.sleep(5)
        return await send()

    world.fault = slow
    world.run(plan, in_flight=3)
    df = Study(world.folder).frame()
    assert df["submit_s"].tolist() == pytest.approx([2.0] * 3, abs=0.1)
    assert df["inference_s"].tolist() == pytest.approx([40.0] * 3, abs=0.1)
    assert (df["queue_s"] + df["inference_s"]).tolist() == pytest.approx(df["latency_s"].tolist(), abs=0.01)
    assert (df["total_s"] >= df["latency_s"] + 5).all()
    table = latency(df, by="resolution", of="submit_s")
    assert table["p50"].tolist() == pytest.approx([2.0], abs=0.1)
    assert table["count"].tolist() == [3]
