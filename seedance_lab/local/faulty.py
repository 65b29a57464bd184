"""The faults of `faults`, done to the wire and to the renderer.

`Faulty` must be the outermost ASGI layer: only there is `send` the server's own, through which uvicorn's
connection can be reached and closed. (An application that returns or raises without an answer does not
drop a connection: uvicorn answers 500 for it.) Without a server, in `httpx.ASGITransport`, there is no
connection; what a client would have seen is raised instead, and `httpx` passes it on as its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedance_lab.local.faults import Faults, Rule
from seedance_lab.local.proxy import PATH, PREFIXES, TARGET
from seedance_lab.local.renderer import Job, Rendered, Renderer, RenderError

SPOILED = "seedance_lab.spoiled"
"""In the scope of a request whose answer will not be what the application says."""
_PIECES = 16
_ROUTES = [
    (step, method, re.compile(pattern))
    for step, method, pattern in (
        ("status", "GET", r"/queue/.+/requests/[^/]+/status"),
        ("cancel", "PUT", r"/queue/.+/requests/[^/]+/cancel"),
        ("result", "GET", r"/queue/.+/requests/[^/]+(?:/response)?"),
        ("submit", "POST", r"/queue/.+"),
        ("run", "POST", r"/run/.+"),
        ("token", "POST", r"/rest/storage/auth/token"),
        ("upload", "POST", r"/(?:cdn/files|rest/storage)/.+"),
        ("upload", "PUT", r"/cdn/files/.+"),
        ("file", "GET", r"/cdn/files/.+"),
        ("history", "GET", r"/api/v1/models/requests/by-endpoint"),
    )
]
_PAGES = {502: "502 Bad Gateway"}
_SAID = {
    500: ("Internal server error", "internal_error"),
    503: ("Runner connection refused", "runner_connection_refused"),
    504: ("Startup timeout", "startup_timeout"),
}
_EXPIRED = {"detail": "Request not found", "status": "NOT_FOUND"}


def step_of(scope: Scope) -> str | None:
    """Which step of the protocol a request is; None for those that are never broken."""
    method, path = scope["method"], scope["path"].rstrip("/")
    if path == PATH:
        try:
            target = urllib.parse.urlsplit(dict(scope["headers"]).get(TARGET, b"").decode("latin-1"))
        except ValueError:
            return None
        path = PREFIXES.get(target.netloc.lower(), "") + target.path.rstrip("/")
    return next((step for step, verb, route in _ROUTES if verb == method and route.fullmatch(path)), None)


class Faulty:
    """ASGI around an application: breaks what the rules say, and passes everything else on.

    Args:
        app: The whole application.
        faults: The rules; may change at any time.
    """

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        step = step_of(scope) if self._faults.tallies and scope["type"] == "http" else None
        rule = self._faults.decide(step) if step else None
        if rule is None or step is None:
            await self._app(scope, receive, send)
            return
        if rule.kind == "drop-before":
            await _hang_up(receive, send)
        elif (instead := _instead(rule, step)) is not None:
            if rule.kind.endswith("-after"):
                await self._answer(scope, receive)
            await instead(scope, receive, send)
        else:
            await _spoil(rule, await self._answer(scope, receive), receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        """Let the application do its work, and keep what it says."""
        start: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app({**scope, SPOILED: True}, receive, keep)
        return _Answer(start["status"], list(start.get("headers", [])), bytes(body))


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def announcing(self, n_bytes: int) -> Message:
        """The start of the answer, with this as its length."""
        headers = [(name, value) for name, value in self.headers if name.lower() != b"content-length"]
        headers.append((b"content-length", str(n_bytes).encode()))
        return {"type": "http.response.start", "status": self.status, "headers": headers}

    async def send(self, send: Send, *, pieces: int = 1, pause_s: float = 0.0) -> None:
        """The whole answer."""
        await send(self.announcing(len(self.body)))
        length = max(1, -(-len(self.body) // pieces))
        for at in range(0, len(self.body), length):
            if at:
                await asyncio.sleep(pause_s)
            await send(_piece(self.body[at : at + length], more=True))
        await send(_piece(b"", more=False))


def _piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _instead(rule: Rule, step: str) -> Response | None:
    """The answer that takes the place of the application's; None when its own is to be spoiled."""
    if rule.kind == "expired":
        return _json(_EXPIRED, 404)
    if rule.kind == "404":
        return _json({"detail": "File not found"}, 404)
    if rule.kind == "429":
        return _json(
            _said(step, "Too many requests", "rate_limited"), 429, {"Retry-After": f"{rule.amount:g}"}
        )
    code = rule.kind.removesuffix("-after")
    if not code.isdigit():
        return None
    status = int(code)
    if status in _PAGES:
        title = _PAGES[status]
        page = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
            "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        )
        return Response(page, status, media_type="text/html")
    text, kind = _SAID[status]
    return _json(_said(step, text, kind), status, {"X-Fal-Error-Type": kind})


def _said(step: str, text: str, kind: str) -> dict[str, Any]:
    """An error in the envelope of the host that is asked."""
    if step == "history":
        return {"error": {"type": kind, "message": text}}
    return {"detail": text, "error_type": kind}


def _json(body: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, "application/json")


async def _spoil(rule: Rule, answer: _Answer, receive: Receive, send: Send) -> None:
    """Say what the application said, but not as it should be."""
    half = answer.body[: len(answer.body) // 2]
    match rule.kind:
        case "drop-after":
            await _hang_up(receive, send)
        case "late":
            await _late(answer, rule.amount, receive, send)
        case "cut":
            await _cut(answer, half, receive, send)
        case "slow":
            await answer.send(send, pieces=_PIECES, pause_s=rule.amount)
        case "malformed" | "short":
            await answer._replace(body=half).send(send)
        case "wrong-type":
            html = [(b"content-type", b"text/html; charset=utf-8")]
            page = b"<!doctype html><title>Sign in</title><p>Sign in to go on."
            await _Answer(200, html, page).send(send)
        case "requeued":
            await _requeued(answer).send(send)
        case _:
            raise AssertionError(rule.kind)


def _requeued(answer: _Answer) -> _Answer:
    body = json.loads(answer.body)
    if "request_id" not in body:
        return answer
    said = {name: value for name, value in body.items() if name not in {"error", "error_type"}}
    said |= {"status": "IN_QUEUE", "queue_position": 0, "metrics": {}}
    return answer._replace(status=202, body=json.dumps(said).encode())


async def _late(answer: _Answer, seconds: float, receive: Receive, send: Send) -> None:
    if _connection(send) is None:
        # Nobody counts the time here: an ASGI application is not told of its caller's limits.
        raise httpx.ReadTimeout("the answer did not come in time")
    try:
        async with asyncio.timeout(seconds):
            await _gone(receive)
    except TimeoutError:
        await answer.send(send)


async def _cut(answer: _Answer, half: bytes, receive: Receive, send: Send) -> None:
    connection = _connection(send)
    if connection is None:
        # The transport collects the whole answer before it hands anything over.
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
    await send(answer.announcing(max(1, len(answer.body))))
    await send(_piece(half, more=True))
    # Not abort(): what was written must arrive.
    connection.close()
    await _gone(receive)


async def _hang_up(receive: Receive, send: Send) -> None:
    connection = _connection(send)
    if connection is None:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    connection.abort()
    await _gone(receive)


def _connection(send: Send) -> asyncio.Transport | None:
    """The connection behind uvicorn's `send`, which is a method of the object that holds it.

    True of both of its HTTP implementations, h11 and httptools (0.54).
    """
    connection: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)
    return connection


async def _gone(receive: Receive) -> None:
    """Until the connection is closed. An application that returned sooner would be answered for with a 500."""
    while (await receive())["type"] != "http.disconnect":
        pass


class FaultyRenderer:
    """A renderer that breaks when a rule says so.

    Args:
        inner: Does the drawing.
        faults: The rules; those of the step `render` count here.
    """

    def __init__(self, inner: Renderer, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def render(self, job: Job, *, on_progress: Callable[[float], None]) -> Rendered:
        """Write `job.out`, or fail.

        Raises:
            RenderError: A rule says so, or the inner renderer failed.
        """
        rule = self._faults.decide("render")
        if rule is not None:
            raise RenderError(f"the fault {rule} was asked for")
        return await self._inner.render(job, on_progress=on_progress)

    async def aclose(self) -> None:
        """Close the inner renderer."""
        await self._inner.aclose()
