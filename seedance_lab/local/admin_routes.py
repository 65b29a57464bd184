"""What a test may do to a running engine: faults, and the clock. These routes exist only when asked for.

A key is needed here as everywhere, even where any will do: a page on the web cannot send one unasked.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.errors import EngineError
from seedance_lab.local.documents import Answers, Operation, declared
from seedance_lab.local.faults import Faults, parse
from seedance_lab.local.latency import Clock
from seedance_lab.local.records import timestamp
from seedance_lab.local.shapes import FaultsAsked, FaultsInForce, Move, NotJson, Refusal, Time
from seedance_lab.local.wire import HttpError, need_key, read_json, reply

_ASKED: Answers = {413: Refusal, 422: NotJson}
_SHOWN = Operation("The faults in force, and how often each happened", {200: FaultsInForce})
_ADD = Operation("Put faults in force", {200: FaultsInForce, **_ASKED}, body=FaultsAsked)
_CLEAR = Operation("Lift all faults", {200: FaultsInForce})
_TIME = Operation("What time it is here", {200: Time})
_MOVE = Operation("Move the clock forward", {200: Time, **_ASKED}, body=Move)


def router(faults: Faults, clock: Clock) -> APIRouter:
    """The routes under `/admin`."""
    routes = APIRouter(prefix="/admin", tags=["admin"])

    @routes.get("/faults", **declared(_SHOWN))
    async def shown(request: Request) -> Response:
        need_key(request, "admin")
        return reply(_faults(faults))

    @routes.post("/faults", **declared(_ADD))
    async def add(request: Request) -> Response:
        need_key(request, "admin")
        asked = await _asked(request)
        rules, seed = asked.get("rules"), asked.get("seed")
        if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
            raise HttpError(422, {"detail": 'expected {"rules": ["submit:drop-after@2", …]}'})
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise HttpError(422, {"detail": f"seed={seed!r} must be a whole number"})
        try:
            parsed = [parse(rule) for rule in rules]
        except EngineError as error:
            raise HttpError(422, {"detail": str(error)}) from error
        if seed is not None:
            faults.seed = seed
        faults.add(parsed)
        return reply(_faults(faults))

    @routes.delete("/faults", **declared(_CLEAR))
    async def clear(request: Request) -> Response:
        need_key(request, "admin")
        faults.clear()
        return reply(_faults(faults))

    @routes.get("/clock", **declared(_TIME))
    async def time(request: Request) -> Response:
        need_key(request, "admin")
        return reply(_clock(clock))

    @routes.post("/clock", **declared(_MOVE))
    async def move(request: Request) -> Response:
        need_key(request, "admin")
        seconds = (await _asked(request)).get("move_s")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MOST_S:
            raise HttpError(422, {"detail": f'expected {{"move_s": seconds, 0 to {_MOST_S:g}}}'})
        if clock() + seconds > _LATEST:
            raise HttpError(422, {"detail": "the clock would leave the calendar; start the engine anew"})
        clock.move(seconds)
        return reply(_clock(clock))

    return routes


_MOST_S = 10 * 366 * 86_400.0
"""Ten years: far beyond all that is kept."""

_LATEST = 200_000_000_000.0
"""In seconds since the epoch: the year 8307, when every date can still be written."""


async def _asked(request: Request) -> dict[str, Any]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise HttpError(422, {"detail": "expected a JSON object"})
    return body


def _faults(faults: Faults) -> dict[str, Any]:
    rules = [{"rule": str(rule), "seen": seen, "fired": fired} for rule, seen, fired in faults.tallies]
    return {"seed": faults.seed, "rules": rules}


def _clock(clock: Clock) -> dict[str, Any]:
    return {"now": timestamp(clock()), "ahead_s": clock.ahead_s}
