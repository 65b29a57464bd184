"""The rows of the store as values, and how time and JSON are written in them."""

from __future__ import annotations

import datetime as dt
import json
from typing import NamedTuple


class Record(NamedTuple):
    """One request as stored. Times are seconds since the epoch; JSON columns are text."""

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


class FileRecord(NamedTuple):
    """A file as stored. `size` is None until all its bytes are there; `secret` lets its owner write it."""

    file_id: str
    name: str
    content_type: str
    size: int | None
    secret: str | None
    created_at: float


def as_json(value: object) -> str:
    """JSON text in ASCII: escapes keep lone surrogates, which neither SQLite nor UTF-8 take."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def timestamp(seconds: float) -> str:
    """UTC in ISO 8601 with microseconds and an offset, which every client's parser takes."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="microseconds")
