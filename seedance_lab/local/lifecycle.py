"""How long a file is to be had: what a header asks for, or else the account's settings.

Source: fal's pages on media expiration and storage settings, and what `fal_client` 1.0.3 and `@fal-ai/client` 1.10.1
send, read 2026-11-23. Uploads to the CDN have their wish in `X-Fal-Object-Lifecycle`, everything else in
`X-Fal-Object-Lifecycle-Preference`; the Python client sends both. Null and 0 mean for ever.

Access rules (`initial_acl`) are taken, kept and given back, and bind nobody: there is one account here.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from seedance_lab.local.documents import header
from seedance_lab.local.store import Store
from seedance_lab.local.wire import infrastructure_error

_PREFERENCE = "x-fal-object-lifecycle-preference"
_HEADERS = ("x-fal-object-lifecycle", _PREFERENCE)
_NAME = "expiration_duration_seconds"
LONGEST_S = 1_000_000_000
_WORDS = {
    "never": 0, "immediate": 60, "1h": 3600, "1d": 86_400, "7d": 604_800, "30d": 2_592_000, "1y": 31_536_000,
}  # fmt: skip
"""What the clients call them; they send the numbers."""

LIFECYCLE = header(
    _PREFERENCE,
    "For how many seconds the file is to be had",
    pattern=r'^\{"expiration_duration_seconds": ?(null|[1-9][0-9]{2,6})\}$',
)
"""The header, for the document."""


def lifetime_s(request: Request, store: Store) -> float | None:
    """For how many seconds the files of this request are to be had; None for ever.

    Raises:
        HttpError: 400 for a header that cannot be understood: to pass over it would keep what was to go.
    """
    for name in _HEADERS:
        try:
            wish = _object(request.headers.get(name, "{}"))
            if _NAME in wish:
                return _seconds(wish[_NAME])
        except (TypeError, ValueError, RecursionError) as error:
            raise infrastructure_error(
                400, f'{name} is JSON such as {{"{_NAME}": 3600}}, with null for no expiration', "bad_request"
            ) from error
    return _seconds(settings(store)[_NAME])


def settings(store: Store) -> dict[str, Any]:
    """The account's settings, in the form of the platform API."""
    kept = store.lifecycle
    return {_NAME: None, "initial_acl": None, **(_object(kept) if kept else {})}


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(type(value))
    return value


def _seconds(value: Any) -> float | None:
    """Seconds; None for ever.

    Raises:
        TypeError: No number, and not one of the words.
        ValueError: Too small or too large.
    """
    if value is None:
        return None
    seconds = float(_WORDS.get(value, value) if isinstance(value, str) else value)
    if isinstance(value, bool) or not 0 <= seconds <= LONGEST_S:
        raise ValueError(value)
    return seconds or None
