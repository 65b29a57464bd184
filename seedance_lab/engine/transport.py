"""What lies between fal's client and the wire: one POST, the right place, and the key to nobody else.

fal_client sends a POST again, up to ten times, when an answer is lost (measured with 1.0.3: dropped
connection, read timeout, 408/409/429, a gateway's 502). There is no idempotency key, so each repeat is
another paid video. `OneShot` turns every outcome of a submission but success into an error that
fal_client does not know and therefore passes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import httpx

from seedance_lab.errors import Declined, LostAnswer, NotSent

TAKEN: ContextVar[dict[str, Any]] = ContextVar("TAKEN")
"""The answer to the submission of this context, whole: fal_client's handle keeps only its ids."""

FAL_HOSTS = frozenset(
    {"queue.fal.run", "fal.run", "queue.falrun.com", "falrun.com", "rest.fal.ai", "api.fal.ai"}
)
"""Hosts that may see the key. Source: fal_client 1.0.3 and fal's platform API, read 2026-11-23."""

_LATER = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_DEFAULT_WAIT_S = 2.0
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding"})
"""Headers that no longer fit a body that was read."""


class OneShot(httpx.AsyncBaseTransport):
    """Sends a submission once, whatever comes back.

    Args:
        inner: Does the sending.
        submit_prefix: A POST to a URL that begins so costs money.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, submit_prefix: str) -> None:
        self._inner = inner
        self._prefix = submit_prefix

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass everything on; watch over the POST that costs money.

        Raises:
            NotSent: The connection was never made.
            Declined: The service answered that it did not take the request.
            LostAnswer: The service may have taken it.
        """
        if request.method != "POST" or not str(request.url).startswith(self._prefix):
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
            # Read here: a body cut short would otherwise be an error that fal_client answers with a new POST.
            content = await response.aread()
        except _NEVER_LEFT as error:
            raise NotSent(f"No connection to {request.url.host} ({error}). Nothing was sent.") from error
        except httpx.HTTPError as error:
            raise LostAnswer(
                f"{request.url.host} was sent the request and gave no answer ({type(error).__name__}). "
                "It may have been received."
            ) from error
        finally:
            if "response" in locals():
                await response.aclose()
        return _judged(request, response, content)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


def _judged(request: httpx.Request, response: httpx.Response, content: bytes) -> httpx.Response:
    status = response.status_code
    body = _json(content)
    is_full = (
        isinstance(body, dict) and body.get("error_type") == "insufficient_storage"
    )  # a simulator's disk
    if status >= httpx.codes.INTERNAL_SERVER_ERROR and not is_full:
        # The provider may have received it: a 502 here comes from the gateway, behind which work has begun.
        raise LostAnswer(f"{request.url.host} answered HTTP {status}. It may have received the request.")
    if not response.is_success:
        raise Declined(
            f"HTTP {status}: {_reason(body, content)}",
            status=status,
            body=body,
            retry_after_s=_retry_after(response) if status in _LATER else None,
        )
    if not isinstance(body, dict) or not isinstance(body.get("request_id"), str):
        raise LostAnswer(
            f"{request.url.host} answered HTTP {status} without a request id. It has the request."
        )
    urls = _app_urls(request.url, body["request_id"])
    whole = {**urls, **{k: v for k, v in body.items() if v is not None}}
    if (taken := TAKEN.get(None)) is not None:
        taken.update(whole)
    return httpx.Response(status, headers=_plain_headers(response), json=whole, request=request)


def _app_urls(url: httpx.URL, request_id: str) -> dict[str, str]:
    """The URLs by the rule of fal's documents (owner and app only), should an answer lack them."""
    parts = url.path.strip("/").split("/")
    owner_at = max(0, parts.index("fal-ai")) if "fal-ai" in parts else 0
    base = str(url.copy_with(path="/" + "/".join(parts[: owner_at + 2]), query=None))
    base = f"{base}/requests/{request_id}"
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def _plain_headers(response: httpx.Response) -> list[tuple[str, str]]:
    return [
        (k, v)
        for k, v in response.headers.multi_items()
        if k.lower() not in {"content-length", "content-encoding", "content-type", "transfer-encoding"}
    ]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _reason(body: Any, content: bytes) -> str:
    """The service's words, as text for people; markup and length kept out."""
    detail = body.get("detail", body) if isinstance(body, dict) else body
    if isinstance(detail, list):
        said = [
            f"{'.'.join(map(str, d.get('loc', [])[1:]))}: {d.get('msg')}"
            for d in detail
            if isinstance(d, dict)
        ]
        return "; ".join(said) or "no reason given"
    text = detail if isinstance(detail, str) else content.decode("utf-8", "replace")
    return " ".join(text.split())[:300] or "no reason given"


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return _DEFAULT_WAIT_S


class KeyGuard(httpx.AsyncBaseTransport):
    """Keeps the key between us and the service.

    It is taken off every request that does not go to one of the service's own hosts over TLS, and out of every
    answer that repeats it in an error: what the service says of an error is written down in many places.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, with or without the key."""
        if request.url.scheme != "https" or request.url.host not in FAL_HOSTS:
            request.headers.pop("authorization", None)
        response = await self._inner.handle_async_request(request)
        if response.is_success or "authorization" not in request.headers:
            return response
        try:
            return _without_key(response, await response.aread(), request.headers["authorization"])
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


def _without_key(response: httpx.Response, content: bytes, header: str) -> httpx.Response:
    """The same answer, with `***` wherever it had the key, or the secret half of it."""
    key = header.partition(" ")[2]
    secrets = [part for part in (key, key.partition(":")[2]) if part]
    said = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _OF_THE_BODY]
    for secret in secrets:
        content = content.replace(secret.encode(), b"***")
        said = [(name, value.replace(secret, "***")) for name, value in said]
    return httpx.Response(response.status_code, headers=said, content=content, extensions=response.extensions)


class Paced(httpx.AsyncBaseTransport):
    """Lets so many requests a second through, evenly; the others wait their turn.

    Args:
        inner: Does the sending.
        per_s: Requests a second.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, per_s: float) -> None:
        self._inner = inner
        self._apart_s = 1 / per_s
        self._next = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, in turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._apart_s
        if turn > now:
            await asyncio.sleep(turn - now)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class Apart(httpx.AsyncBaseTransport):
    """Keeps status streams, which last, in a pool of their own.

    A pool looks at every connection it has at every request: sixteen streams among eight connections doubled
    the CPU time of all the others.

    Args:
        inner: Sends everything else.
        streams: Sends what is streamed.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, streams: httpx.AsyncBaseTransport) -> None:
        self._inner, self._streams = inner, streams

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, to one or the other."""
        transport = self._streams if request.url.path.endswith("/status/stream") else self._inner
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close both."""
        await self._inner.aclose()
        await self._streams.aclose()


class Router(httpx.AsyncBaseTransport):
    """Sends what is meant for fal's hosts to a simulator instead.

    Args:
        inner: Does the sending.
        base: The simulator's URL, such as `http://127.0.0.1:8000`.
        prefixes: Beginning of a URL → the path under which the simulator serves it.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, base: str, prefixes: Mapping[str, str]) -> None:
        self._inner = inner
        self._base = base
        self._prefixes = prefixes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Rewrite the URL and pass on.

        Raises:
            httpx.UnsupportedProtocol: A URL that is neither fal's nor the simulator's: a free engine never
                reaches out.
        """
        url = str(request.url)
        for prefix, path in self._prefixes.items():
            if url.startswith(prefix):
                url = f"{self._base}{path}/{url.removeprefix(prefix).lstrip('/')}"
                break
        else:
            if not url.startswith(f"{self._base}/"):
                raise httpx.UnsupportedProtocol(f"The simulator does not serve {urlsplit(url).netloc}.")
        target = httpx.URL(url)
        headers = request.headers.copy()
        headers["Host"] = target.netloc.decode("ascii")
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method, target, headers=headers, stream=request.stream, extensions=request.extensions
            )
        )

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
