"""queue.fal.run and fal.run: submit, result, cancel; and the synchronous run.

Paths after the endpoint's are matched leniently: the service returns URLs with owner and app only, its
OpenAPI lists the full id, older clients append a slash (the gate strips it). What counts is the id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.endpoints import ENDPOINTS, Endpoint, VideoOutput
from seedance_lab.local.addresses import APPS, is_same_app, owner_and_app, urls
from seedance_lab.local.documents import MISSING, MODEL_ERRORS, Operation, add, header, query
from seedance_lab.local.lifecycle import LIFECYCLE
from seedance_lab.local.live import CANCELLED, TIMED_OUT
from seedance_lab.local.records import Record
from seedance_lab.local.service import Service
from seedance_lab.local.shapes import Cancellation, QueueStatus, Refusal
from seedance_lab.local.status_routes import found
from seedance_lab.local.submission import check_queue, read_options
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
_PATH = "/requests/{request_id}"
_EXHAUSTED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
_HEADERS = [
    header(
        "X-Fal-Request-Start-Timeout", "Seconds within which work on it must begin", pattern=r"^[1-9]\d{0,5}$"
    ),
    header("X-Fal-Queue-Priority", "`low` goes behind everything else", enum=["normal", "low"]),
    header("X-Fal-Store-IO", "`0` keeps input and output out of the history", enum=["0", "1"]),
    LIFECYCLE,
]
_QUERY = [
    query("fal_webhook", "Where its end is to be told", format="uri", pattern=r"^https?://[a-z]+\.example/$"),
    query("fal_max_queue_length", "Declined when more wait", type="integer", minimum=0, maximum=99_999),
]
_DECLINED = {400: Refusal, 403: Refusal, 413: Refusal, 429: Refusal, 507: Refusal}


def router(service: Service) -> APIRouter:
    """The routes under `/queue` and `/run`."""
    routes = APIRouter()

    async def cancel(request: Request) -> Response:
        request_id = request.path_params["request_id"]
        found(service, request)
        done = service.cancel(request_id)
        codes = {"OK": 200, "CANCELLATION_REQUESTED": 202, "ALREADY_COMPLETED": 400, "NOT_FOUND": 404}
        return reply({"status": done}, codes[done], {"x-fal-request-id": request_id})

    async def result(request: Request) -> Response:
        request_id, app = request.path_params["request_id"], request.path_params.get("app", APPS[0])
        record = service.find(request_id)
        if record is None or not is_same_app(app, record.endpoint_id) or not service.is_kept(record):
            has_key(request)
            raise HttpError(404, {"detail": "Request not found", "status": "NOT_FOUND"})
        need_key(request, app)
        if record.state != "COMPLETED":
            return reply({"detail": "Request is still in progress"}, 400, {"x-fal-request-id": request_id})
        return _result(service, record, base_url(request))

    async def submit(request: Request, app: str) -> Response:
        endpoint = _endpoint(app, request)
        _check_balance(service)
        check_queue(request, service.n_queued)
        options = read_options(request, service.store)
        service.disk.make_room()
        request_id, position = service.submit(endpoint, await read_json(request), options)
        body = {
            "status": "IN_QUEUE",
            **urls(options.base, endpoint.id, request_id),
            "logs": None,
            "metrics": {},
            "queue_position": position,
        }
        return reply(body, headers={"x-fal-request-id": request_id})

    async def run(request: Request, app: str) -> Response:
        endpoint = _endpoint(app, request)
        _check_balance(service)
        options = read_options(request, service.store)._replace(webhook=None, low=False)
        service.disk.make_room()
        arguments = await read_json(request)
        if not service.has_room():
            raise infrastructure_error(
                429,
                f"Concurrent requests limit reached: {service.slots} at a time",
                "concurrent_requests_limit",
                needs_retry=True,
            )
        request_id, _ = service.submit(endpoint, arguments, options)
        await service.wait(request_id)
        record = service.find(request_id)
        if record is None or record.state != "COMPLETED":
            raise infrastructure_error(503, "Runner disconnected", "runner_disconnected", needs_retry=True)
        return _result(service, record, base_url(request))

    def taking(
        handle: Callable[[Request, str], Awaitable[Response]], app: str
    ) -> Callable[..., Awaitable[Response]]:
        async def take(request: Request) -> Response:
            return await handle(request, app or request.path_params["app"])

        return take

    for app in APPS:
        add(routes, "PUT", f"/queue/{app}{_PATH}/cancel", cancel, _CANCEL, tags=["queue"])
        add(routes, "GET", f"/queue/{app}{_PATH}", result, _RESULT, tags=["queue"])
    routes.add_api_route(
        f"/queue/{{app:path}}{_PATH}/cancel", cancel, methods=["PUT"], include_in_schema=False
    )
    routes.add_api_route(f"/queue/{{app:path}}{_PATH}/response", result, include_in_schema=False)
    routes.add_api_route(f"/queue/{{app:path}}{_PATH}", result, include_in_schema=False)
    for host, handle in (("queue", submit), ("run", run)):
        for endpoint in ENDPOINTS:
            said = _submission(endpoint) if host == "queue" else _run(endpoint)
            add(routes, "POST", f"/{host}/{endpoint.id}", taking(handle, endpoint.id), said, tags=[host],
                name=f"{host} {endpoint.alias}")  # fmt: skip
        routes.add_api_route(
            f"/{host}/{{app:path}}", taking(handle, ""), methods=["POST"], include_in_schema=False
        )
    return routes


_CANCEL = Operation("Cancel a request", {200: Cancellation, 202: Cancellation, 400: Cancellation, **MISSING})
_RESULT = Operation(
    "What the model returned: its status, headers and body",
    {200: VideoOutput, 400: Refusal, **MISSING, **MODEL_ERRORS},
)


def _submission(endpoint: Endpoint) -> Operation:
    answers = {200: QueueStatus, **_DECLINED, 422: MODEL_ERRORS[422]}
    return Operation(f"Queue: {endpoint.name}", answers, [*_HEADERS, *_QUERY], endpoint.input)


def _run(endpoint: Endpoint) -> Operation:
    answers = {200: VideoOutput, **_DECLINED, **MODEL_ERRORS, 503: Refusal}
    return Operation(f"Run and wait: {endpoint.name}", answers, [_HEADERS[0], *_HEADERS[2:]], endpoint.input)


def _endpoint(app: str, request: Request) -> Endpoint:
    need_key(request, app)
    known = _BY_ID.get(app)
    if known is not None:
        return known
    for endpoint in ENDPOINTS:
        if f"{app}/".startswith(f"{owner_and_app(endpoint.id)}/"):
            path = app.removeprefix(owner_and_app(endpoint.id)) or "/"
            raise HttpError(404, {"detail": f"Path {path} not found"}, {"x-fal-billable-units": "0"})
    raise HttpError(404, {"detail": f'Application "{app.rsplit("/", 1)[-1]}" not found'})


def _check_balance(service: Service) -> None:
    left = service.balance_usd
    if left is not None and left <= 0:
        raise HttpError(403, {"detail": _EXHAUSTED})


def _result(service: Service, record: Record, base: str) -> Response:
    """What the model answered: its status, its body, its headers."""
    assert record.status_code is not None
    headers = {"x-fal-request-id": record.request_id}
    if record.status_code in {CANCELLED, TIMED_OUT}:
        headers["X-Fal-Error-Type"] = record.error_type or ""
    else:
        headers["x-fal-billable-units"] = "0" if record.units is None else f"{record.units:.8f}"
    if record.status_code == TIMED_OUT:
        headers["X-Fal-Request-Timeout-Type"] = "user"
    if record.status_code >= 400:
        headers |= {"X-Fal-Needs-Retry": "0", "X-Fal-Retryable": "false"}
    return reply(service.output(record, base), record.status_code, headers)
