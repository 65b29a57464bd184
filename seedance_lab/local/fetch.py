"""Downloads a picture that a request names by URL, as the service would, and nothing else.

A URL in a request must not become a way to reach what only this machine can reach: every host, redirects
included, is resolved here, refused when any of its addresses is private, and connected to by the address
that was checked (a name that resolves differently a moment later gains nothing).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import socket
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses."""

_TIMEOUT_S = 30.0
_REDIRECTS = 5


class FetchError(Exception):
    """The file cannot be had; the message says why."""


class FetchTooLargeError(Exception):
    """The file has more bytes than are taken."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class Fetcher:
    """Downloads over http(s) and decodes data URIs.

    Args:
        resolve: Names to addresses; replaced in tests.
        transport: Carries the requests; replaced in tests.
    """

    def __init__(
        self,
        *,
        resolve: Resolve = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._resolve = resolve
        self._transport = transport

    async def fetch(self, url: str, to: Path, *, limit: int) -> None:
        """Write what the URL names to a file.

        Raises:
            FetchError: It cannot be had, or may not be.
            FetchTooLargeError: It has more than `limit` bytes.
        """
        if url[:5].lower() == "data:":
            to.write_bytes(_decode(url, limit))
            return
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._download(url, to, limit)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # OSError covers the time-out, name resolution and a full disk.
            raise FetchError(f"{type(error).__name__}: {error}") from error

    async def _download(self, url: str, to: Path, limit: int) -> None:
        # No proxies from the environment: they would connect for us, to addresses that nobody checked.
        async with httpx.AsyncClient(
            transport=self._transport, trust_env=False, timeout=_TIMEOUT_S
        ) as client:
            for _ in range(_REDIRECTS + 1):
                request = await pinned(client, "GET", url, self._resolve)
                response = await client.send(request, stream=True)
                try:
                    if response.has_redirect_location:
                        url = urllib.parse.urljoin(url, response.headers["location"])
                        continue
                    if response.status_code != httpx.codes.OK:
                        raise FetchError(f"HTTP {response.status_code}")
                    await _save(response, to, limit)
                    return
                finally:
                    await response.aclose()
        raise FetchError("too many redirects")


async def pinned(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    resolve: Resolve,
    *,
    to_loopback: bool = False,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Request:
    """A request to the very address that was checked, under the name that was asked for.

    Args:
        client: Will send it.
        method: Of HTTP.
        url: Under http or https.
        resolve: Names to addresses.
        to_loopback: Whether loopback addresses are good too.
        content: The body.
        headers: Besides `Host`.

    Raises:
        FetchError: The host is not a public address.
    """
    parsed = httpx.URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise FetchError("only http, https and data URLs are read")
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    addresses = await resolve(parsed.host, port)
    if not addresses or not all(_may_be_reached(address, to_loopback=to_loopback) for address in addresses):
        raise FetchError(f"{parsed.host} is not a public address")
    request = client.build_request(
        method, parsed.copy_with(host=addresses[0]), content=content, headers=dict(headers or {})
    )
    request.headers["Host"] = parsed.netloc.decode("ascii")
    request.extensions["sni_hostname"] = parsed.host
    return request


def _may_be_reached(address: str, *, to_loopback: bool) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    return ip.is_global or (to_loopback and ip.is_loopback)


async def _save(response: httpx.Response, to: Path, limit: int) -> None:
    size = 0
    with to.open("wb") as target:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > limit:
                raise FetchTooLargeError
            target.write(chunk)


def _decode(url: str, limit: int) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise FetchError("a data URI without a comma")
    try:
        if head.lower().endswith(";base64"):
            data = base64.b64decode(urllib.parse.unquote(body), validate=True)
        else:
            data = urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise FetchError(f"a damaged data URI: {error}") from error
    if len(data) > limit:
        raise FetchTooLargeError
    return data
