"""Few looks, at the right moment; and a stream that goes wrong costs nothing but itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from seedance_lab.engine import places
from seedance_lab.plan import Plan, sweep
from seedance_lab.running.pace import Pace
from tests.running.virtual import Send, World, answers, at, is_status, is_stream


@pytest.fixture
def twenty(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="boats", duration=5, resolution="480p", seed=range(20))


def kinds(world: World, since: int = 0) -> Counter[str]:
    """Requests on the wire, by what they asked for."""

    def kind(method: str, path: str) -> str:
        if path.startswith("/queue/"):
            return "submit" if method == "POST" else path.split("/")[-1] if "/status" in path else "result"
        return "file" if path.startswith("/cdn/") and method == "GET" else "other"

    return Counter(kind(method, path) for _, method, path in world.asked[since:])


@pytest.mark.parametrize("can_stream", [True, False])
def test_a_clip_of_forty_seconds_takes_at_most_eight_requests(
    world: World, twenty: Plan, can_stream: bool
) -> None:
    """Submit, looks or a stream, result, file: fal_client's own waiting asks over 300 times for one clip."""
    world.can_stream = can_stream
    world.run(twenty)
    assert world.stages() == {"saved": 20}
    assert len(world.asked) <= 8 * 20
    asked = kinds(world)
    assert (asked["submit"], asked["result"], asked["file"]) == (20, 20, 20)


def test_few_looks_do_not_cost_time(world: World, twenty: Plan) -> None:
    """Two slots, forty seconds each: the last clip cannot be there before 400 s."""
    world.run(twenty)
    assert world.now < 1.15 * 400


def test_many_that_wait_in_the_queue_are_not_looked_at_again_and_again(world: World, twenty: Plan) -> None:
    """Twenty at two slots: the last one waits six minutes. One look for each would be enough."""
    world.run(twenty, in_flight=20)
    assert world.stages() == {"saved": 20}
    assert len(world.asked) <= 8 * 20


@pytest.mark.parametrize(("slots", "in_flight"), [(16, 48), (4, 12)])
def test_two_looks_each_are_enough_however_deep_the_queue_and_slow_the_answer(
    world: World, picture: bytes, slots: int, in_flight: int
) -> None:
    """When it begins follows from what is before it; what has ended unseen must not count as a slot of its own.

    Nor is anything looked at a wave too late, which would leave slots idle: eight seconds of the answer a wave remain.
    """

    async def late(_: httpx.Request, send: Send) -> httpx.Response:
        await asyncio.sleep(8)
        return await send()

    world.slots = slots
    world.fault = at(fault=late, applies=is_status)
    plan = sweep(image=picture, prompt="boats", duration=5, resolution="480p", seed=range(100))
    world.run(plan, in_flight=in_flight)
    assert world.stages() == {"saved": 100}
    assert kinds(world)["status"] <= 2.2 * 100
    assert world.now < 1.12 * 40 * -(-100 // slots) + 2 * 8


@pytest.mark.parametrize("place", ["fal", "http://127.0.0.1:9"])
@pytest.mark.parametrize(("n", "slots"), [(16, 2), (100, 3), (64, 8), (100, 16)])
def test_neither_looks_nor_slots_are_wasted_however_many_slots_there_are(
    world: World, picture: bytes, place: str, n: int, slots: int
) -> None:
    """Many end in one moment, so who holds a slot cannot always be told; a look that is a wave late idles a slot."""
    world.slots, world.can_stream = slots, True
    plan = sweep(image=picture, prompt="boats", duration=5, resolution="480p", seed=range(n))
    world.run(plan, place=place)
    assert world.stages() == {"saved": n}
    assert len(world.asked) <= 6.5 * n
    assert world.now < 1.03 * 40 * -(-n // slots)


def test_what_an_earlier_run_took_is_known_to_the_next(world: World, twenty: Plan) -> None:
    world.service_s = 300.0  # nobody would have guessed
    world.run(twenty[:2])
    before = len(world.asked)
    began = world.now
    world.run(twenty[2:4])
    first = next(when for when, m, path in world.asked[before:] if path.endswith("/status"))
    assert 0.8 * 300 < first - began <= 1.1 * 300
    assert kinds(world, before)["status"] <= 2 * 3


def test_a_clip_that_takes_far_longer_is_looked_for_with_patience(world: World, twenty: Plan) -> None:
    """Half an hour instead of forty seconds: every ten seconds at most, and it is saved in the end."""
    world.service_s = 1800.0
    world.run(twenty[:1])
    assert world.stages() == {"saved": 1}
    assert kinds(world)["status"] <= 1800 / 9 + 10


def test_the_first_of_an_unknown_setting_are_followed_by_streams(world: World, twenty: Plan) -> None:
    world.can_stream, world.slots = True, 8
    world.run(twenty, in_flight=20)
    assert world.stages() == {"saved": 20}
    assert kinds(world)["stream"] == 4


def test_short_clips_are_followed_by_streams_also_when_known(world: World, twenty: Plan) -> None:
    """A look a second too late matters there."""
    world.can_stream, world.service_s = True, 3.0
    world.run(twenty)
    assert kinds(world)["stream"] >= 18


def test_in_process_nothing_is_streamed(world: World, twenty: Plan) -> None:
    world.run(twenty[:3], place="local")
    assert kinds(world)["stream"] == 0


# ── streams that go wrong ───────────────────────────────────────────────────────────────────────────────


class _Body(httpx.AsyncByteStream):
    """Says these lines, then breaks off, ends, or is silent."""

    def __init__(self, lines: list[str], end: BaseException | float | None) -> None:
        self._lines, self._end = lines, end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield f"{line}\n\n".encode()
        if isinstance(self._end, BaseException):
            raise self._end
        if self._end is not None:
            await asyncio.sleep(self._end)


def _stream(*lines: str, end: BaseException | float | None = None) -> Any:
    async def answer(_: httpx.Request, __: Send) -> httpx.Response:
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_Body(list(lines), end)
        )

    return answer


async def _unreachable(request: httpx.Request, _: Send) -> httpx.Response:
    raise httpx.ConnectError("no way", request=request)


async def _for_ever(_: httpx.Request, __: Send) -> httpx.Response:
    async def comments() -> AsyncIterator[bytes]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(15)

    return httpx.Response(200, content=comments())


IN_QUEUE = 'data: {"status": "IN_QUEUE", "queue_position": 0}'


@pytest.mark.parametrize(
    "wrong",
    [
        answers(404),
        answers(500),
        answers(429, retry_after="3600"),
        _unreachable,
        _stream(IN_QUEUE, end=httpx.ReadError("reset")),
        _stream(IN_QUEUE, end=httpx.RemoteProtocolError("incomplete chunked read")),
        _stream(IN_QUEUE, end=httpx.ReadTimeout("silence")),
        _stream(IN_QUEUE),
        _stream(),
        _stream("data: ", "data"),
        _stream("data: rubbish {"),
        _stream("data: []"),
        _stream("data: null"),
        _stream("data: 3"),
        _stream('data: {"state": "COMPLETED"}'),
        _stream('data: {"status": 7}'),
        _stream("\x00\xff\xfe"),
        _for_ever,
    ],
)
def test_whatever_goes_wrong_with_a_stream_looks_go_on(world: World, twenty: Plan, wrong: Any) -> None:
    world.can_stream = True
    world.fault = at(fault=wrong, applies=is_stream)
    run = world.run(twenty[:2])
    assert run.problems == {}
    assert world.stages() == {"saved": 2}
    assert kinds(world)["stream"] <= 2, "one that broke off is not tried again"
    assert world.posts() == 2


@pytest.mark.parametrize("metrics", [[1], "fast", 3, None])
def test_strange_metrics_do_not_end_a_pass(world: World, twenty: Plan, metrics: Any) -> None:
    """The clip is made; what the service says of its times is an extra."""
    done = {"status": "COMPLETED", "request_id": "x", "metrics": metrics, "logs": None}

    async def strange(_: httpx.Request, send: Send) -> httpx.Response:
        answer = await send()
        return httpx.Response(200, json=done) if b"COMPLETED" in await answer.aread() else answer

    world.fault = at(fault=strange, applies=is_status)
    world.run(twenty[:1])
    assert world.stages() == {"saved": 1}


@pytest.mark.parametrize("body", [[], "no", 3, {"status": "LOST"}, {}])
def test_a_status_that_makes_no_sense_leaves_the_clip_at_the_service(
    world: World, twenty: Plan, body: Any
) -> None:
    world.fault = at(fault=answers(200, body), applies=is_status)
    run = world.run(twenty[:1])
    assert world.stages() == {"accepted": 1}
    assert "could not be read" in run.problems[twenty[0].key]


# ── when to look ────────────────────────────────────────────────────────────────────────────────────────


def test_the_wait_between_looks_grows_with_a_spread_and_an_end(world: World, twenty: Plan) -> None:
    world.run(twenty[:1])
    (record,) = world.records().values()
    pace = Pace(places.place_of("fal"), [record])
    for last_s, least, most in [(None, 0.9 * 2, 1.1 * 2), (4.0, 0.9 * 6, 1.1 * 6), (60.0, 9.0, 11.0)]:
        waits = [pace.next_s(record, last_s) for _ in range(200)]
        assert least <= min(waits) < max(waits) <= most


def test_a_pace_remembers_the_last_thirty(world: World, twenty: Plan) -> None:
    """A service that became faster is followed."""
    world.run(twenty[:1])
    (record,) = world.records().values()
    record.metrics = {"inference_time": 100.0}
    pace = Pace(places.place_of("fal"), [record] * 50)
    assert pace.expected_s(record) == 100
    record.metrics = {"inference_time": 20.0}
    for _ in range(30):
        pace.learn(record)
    assert pace.expected_s(record) == 20


def test_clips_that_take_no_time_at_all_are_looked_for_too(world: World, twenty: Plan) -> None:
    """What a study has learned may be nothing: not the same as having learned nothing."""
    world.service_s = 0.0
    world.run(twenty[:5])
    world.run(twenty)
    assert world.stages() == {"saved": 20}
