"""One pass over a plan: every request through the engine and the journal, paid for at most once.

The order that money depends on is in `_post`: the intent is on the disk before the POST, the ticket right
after it, and the two are shielded from cancellation. Everything else here may be repeated.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import hashlib
import os
import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from seedance_lab import media
from seedance_lab._version import __version__
from seedance_lab.budget import Options, check_budget, fits
from seedance_lab.clip import file_name
from seedance_lab.engine import Answer, Engine, Place, Seen, Ticket, open_engine
from seedance_lab.errors import (
    ClipError,
    Declined,
    EngineError,
    LostAnswer,
    NotSent,
    StudyError,
)
from seedance_lab.image import Picture
from seedance_lab.journal import VERSION, Event, Journal
from seedance_lab.plan import Plan
from seedance_lab.record import Record, fold, step
from seedance_lab.request import Request

_SKEW = dt.timedelta(minutes=10)
"""How far the service's clock may be from ours when its history is searched."""
_ACCOUNT = frozenset({401, 402, 403})
"""Answers that concern the account, not the request: the whole run stops."""
_UPLOAD_LIFE = dt.timedelta(days=5)
_SEND_ATTEMPTS = 8
_FETCH_ATTEMPTS = 3
_CLIENT_CLOSED = 499


class Runner:
    """Runs a plan; use it on one event loop, once.

    Args:
        folder: The study's folder.
        place: Where clips are made.
        plan: What to make.
        run: The pass's id.
        options: How.
        listener: Told of every line that is written, with the request's record; called on the loop, must
            be quick and must not raise.
    """

    def __init__(
        self,
        *,
        folder: Path,
        place: Place,
        plan: Plan,
        run: str,
        options: Options,
        listener: Callable[[Event, Record | None], None],
    ) -> None:
        self.folder, self.place, self.plan, self.run, self.options = folder, place, plan, run, options
        self.records: dict[str, Record] = {}
        self.problems: dict[str, str] = {}
        self.in_flight: set[str] = set()
        self.stopping = False
        self._listener = listener
        self._journal: Journal
        self._engine: Engine
        self._todo: collections.deque[Request] = collections.deque()
        self._uploads: dict[str, asyncio.Task[str]] = {}
        self._searching = asyncio.Lock()
        self._posting: set[str] = set()
        self._times: dict[tuple[str, str, int], list[float]] = collections.defaultdict(list)
        self._cancelled = asyncio.Event()
        self._fatal: BaseException | None = None

    async def __call__(self) -> None:
        """Run to the end.

        Raises:
            LabError: What concerns the whole run: locked, damaged, no engine, no money.
            OSError: The journal cannot be written.
        """
        with Journal(self.folder) as self._journal:
            self.records = fold(self._journal)
            check_budget(self.place, self.plan, self.records, self.options)
            engine = await open_engine(self.place, self.folder / "engine", slots=self.options.slots)
            self._engine = engine
            begun = False
            try:
                self._check_engine(engine.identity)
                self._begin()
                begun = True
                self._say("run", run=self.run, n_requests=len(self.plan), engine_id=engine.identity,
                          budget_usd=self.options.budget_usd, version=__version__)  # fmt: skip
                self._todo.extend(r for r in self.plan if self._wanted(r))
                lanes = [asyncio.create_task(self._lane()) for _ in range(max(1, self.options.in_flight))]
                await asyncio.gather(*lanes)
            finally:
                with contextlib.suppress(OSError):
                    if begun:
                        why = str(self._fatal) if self._fatal else None
                        self._say("ended", run=self.run, why=why, stopped=self.stopping)
                await engine.aclose()
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Begin nothing new; what is at the service is waited for and saved."""
        self.stopping = True

    def cancel(self) -> None:
        """Stop, and ask the service to take back what is there."""
        self.stop()
        self._cancelled.set()

    def _begin(self) -> None:
        """First line, folders, pictures: all that is written before anything is sent."""
        if not self._journal.events:
            self._say("study", version=VERSION, engine=self.place.name)
        for name in ("inputs", "clips"):
            (self.folder / name).mkdir(exist_ok=True)
        pictures = {p.sha256: p for r in self.plan for p in (r.image, r.end_image) if p is not None}
        for picture in pictures.values():
            _keep(picture, self.folder / "inputs")

    def _check_engine(self, identity: str) -> None:
        for event in reversed(self._journal.events):
            if event.kind == "run":
                if event.data.get("engine_id") != identity:
                    raise StudyError(
                        f"The study {self.folder} was run on another simulator than the one at {self.place.name}. "
                        "Nothing was sent. Start that one again (same --folder), or use a new study folder."
                    )
                return

    def _wanted(self, request: Request) -> bool:
        """Whether this pass has something to do for the request."""
        record = self.records.get(request.key)
        if record is None:
            return True
        if record.stage == "saved":
            return not (self.folder / "clips" / file_name(request.key)).exists()
        if record.stage in {"refused", "failed"}:
            return self.options.retry_failed
        return True

    def _say(self, kind: str, key: str = "", **data: Any) -> Record | None:
        """Write a line, then tell of it."""
        event = self._journal.append(kind, key, **data)
        record = step(self.records, event, self.place.name) if key else None
        self._listener(event, replace(record) if record else None)
        return record

    async def _lane(self) -> None:
        """One place in flight: takes request after request until there are no more."""
        while self._todo and not self.stopping:
            request = self._todo.popleft()
            self.in_flight.add(request.key)
            try:
                await self._serve(request)
            except (EngineError, ClipError) as error:
                self.problems[request.key] = str(error)
            except OSError as error:
                self.problems[request.key] = f"{error.strerror or error}"
                if self.records.get(request.key) is None or self.records[request.key].stage != "finished":
                    self._abort(error)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # told of at the run's end; the other lanes finish first
                self._abort(error)
            finally:
                self.in_flight.discard(request.key)

    def _abort(self, error: BaseException) -> None:
        self._fatal = self._fatal or error
        self.stop()

    async def _serve(self, request: Request) -> None:
        """Take one request from wherever the journal says it is to its end."""
        self.problems.pop(request.key, None)
        record = self.records.get(request.key)
        if record is not None and record.stage in {"sending", "unknown"} and not await self._settle(record):
            return
        stage = self.records[request.key].stage if request.key in self.records else "new"
        if stage not in {"accepted", "finished", "saved"}:
            if not await self._submit(request):
                return
            stage = "accepted"
        if stage == "accepted" and not await self._wait(self.records[request.key]):
            return
        await self._fetch(self.records[request.key])

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────────

    async def _submit(self, request: Request) -> bool:
        """Send until it is taken or declined for good; True when the service has it."""
        wire = request.wire(
            await self._upload(request.image) if request.image else None,
            await self._upload(request.end_image) if request.end_image else None,
        )
        for attempt in range(1, _SEND_ATTEMPTS + 1):
            if self.stopping:
                return False
            if not fits(request.usd, self.records, self.options):
                self.problems[request.key] = (
                    f"not sent: the budget of ${self.options.budget_usd:,.2f} is reached"
                )
                self.stop()
                return False
            wait_s = await asyncio.shield(self._post(request, wire))
            record = self.records[request.key]
            if record.stage == "unknown" and await self._settle(record):
                wait_s = None if record.stage == "accepted" else 0.0
            if record.stage == "accepted":
                return True
            if wait_s is None:
                return False
            if attempt < _SEND_ATTEMPTS:
                spread_s = min(30.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)
                await self._nap(max(wait_s, spread_s) if wait_s else 0.0)
        record = self.records[request.key]
        self.problems[request.key] = f"not sent: declined {_SEND_ATTEMPTS} times ({record.error})"
        if record.http_status is None:
            self._abort(
                EngineError(f"{record.error} It was tried {_SEND_ATTEMPTS} times. Run the plan again later.")
            )
        return False

    async def _post(self, request: Request, wire: Mapping[str, Any]) -> float | None:
        """Write the intent, POST, write what came of it.

        Returns:
            Seconds to wait before sending it again; None when it must not be sent again now.
        """
        self._say("sending", request.key, run=self.run, request=request.record(), wire=wire, usd=request.usd)
        self._posting.add(request.key)
        try:
            ticket = await self._engine.submit(request.endpoint.id, wire)
        except NotSent as error:
            self._say("declined", request.key, run=self.run, error=str(error))
            return 1.0
        except Declined as error:
            return self._declined(request, error)
        except LostAnswer as error:
            self._say("unknown", request.key, run=self.run, error=str(error))
            return None
        finally:
            self._posting.discard(request.key)
        self._say("accepted", request.key, run=self.run, request_id=ticket.request_id, urls=dict(ticket.urls))
        return None

    def _declined(self, request: Request, error: Declined) -> float | None:
        final = error.retry_after_s is None
        kind = "refused" if final and error.status not in _ACCOUNT else "declined"
        self._say(kind, request.key, run=self.run, error=str(error), http_status=error.status)
        if final and error.status in _ACCOUNT:
            self._abort(
                EngineError(
                    f"The service refused this account's request: {error}. That request cost nothing; no more were "
                    "sent. Check the key and the balance (fal.ai/dashboard), then run the plan again."
                )
            )
        return error.retry_after_s

    async def _upload(self, picture: Picture) -> str:
        """The picture's URL at the service: uploaded once per study, however many requests use it."""
        if picture.sha256 not in self._uploads:
            self._uploads[picture.sha256] = asyncio.create_task(self._upload_once(picture))
        try:
            return await asyncio.shield(self._uploads[picture.sha256])
        except EngineError:
            self._uploads.pop(picture.sha256, None)
            raise

    async def _upload_once(self, picture: Picture) -> str:
        fresh = dt.datetime.now(dt.UTC) - _UPLOAD_LIFE
        for event in reversed(self._journal.events):
            if event.kind == "uploaded" and event.data["sha256"] == picture.sha256 and event.at > fresh:
                return str(event.data["url"])
        url = await self._engine.upload(picture.read(), picture.media_type, picture.name)
        self._say("uploaded", sha256=picture.sha256, url=url, n_bytes=picture.n_bytes)
        return url

    # ── finding again ───────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, record: Record) -> bool:
        """Look for a request whose answer was lost in the account's history.

        Returns:
            True when it is decided: found (now `accepted`) or shown never to have arrived (now `declined`,
            and free to be sent). False when only a person can decide; it stays `unknown`.
        """
        assert record.sent_at is not None
        async with self._searching:
            while True:
                while self._has_twin_on_its_way(record):
                    await self._nap(0.1)
                try:
                    candidates = await self._candidates(record)
                except EngineError as error:
                    self.problems[record.key] = (
                        f"unknown: the answer was lost, and {error} Run the plan again later."
                    )
                    return False
                if self._has_twin_on_its_way(record):
                    continue
                rivals = [r for r in self.records.values() if _is_lost(r) and r.wire == record.wire]
                if len(candidates) > len(rivals):
                    ids = ", ".join(candidates)
                    self.problems[record.key] = (
                        f"unknown: {len(candidates)} requests at the service could be this one ({ids}); decide with "
                        f"study.resolve({record.key!r}, request_id=…) or study.resolve({record.key!r}, lost=True)"
                    )
                    return False
                if candidates:
                    self._say("resolved", record.key, run=self.run, outcome="found", request_id=candidates[0])
                    ticket = await self._engine.ticket(record.asked["endpoint"], candidates[0])
                    self._say(
                        "accepted",
                        record.key,
                        run=self.run,
                        request_id=ticket.request_id,
                        urls=dict(ticket.urls),
                    )
                    return True
                # Counted from the sending, so that a leftover of yesterday is decided at the first look.
                left_s = self.place.history_lag_s - (dt.datetime.now(dt.UTC) - record.sent_at).total_seconds()
                if left_s <= 0:
                    self._say("resolved", record.key, run=self.run, outcome="lost",
                              why="the account's history does not have it")  # fmt: skip
                    return True
                if self.stopping:
                    self.problems[record.key] = (
                        "unknown: the account's history does not have it yet; run the plan again in "
                        f"{left_s / 60:.0f} min, when its absence will mean that it never arrived"
                    )
                    return False
                await self._nap(min(15.0, max(1.0, left_s)))

    def _has_twin_on_its_way(self, record: Record) -> bool:
        """Whether an equal request is being answered just now: what the history shows may be that one's."""
        return any(self.records[key].wire == record.wire for key in self._posting)

    async def _candidates(self, record: Record) -> list[str]:
        """Ids in the history that have this input, sent about then, and belong to no other request."""
        assert record.sent_at is not None
        until = dt.datetime.now(dt.UTC) + _SKEW
        found = await self._engine.history(
            record.asked["endpoint"], since=record.sent_at - _SKEW, until=until
        )
        claimed = {e.data["request_id"] for e in self._journal.events if e.kind == "accepted"}
        mine = [
            f
            for f in found
            if f.request_id not in claimed
            and f.input is not None
            and all(f.input.get(name) == value for name, value in record.wire.items())
        ]
        return [f.request_id for f in sorted(mine, key=lambda f: f.sent_at or until)]

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────────────

    async def _wait(self, record: Record) -> bool:
        """Look at it now and then until it is done; True when there is a video to fetch."""
        assert record.request_id is not None
        ticket = Ticket(record.request_id, record.urls)
        wait_s = self._first_look_s(record)
        asked_back = False
        while True:
            await self._nap(wait_s)
            if self._cancelled.is_set() and not asked_back:
                asked_back = await self._engine.cancel(ticket)
            seen = await self._engine.status(ticket)
            if seen.state == "done":
                return await self._finish(record, ticket, seen)
            wait_s = min(
                self.place.most_wait_s, max(0.05, wait_s * 1.5 if self.place.free else max(2.0, wait_s / 2))
            )

    def _first_look_s(self, record: Record) -> float:
        """Shortly before the expected finish: what this run has seen, else the endpoint's model."""
        if self.place.free:
            return 0.03
        request = record.request(self.folder)
        seen = self._times[request.endpoint.id, request.resolution, request.duration]
        expected = statistics.median(seen) if seen else request.inference_s
        assert record.accepted_at is not None
        passed = (dt.datetime.now(dt.UTC) - record.accepted_at).total_seconds()
        return max(0.0, 0.8 * expected - passed)

    async def _nap(self, seconds: float) -> None:
        """Sleep, but wake for a cancellation."""
        if self._cancelled.is_set():
            await asyncio.sleep(min(seconds, 0.5))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), seconds)

    async def _finish(self, record: Record, ticket: Ticket, seen: Seen) -> bool:
        """Fetch and journal what the model returned: COMPLETED covers failure and cancellation too."""
        answer = await self._engine.result(ticket)
        if answer.status == httpx.codes.NOT_FOUND:
            # The service keeps a result for about an hour; the account's history keeps it for weeks.
            output = await self._engine.recall(record.asked["endpoint"], ticket.request_id)
            if isinstance(output, dict) and output.get("video"):
                answer = Answer(200, output, {})
        units = answer.headers.get("x-fal-billable-units")
        common: dict[str, Any] = {"run": self.run, "metrics": dict(seen.metrics), "billable_units": units}
        if answer.video_url is not None:
            done = self._say("finished", record.key, result=answer.body, **common)
            assert done is not None
            if done.latency_s is not None:
                self._times[_times_key(done)].append(done.latency_s)
            return True
        reason, kind = answer.reason(seen)
        if answer.status == _CLIENT_CLOSED:
            self._say("cancelled", record.key, error=reason, error_type=kind, http_status=answer.status,
                      may_be_billed=bool(seen.metrics), **common)  # fmt: skip
        else:
            self._say(
                "failed", record.key, error=reason, error_type=kind, http_status=answer.status, **common
            )
        return False

    async def _fetch(self, record: Record) -> None:
        """Bring the file, look at it, and say so; until then the request stays `finished`."""
        if record.output_url is None:
            raise EngineError("The service's result names no video.")
        path = self.folder / "clips" / file_name(record.key)
        for attempt in range(1, _FETCH_ATTEMPTS + 1):
            got = await self._engine.download(record.output_url, path)
            try:
                facts = await asyncio.to_thread(media.facts, path)
                break
            except ClipError:
                path.unlink(missing_ok=True)
                if attempt == _FETCH_ATTEMPTS:
                    raise
            await self._nap(float(attempt))
        self._say(
            "saved",
            record.key,
            run=self.run,
            file=f"clips/{path.name}",
            sha256=got.sha256,
            download_s=round(got.seconds, 4),
            **facts._asdict(),
        )


def _is_lost(record: Record) -> bool:
    return record.stage in {"sending", "unknown"}


def _times_key(record: Record) -> tuple[str, str, int]:
    arguments = record.asked["arguments"]
    return record.asked["endpoint"], arguments["resolution"], int(arguments["duration"])


def _keep(picture: Picture, inputs: Path) -> None:
    """Keep the exact bytes that are sent, under their checksum."""
    path = inputs / picture.sha256
    if path.exists() and path.stat().st_size == picture.n_bytes:
        return
    data = picture.read()
    assert hashlib.sha256(data).hexdigest() == picture.sha256
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
