"""HTTP as the service speaks it: JSON bodies, keys, error envelopes, base URLs, limits."""

from __future__ import annotations

import json
import logging
import math
import urllib.parse
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedance_lab.local.keys import Keys

log = logging.getLogger(__name__)

IN_PROCESS_HOST = "local.seedance-lab.invalid"
"""Host of the base URL when no port is involved; `.invalid` never resolves, so nothing can leave."""

JSON_LIMIT = 64 * 1024**2
"""Bytes of a JSON body: what upstream takes for a request with its pictures inside (read 2026-08-20)."""


class HttpError(Exception):
    """An answer that is not a success.

    Args:
        status: HTTP status.
        body: JSON body.
        headers: Further headers.
    """

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer, in ASCII: escapes keep whatever text a client once sent."""
    return Response(to_json(body), status, headers, "application/json")


def to_json(body: object) -> bytes:
    """Compact JSON in ASCII."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def infrastructure_error(
    status: int, detail: str, error_type: str, *, needs_retry: bool | None = None
) -> HttpError:
    """An error of the platform, not of the model: `detail` is text and a header has the type."""
    headers = {"X-Fal-Error-Type": error_type}
    if needs_retry is not None:
        headers["X-Fal-Needs-Retry"] = str(int(needs_retry))
    return HttpError(status, {"detail": detail, "error_type": error_type}, headers)


def platform_error(status: int, kind: str, message: str) -> HttpError:
    """An error of the platform API, in its envelope."""
    return HttpError(status, {"error": {"type": kind, "message": message}})


def keys_of(request: Request) -> Keys:
    """The keys of the engine that is asked."""
    keys: Keys = request.app.state.keys
    return keys


def has_key(request: Request) -> bool:
    """Whether a key was sent. Any key is good, unless the engine was given its own.

    Raises:
        HttpError: What was sent is not a key, or not one of the engine's.
    """
    given = request.headers.get("authorization")
    if given is None:
        return False
    scheme, _, key = given.partition(" ")
    if scheme.lower() not in {"key", "bearer"} or not key.strip():
        raise HttpError(401, {"detail": "invalid key credentials"})
    if scheme.lower() == "bearer" and key.count(".") != _JWT_DOTS:
        raise HttpError(401, {"detail": "bearer: unable to decode issuer"})
    keys = keys_of(request)
    if not keys.are_any and (scheme.lower() != "key" or key.strip() not in keys):
        raise HttpError(401, {"detail": "invalid key credentials"})
    return True


def has_token(request: Request, now: float) -> bool:
    """Whether a key or a token for uploads was sent. Any is good, unless the engine was given its own keys."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    keys = keys_of(request)
    return keys.is_token(text.strip(), now) or (
        scheme.lower() == "key" and bool(text.strip()) and text.strip() in keys
    )


def need_key(request: Request, app: str) -> None:
    """Refuse who sent no key.

    Raises:
        HttpError: 401.
    """
    if not has_key(request):
        raise HttpError(
            401,
            {
                "detail": f'Cannot access application "{app}". '
                "Authentication is required to access this application."
            },
        )


def base_url(request: Request) -> str:
    """Scheme, host and port by which the caller reached us, for the URLs that we return."""
    return f"{request.url.scheme}://{request.headers['host']}{request.scope.get('root_path', '')}"


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        HttpError: 413 above `limit` bytes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        _too_large(limit)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            _too_large(limit)
        yield chunk


async def read_json(request: Request) -> Any:
    """The JSON body.

    Raises:
        HttpError: 413 when it is too long, 422 when it is not JSON.
    """
    body = b"".join([chunk async for chunk in chunks(request, JSON_LIMIT)])
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        item = {"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error", "input": {}}
        raise HttpError(422, {"detail": [item]}) from error


def small_number(text: str) -> int | None:
    """A whole number from 0 to 99999, written in digits; None for anything else."""
    return int(text) if len(text) <= 5 and text.isascii() and text.isdigit() else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _too_large(limit: int) -> NoReturn:
    raise HttpError(413, {"detail": f"Request body is larger than {limit} bytes"})


class Gate:
    """Outermost layer: known hosts only, no trailing slashes, an answer even when we broke.

    A page on the web can make a browser send requests to loopback under a name of its own (DNS rebinding);
    the Host header gives it away.

    Args:
        app: What is behind.
        hosts: Further host names to answer to; loopback ones always are.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {IN_PROCESS_HOST, "localhost", "::1", *(host.lower() for host in hosts)}
        self._seen: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._known(scope):
            await reply({"detail": "Invalid host header"}, 400)(scope, receive, send)
            return
        path = scope["path"]
        if path.endswith("/") and path != "/":
            scope = {**scope, "path": path.rstrip("/") or "/"}
        began = False

        async def watched(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            log.info("client left during %s %s", scope["method"], path)
        except Exception:
            log.exception("%s %s", scope["method"], path)
            if began:
                raise
            await reply({"detail": "Internal Server Error"}, 500)(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        given = b""
        for name, value in scope["headers"]:
            if name == b"host":
                given = value
                break
        text = given.decode("latin-1")
        if text in self._seen:
            return True
        try:
            host = (urllib.parse.urlsplit(f"//{text}").hostname or "").lower()
        except ValueError:
            return False
        if host not in self._hosts and not _is_loopback_v4(host):
            return False
        if len(self._seen) < _REMEMBERED:
            self._seen.add(text)
        return True


_REMEMBERED = 64
_JWT_DOTS = 2


def _is_loopback_v4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(p.isdigit() and int(p) < 256 for p in parts)
