"""What the journal says of each request, folded from its lines; views and frames are made from this.

sending ──► accepted ──► finished ──► saved
   │  │         │  └───► failed
   │  │         └──────► cancelled
   │  ├──► refused
   │  ├──► declined ──► sending …
   └──┴──► unknown ──► accepted (found) or sending (the history shows that it never arrived)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedance_lab.endpoints import find
from seedance_lab.errors import RequestError
from seedance_lab.journal import Event
from seedance_lab.request import Request

IN_DOUBT = frozenset({"sending", "unknown"})
"""Stages in which the request may have been received; settled before anything else."""
_FINAL = frozenset({400, 404, 405, 413, 422})
"""The service's words on the input itself; it says of every 422 that it cannot be retried."""
PAID = frozenset({"accepted", "finished", "saved"})
"""Stages in which asking again would pay twice."""


@dataclass(slots=True)
class Record:
    """One request's story so far.

    Attributes:
        key: The request's key.
        asked: The request as JSON, as it was when it was sent.
        stage: The kind of the last line, except that `declined` and `resolved` lines say where they lead.
        attempts: POSTs that were begun.
        run: The pass that touched it last.
        engine: `local`, `fal` or the URL of a served engine.
        sent_at, accepted_at, finished_at, saved_at: Aware UTC, of the last attempt.
        request_id: The service's id.
        urls: The service's status, result and cancel URLs.
        position: How many waited before it when it was taken; None when the service did not say.
        candidates: Requests of the account that it could be, `request_id` and `sent_at`, while it is in doubt.
        wire: The JSON body that was POSTed.
        usd: Price in dollars when it was sent, live where it was read, else published; None when unknown.
        result: The service's JSON, verbatim.
        error: Why there is no clip, for people.
        error_type: The service's word for it, such as `content_policy_violation`.
        http_status: Of the answer that ended it.
        metrics: What the service measured, such as `inference_time`.
        billable_units: The service's own word on the bill, where it gave one.
        clip: The `saved` line: file, sha256, size_bytes, and the file's facts.
        download_s: Seconds from asking for the file to its last byte.
        may_be_billed: False when it ended in a way that is known to cost nothing.
        earlier_usd: What earlier attempts, since given up, may have cost.
    """

    key: str
    asked: Mapping[str, Any]
    stage: str = "sending"
    attempts: int = 0
    run: str = ""
    engine: str = ""
    sent_at: dt.datetime | None = None
    accepted_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    saved_at: dt.datetime | None = None
    request_id: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    position: int | None = None
    candidates: Sequence[Mapping[str, Any]] = ()
    wire: Mapping[str, Any] = field(default_factory=dict)
    usd: float | None = None
    result: Mapping[str, Any] | None = None
    error: str | None = None
    error_type: str | None = None
    http_status: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    billable_units: str | None = None
    clip: Mapping[str, Any] | None = None
    download_s: float | None = None
    may_be_billed: bool = True
    earlier_usd: float = 0.0

    def request(self, folder: Path) -> Request:
        """The request, its pictures in the study's `inputs/`.

        Raises:
            RequestError: It was made by a version that knew other endpoints or inputs.
        """
        return Request.from_record(self.asked, folder / "inputs")

    @property
    def free(self) -> bool:
        """Whether the engine that made it charges nothing."""
        return self.engine != "fal"

    @property
    def output_url(self) -> str | None:
        """Where the service keeps the video."""
        video = (self.result or {}).get("video")
        return video.get("url") if isinstance(video, Mapping) else None

    @property
    def output_size(self) -> int | None:
        """Bytes of the video, where the service says it."""
        video = (self.result or {}).get("video")
        size = video.get("file_size") if isinstance(video, Mapping) else None
        return size if isinstance(size, int) and size > 0 else None

    @property
    def differs(self) -> Mapping[str, Any]:
        """Where the file is not what was asked for: name → [asked, got]."""
        differs: Mapping[str, Any] = (self.clip or {}).get("differs", {})
        return differs

    @property
    def returned_seed(self) -> int | None:
        """The seed that the service says it used."""
        seed = (self.result or {}).get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def latency_s(self) -> float | None:
        """Seconds from sending to the result, as we saw it; the download is not in it."""
        if self.sent_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.sent_at).total_seconds()

    @property
    def submit_s(self) -> float | None:
        """Seconds from sending to the service's word that it has it."""
        if self.sent_at is None or self.accepted_at is None:
            return None
        return (self.accepted_at - self.sent_at).total_seconds()

    @property
    def total_s(self) -> float | None:
        """Seconds from sending to the file on the disk."""
        if self.sent_at is None or self.saved_at is None:
            return None
        return (self.saved_at - self.sent_at).total_seconds()

    @property
    def inference_s(self) -> float | None:
        """Seconds of work, as the service says."""
        value = self.metrics.get("inference_time")
        return float(value) if isinstance(value, int | float) else None

    @property
    def queue_s(self) -> float | None:
        """Seconds waiting: what of the latency was not work (it includes the wait until we looked)."""
        if self.latency_s is None or self.inference_s is None:
            return None
        return max(0.0, self.latency_s - self.inference_s)

    @property
    def may_pass(self) -> bool:
        """Whether sending it again, unchanged, may give a clip: not when its content or input was refused."""
        return self.stage == "failed" and self.http_status not in _FINAL

    @property
    def cost_usd(self) -> float | None:
        """Dollars that this request cost, as far as is known: None is unknown, and is not nothing.

        A free engine costs 0. A clip made elsewhere costs its list price until a bill says otherwise.
        What was refused was not taken, so it cost nothing; what failed or is lost may have been billed.
        """
        if self.free or self._known_free:
            return 0.0 if self.free or not self.earlier_usd else None
        return self.usd if self.stage in PAID and not self.earlier_usd else None

    @property
    def at_stake_usd(self) -> float:
        """Dollars to count against a budget: the list price of whatever may have been charged."""
        return self.earlier_usd + (0.0 if self._known_free else self.usd or 0.0)

    @property
    def _known_free(self) -> bool:
        declined = self.stage in {"refused", "declined"}
        return declined or _is_zero(self.billable_units) or not self.may_be_billed


def fold(events: Iterable[Event]) -> dict[str, Record]:
    """Every request of the journal, in the order of first sending."""
    records: dict[str, Record] = {}
    engine = ""
    for event in events:
        if event.kind == "study":
            engine = event.data["engine"]
        elif event.key:
            step(records, event, engine)
    return records


def step(records: dict[str, Record], event: Event, engine: str) -> Record:
    """Apply one line: the live door to what `fold` does to all of them."""
    data = event.data
    record = records.get(event.key)
    if record is None:
        record = records[event.key] = Record(event.key, data.get("request", {}), engine=engine)
    match event.kind:
        case "sending":
            _sending(record, event)
        case "accepted":
            record.stage = "accepted"
            record.accepted_at = event.at
            record.request_id = data["request_id"]
            record.urls = data.get("urls", {})
            record.position = data.get("position")
            record.candidates = ()
            record.error = record.error_type = record.http_status = None
        case "finished":
            record.stage = "finished"
            record.finished_at = event.at
            record.result = data["result"]
            record.metrics = data.get("metrics") or {}
            record.billable_units = data.get("billable_units")
        case "saved":
            record.stage = "saved"
            record.saved_at = event.at
            record.clip = data
            record.download_s = data.get("download_s")
            record.error = record.error_type = None
        case "unfetched":
            # Paid for and not here: the stage stays, so that the next pass tries again.
            record.error = data.get("error")
            record.error_type = "expired" if data.get("gone") else None
        case "refused" | "failed" | "unknown" | "cancelled" | "declined":
            record.stage = event.kind
            record.error = data.get("error")
            record.error_type = data.get("error_type")
            record.http_status = data.get("http_status")
            record.candidates = data.get("candidates", ())
            if event.kind in {"failed", "cancelled"}:
                record.finished_at = event.at
                record.billable_units = data.get("billable_units")
                record.metrics = data.get("metrics") or {}
                record.may_be_billed = data.get("may_be_billed", True)
        case "resolved":
            # Found ones are followed by `accepted`; a lost one may be sent again.
            if data["outcome"] == "lost":
                record.stage = "declined"
                record.candidates = ()
                record.error = data.get("why")
    record.run = data.get("run", record.run)
    return record


def _is_zero(units: str | None) -> bool:
    """Whether the service billed nothing; it writes `0` as well as `0.00000000`."""
    try:
        return units is not None and float(units) == 0
    except ValueError:
        return False


def _sending(record: Record, event: Event) -> None:
    record.earlier_usd = record.at_stake_usd
    record.may_be_billed = True
    record.asked = event.data["request"]
    record.wire = event.data["wire"]
    record.usd = event.data.get("usd")
    record.stage = "sending"
    record.attempts += 1
    record.sent_at = event.at
    record.accepted_at = record.finished_at = record.saved_at = None
    record.request_id = record.error = record.error_type = record.http_status = None
    record.result = record.clip = record.billable_units = record.download_s = None
    record.urls, record.metrics, record.position, record.candidates = {}, {}, None, ()


def endpoint_name(record: Record) -> str:
    """The model's name, or its id where this version does not know it."""
    try:
        return find(record.asked["endpoint"]).name
    except RequestError:
        return str(record.asked["endpoint"])
