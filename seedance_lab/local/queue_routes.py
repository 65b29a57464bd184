"""queue.fal.run and fal.run: submit, status, result, cancel; and the synchronous run.

Paths after the endpoint's are matched leniently: the service returns URLs with owner and app only, its
OpenAPI lists the full id, older clients append a slash (the gate strips it). What counts is the id.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.endpoints import ENDPOINTS, Endpoint
from seedance_lab.local.records import Record
from seedance_lab.local.service import CANCELLED, Service
from seedance_lab.local.wire import (
    HttpError,
    base_url,
    has_key,
    infrastructure_error,
    need_key,
    read_json,
    reply,
)

_BY_ID = {endpoint.id: endpoint for endpoint in ENDPOINTS}
_NOT_FOUND = {"status": "NOT_FOUND"}


def router(service: Service) -> APIRouter:
    """The routes under `/queue` and `/run`."""
    routes = APIRouter(tags=["queue"])

    @routes.get("/queue/{app:path}/requests/{request_id}/status", summary="How a request stands")
    async def status(app: str, request_id: str, request: Request) -> Response:
        view = service.view(request_id, logs=request.query_params.get("logs", "").lower() in {"1", "true"})
        if view is None or not _same_app(app, view.endpoint_id):
            has_key(request)
            raise HttpError(404, _NOT_FOUND)
        need_key(request, app)
        body = {
            "status": view.state,
            **_urls(base_url(request), view.endpoint_id, request_id),
            "logs": view.logs,
            "metrics": {},
        }
        if view.state == "IN_QUEUE":
            body["queue_position"] = view.position
        if view.inference_s is not None:
            body["metrics"] = {"inference_time": view.inference_s}
        if view.error is not None:
            body |= {"error": view.error, "error_type": view.error_type}
        return reply(body, 200 if view.state == "COMPLETED" else 202, {"x-fal-request-id": request_id})

    @routes.put("/queue/{app:path}/requests/{request_id}/cancel", summary="Cancel a request")
    async def cancel(app: str, request_id: str, request: Request) -> Response:
        view = service.view(request_id)
        if view is None or not _same_app(app, view.endpoint_id):
            has_key(request)
            raise HttpError(404, _NOT_FOUND)
        need_key(request, app)
        done = service.cancel(request_id)
        codes = {"OK": 200, "CANCELLATION_REQUESTED": 202, "ALREADY_COMPLETED": 400, "NOT_FOUND": 404}
        return reply({"status": done}, codes[done], {"x-fal-request-id": request_id})

    @routes.get("/queue/{app:path}/requests/{request_id}/response", include_in_schema=False)
    @routes.get("/queue/{app:path}/requests/{request_id}", summary="What a request made")
    async def result(app: str, request_id: str, request: Request) -> Response:
        record = service.store.find(request_id)
        if record is None or not _same_app(app, record.endpoint_id):
            has_key(request)
            raise HttpError(404, {"detail": "Request not found", **_NOT_FOUND})
        need_key(request, app)
        if record.state != "COMPLETED":
            return reply({"detail": "Request is still in progress"}, 400, {"x-fal-request-id": request_id})
        return _result(service, record, base_url(request))

    @routes.post("/queue/{app:path}", summary="Queue a request")
    async def submit(app: str, request: Request) -> Response:
        endpoint = _endpoint(app, request)
        request_id, position = service.submit(endpoint, await read_json(request))
        body = {
            "status": "IN_QUEUE",
            **_urls(base_url(request), endpoint.id, request_id),
            "logs": None,
            "metrics": {},
            "queue_position": position,
        }
        return reply(body, headers={"x-fal-request-id": request_id})

    @routes.post("/run/{app:path}", summary="Run a request and wait for it", tags=["run"])
    async def run(app: str, request: Request) -> Response:
        endpoint = _endpoint(app, request)
        arguments = await read_json(request)
        if not service.has_room():
            raise infrastructure_error(
                429,
                f"Concurrent requests limit reached: {service.slots} at a time",
                "concurrent_requests_limit",
                needs_retry=True,
            )
        request_id, _ = service.submit(endpoint, arguments)
        await service.wait(request_id)
        record = service.store.find(request_id)
        if record is None or record.state != "COMPLETED":
            raise infrastructure_error(503, "Runner disconnected", "runner_disconnected", needs_retry=True)
        return _result(service, record, base_url(request))

    return routes


def _endpoint(app: str, request: Request) -> Endpoint:
    need_key(request, app)
    found = _BY_ID.get(app)
    if found is not None:
        return found
    for endpoint in ENDPOINTS:
        if f"{app}/".startswith(f"{_owner_and_app(endpoint.id)}/"):
            path = app.removeprefix(_owner_and_app(endpoint.id)) or "/"
            raise HttpError(404, {"detail": f"Path {path} not found"}, {"x-fal-billable-units": "0"})
    raise HttpError(404, {"detail": f'Application "{app.rsplit("/", 1)[-1]}" not found'})


def _owner_and_app(endpoint_id: str) -> str:
    return "/".join(endpoint_id.split("/")[:2])


def _same_app(app: str, endpoint_id: str) -> bool:
    return app in {endpoint_id, _owner_and_app(endpoint_id)}


def _urls(base: str, endpoint_id: str, request_id: str) -> dict[str, Any]:
    url = f"{base}/queue/{_owner_and_app(endpoint_id)}/requests/{request_id}"
    return {
        "request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


def _result(service: Service, record: Record, base: str) -> Response:
    """What the model answered: its status, its body, its headers."""
    assert record.status_code is not None
    headers = {"x-fal-request-id": record.request_id}
    if record.status_code == CANCELLED:
        headers["X-Fal-Error-Type"] = record.error_type or ""
    else:
        headers["x-fal-billable-units"] = "0" if record.units is None else f"{record.units:.8f}"
    if record.status_code >= 400:
        headers["X-Fal-Needs-Retry"] = "0"
    return reply(service.output(record, base), record.status_code, headers)
