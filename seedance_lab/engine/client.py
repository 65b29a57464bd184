"""fal_client.AsyncClient with its wires in our hands, and what a study asks of it.

Only `submit` can cost money; everything else may be repeated. fal_client keeps its HTTP clients in private
attributes; the four overrides of `_Client` are all that depends on them, and `tests/test_engine.py` fails
when a new version moves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import fal_client
import httpx
from fal_client.auth import AuthCredentials
from fal_client.client import AsyncCDNTokenManager, CDNToken

from seedance_lab.errors import EngineError

API_URL = "https://api.fal.ai/v1"
"""fal's platform API. Source: fal.ai/docs, read 2026-11-23."""

_ATTEMPTS = 4
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 18


class Ticket(NamedTuple):
    """What the service gave for a request that it took."""

    request_id: str
    urls: Mapping[str, str]
    """`status_url`, `response_url`, `cancel_url`, used as returned and never built."""


class Seen(NamedTuple):
    """What a look at a request showed."""

    state: Literal["queued", "running", "done"]
    position: int | None = None
    metrics: Mapping[str, Any] = {}
    error: str | None = None
    error_type: str | None = None


class Answer(NamedTuple):
    """What the model returned: its own status, headers and body."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def video_url(self) -> str | None:
        """Where the video is; None when there is none."""
        if not httpx.codes.is_success(self.status) or not isinstance(self.body, dict):
            return None
        video = self.body.get("video")
        url = video.get("url") if isinstance(video, dict) else None
        return url if isinstance(url, str) and url else None

    def reason(self, seen: Seen) -> tuple[str, str | None]:
        """Why there is no video: in words, and the service's own word for it."""
        body = self.body if isinstance(self.body, dict) else {"detail": self.body}
        detail = body.get("detail")
        kind = body.get("error_type") or self.headers.get("x-fal-error-type") or seen.error_type
        if isinstance(detail, list) and detail and isinstance(detail[0], dict):
            said = (
                f"{'.'.join(map(str, d.get('loc', [])[1:]))}: {d.get('msg')}".lstrip(": ") for d in detail
            )
            return "; ".join(said), detail[0].get("type") or kind
        text = detail if isinstance(detail, str) else seen.error
        return text or f"the service answered HTTP {self.status} without a video", kind


class Found(NamedTuple):
    """One request in the account's history."""

    request_id: str
    sent_at: dt.datetime | None
    input: Mapping[str, Any] | None
    output: Any = None


class Download(NamedTuple):
    """A file that came."""

    sha256: str
    size_bytes: int
    seconds: float


class _Client(fal_client.AsyncClient):
    """fal's client, sending through transports that were handed to it.

    `key` is held in a dataclass field that its repr leaves out.
    """

    def __init__(
        self, credentials: AuthCredentials, with_key: httpx.AsyncClient, bare: httpx.AsyncClient
    ) -> None:
        super().__init__(key=None)
        self.__dict__.update(_credentials=credentials, _with_key=with_key, _bare=bare, _tokens=None)

    @property
    async def _auth(self) -> AuthCredentials:
        return self.__dict__["_credentials"]  # type: ignore[no-any-return]

    @property
    async def _client(self) -> httpx.AsyncClient:
        return self.__dict__["_with_key"]  # type: ignore[no-any-return]

    @property
    async def _token_manager(self) -> AsyncCDNTokenManager:
        if self.__dict__["_tokens"] is None:
            self.__dict__["_tokens"] = _Tokens(self.__dict__["_credentials"], self.__dict__["_with_key"])
        return self.__dict__["_tokens"]  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        yield self.__dict__["_bare"]


class _Tokens(AsyncCDNTokenManager):
    """fal's upload tokens, asked for through our transport instead of a client of its own."""

    def __init__(self, credentials: AuthCredentials, client: httpx.AsyncClient) -> None:
        super().__init__(credentials)
        self._http = client

    async def _refresh_token(self) -> CDNToken:
        response = await self._http.post(self._url, json={})
        response.raise_for_status()
        data = response.json()
        return CDNToken(
            token=data["token"],
            token_type=data["token_type"],
            base_upload_url=data["base_url"],
            expires_at=dt.datetime.fromisoformat(data["expires_at"]),
        )


class Engine:
    """An open connection to the place where clips are made; use it on one event loop only.

    Args:
        credentials: For the service; a simulator takes any.
        transport: Carries the key, and sends a submission once.
        bare: Carries no key: for files. None: the open internet, by the environment's proxies.
        identity: What tells this engine from another of its kind.
        rebase: Makes a URL from an earlier session reachable (a served simulator may have moved).
        closing: What to close after the connections, in order.
    """

    def __init__(
        self,
        *,
        credentials: AuthCredentials,
        transport: httpx.AsyncBaseTransport,
        bare: httpx.AsyncBaseTransport | None,
        identity: str,
        rebase: Callable[[str], str] = str,
        closing: tuple[Callable[[], Awaitable[None]], ...] = (),
    ) -> None:
        headers = {"Authorization": credentials.header_value, "User-Agent": fal_client.client.USER_AGENT}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
        timeout = httpx.Timeout(120.0, connect=10.0)
        self._http = httpx.AsyncClient(transport=transport, headers=headers, timeout=timeout, limits=limits)
        self._bare = httpx.AsyncClient(
            transport=bare, timeout=httpx.Timeout(60.0, connect=10.0), follow_redirects=True
        )
        self._fal = _Client(credentials, self._http, self._bare)
        self.identity = identity
        self._rebase = rebase
        self._closing = closing

    async def submit(self, endpoint_id: str, wire: Mapping[str, Any]) -> Ticket:
        """The one call that can cost money: POST once.

        Raises:
            NotSent: Nothing left this machine.
            Declined: The service did not take it.
            LostAnswer: It may have.
        """
        handle = await self._fal.submit(endpoint_id, dict(wire))
        urls = {name: getattr(handle, name) for name in ("status_url", "response_url", "cancel_url")}
        return Ticket(handle.request_id, urls)

    def _handle(self, ticket: Ticket) -> fal_client.AsyncRequestHandle:
        urls = {name: self._rebase(url) for name, url in ticket.urls.items()}
        return fal_client.AsyncRequestHandle(request_id=ticket.request_id, client=self._http, **urls)

    async def ticket(self, endpoint_id: str, request_id: str) -> Ticket:
        """The ticket of a request that is known by its id only."""
        handle = await self._fal.get_handle(endpoint_id, request_id)
        urls = {name: getattr(handle, name) for name in ("status_url", "response_url", "cancel_url")}
        return Ticket(request_id, urls)

    async def status(self, ticket: Ticket) -> Seen:
        """Look once.

        Raises:
            EngineError: No usable answer, after fal_client's own repeats.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status = await self._handle(ticket).status()
                break
            except (fal_client.FalClientError, httpx.HTTPError, ValueError, KeyError) as error:
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
                return Seen("done", None, status.metrics or {}, status.error, status.error_type)
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

    async def cancel(self, ticket: Ticket) -> bool:
        """Ask for the request to be taken back; True when the service agreed to try."""
        try:
            await self._handle(ticket).cancel()
        except (fal_client.FalClientError, httpx.HTTPError):
            return False
        return True

    async def upload(self, data: bytes, media_type: str, name: str) -> str:
        """Upload a picture (free, so it may be repeated) and return its URL.

        Raises:
            EngineError: It could not be uploaded.
        """
        try:
            return await self._fal.upload(data, media_type, file_name=name)
        except (fal_client.FalClientError, httpx.HTTPError, KeyError, ValueError) as error:
            raise EngineError(f"The picture {name!r} could not be uploaded ({_short(error)}).") from error

    async def download(self, url: str, to: Path) -> Download:
        """Fetch a file to `to`, whole or not at all.

        Raises:
            EngineError: It is not there, or did not come whole.
            OSError: It cannot be written, such as on a full disk.
        """
        part = to.with_name(f".{to.name}.part")
        began = time.monotonic()
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    digest, size = await self._stream(self._rebase(url), part)
                    break
                except (httpx.HTTPError, httpx.InvalidURL, EngineError) as error:
                    if attempt == _ATTEMPTS:
                        raise EngineError(
                            f"The video could not be downloaded ({_short(error)}). It is paid for and kept at the "
                            "service for a while; run the plan again to fetch it."
                        ) from error
                    await _pause(attempt)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        return Download(digest, size, time.monotonic() - began)

    async def _stream(self, url: str, part: Path) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        async with self._bare.stream("GET", url) as response:
            if not response.is_success:
                raise EngineError(f"HTTP {response.status_code}")
            with part.open("wb") as file:
                async for chunk in response.aiter_bytes(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            announced = response.headers.get("content-length")
            encoded = "content-encoding" in response.headers
            if not size or (announced and not encoded and int(announced) != size):
                raise EngineError(f"{size} of {announced or '?'} bytes came")
        return digest.hexdigest(), size

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
                        item.get("json_input"),
                        item.get("json_output"),
                    )
                    for item in page["items"]
                ]
            except (ValueError, KeyError, TypeError) as error:
                raise EngineError("The account's history could not be understood.") from error
            if not page.get("has_more") or not page.get("next_cursor"):
                return found
            params["cursor"] = page["next_cursor"]

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
