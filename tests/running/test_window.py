"""How many requests are at the service at a time, by what it shows."""

from __future__ import annotations

import asyncio
import heapq

from seedance_lab.running.window import START, Window


def in_flight_at(
    slots: int, n: int, *, fixed: int | None = None, waiting: float = 1 / 8
) -> tuple[Window, float, int]:
    """A service with so many slots, 1 s a clip, that shows queue positions; no clock but a made-up one.

    Returns the window, the moment of the last clip's end, and the longest queue.
    """
    window, now, longest = Window(fixed, waiting=waiting), 0.0, 0
    running: list[float] = []
    queued = left = 0
    left = n
    while left or running:
        while left and window.has_room:
            left -= 1
            window.taken += 1
            position = queued
            if len(running) < slots:
                heapq.heappush(running, now + 1)
            else:
                queued += 1
            longest = max(longest, queued)
            window.accepted(position)
        now = heapq.heappop(running)
        window.taken -= 1
        if queued:
            queued -= 1
            heapq.heappush(running, now + 1)
    return window, now, longest


def test_half_of_it_may_wait_where_a_stop_costs_nothing() -> None:
    eighth, half = in_flight_at(64, 1000)[2], in_flight_at(64, 1000, waiting=1 / 2)[2]
    assert eighth <= 64 / 8 + 3
    assert 32 < half <= 64 + 3


def test_it_begins_small_and_finds_the_slots() -> None:
    for slots in (2, 3, 8, 64):
        window, _, _ = in_flight_at(slots, 20 * slots)
        assert slots <= window.size <= slots + 2 + slots // 8, (slots, window.size)


def test_no_slot_is_idle_while_there_is_something_to_do() -> None:
    for slots in (1, 2, 8, 64):
        _, ended, _ = in_flight_at(slots, 10 * slots)
        assert ended == 10


def test_few_wait_in_the_services_queue() -> None:
    """What waits there is what a stop has to wait for."""
    for slots in (2, 8, 64):
        _, _, longest = in_flight_at(slots, 50 * slots)
        assert longest <= 3 + slots // 8


def test_a_number_that_a_person_gave_stays() -> None:
    window, _, _ = in_flight_at(2, 40, fixed=5)
    window.declined()
    assert window.size == 5


def test_it_shrinks_when_slots_are_taken_away() -> None:
    window = Window()
    for _ in range(30):
        window.accepted(0)
    grown = window.size
    for _ in range(20):
        window.accepted(9)
    assert window.size < grown


def test_it_halves_at_429_and_never_closes() -> None:
    window = Window()
    for _ in range(14):
        window.accepted(0)
    window.declined()
    assert window.size == 8
    for _ in range(9):
        window.declined()
    assert window.size == 1


def test_a_service_that_shows_nothing_leaves_it_as_it_is() -> None:
    window = Window()
    for _ in range(9):
        window.accepted(None)
    assert window.size == START


def test_places_are_given_in_the_order_of_asking_and_given_back_after_a_failure() -> None:
    async def story() -> list[int]:
        window, order = Window(1), []

        async def visit(n: int) -> None:
            async with window.place():
                order.append(n)
                await asyncio.sleep(0)
                if n == 1:
                    raise ValueError

        await asyncio.gather(*(visit(n) for n in range(4)), return_exceptions=True)
        assert window.taken == 0
        return order

    assert asyncio.run(story()) == [0, 1, 2, 3]


def test_one_who_gives_up_waiting_does_not_take_anothers_turn() -> None:
    async def story() -> None:
        window = Window(1)
        inside, leave = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with window.place():
                inside.set()
                await leave.wait()

        async def visit() -> str:
            async with window.place():
                return "was in"

        holder = asyncio.create_task(hold())
        await inside.wait()
        impatient, patient = asyncio.create_task(visit()), asyncio.create_task(visit())
        await asyncio.sleep(0)
        impatient.cancel()
        leave.set()
        assert await asyncio.wait_for(patient, 5) == "was in"
        await holder
        assert window.taken == 0

    asyncio.run(story())
