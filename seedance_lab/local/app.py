"""The engine as one ASGI application: all of the service's hosts under path prefixes of a single port.

    /queue/…   queue.fal.run          /rest/…   rest.fal.ai          /api/v1/…   api.fal.ai/v1
    /run/…     fal.run                /cdn/…    v3.fal.media         /           who this is

The prefixes are needed: on one host, run and submit would be the same request. Nothing depends on ASGI's
lifespan, so that the application also runs inside `httpx.ASGITransport`; whoever made the service starts
and closes it.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab._version import __version__
from seedance_lab.errors import EngineError
from seedance_lab.local import platform_routes, queue_routes, storage_routes
from seedance_lab.local.renderer import IDENTITY
from seedance_lab.local.service import Service
from seedance_lab.local.wire import Gate, HttpError, reply


def create_app(service: Service, *, hosts: Collection[str] = ()) -> FastAPI:
    """The application of one service.

    Args:
        service: Started by the caller, before the first request.
        hosts: Host names to answer to, besides the loopback ones and the in-process one.
    """
    app = FastAPI(title=IDENTITY, version=__version__, redirect_slashes=False, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, hosts=hosts)

    @app.exception_handler(HttpError)
    async def refused(_: Request, error: HttpError) -> Response:
        return reply(error.body, error.status, error.headers)

    @app.exception_handler(EngineError)
    async def stopped(_: Request, error: EngineError) -> Response:
        return reply({"detail": str(error), "error_type": "internal_error"}, 503)

    @app.get("/", summary="Who this is")
    async def identity() -> Response:
        return reply({"engine": IDENTITY, "id": service.engine_id, "version": __version__})

    for routes in (queue_routes, storage_routes, platform_routes):
        app.include_router(routes.router(service))
    return app
