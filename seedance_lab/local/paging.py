"""How the platform API is asked: lists of ids, windows of time, pages that do not shift, and its own errors."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import math
from typing import Any, NamedTuple

from starlette.requests import Request

from seedance_lab.local.documents import many, query
from seedance_lab.local.platform_shapes import PlatformRefusal
from seedance_lab.local.wire import HttpError, has_key, platform_error, small_number

_LIMIT, _LIMIT_MAX = 50, 100
_BIGGEST = 2**63 - 1
REFUSALS = dict.fromkeys((400, 401, 404), PlatformRefusal)
PAGE = [
    query("limit", "Rows of a page", type="integer", minimum=1, maximum=_LIMIT_MAX),
    query("cursor", "Where the page before ended"),
]
WINDOW = [
    query("start", "Date or time in ISO 8601", format="date-time"),
    query("end", "Date or time in ISO 8601; not included", format="date-time"),
]
ENDPOINT_IDS = many("endpoint_id", "Only these")
REQUEST_IDS = many("request_id", "Only these")


class Page(NamedTuple):
    """Which rows: at most `limit`, after the row that `after` describes."""

    limit: int
    after: list[float] | None


def need_key(request: Request) -> None:
    """Refuse who sent no key.

    Raises:
        HttpError: 401.
    """
    try:
        given = has_key(request)
    except HttpError as error:
        raise platform_error(401, "authorization_error", "Invalid API key") from error
    if not given:
        raise platform_error(401, "authorization_error", "Authentication required")


def bad(message: str) -> HttpError:
    """The question cannot be understood."""
    return platform_error(400, "validation_error", message)


def listed(request: Request, name: str) -> list[str]:
    """A parameter that may be repeated or have commas."""
    return [part for given in request.query_params.getlist(name) for part in given.split(",") if part]


def chosen(request: Request, name: str, offered: tuple[str, ...], default: str = "") -> str:
    """A parameter that takes one of a few words.

    Raises:
        HttpError: 400.
    """
    given = request.query_params.get(name) or default
    if given and given not in offered:
        raise bad(f"{name} is one of {', '.join(offered)}")
    return given


def page(request: Request, n_values: int = 1) -> Page:
    """The page that is asked for; its cursor holds `n_values` numbers.

    Raises:
        HttpError: 400.
    """
    limit = small_number(request.query_params.get("limit") or str(_LIMIT))
    if limit is None or not 1 <= limit <= _LIMIT_MAX:
        raise bad(f"limit is 1 to {_LIMIT_MAX}")
    cursor = request.query_params.get("cursor")
    if not cursor:
        return Page(limit, None)
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise bad("cursor is not one of ours") from error
    if not isinstance(after, list) or len(after) != n_values or not all(_is_place(part) for part in after):
        raise bad("cursor is not one of ours")
    return Page(limit, after)


def cursor(*after: float) -> str:
    """What names the row after which the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode()


def window(request: Request, now: float, default_s: float) -> tuple[float, float]:
    """From when to when, in seconds since the epoch.

    Raises:
        HttpError: 400.
    """
    # Without an end: what was sent in this very moment belongs to it.
    start = _moment(request, "start", now - default_s)
    return start, _moment(request, "end", math.inf)


def _is_place(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _BIGGEST


def _moment(request: Request, name: str, default: float) -> float:
    given = request.query_params.get(name)
    if not given:
        return default
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = dt.datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise bad(f"{name} is a date or time in ISO 8601") from error
