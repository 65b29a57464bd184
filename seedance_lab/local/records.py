"""The rows of the store as values, and how time and JSON are written in them."""

from __future__ import annotations

import datetime as dt
import json
from typing import NamedTuple


class Record(NamedTuple):
    """One request as stored. Times are seconds since the epoch; JSON columns are text.

    `clip_s` is how long its clip is to be had, in seconds, None for ever; `keeps_io` is 0 when its input and
    output belong to no history.
    """

    seq: int
    request_id: str
    endpoint_id: str
    state: str
    sent_at: float
    started_at: float | None
    ended_at: float | None
    inference_s: float | None
    status_code: int | None
    units: float | None
    error: str | None
    error_type: str | None
    input: str
    output: str | None
    logs: str | None
    clip_s: float | None
    keeps_io: int


class Outcome(NamedTuple):
    """How a request ended, as the result GET will tell it.

    Attributes:
        status_code: 200, or the model's own error status.
        output: JSON text of the body.
        logs: JSON text, a list of log entries.
        started_at: Seconds since the epoch; None when it never ran.
        ended_at: Seconds since the epoch.
        inference_s: Seconds of work; None when none was done.
        error: What the status says of a failure.
        error_type: Its type.
    """

    status_code: int
    output: str
    logs: str = "[]"
    started_at: float | None = None
    ended_at: float = 0.0
    inference_s: float | None = None
    error: str | None = None
    error_type: str | None = None


class Options(NamedTuple):
    """What a submission asks for besides its input.

    Attributes:
        low: Whether it goes behind everything of normal priority.
        start_timeout_s: It fails unless work on it began within so many seconds.
        webhook: Where its end is to be told.
        base: Where its caller reaches the engine, for the URLs in the webhook's body.
        clip_s: How long its clip is to be had, in seconds; None for ever.
        keeps_io: Whether its input and output are kept for the history.
    """

    low: bool = False
    start_timeout_s: float | None = None
    webhook: str | None = None
    base: str = ""
    clip_s: float | None = None
    keeps_io: bool = True


PLAIN = Options()
"""Of a submission that asks for nothing else."""


class Unfinished(NamedTuple):
    """A request that a restart finds undone. `start_by` is in seconds since the epoch."""

    seq: int
    request_id: str
    endpoint_id: str
    low: bool
    start_by: float | None
    has_webhook: bool


class Webhook(NamedTuple):
    """A webhook as stored. `ended` is None until it was delivered or given up, then says which."""

    request_id: str
    url: str
    base: str
    attempts: int
    ended: str | None


class Charge(NamedTuple):
    """One line of the ledger: `units` (millions of video tokens) at `unit_price` dollars."""

    units: float
    unit_price: float
    cost_usd: float


class LedgerLine(NamedTuple):
    """A charge as stored. `rowid` orders the lines."""

    rowid: int
    request_id: str
    endpoint_id: str
    charged_at: float
    units: float
    unit_price: float
    cost_usd: float


class UsageLine(NamedTuple):
    """What an endpoint used within one minute since the epoch, at one price."""

    minute: int
    endpoint_id: str
    unit_price: float
    units: float
    cost_usd: float


class FileRecord(NamedTuple):
    """A file as stored. Times are seconds since the epoch.

    Attributes:
        file_id: Unguessable; of a clip, its request's id.
        name: In its URL.
        content_type: As its uploader said.
        size: In bytes; None until all of them are there.
        secret: Lets its owner write it; None when nobody may.
        created_at: Of a clip, when it was finished.
        is_clip: Whether the engine made it; else it was uploaded.
        fetched_at: When its last byte was first handed to a client; None before.
        expires_at: From when on it is no longer to be had; None for ever.
        removed_at: When its bytes were given up; the record stays.
    """

    file_id: str
    name: str
    content_type: str
    size: int | None
    secret: str | None
    created_at: float
    is_clip: int = 0
    fetched_at: float | None = None
    expires_at: float | None = None
    removed_at: float | None = None

    def is_there(self, now: float) -> bool:
        """Whether it can be had."""
        return self.size is not None and self.removed_at is None and not self.is_expired(now)

    def is_expired(self, now: float) -> bool:
        """Whether it was to be had until now at most."""
        return self.expires_at is not None and self.expires_at <= now


def as_json(value: object) -> str:
    """JSON text in ASCII: escapes keep lone surrogates, which neither SQLite nor UTF-8 take."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def timestamp(seconds: float) -> str:
    """UTC in ISO 8601 with microseconds and an offset, which every client's parser takes."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="microseconds")
