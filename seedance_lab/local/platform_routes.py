"""api.fal.ai/v1: models, prices, the history of requests, and what was charged for each."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.endpoints import ENDPOINTS, Endpoint
from seedance_lab.local.records import LedgerLine, Record, timestamp
from seedance_lab.local.service import Service
from seedance_lab.local.wire import base_url, has_key, platform_error, reply, small_number

PREFIX = "/api/v1"
UNIT = "1m tokens"
_LIMIT, _LIMIT_MAX = 50, 100
_DAY_S = 86_400.0
_STATUSES = {"success": (200, 299), "user_error": (400, 499), "error": (500, 599)}


def router(service: Service) -> APIRouter:
    """The routes under `/api/v1`."""
    routes = APIRouter(prefix=PREFIX, tags=["platform"])

    @routes.get("/models", summary="Models and their status")
    async def models(request: Request) -> Response:
        wanted = [e for e in _endpoints(request) if request.query_params.get("status", e.status) == e.status]
        return reply({"models": [_model(e) for e in wanted], "next_cursor": None, "has_more": False})

    @routes.get("/models/pricing", summary="Unit prices")
    async def pricing(request: Request) -> Response:
        _need_key(request)
        prices = [
            {
                "endpoint_id": endpoint.id,
                "unit_price": endpoint.price.usd_per_million_tokens,
                "unit": UNIT,
                "currency": "USD",
            }
            for endpoint in _endpoints(request)
            if endpoint.price.usd_per_million_tokens is not None
        ]
        return reply({"prices": prices, "next_cursor": None, "has_more": False})

    @routes.get("/models/requests/by-endpoint", summary="Requests sent so far, newest first")
    async def by_endpoint(request: Request) -> Response:
        _need_key(request)
        query = request.query_params
        ids = _many(request, "endpoint_id")
        if not ids:
            raise platform_error(400, "validation_error", "endpoint_id is required")
        request_ids = _many(request, "request_id")
        page = _page(request)
        start, end = _window(request, service.clock(), 90 * _DAY_S if request_ids else _DAY_S)
        statuses = []
        for status in _many(request, "status"):
            if status not in _STATUSES:
                raise platform_error(400, "validation_error", f"status is one of {', '.join(_STATUSES)}")
            statuses.append(_STATUSES[status])
        records = service.store.history(
            endpoint_ids=ids,
            start=start,
            end=end,
            statuses=statuses,
            request_ids=request_ids,
            before=page.before,
            limit=page.limit + 1,
        )
        shown = records[: page.limit]
        base = base_url(request) if "payloads" in query.getlist("expand") else None
        items = [_item(service, record, base) for record in shown]
        more = len(records) > page.limit
        return reply(
            {"items": items, "next_cursor": _cursor(shown[-1].seq) if more else None, "has_more": more}
        )

    @routes.get("/models/billing-events", summary="What was charged, newest first")
    async def billing_events(request: Request) -> Response:
        _need_key(request)
        page = _page(request)
        start, end = _window(request, service.clock(), 90 * _DAY_S)
        lines = service.store.ledger(
            endpoint_ids=_many(request, "endpoint_id"),
            request_ids=_many(request, "request_id"),
            start=start,
            end=end,
            before=page.before,
            limit=page.limit + 1,
        )
        shown = lines[: page.limit]
        more = len(lines) > page.limit
        return reply(
            {
                "billing_events": [_event(line) for line in shown],
                "next_cursor": _cursor(shown[-1].rowid) if more else None,
                "has_more": more,
            }
        )

    return routes


class _Page(NamedTuple):
    limit: int
    before: int | None


def _need_key(request: Request) -> None:
    if not has_key(request):
        raise platform_error(401, "authorization_error", "Authentication required")


def _many(request: Request, name: str) -> list[str]:
    """A parameter that may be repeated or have commas."""
    return [part for given in request.query_params.getlist(name) for part in given.split(",") if part]


def _endpoints(request: Request) -> Sequence[Endpoint]:
    ids = _many(request, "endpoint_id")
    found = [endpoint for endpoint in ENDPOINTS if not ids or endpoint.id in ids]
    if not found:
        raise platform_error(404, "not_found", f"No such endpoint: {', '.join(ids)}")
    return found


def _page(request: Request) -> _Page:
    limit = small_number(request.query_params.get("limit", str(_LIMIT)))
    if limit is None or not 1 <= limit <= _LIMIT_MAX:
        raise platform_error(400, "validation_error", f"limit is 1 to {_LIMIT_MAX}")
    cursor = request.query_params.get("cursor")
    if not cursor:
        return _Page(limit, None)
    try:
        before = int(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (binascii.Error, ValueError) as error:
        raise platform_error(400, "validation_error", "cursor is not one of ours") from error
    return _Page(limit, min(before, 2**63 - 1))


def _cursor(before: int) -> str:
    return base64.urlsafe_b64encode(str(before).encode()).decode()


def _window(request: Request, now: float, default_s: float) -> tuple[float, float]:
    # Without an end: what was sent in this very moment belongs to it.
    start = _moment(request, "start", now - default_s)
    return start, _moment(request, "end", float("inf"))


def _moment(request: Request, name: str, default: float) -> float:
    given = request.query_params.get(name)
    if not given:
        return default
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = dt.datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
    except ValueError as error:
        raise platform_error(400, "validation_error", f"{name} is a date or time in ISO 8601") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _model(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.id,
        "metadata": {
            "display_name": endpoint.name,
            "category": "image-to-video" if endpoint.takes_image else "text-to-video",
            "description": endpoint.note or endpoint.name,
            "status": endpoint.status,
            "tags": [],
            "updated_at": f"{endpoint.status_read.isoformat()}T00:00:00Z",
            "is_favorited": None,
            "thumbnail_url": "",
            "model_url": f"https://fal.run/{endpoint.id}",
            "date": f"{endpoint.status_read.isoformat()}T00:00:00Z",
            "highlighted": False,
            "pinned": False,
        },
    }


def _item(service: Service, record: Record, base: str | None) -> dict[str, Any]:
    took = record.ended_at - record.started_at if record.ended_at and record.started_at else None
    item = {
        "request_id": record.request_id,
        "endpoint_id": record.endpoint_id,
        "sent_at": timestamp(record.sent_at),
        "started_at": timestamp(record.started_at) if record.started_at else None,
        "ended_at": timestamp(record.ended_at) if record.ended_at else None,
        "status_code": record.status_code,
        "duration": took,
    }
    if base is not None:
        item["json_input"] = json.loads(record.input)
        item["json_output"] = service.output(record, base)
    return item


def _event(line: LedgerLine) -> dict[str, Any]:
    return {
        "request_id": line.request_id,
        "endpoint_id": line.endpoint_id,
        "timestamp": timestamp(line.charged_at),
        "output_units": line.units,
        "unit_price": line.unit_price,
        "percent_discount": 0,
        "cost_subtotal": line.cost_usd,
        "cost_discount": 0,
        "cost_total": line.cost_usd,
        "cost_estimate_nano_usd": round(line.cost_usd * 1e9),
    }
