"""The only path of a pass that can cost money.

The order that money depends on is in `_post`: the intent is on the disk before the POST, what came of it right
after, and the two are shielded from cancellation. Everything else in a pass may be repeated.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable, Mapping
from typing import Any

from seedance_lab.budget import Options
from seedance_lab.engine import Engine
from seedance_lab.errors import Declined, EngineError, LostAnswer, NotSent
from seedance_lab.image import Picture
from seedance_lab.request import Request
from seedance_lab.running.book import Book
from seedance_lab.running.signals import Signals
from seedance_lab.running.window import Window

_FULL = 507
_ACCOUNT = frozenset({401, 402, 403, _FULL})
"""Answers that concern the account or the engine, not the request: the whole run stops."""
_TOO_MANY = 429
_REMEDY = "Check the key and the balance (fal.ai/dashboard)"
_REMEDIES = {_FULL: "Give the simulator more room (seedance-lab serve --disk-gb)"}
ATTEMPTS = 8
"""How often one request is sent or looked for before the pass gives up on it."""
_UPLOAD_LIFE_S = 5 * 86_400.0
"""How long an upload is used again when nothing was said about its lifetime."""
_MARGIN_S = 3_600.0
"""An upload is not used in the last hour of its life: the request may wait in the queue for that long. One that
lives for less than two hours is not used in the second half of it."""


class Halt(Exception):  # no error of its own: it carries one
    """The whole pass must end, for this reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Sender:
    """Sends requests, each at most once.

    Args:
        engine: Open.
        book: The pass's journal.
        signals: What the person says.
        window: Told of what was taken and what was turned away.
        options: Budget, attempts, lifetimes.
        problems: Why a request was not sent, by key; written here.
        usd: A request's price.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        book: Book,
        signals: Signals,
        window: Window,
        options: Options,
        problems: dict[str, str],
        usd: Callable[[Request], float | None],
    ) -> None:
        self._engine, self._book, self._signals, self._window = engine, book, signals, window
        self._options, self._problems, self._usd = options, problems, usd
        self._uploads: dict[str, asyncio.Task[str]] = {}

    async def send(self, request: Request) -> bool:
        """Send until it is taken, lost or declined for good; True when the service has it.

        Raises:
            Halt: The account is turned away, or nobody can be reached.
            EngineError: Its picture could not be uploaded. Nothing was sent.
        """
        key = request.key
        wire = request.wire(
            await self._upload(request.image) if request.image else None,
            await self._upload(request.end_image) if request.end_image else None,
        )
        for attempt in range(1, ATTEMPTS + 1):
            await self._signals.rest()  # a pause may have come while the picture was on its way
            if self._signals.stopping:
                return False
            wait_s = await asyncio.shield(self._post(request, wire))
            if wait_s is None:
                return key in self._book.records and self._book.records[key].stage == "accepted"
            if attempt < ATTEMPTS:
                spread_s = min(30.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)
                # A service that says "at once" is taken at its word once, not seven times.
                await self._signals.rest(max(wait_s, spread_s) if wait_s or attempt > 1 else 0.0)
        record = self._book.records[key]
        self._problems[key] = f"not sent: declined {ATTEMPTS} times ({record.error})"
        if record.http_status is None:
            raise Halt(
                EngineError(f"{record.error} It was tried {ATTEMPTS} times. Run the plan again later.")
            )
        return False

    def _limit(self, request: Request) -> str | None:
        """Why one more must not be sent; None when it may."""
        options = self._options
        if options.max_requests is not None and self._book.n_sent >= options.max_requests:
            return f"max_requests={options.max_requests} were sent"
        if not options.affords(self._usd(request), self._book.at_stake_usd):
            return f"the budget of ${options.budget_usd:,.2f} is reached"
        return None

    async def _post(self, request: Request, wire: Mapping[str, Any]) -> float | None:
        """Write the intent, POST, write what came of it.

        Returns:
            Seconds to wait before sending it again; None when it must not be sent again now.
        """
        key = request.key
        # Nothing may come between this and the line that counts it: several requests are asked at the same time.
        if (why := self._limit(request)) is not None:
            self._problems[key] = f"not sent: {why}"
            self._signals.stop(f"{why}; nothing new was sent")
            return None
        self._book.posting.add(key)
        try:
            await self._book.say("sending", key, request=request.record(), wire=wire, usd=self._usd(request))
            ticket = await self._engine.submit(request.endpoint.id, wire, keep_s=self._options.keep_outputs_s)
        except NotSent as error:
            await self._book.say("declined", key, error=str(error))
            return 1.0
        except Declined as error:
            return await self._declined(request, error)
        except LostAnswer as error:
            await self._book.say("unknown", key, error=str(error))
            return None
        finally:
            self._book.posting.discard(key)
        await self._book.say("accepted", key, request_id=ticket.request_id, urls=dict(ticket.urls),
                       position=ticket.position)  # fmt: skip
        self._window.accepted(ticket.position)
        return None

    async def _declined(self, request: Request, error: Declined) -> float | None:
        final = error.retry_after_s is None
        kind = "refused" if final and error.status not in _ACCOUNT else "declined"
        await self._book.say(kind, request.key, error=str(error), http_status=error.status)
        if error.status == _TOO_MANY:
            self._window.declined()
        if final and error.status in _ACCOUNT:
            raise Halt(
                EngineError(
                    f"The service refused this account's request: {error}. That request cost nothing; no more were "
                    f"sent. {_REMEDIES.get(error.status, _REMEDY)}, then run the plan again."
                )
            )
        return error.retry_after_s

    async def _upload(self, picture: Picture) -> str:
        """The picture's URL at the service: uploaded once per study, however many requests use it."""
        known = self._book.uploads.get(picture.sha256)
        if known is not None:
            life_s = _UPLOAD_LIFE_S
            if known.seconds is not None:
                life_s = known.seconds - min(_MARGIN_S, known.seconds / 2)
            if (dt.datetime.now(dt.UTC) - known.at).total_seconds() < life_s:
                return known.url
        if picture.sha256 not in self._uploads:
            self._uploads[picture.sha256] = asyncio.create_task(self._upload_now(picture))
        try:
            return await self._signals.unless_left(asyncio.shield(self._uploads[picture.sha256]))
        finally:
            task = self._uploads.get(picture.sha256)
            if task is not None and self._signals.leaving:
                task.cancel()
            elif task is not None and task.done():
                # Not kept: in a long pass it would outlive the picture at the service.
                del self._uploads[picture.sha256]

    async def _upload_now(self, picture: Picture) -> str:
        keep_s = self._options.keep_uploads_s
        url = await self._engine.upload(picture.read(), picture.media_type, picture.name, keep_s=keep_s)
        await self._book.say(
            "uploaded", sha256=picture.sha256, url=url, n_bytes=picture.n_bytes, kept_s=keep_s
        )
        return url
