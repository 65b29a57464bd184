"""How many requests are at the service at a time.

fal's queue takes everything and works on as many as the account has slots, two for a new one. More in flight
than slots gains nothing and makes a stop expensive; fewer leaves slots idle. The service shows how it stands:
`queue_position` is how many wait before a request. So the window grows while nobody waits, holds while a few
do, and shrinks when more do or a request is turned away with 429.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable

START = 2
_MOST = 256


class Window:
    """A count of places at the service, and how many of them are taken.

    Args:
        fixed: As many, always; None follows what the service shows.
        waiting: The share of them that may wait in the service's queue. So many that no slot is idle between a
            clip's end and our seeing it; few, because a stop waits for them all.
        told: Called when there may be room.

    Attributes:
        size: Requests that may be there now.
        taken: Requests that are.
    """

    def __init__(
        self, fixed: int | None = None, told: Callable[[], None] = lambda: None, *, waiting: float = 1 / 8
    ) -> None:
        self._told = told
        self._is_fixed = fixed is not None
        self._share = waiting
        self.size = fixed or START
        self.taken = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    @property
    def has_room(self) -> bool:
        """Whether one more may go."""
        return self.taken < self.size

    def found(self, n: int) -> None:
        """So many were at the service before anything was sent."""
        if not self._is_fixed:
            self.size = min(_MOST, max(self.size, n))

    @contextlib.asynccontextmanager
    async def place(self, *, is_there: bool = False) -> AsyncIterator[None]:
        """Hold one place, when there is one; in order of asking.

        Args:
            is_there: It is at the service already, so it has a place, whatever the size.
        """
        while not is_there and not self.has_room:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._call()

    def _call(self) -> None:
        self._told()
        for _ in range(self.size - self.taken):
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()  # it was cancelled
            if not self._waiting:
                return
            self._waiting.popleft().set_result(None)

    def accepted(self, position: int | None) -> None:
        """A request was taken, with so many waiting before it; None when the service did not say."""
        if self._is_fixed or position is None:
            return
        reserve = max(1, int(self.size * self._share))
        if position < reserve:
            self.size = min(_MOST, self.size + 1)
            self._call()
        elif position > reserve:
            self.size = max(START, self.size - 1)

    def declined(self) -> None:
        """A request was turned away because there were too many."""
        if not self._is_fixed:
            self.size = max(1, self.size // 2)
