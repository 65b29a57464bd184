"""What a study asks of the place where clips are made, by fal's own client.

Only `submit` can cost money; everything else may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import fal_client
import httpx
from fal_client.auth import AuthCredentials

from seedance_lab.engine.download import fetch_file
from seedance_lab.engine.fal import Client
from seedance_lab.engine.platform import API_URL, Platform
from seedance_lab.engine.transport import TAKEN
from seedance_lab.engine.values import Answer, Download, Found, Seen, Ticket
from seedance_lab.errors import EngineError

_ATTEMPTS = 4
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading JSON of another shape than expected raises."""
_STREAM_TIMEOUT = httpx.Timeout(45.0, connect=10.0)
"""The service writes a comment every 15 s; three of them missing means that nobody is there."""
_LIFECYCLE = "X-Fal-Object-Lifecycle-Preference"


class Engine:
    """An open connection to the place where clips are made; use it on one event loop only.

    Args:
        credentials: For the service; a simulator takes any.
        transport: Carries the key, and sends a submission once.
        bare: Carries no key: for files. None: the open internet, by the environment's proxies.
        identity: What tells this engine from another of its kind.
        rebase: Makes a URL from an earlier session reachable (a served simulator may have moved).
        can_stream: Whether status streams come as they are written.
        closing: What to close after the connections, in order.

    Attributes:
        platform: Prices, models and bills.
    """

    def __init__(
        self,
        *,
        credentials: AuthCredentials,
        transport: httpx.AsyncBaseTransport,
        bare: httpx.AsyncBaseTransport | None,
        identity: str,
        rebase: Callable[[str], str] = str,
        can_stream: bool = True,
        closing: tuple[Callable[[], Awaitable[None]], ...] = (),
    ) -> None:
        headers = {"Authorization": credentials.header_value, "User-Agent": fal_client.client.USER_AGENT}
        limits = httpx.Limits(max_connections=48, max_keepalive_connections=8)
        timeout = httpx.Timeout(120.0, connect=10.0)
        self._http = httpx.AsyncClient(transport=transport, headers=headers, timeout=timeout, limits=limits)
        self._bare = httpx.AsyncClient(
            transport=bare, timeout=httpx.Timeout(60.0, connect=10.0), limits=limits, follow_redirects=True
        )
        self._fal = Client(credentials, self._http, self._bare)
        self.platform = Platform(functools.partial(self._get, self._http))
        self.identity = identity
        self.can_stream = can_stream
        self._rebase = rebase
        self._closing = closing

    async def submit(
        self, endpoint_id: str, wire: Mapping[str, Any], *, keep_s: float | None = None
    ) -> Ticket:
        """The one call that can cost money: POST once.

        Args:
            endpoint_id: Of the model.
            wire: The JSON body.
            keep_s: Seconds that the service keeps the video; None for as long as it likes.

        Raises:
            NotSent: Nothing left this machine.
            Declined: The service did not take it.
            LostAnswer: It may have.
        """
        headers = {_LIFECYCLE: _lifecycle(keep_s)} if keep_s is not None else {}
        TAKEN.set({})
        handle = await self._fal.submit(endpoint_id, dict(wire), headers=headers)
        return Ticket(handle.request_id, _urls(handle), _position(TAKEN.get()))

    def _handle(self, ticket: Ticket) -> fal_client.AsyncRequestHandle:
        urls = {name: self._rebase(url) for name, url in ticket.urls.items()}
        return fal_client.AsyncRequestHandle(request_id=ticket.request_id, client=self._http, **urls)

    async def ticket(self, endpoint_id: str, request_id: str) -> Ticket:
        """The ticket of a request that is known by its id only."""
        return Ticket(request_id, _urls(await self._fal.get_handle(endpoint_id, request_id)))

    async def status(self, ticket: Ticket) -> Seen:
        """Look once.

        Raises:
            EngineError: No usable answer, after fal_client's own repeats.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status = await self._handle(ticket).status()
                break
            except (*_UNREADABLE, fal_client.FalClientError, httpx.HTTPError) as error:
                code = getattr(error, "status_code", None)
                if code == httpx.codes.NOT_FOUND:
                    return Seen(
                        "done", error="The service no longer knows this request.", error_type="not_found"
                    )
                if attempt == _ATTEMPTS or (code is not None and code not in _TRANSIENT):
                    raise EngineError(
                        f"The status of {ticket.request_id} could not be read ({_short(error)})."
                    ) from error
            await _pause(attempt)
        match status:
            case fal_client.Queued(position=position):
                return Seen("queued", position)
            case fal_client.Completed():
                return Seen("done", None, _metrics(status.metrics), status.error, status.error_type)
        return Seen("running")

    async def result(self, ticket: Ticket) -> Answer:
        """What the model returned, success or not. The caller judges the status.

        Raises:
            EngineError: No answer.
        """
        # Not by the handle's get(): it would ask for the status again and hide the answer's headers.
        response = await self._get(self._http, self._rebase(ticket.urls["response_url"]))
        try:
            body = response.json()
        except ValueError:
            if response.is_success:
                raise EngineError(
                    f"The result of {ticket.request_id} is not JSON; it can be asked for again."
                ) from None
            body = response.text[:2000]
        return Answer(response.status_code, body, dict(response.headers))

    async def stream(self, ticket: Ticket) -> Seen | None:
        """Follow the status stream to the end; None when it broke off, or is not there."""
        url = f"{self._rebase(ticket.urls['status_url'])}/stream"
        try:
            async with self._http.stream("GET", url, timeout=_STREAM_TIMEOUT) as response:
                if not response.is_success:
                    return None
                async for line in response.aiter_lines():
                    if line.startswith("data:") and (seen := _seen(json.loads(line[5:]))).state == "done":
                        return seen
        except (*_UNREADABLE, httpx.HTTPError, httpx.InvalidURL):
            # Whatever it was, a look will tell.
            return None
        return None

    async def cancel(self, ticket: Ticket) -> str:
        """Ask for the request to be taken back.

        Returns:
            The service's word: `OK` (it was queued, nothing was begun), `CANCELLATION_REQUESTED` (it is running
            and may still be made and billed), `ALREADY_COMPLETED`, `NOT_FOUND`; empty when there was no answer.
        """
        # Not by the handle's cancel(): it hides the answer, which says whether it may be billed.
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._http.put(self._rebase(ticket.urls["cancel_url"]))
            except (httpx.HTTPError, httpx.InvalidURL):
                pass
            else:
                if response.status_code not in _TRANSIENT:
                    with contextlib.suppress(ValueError, AttributeError):
                        return str(response.json().get("status") or "")
                    return ""
            if attempt < _ATTEMPTS:
                await _pause(attempt)
        return ""

    async def upload(self, data: bytes, media_type: str, name: str, *, keep_s: float | None = None) -> str:
        """Upload a picture (free, so it may be repeated) and return its URL.

        Args:
            data: The picture's bytes.
            media_type: Such as `image/jpeg`.
            name: For people.
            keep_s: Seconds that the service keeps it; None for as long as it likes.

        Raises:
            EngineError: It could not be uploaded.
        """
        kept = fal_client.StorageSettings(expires_in=round(keep_s)) if keep_s is not None else None
        try:
            return await self._fal.upload(data, media_type, file_name=name, lifecycle=kept)
        except (fal_client.FalClientError, httpx.HTTPError, KeyError, ValueError) as error:
            raise EngineError(f"The picture {name!r} could not be uploaded ({_short(error)}).") from error

    async def download(self, url: str, to: Path, *, size_bytes: int | None = None) -> Download:
        """Fetch a file to `to`, whole or not at all; what came before a break is not fetched twice.

        Args:
            url: Of the file.
            to: Where it is moved once it is whole.
            size_bytes: Its length, where the service said it.

        Raises:
            LinkGone: The service no longer has it there.
            EngineError: It did not come whole.
            OSError: It cannot be written, such as on a full disk.
        """
        return await fetch_file(
            self._bare, self._rebase(url), to, size_bytes, attempts=_ATTEMPTS, pause=_pause
        )

    async def history(self, endpoint_id: str, *, since: dt.datetime, until: dt.datetime) -> list[Found]:
        """The account's requests to an endpoint that were sent in this window, all pages.

        Raises:
            EngineError: It cannot be read.
        """
        window = {"start": since.isoformat(), "end": until.isoformat()}
        return await self._history({"endpoint_id": endpoint_id, **window})

    async def recall(self, endpoint_id: str, request_id: str) -> Any:
        """What the model returned for a request whose result has expired, if the history still has it.

        Raises:
            EngineError: The history cannot be read.
        """
        found = await self._history({"endpoint_id": endpoint_id, "request_id": request_id})
        return next((f.output for f in found if f.request_id == request_id), None)

    async def _history(self, asked: Mapping[str, str]) -> list[Found]:
        found: list[Found] = []
        params: dict[str, Any] = {**asked, "expand": "payloads", "limit": 100}
        while True:
            response = await self._get(self._http, f"{API_URL}/models/requests/by-endpoint", params)
            if not response.is_success:
                raise EngineError(f"The account's history answered HTTP {response.status_code}.")
            try:
                page = response.json()
                found += [
                    Found(
                        item["request_id"],
                        _time(item.get("sent_at")),
                        body if isinstance(body := item.get("json_input"), dict) else None,
                        item.get("json_output"),
                    )
                    for item in page["items"]
                ]
            except _UNREADABLE as error:
                raise EngineError("The account's history could not be understood.") from error
            cursor = page.get("next_cursor") if page.get("has_more") else None
            if not cursor or cursor == params.get("cursor"):
                return found
            params["cursor"] = cursor

    async def _get(
        self, client: httpx.AsyncClient, url: str, params: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await client.get(url, params=params)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if attempt == _ATTEMPTS:
                    raise EngineError(f"No answer from {httpx.URL(url).host} ({_short(error)}).") from error
            else:
                # With a request id it is the model's own answer, and final. Without one a gateway spoke, or the
                # answer came in half: what it was about is still there.
                final = response.status_code not in _TRANSIENT or "x-fal-request-id" in response.headers
                if final and (not response.is_success or _is_json(response)):
                    return response
                if attempt == _ATTEMPTS:
                    said = "no JSON" if response.is_success else f"HTTP {response.status_code}"
                    raise EngineError(f"{httpx.URL(url).host} answered {said}, {_ATTEMPTS} times.")
            await _pause(attempt)
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        """Close the connections, and the simulator inside this process if there is one."""
        await self._http.aclose()
        await self._bare.aclose()
        for close in self._closing:
            await close()


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


def _urls(handle: fal_client.AsyncRequestHandle) -> dict[str, str]:
    return {name: getattr(handle, name) for name in ("status_url", "response_url", "cancel_url")}


def _position(answer: Mapping[str, Any]) -> int | None:
    position = answer.get("queue_position")
    return position if isinstance(position, int) else None


def _seen(status: Mapping[str, Any]) -> Seen:
    """What an event of the status stream says."""
    if status["status"] == "COMPLETED":
        metrics = _metrics(status.get("metrics"))
        return Seen("done", None, metrics, status.get("error"), status.get("error_type"))
    return Seen("queued" if status["status"] == "IN_QUEUE" else "running", _position(status))


def _metrics(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}


def _lifecycle(keep_s: float) -> str:
    return json.dumps({"expiration_duration_seconds": round(keep_s)})


async def _pause(attempt: int) -> None:
    await asyncio.sleep(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0))  # not a secret


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _time(text: str | None) -> dt.datetime | None:
    if not text:
        return None
    at = dt.datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
