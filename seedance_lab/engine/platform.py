"""fal's platform API for money: what a unit costs now, whether a model is still offered, what was charged.

Reading only; nothing here can cost anything. Source of the shapes: fal's OpenAPI document of the platform API, read
2026-11-23. Which unit the service names for Seedance is not known, so a unit is kept as the service wrote it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from seedance_lab.errors import EngineError

API_URL = "https://api.fal.ai/v1"
"""fal's platform API. Source: fal.ai/docs, read 2026-11-23."""

BILLED_FOR = dt.timedelta(days=90)
"""How far back the service tells its charges. Source: as above."""

_AT_ONCE = 50
"""Ids in one question: as many as `endpoint_id` may have at `/models`; for billing events no number is published."""
_PAGE = 100

Get = Callable[[str, Mapping[str, Any]], Awaitable[httpx.Response]]


class LivePrice(NamedTuple):
    """What a model costs now, in the service's own words.

    Attributes:
        unit_price: In `currency`, for one `unit`.
        unit: Opaque text, such as `1m tokens`; `seedance_lab.prices` knows some of them.
        currency: Such as `USD`; empty when the service did not say.
    """

    unit_price: float
    unit: str
    currency: str


class Charge(NamedTuple):
    """One line of the account's bill. What the service left out is None.

    Attributes:
        request_id: Of the request that it is for.
        at: When it was charged, aware UTC.
        usd: Dollars after discounts.
        units: How many units.
        unit_price: Dollars for one.
    """

    request_id: str
    at: dt.datetime | None
    usd: float | None
    units: float | None
    unit_price: float | None


class Platform:
    """The platform API, read through the engine's own connection.

    Args:
        get: Asks for a URL with parameters, as often as it takes.
    """

    def __init__(self, get: Get) -> None:
        self._get = get

    async def prices(self, endpoint_ids: Sequence[str]) -> dict[str, LivePrice]:
        """What these models cost now, by id; those that the service gives no price for are left out.

        Raises:
            EngineError: It cannot be read.
        """
        rows = await self._about("models/pricing", "prices", "endpoint_id", endpoint_ids)
        return {
            row["endpoint_id"]: LivePrice(price, _text(row.get("unit")), _text(row.get("currency")))
            for row in _permitted(rows, "prices")
            if (price := _number(row.get("unit_price"))) is not None
        }

    async def models(self, endpoint_ids: Sequence[str]) -> dict[str, str]:
        """Whether these models are `active` or `deprecated`, by id; unknown ones are left out.

        Raises:
            EngineError: It cannot be read.
        """
        rows = await self._about("models", "models", "endpoint_id", endpoint_ids)
        found = {
            row["endpoint_id"]: _text(_part(row, "metadata").get("status"))
            for row in _permitted(rows, "models")
        }
        return {endpoint_id: status for endpoint_id, status in found.items() if status}

    async def billing_events(self, request_ids: Sequence[str], *, since: dt.datetime) -> list[Charge] | None:
        """What was charged for these requests, in the service's order; a request may be there twice, or not at all.

        Args:
            request_ids: The service's ids.
            since: Not later than the first of them was sent; the service goes back 90 days.

        Returns:
            None when the key may not read bills: fal wants an ADMIN key for that.

        Raises:
            EngineError: It cannot be read.
        """
        since = max(since, dt.datetime.now(dt.UTC) - BILLED_FOR + dt.timedelta(minutes=1))
        window = {"start": since.isoformat(timespec="seconds"), "limit": _PAGE}
        found: list[Charge] = []
        for first in range(0, len(request_ids), _AT_ONCE):
            some = request_ids[first : first + _AT_ONCE]
            rows = await self._about("models/billing-events", "billing_events", "request_id", some, window)
            if rows is None:
                return None
            found += [_charge(row) for row in rows]
        return found

    async def _about(
        self, path: str, name: str, by: str, ids: Sequence[str], more: Mapping[str, Any] | None = None
    ) -> list[Mapping[str, Any]] | None:
        """The rows of these ids, and of no others; None when the key is not allowed to see them.

        Raises:
            EngineError: They cannot be read or understood.
        """
        rows: list[Mapping[str, Any]] = []
        params: dict[str, Any] = {by: list(ids), **(more or {})}
        while True:
            response = await self._get(f"{API_URL}/{path}", params)
            if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                return None
            if response.status_code == httpx.codes.NOT_FOUND:
                # One id that the service does not know must not hide the others.
                alone = (
                    [await self._about(path, name, by, [one], more) for one in ids] if len(ids) > 1 else []
                )
                return [row for found in alone for row in found or ()]
            if not response.is_success:
                raise EngineError(f"The platform answered {path} with HTTP {response.status_code}.")
            try:
                page = response.json()
                rows += [row for row in page[name] if row[by] in ids]
                cursor = page.get("next_cursor") if page.get("has_more") else None
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise EngineError(f"The platform's answer to {path} could not be understood.") from error
            if not cursor or cursor == params.get("cursor"):
                return rows
            params["cursor"] = cursor


def _permitted(rows: list[Mapping[str, Any]] | None, what: str) -> list[Mapping[str, Any]]:
    if rows is None:
        raise EngineError(
            f"This key may not read the platform's {what}. Check FAL_KEY (fal.ai/dashboard/keys)."
        )
    return rows


def _charge(row: Mapping[str, Any]) -> Charge:
    return Charge(
        request_id=row["request_id"],
        at=_time(row.get("timestamp")),
        # `cost_estimate_nano_usd` is an estimate by its name, so it does not stand in for the total.
        usd=_number(row.get("cost_total")),
        units=_number(row.get("output_units")),
        unit_price=_number(row.get("unit_price")),
    )


def _number(value: Any) -> float | None:
    """A finite number, also where the service wrote it as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = row.get(name)
    return part if isinstance(part, Mapping) else {}


def _time(value: Any) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
