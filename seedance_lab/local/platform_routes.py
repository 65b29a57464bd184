"""api.fal.ai/v1: models, their prices, and what so many clips would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.endpoints import ENDPOINTS, Endpoint
from seedance_lab.local.documents import Operation, add, many, query
from seedance_lab.local.endpoint_document import category, document
from seedance_lab.local.model import charge
from seedance_lab.local.paging import (
    ENDPOINT_IDS,
    PAGE,
    REFUSALS,
    bad,
    chosen,
    cursor,
    listed,
    need_key,
    page,
)
from seedance_lab.local.platform_shapes import Estimate, EstimateRequest, Models, Prices
from seedance_lab.local.service import Service
from seedance_lab.local.wire import HttpError, platform_error, read_json, reply

PREFIX = "/api/v1"
UNIT = "1m tokens"
_OPENAPI = "openapi-3.0"
_MOST = 1e12

_MODELS = Operation(
    "Models and their status",
    {200: Models, **REFUSALS},
    [
        ENDPOINT_IDS,
        query("q", "Words in id, name or description"),
        query("category", "Such as image-to-video"),
        query("status", "Only these", enum=["active", "deprecated"]),
        many("expand", "What else is wanted", enum=[_OPENAPI]),
        *PAGE,
    ],
    needs_key=False,
)
_PRICES = Operation("Unit prices", {200: Prices, **REFUSALS}, [ENDPOINT_IDS])
_ESTIMATE = Operation("What so much would cost", {200: Estimate, **REFUSALS}, body=EstimateRequest)


def router(service: Service) -> APIRouter:
    """The routes under `/api/v1` that tell of models."""
    routes = APIRouter(prefix=PREFIX)

    async def models(request: Request) -> Response:
        status = chosen(request, "status", ("active", "deprecated"))
        wanted_category = request.query_params.get("category")
        words = request.query_params.get("q", "").lower().split()
        asked = page(request)
        after = -1 if asked.after is None else asked.after[0]
        wanted = [
            (place, endpoint)
            for place, endpoint in enumerate(_endpoints(request))
            if (not status or status == endpoint.status)
            and (not wanted_category or wanted_category == category(endpoint))
            and all(word in f"{endpoint.id} {endpoint.name} {endpoint.note}".lower() for word in words)
            and place > after
        ]
        shown, more = wanted[: asked.limit], len(wanted) > asked.limit
        with_openapi = _OPENAPI in listed(request, "expand")
        return reply(
            {
                "models": [_model(endpoint, with_openapi=with_openapi) for _, endpoint in shown],
                "next_cursor": cursor(shown[-1][0]) if more else None,
                "has_more": more,
            }
        )

    async def pricing(request: Request) -> Response:
        need_key(request)
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

    async def estimate(request: Request) -> Response:
        need_key(request)
        try:
            asked = await read_json(request)
        except HttpError as error:
            raise bad("a JSON body is expected") from error
        kind = asked.get("estimate_type") if isinstance(asked, dict) else None
        wanted = asked.get("endpoints") if isinstance(asked, dict) else None
        if kind not in {"historical_api_price", "unit_price"} or not isinstance(wanted, dict) or not wanted:
            raise bad("estimate_type and endpoints are expected")
        counted = "unit_quantity" if kind == "unit_price" else "call_quantity"
        total = 0.0
        for endpoint_id, given in wanted.items():
            endpoint = next((e for e in ENDPOINTS if e.id == endpoint_id), None)
            if endpoint is None:
                raise platform_error(404, "not_found", f"No such endpoint: {endpoint_id}")
            price = endpoint.price.usd_per_million_tokens or 0.0
            each = price if kind == "unit_price" else _usual_usd(service, endpoint)
            total += each * _quantity(given, counted)
        return reply({"estimate_type": kind, "total_cost": total, "currency": "USD"})

    add(routes, "GET", "/models", models, _MODELS, tags=["platform"])
    add(routes, "GET", "/models/pricing", pricing, _PRICES, tags=["platform"])
    add(routes, "POST", "/models/pricing/estimate", estimate, _ESTIMATE, tags=["platform"])
    return routes


def _endpoints(request: Request) -> Sequence[Endpoint]:
    ids = listed(request, "endpoint_id")
    found = [endpoint for endpoint in ENDPOINTS if not ids or endpoint.id in ids]
    if not found:
        raise platform_error(404, "not_found", f"No such endpoint: {', '.join(ids)}")
    return found


def _usual_usd(service: Service, endpoint: Endpoint) -> float:
    """What a call has cost on average; before the first one, what the default settings cost."""
    mean = service.store.mean_usd(endpoint.id)
    if mean is not None:
        return mean
    defaults = {name: field.default for name, field in endpoint.input.model_fields.items()}
    expected = charge(
        endpoint, endpoint.size(defaults["resolution"], defaults["aspect_ratio"]), int(defaults["duration"])
    )
    return expected.cost_usd if expected else 0.0


def _quantity(given: Any, name: str) -> float:
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise bad(f"{name} is a number from 0 to {_MOST:g}")
    return float(value)


def _model(endpoint: Endpoint, *, with_openapi: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "endpoint_id": endpoint.id,
        "metadata": {
            "display_name": endpoint.name,
            "category": category(endpoint),
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
    if with_openapi:
        row["openapi"] = document(endpoint)
    return row
