"""How long the engine takes: at once, or about as long as the service would; and a clock that can be moved.

Rendering is not slowed down. A clip that is ready early is held back until the service's clock has reached
the modelled moment, so that a moved clock or a high speed makes it come early and nothing sleeps in vain.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from seedance_lab.endpoints import LITE, Latency, Size
from seedance_lab.errors import EngineError, near
from seedance_lab.local.renderer import Job, Rendered, Renderer

NAMES = ("instant", "model")

QUEUE_S = 2.0
"""Median wait in the queue of an idle account, in seconds. Our guess: the service publishes none. Waiting for
one of the account's slots comes on top; the queue itself sees to that."""

_SPREAD = 0.3
"""Standard deviation of the logarithm. Our guess: it puts 90 % of the clips within 0.61 to 1.64 of the median,
which covers the reported 1 to 2 minutes for 720p 5 s (see `endpoints.Latency.source`)."""
_MOST_SPEED = 1e9


class Clock:
    """Seconds since the epoch, from a source that it can run ahead of.

    Used on one event loop.

    Args:
        source: Seconds since the epoch.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._moved = asyncio.Event()
        self.ahead_s = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self._source() + self.ahead_s

    def move(self, seconds: float) -> None:
        """Run ahead by so much more, and wake who waits.

        Raises:
            EngineError: Not a number of seconds, 0 or more: a clock that runs back would break the history's
                order.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise EngineError(f"The clock moves forward only, and was asked to move by {seconds} seconds.")
        self.ahead_s += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def until(self, moment: float) -> None:
        """Wait for a moment, in seconds since the epoch; at once when it has passed."""
        while (left_s := moment - self()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A model of the service's times.

    Equal requests take equal times, in whatever order they come and however many workers there are.

    Attributes:
        speed: How many of the service's seconds pass in one of ours; 60 runs a minute in a second.
        seed: Of the spread.
        latency: Median inference time by pixels and length. Source: its own `source`; third-party reports, not
            a promise of the service.
        queue_s: Median wait before the work begins, in the service's seconds.
        spread: Standard deviation of the logarithm of both; 0 takes the medians.
    """

    speed: float = 1.0
    seed: int = 0
    latency: Latency = LITE.latency
    queue_s: float = QUEUE_S
    spread: float = _SPREAD

    def __post_init__(self) -> None:
        if not 0 < self.speed <= _MOST_SPEED:
            raise EngineError(
                f"speed={self.speed!r} must be above 0 and at most {_MOST_SPEED:g}; 60 runs a minute in a second. "
                "Nothing was sent."
            )

    def waits(self, request: str) -> float:
        """Seconds of ours in the queue, for the request with this content."""
        return self.queue_s * self._factor("queue", request) / self.speed

    def takes(self, job: Job) -> float:
        """Seconds of ours from the work's beginning to its end."""
        content = f"{job.prompt}|{job.seed}|{job.width}x{job.height}|{job.seconds}"
        median_s = self.latency.seconds(Size(job.width, job.height), job.seconds)
        return median_s * self._factor("work", content) / self.speed

    def _factor(self, what: str, content: str) -> float:
        return random.Random(f"{self.seed}|{what}|{content}").lognormvariate(0.0, self.spread)


def parse(spec: str, *, speed: float = 1.0, seed: int = 0) -> Pace | None:
    """The pace by its name: `instant` (None: as fast as it renders), `model`, or seconds that every clip takes.

    Raises:
        EngineError: No such name, or no such speed.
    """
    try:
        seconds = float(spec)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return Pace(speed=speed, latency=Latency(seconds, 0.0, "as asked for"), queue_s=0.0, spread=0.0)
    if spec not in NAMES:
        raise EngineError(
            f"latency={spec!r} is not known; it is {' or '.join(map(repr, NAMES))}, or a number of seconds."
            f"{near(spec, NAMES)} Nothing was sent."
        )
    pace = Pace(speed=speed, seed=seed)
    return pace if spec == "model" else None


class Timed:
    """A renderer that hands a clip over no sooner than the service would.

    Args:
        inner: Does the drawing.
        pace: Says how long.
        clock: On which the time is waited for.
    """

    def __init__(self, inner: Renderer, pace: Pace, clock: Clock) -> None:
        self._inner = inner
        self._pace = pace
        self._clock = clock

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        """Write `job.out`, then wait for the rest of its time."""
        due = self._clock() + self._pace.takes(job)
        rendered = await self._inner.render(job, on_progress=on_progress)
        await self._clock.until(due)
        return rendered

    async def aclose(self) -> None:
        """Close the inner renderer."""
        await self._inner.aclose()


class Dispatch:
    """Has queued work begun: at once, or after the wait that the service would have made.

    Args:
        pace: None for at once.
        clock: On which the time is waited for.
        go: Begins what is queued; called on the loop.
    """

    def __init__(self, pace: Pace | None, clock: Clock, go: Callable[[], None]) -> None:
        self._pace = pace
        self._clock = clock
        self._go = go
        self._waiting: set[asyncio.Task[None]] = set()

    def soon(self, request: str) -> None:
        """Begin, for the sake of the request with this content."""
        if self._pace is None:
            self._go()
            return
        due = self._clock() + self._pace.waits(request)
        task = asyncio.get_running_loop().create_task(self._later(due))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _later(self, due: float) -> None:
        await self._clock.until(due)
        self._go()

    def close(self) -> None:
        """Begin nothing more."""
        for task in self._waiting:
            task.cancel()
