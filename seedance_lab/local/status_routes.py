"""How a request stands: asked for once, or streamed as server-sent events until it is finished."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from seedance_lab.local.addresses import APPS, is_same_app, urls
from seedance_lab.local.documents import EVENTS, MISSING, Operation, add, query
from seedance_lab.local.live import View
from seedance_lab.local.service import Service
from seedance_lab.local.shapes import QueueStatus
from seedance_lab.local.wire import HttpError, base_url, has_key, need_key, reply, to_json

_PATH = "/requests/{request_id}/status"
_LOGS = query("logs", "Whether the log is wanted", enum=["0", "1", "true", "false"])
_STATUS = Operation("How a request stands", {200: QueueStatus, 202: QueueStatus, **MISSING}, [_LOGS])
_STREAM = Operation(
    "How a request stands, at every change until it is finished",
    {200: EVENTS, **MISSING},
    [_LOGS],
)


def router(service: Service) -> APIRouter:
    """The routes that tell how a request stands."""
    routes = APIRouter()

    async def status(request: Request) -> Response:
        request_id = request.path_params["request_id"]
        view = found(service, request)
        body = _body(view, base_url(request), request_id)
        return reply(body, 200 if view.state == "COMPLETED" else 202, {"x-fal-request-id": request_id})

    async def stream(request: Request) -> Response:
        found(service, request)
        return StreamingResponse(
            _events(service, request),
            media_type=EVENTS,
            headers={"x-fal-request-id": request.path_params["request_id"], "cache-control": "no-cache"},
        )

    for app in APPS:
        add(routes, "GET", f"/queue/{app}{_PATH}", status, _STATUS, tags=["queue"])
        add(routes, "GET", f"/queue/{app}{_PATH}/stream", stream, _STREAM, tags=["queue"])
    routes.add_api_route(f"/queue/{{app:path}}{_PATH}", status, include_in_schema=False)
    routes.add_api_route(f"/queue/{{app:path}}{_PATH}/stream", stream, include_in_schema=False)
    return routes


def found(service: Service, request: Request) -> View:
    """How the request that the path names stands.

    Raises:
        HttpError: 404, with or without a key as at the service; 401.
    """
    view = service.view(request.path_params["request_id"], logs=_wants_logs(request))
    app = request.path_params.get("app", APPS[0])
    if view is None or not is_same_app(app, view.endpoint_id):
        has_key(request)
        raise HttpError(404, {"status": "NOT_FOUND"})
    need_key(request, app)
    return view


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in {"1", "true"}


def _body(view: View, base: str, request_id: str) -> dict[str, Any]:
    body = {
        "status": view.state,
        **urls(base, view.endpoint_id, request_id),
        "logs": view.logs,
        "metrics": {},
    }
    if view.state == "IN_QUEUE":
        body["queue_position"] = view.position
    if view.inference_s is not None:
        body["metrics"] = {"inference_time": view.inference_s}
    if view.error is not None:
        body |= {"error": view.error, "error_type": view.error_type}
    return body


async def _events(service: Service, request: Request) -> AsyncIterator[bytes]:
    """A `data:` line whenever the request stands differently; a comment when nothing was said for long."""
    request_id, base, logs = request.path_params["request_id"], base_url(request), _wants_logs(request)
    said = b""
    while service.is_open and (view := service.view(request_id, logs=logs)) is not None:
        line = to_json(_body(view, base, request_id))
        if line != said:
            said = line
            yield b"data: " + line + b"\n\n"
            if view.state == "COMPLETED":
                return
            continue  # it may have changed while that was sent
        if not await service.changed(service.keep_alive_s):
            yield b": keep-alive\n\n"
