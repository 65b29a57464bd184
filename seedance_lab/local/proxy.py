"""What an application's own fal proxy would be: `/proxy`, with the real target in a header.

fal's JavaScript client knows no other host than fal's, but can send every call to a proxy that names its target
in `x-fal-target-url` (`proxyUrl: {url, when: "always"}`; @fal-ai/client 1.10.1). Here the target is one of our own
routes, so a request is rewritten and passed on inside this process; nothing is ever forwarded to the network.

A wrapper and not a route: whatever the routes are, they are reached as if they had been called directly, streams
included.
"""

from __future__ import annotations

import urllib.parse

from starlette.types import ASGIApp, Receive, Scope, Send

from seedance_lab.local.wire import reply

PATH = "/proxy"
TARGET = b"x-fal-target-url"

PREFIXES = {
    "queue.fal.run": "/queue",
    "queue.falrun.com": "/queue",
    "fal.run": "/run",
    "falrun.com": "/run",
    "rest.fal.ai": "/rest",
    "v3.fal.media": "/cdn",
    "api.fal.ai": "/api",
}
"""The service's hosts → where the engine serves them; as fal_client 1.0.3 and @fal-ai/client 1.10.1 know them."""

# A browser application has no key of its own: adding one is what a proxy is for.
_KEY = (b"authorization", b"Key proxy:simulator")


class Proxy:
    """Takes requests to `/proxy` for requests to the route that they name.

    Answers 400 without a target and 412 for a target elsewhere, as fal's own proxy package does (read 2026-11-23).

    Args:
        app: What is behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] == PATH:
            named = dict(scope["headers"]).get(TARGET)
            if named is None:
                await reply({"detail": f"Missing the {TARGET.decode()} header"}, 400)(scope, receive, send)
                return
            rewritten = _rewritten(scope, named.decode("latin-1"))
            if rewritten is None:
                await reply({"detail": f"Invalid {TARGET.decode()} header"}, 412)(scope, receive, send)
                return
            scope = rewritten
        await self._app(scope, receive, send)


def _rewritten(scope: Scope, target: str) -> Scope | None:
    """The request as it would have been sent to the target; None when that is not one of fal's hosts."""
    try:
        url = urllib.parse.urlsplit(target)
        port = url.port
    except ValueError:
        return None
    prefix = PREFIXES.get((url.hostname or "").lower())
    if prefix is None or url.scheme != "https" or port not in {None, 443} or "@" in url.netloc:
        return None
    raw_path = f"{prefix}{url.path}".rstrip("/")
    headers = [(name, value) for name, value in scope["headers"] if name != TARGET]
    if not any(name == _KEY[0] for name, _ in headers):
        headers.append(_KEY)
    return {
        **scope,
        "path": urllib.parse.unquote(raw_path),
        "raw_path": raw_path.encode("ascii", "replace"),
        "query_string": url.query.encode("ascii", "replace"),
        "headers": headers,
    }
