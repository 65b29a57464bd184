"""The engine as one ASGI application: all of the service's hosts under path prefixes of a single port.

    /queue/…   queue.fal.run          /rest/…   rest.fal.ai          /api/v1/…   api.fal.ai/v1
    /run/…     fal.run                /cdn/…    v3.fal.media         /           who this is
    /proxy     any of them, by the header that fal's JavaScript client sends to a proxy

The prefixes are needed: on one host, run and submit would be the same request. Nothing depends on ASGI's
lifespan, so that the application also runs inside `httpx.ASGITransport`; whoever made the service starts
and closes it.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from seedance_lab._version import __version__
from seedance_lab.errors import EngineError
from seedance_lab.local import (
    admin_routes,
    documents,
    history_routes,
    platform_routes,
    queue_routes,
    settings_routes,
    shapes,
    status_routes,
    storage_routes,
)
from seedance_lab.local.disk import FullError
from seedance_lab.local.faults import Faults
from seedance_lab.local.faulty import Faulty
from seedance_lab.local.keys import Keys
from seedance_lab.local.proxy import Proxy
from seedance_lab.local.renderer import IDENTITY
from seedance_lab.local.service import Service
from seedance_lab.local.wire import Gate, HttpError, infrastructure_error, reply

_IDENTITY = documents.Operation("Who this is", {200: shapes.Identity}, needs_key=False)


class _App(FastAPI):
    """An application whose faults lie outside everything else, where the connection can be reached."""

    faults: Faults

    def build_middleware_stack(self) -> ASGIApp:
        return Faulty(super().build_middleware_stack(), self.faults)


def create_app(
    service: Service, *, hosts: Collection[str] = (), admin: bool = False, keys: Collection[str] = ()
) -> FastAPI:
    """The application of one service.

    Args:
        service: Started by the caller, before the first request.
        hosts: Host names to answer to, besides the loopback ones and the in-process one.
        admin: Whether callers may ask for faults and move the clock.
        keys: The keys that are good, each `ID:SECRET`, all of one account; none for any.

    Raises:
        EngineError: A key is none.
    """
    app = _App(title=IDENTITY, version=__version__, redirect_slashes=False, docs_url=None, redoc_url=None)
    app.faults = service.faults
    app.state.keys = Keys(keys)
    app.add_middleware(Proxy)
    app.add_middleware(Gate, hosts=hosts)

    @app.exception_handler(HttpError)
    async def refused(_: Request, error: HttpError) -> Response:
        return reply(error.body, error.status, error.headers)

    @app.exception_handler(FullError)
    async def full(_: Request, said: FullError) -> Response:
        error = infrastructure_error(507, str(said), "insufficient_storage", needs_retry=False)
        return reply(error.body, error.status, error.headers)

    @app.exception_handler(EngineError)
    async def stopped(_: Request, error: EngineError) -> Response:
        return reply({"detail": str(error), "error_type": "internal_error"}, 503)

    @app.exception_handler(HTTPException)
    async def missed(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith(f"{platform_routes.PREFIX}/"):
            kind = "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "validation_error"
            return reply({"error": {"type": kind, "message": error.detail}}, error.status_code, error.headers)
        return reply({"detail": error.detail}, error.status_code, error.headers)

    @app.get("/", **documents.declared(_IDENTITY))
    async def identity() -> Response:
        return reply({"engine": IDENTITY, "id": service.engine_id, "version": __version__})

    for routes in (
        status_routes,
        queue_routes,
        storage_routes,
        platform_routes,
        history_routes,
        settings_routes,
    ):
        app.include_router(routes.router(service))
    app.openapi = documents.describe(app)  # type: ignore[method-assign]  # FastAPI's documented way
    if admin:
        app.include_router(admin_routes.router(service.faults, service.clock))
    return app
