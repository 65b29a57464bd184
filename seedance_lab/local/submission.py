"""What a submission says besides its input: in headers and in the query, as the service's clients send it.

Source: fal's reference of the queue, read 2026-11-23. Both names of the start-timeout's header are in use: the
clients send the older one, the documents name the newer one, and where both are sent the newer one counts.
"""

from __future__ import annotations

import math
import urllib.parse

from starlette.requests import Request

from seedance_lab.local.lifecycle import lifetime_s
from seedance_lab.local.records import Options
from seedance_lab.local.store import Store
from seedance_lab.local.wire import HttpError, base_url, infrastructure_error, small_number

_START_TIMEOUTS = ("x-fal-request-start-timeout", "x-fal-request-timeout")
_NO = {"0", "false", "no", "off"}
_SHORTEST_S, _LONGEST_S = 0.1, 1e9


def read_options(request: Request, store: Store) -> Options:
    """What this submission asks for; what it does not say, the account's settings do.

    Raises:
        HttpError: 400 for what cannot be understood, since to ignore it would change what was asked for.
    """
    return Options(
        # It can only be lowered; what is not known is passed over.
        low=request.headers.get("x-fal-queue-priority", "").strip().lower() == "low",
        start_timeout_s=_start_timeout(request),
        webhook=_webhook(request),
        base=base_url(request),
        clip_s=lifetime_s(request, store),
        keeps_io=request.headers.get("x-fal-store-io", "1").strip().lower() not in _NO,
    )


def check_queue(request: Request, n_queued: int) -> None:
    """Refuse a submission that would rather not wait behind so many.

    Raises:
        HttpError: 429, or 400 for a limit that is no number.
    """
    given = request.query_params.get("fal_max_queue_length")
    if given is None:
        return
    limit = small_number(given)
    if limit is None:
        raise _bad("fal_max_queue_length is a whole number from 0 to 99999")
    if n_queued > limit:
        raise infrastructure_error(
            429, f"The queue has {n_queued} requests, more than {limit}", "queue_length_exceeded"
        )


def _start_timeout(request: Request) -> float | None:
    for name in _START_TIMEOUTS:
        given = request.headers.get(name)
        if given is None:
            continue
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
        if not _SHORTEST_S < seconds <= _LONGEST_S:
            raise _bad(f"{name} is a number of seconds above {_SHORTEST_S}")
        return seconds
    return None


def _webhook(request: Request) -> str | None:
    given = request.query_params.get("fal_webhook")
    if not given:
        return None
    try:
        parts = urllib.parse.urlsplit(given)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not given.isascii() or not given.isprintable():
        raise _bad("fal_webhook is an http or https URL")
    return given


def _bad(detail: str) -> HttpError:
    return infrastructure_error(400, detail, "bad_request")
