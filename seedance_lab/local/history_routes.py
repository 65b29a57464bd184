"""api.fal.ai/v1: the history of requests, what was charged for each, and what was used over time."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from seedance_lab.local.documents import Operation, add, many, query
from seedance_lab.local.paging import (
    ENDPOINT_IDS,
    PAGE,
    REFUSALS,
    REQUEST_IDS,
    WINDOW,
    bad,
    chosen,
    cursor,
    listed,
    need_key,
    page,
    window,
)
from seedance_lab.local.platform_routes import PREFIX, UNIT
from seedance_lab.local.platform_shapes import BillingEvents, History, Usage
from seedance_lab.local.records import LedgerLine, Record, UsageLine, timestamp
from seedance_lab.local.service import Service
from seedance_lab.local.wire import base_url, reply

_DAY_S = 86_400.0
_STATUSES = {"success": (200, 299), "user_error": (400, 499), "error": (500, 599)}
_SORTS = ("ended_at", "duration")
_FRAMES = ("minute", "hour", "day", "week", "month")
_EXPANSIONS = ["time_series", "summary", "auth_method"]

_HISTORY = Operation(
    "Requests sent so far, newest first",
    {200: History, **REFUSALS},
    [
        {**ENDPOINT_IDS, "required": True},
        REQUEST_IDS,
        many("status", "Only these", enum=list(_STATUSES)),
        many("expand", "What else is wanted", enum=["payloads"]),
        query("sort_by", "Largest first; by arrival unless said", enum=list(_SORTS)),
        *WINDOW,
        *PAGE,
    ],
)
_BILLING = Operation(
    "What was charged, newest first",
    {200: BillingEvents, **REFUSALS},
    [ENDPOINT_IDS, REQUEST_IDS, *WINDOW, *PAGE],
)
_USAGE = Operation(
    "What was used, oldest first: so many stretches of time a page, and the whole sum with each",
    {200: Usage, **REFUSALS},
    [
        ENDPOINT_IDS,
        many("expand", "What is wanted; time_series unless said", enum=_EXPANSIONS),
        query("timeframe", "How long a stretch is; a day unless said", enum=list(_FRAMES)),
        query("timezone", "Where days begin; UTC unless said"),
        *WINDOW,
        *PAGE,
    ],
)


def router(service: Service) -> APIRouter:
    """The routes under `/api/v1` that tell what was done."""
    routes = APIRouter(prefix=PREFIX)

    async def by_endpoint(request: Request) -> Response:
        need_key(request)
        ids = listed(request, "endpoint_id")
        if not ids:
            raise bad("endpoint_id is required")
        sort_by = chosen(request, "sort_by", _SORTS)
        asked = page(request, 2 if sort_by else 1)
        request_ids = listed(request, "request_id")
        start, end = window(request, service.clock(), 90 * _DAY_S if request_ids else _DAY_S)
        statuses = []
        for status in listed(request, "status"):
            if status not in _STATUSES:
                raise bad(f"status is one of {', '.join(_STATUSES)}")
            statuses.append(_STATUSES[status])
        records = service.store.history(
            endpoint_ids=ids,
            start=start,
            end=end,
            statuses=statuses,
            request_ids=request_ids,
            sort_by=sort_by,
            after=asked.after,
            limit=asked.limit + 1,
        )
        shown, more = records[: asked.limit], len(records) > asked.limit
        base = base_url(request) if "payloads" in listed(request, "expand") else None
        return reply(
            {
                "items": [_item(service, record, base) for record in shown],
                "next_cursor": cursor(*_place(shown[-1], sort_by)) if more else None,
                "has_more": more,
            }
        )

    async def billing_events(request: Request) -> Response:
        need_key(request)
        asked = page(request)
        start, end = window(request, service.clock(), 90 * _DAY_S)
        lines = service.store.ledger(
            endpoint_ids=listed(request, "endpoint_id"),
            request_ids=listed(request, "request_id"),
            start=start,
            end=end,
            before=None if asked.after is None else int(asked.after[0]),
            limit=asked.limit + 1,
        )
        shown, more = lines[: asked.limit], len(lines) > asked.limit
        return reply(
            {
                "billing_events": [_event(line) for line in shown],
                "next_cursor": cursor(shown[-1].rowid) if more else None,
                "has_more": more,
            }
        )

    async def usage(request: Request) -> Response:
        need_key(request)
        frame = chosen(request, "timeframe", _FRAMES, "day")
        zone = _zone(request.query_params.get("timezone") or "UTC")
        asked = page(request)
        start, end = window(request, service.clock(), _DAY_S)
        wanted = listed(request, "expand")
        lines = service.store.usage(endpoint_ids=listed(request, "endpoint_id"), start=start, end=end)
        body: dict[str, Any] = {"next_cursor": None, "has_more": False}
        method = {"auth_method": "api_key"} if "auth_method" in wanted else {}
        if "time_series" in wanted or "summary" not in wanted:
            stretches: dict[float, list[UsageLine]] = {}
            for line in lines:
                begins = _bucket(line.minute * 60.0, frame, zone).timestamp()
                stretches.setdefault(begins, []).append(line)
            left = [begins for begins in sorted(stretches) if asked.after is None or begins > asked.after[0]]
            shown, more = left[: asked.limit], len(left) > asked.limit
            body["time_series"] = [
                {
                    "bucket": dt.datetime.fromtimestamp(begins, zone).isoformat(),
                    "results": _summed(stretches[begins], method),
                }
                for begins in shown
            ]
            body |= {"next_cursor": cursor(shown[-1]) if more else None, "has_more": more}
        if "summary" in wanted:
            body["summary"] = _summed(lines, method)
        return reply(body)

    add(routes, "GET", "/models/requests/by-endpoint", by_endpoint, _HISTORY, tags=["platform"])
    add(routes, "GET", "/models/billing-events", billing_events, _BILLING, tags=["platform"])
    add(routes, "GET", "/models/usage", usage, _USAGE, tags=["platform"])
    return routes


def _place(record: Record, sort_by: str) -> tuple[float, ...]:
    """Where a row stands in its order: the numbers of a cursor."""
    if not sort_by:
        return (record.seq,)
    value = record.ended_at if sort_by == "ended_at" else _took(record)
    return (-1.0 if value is None else value, record.seq)


def _took(record: Record) -> float | None:
    if record.ended_at is None or record.started_at is None:
        return None
    return record.ended_at - record.started_at


def _item(service: Service, record: Record, base: str | None) -> dict[str, Any]:
    item = {
        "request_id": record.request_id,
        "endpoint_id": record.endpoint_id,
        "sent_at": timestamp(record.sent_at),
        "started_at": timestamp(record.started_at) if record.started_at else None,
        "ended_at": timestamp(record.ended_at) if record.ended_at else None,
        "status_code": record.status_code,
        "duration": _took(record),
    }
    if base is not None:
        item["json_input"] = json.loads(record.input) if record.keeps_io else None
        item["json_output"] = service.output(record, base) if record.keeps_io else None
    return item


def _event(line: LedgerLine) -> dict[str, Any]:
    return {
        "request_id": line.request_id,
        "endpoint_id": line.endpoint_id,
        "timestamp": timestamp(line.charged_at),
        "output_units": line.units,
        "unit_price": line.unit_price,
        **_cost(line.cost_usd),
        "cost_estimate_nano_usd": round(line.cost_usd * 1e9),
    }


def _cost(usd: float) -> dict[str, float]:
    return {"percent_discount": 0, "cost_subtotal": usd, "cost_discount": 0, "cost_total": usd}


def _summed(lines: list[UsageLine], method: dict[str, str]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, float], tuple[float, float]] = {}
    for line in lines:
        units, usd = sums.get((line.endpoint_id, line.unit_price), (0.0, 0.0))
        sums[line.endpoint_id, line.unit_price] = (units + line.units, usd + line.cost_usd)
    return [
        {
            "endpoint_id": endpoint_id,
            "unit": UNIT,
            "quantity": units,
            "unit_price": unit_price,
            **_cost(usd),
            "cost": usd,
            "currency": "USD",
            **method,
        }
        for (endpoint_id, unit_price), (units, usd) in sorted(sums.items())
    ]


def _zone(name: str) -> dt.tzinfo:
    try:
        return dt.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad("timezone is a name such as Europe/Berlin") from error


def _bucket(seconds: float, frame: str, zone: dt.tzinfo) -> dt.datetime:
    """The beginning of the stretch that a moment is in."""
    moment = dt.datetime.fromtimestamp(seconds, zone).replace(second=0, microsecond=0)
    if frame != "minute":
        moment = moment.replace(minute=0)
    if frame in {"day", "week", "month"}:
        moment = moment.replace(hour=0)
    if frame == "week":
        moment -= dt.timedelta(days=moment.weekday())
    if frame == "month":
        moment = moment.replace(day=1)
    return moment
