"""Times like the service's, on a clock that tests move."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from typing import Any

import pytest

from seedance_lab.endpoints import LITE, Size
from seedance_lab.errors import EngineError
from seedance_lab.local.latency import Clock, Pace, parse
from seedance_lab.local.renderer import Job
from tests.local.support import Engine, engine


def job(seconds: int = 5, seed: int = 1, size: tuple[int, int] = (1248, 704)) -> Job:
    return Job("id", Path("x.mp4"), None, None, "boats", *size, 1.77, seconds, seed, False)


async def settled(turns: int = 50) -> None:
    """Let everything run that can: renderings in threads included, which tests wait for by state, not here."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def state(one: Engine, handle: dict[str, Any]) -> str:
    return str((await one.client.get(handle["status_url"])).json()["status"])


async def reaches(one: Engine, handle: dict[str, Any], wanted: str) -> bool:
    for _ in range(2000):
        if await state(one, handle) == wanted:
            return True
        await settled()
    return False


async def drawn(one: Engine, handle: dict[str, Any]) -> bool:
    for _ in range(2000):
        logs = (await one.client.get(handle["status_url"], params={"logs": 1})).json()["logs"]
        if any("100 %" in entry["message"] for entry in logs):
            return True
        await settled()
    return False


def test_the_median_is_that_of_the_endpoints_model() -> None:
    took = [Pace().takes(job(seed=seed)) for seed in range(2001)]
    assert statistics.median(took) == pytest.approx(LITE.latency.seconds(Size(1248, 704), 5), rel=0.05)
    assert min(took) < 0.7 * statistics.median(took)
    assert max(took) > 1.4 * statistics.median(took)


def test_equal_requests_take_equal_times_whatever_the_order() -> None:
    forth = {seed: Pace(seed=7).takes(job(seed=seed)) for seed in range(9)}
    back = {seed: Pace(seed=7).takes(job(seed=seed)) for seed in reversed(range(9))}
    assert forth == back
    assert forth != {seed: Pace(seed=8).takes(job(seed=seed)) for seed in range(9)}


def test_larger_and_longer_clips_take_longer() -> None:
    pace = Pace(spread=0)
    assert pace.takes(job(2)) < pace.takes(job(5)) < pace.takes(job(5, size=(1920, 1088)))


def test_a_speed_of_sixty_runs_a_minute_in_a_second() -> None:
    assert Pace(speed=60).takes(job()) == pytest.approx(Pace().takes(job()) / 60)
    assert Pace(speed=60).waits("{}") == pytest.approx(Pace().waits("{}") / 60)


def test_instant_has_no_pace_and_model_has_one() -> None:
    assert parse("instant") is None
    assert parse("model", speed=60, seed=3) == Pace(speed=60, seed=3)


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(EngineError, match="60 runs a minute in a second"):
        parse("model", speed=speed)


def test_an_unknown_latency_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"'instant' or 'model'.*Did you mean 'model'"):
        parse("modell")


def test_a_moved_clock_wakes_who_waits() -> None:
    async def check() -> None:
        clock = Clock(lambda: 100.0)
        waiting = asyncio.create_task(clock.until(1100.0))
        await settled()
        clock.move(999.0)
        await settled()
        assert not waiting.done()
        clock.move(1.0)
        await asyncio.wait_for(waiting, 5)
        assert clock() == 1100.0

    asyncio.run(check())


def test_what_has_passed_is_not_waited_for() -> None:
    asyncio.run(asyncio.wait_for(Clock(lambda: 5.0).until(5.0), 1))


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_clock_moves_forward_only(seconds: float) -> None:
    with pytest.raises(EngineError, match="forward only"):
        Clock().move(seconds)


def test_a_request_is_queued_then_running_then_done_as_the_clock_moves(tmp_path: Path) -> None:
    """480p, 2 s: 2 s in the queue and 20 + 0.4 × 19 s of work, to a moment."""

    async def check() -> None:
        clock = Clock(lambda: 1_000_000.0)
        async with engine(tmp_path, clock=clock, latency=Pace(spread=0)) as one:
            handle = await one.submit(
                prompt="boats", image_url=await one.upload(), duration="2", resolution="480p"
            )
            await settled()
            assert await state(one, handle) == "IN_QUEUE"
            clock.move(1.9)
            await settled()
            assert await state(one, handle) == "IN_QUEUE"
            clock.move(0.1)
            assert await reaches(one, handle, "IN_PROGRESS")
            assert await drawn(one, handle), "the clip is ready, and held back"
            clock.move(20.0)
            await settled()
            assert await state(one, handle) == "IN_PROGRESS"
            clock.move(20.0)
            assert await reaches(one, handle, "COMPLETED")
            status = (await one.client.get(handle["status_url"])).json()
            assert status["metrics"]["inference_time"] == pytest.approx(40.0)

    asyncio.run(check())


def test_what_waits_can_be_cancelled_and_closed(tmp_path: Path) -> None:
    async def check() -> None:
        clock = Clock(lambda: 1_000_000.0)
        async with engine(tmp_path, clock=clock, latency=Pace(spread=0)) as one:
            running = await one.submit(prompt="boats", image_url=await one.upload(), duration="2")
            clock.move(5.0)
            assert await reaches(one, running, "IN_PROGRESS")
            queued = await one.submit(prompt="boats", image_url=await one.upload(), duration="2")
            assert (await one.client.put(queued["cancel_url"])).json() == {"status": "OK"}
            assert (await one.client.put(running["cancel_url"])).status_code == 202
            assert await reaches(one, running, "COMPLETED")
            left = await one.submit(prompt="boats", image_url=await one.upload(), duration="2")
            assert await state(one, left) == "IN_QUEUE"
            assert one.service.store.ledger() == []

    asyncio.run(check())
