"""The shapes of the platform API's answers, for the OpenAPI document only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from seedance_lab.local.lifecycle import LONGEST_S
from seedance_lab.local.shapes import Shape

Kind = Literal[
    "authorization_error", "validation_error", "not_found", "rate_limited", "server_error", "not_implemented"
]


class Said(Shape):
    """What was wrong."""

    type: Kind
    message: str


class PlatformRefusal(Shape):
    """The platform's envelope of an error."""

    error: Said


class _Page(Shape):
    next_cursor: str | None
    has_more: bool


class Metadata(Shape):
    """What a model is."""

    display_name: str
    category: str
    description: str
    status: Literal["active", "deprecated"]
    tags: list[str]
    updated_at: str
    is_favorited: bool | None
    thumbnail_url: str
    model_url: str
    date: str
    highlighted: bool
    pinned: bool


class ModelRow(Shape):
    """One model."""

    endpoint_id: str
    metadata: Metadata
    openapi: dict[str, Any] = Field(default_factory=dict)


class Models(_Page):
    """A page of models."""

    models: list[ModelRow]


class PriceRow(Shape):
    """The price of one unit."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: Literal["USD"]


class Prices(_Page):
    """A page of prices."""

    prices: list[PriceRow]


class EstimateRequest(Shape):
    """What is to be estimated: endpoint → `{"call_quantity": n}` or `{"unit_quantity": x}`."""

    estimate_type: Literal["historical_api_price", "unit_price"]
    endpoints: dict[str, dict[str, float]]


class Estimate(Shape):
    """A sum."""

    estimate_type: Literal["historical_api_price", "unit_price"]
    total_cost: float
    currency: Literal["USD"]


class AccessRule(Shape):
    """What one user may do with a file."""

    user: str
    decision: Literal["allow", "forbid", "hide"]


class Access(Shape):
    """Who may have a file; here it binds nobody."""

    default: Literal["allow", "forbid", "hide"] = "allow"
    rules: list[AccessRule] = Field(default_factory=list)


class StorageSettings(Shape):
    """How long files are to be had, and by whom; null for ever and for everybody."""

    expiration_duration_seconds: int | None = Field(None, ge=1, le=LONGEST_S)
    initial_acl: Access | None = None


class HistoryRow(Shape):
    """One request of the history; what has not happened yet is null."""

    request_id: str
    endpoint_id: str
    sent_at: str
    started_at: str | None
    ended_at: str | None
    status_code: int | None
    duration: float | None
    json_input: Any = None
    json_output: Any = None


class History(_Page):
    """A page of the history."""

    items: list[HistoryRow]


class BillingEvent(Shape):
    """What one request cost."""

    request_id: str
    endpoint_id: str
    timestamp: str
    output_units: float
    unit_price: float
    percent_discount: float
    cost_subtotal: float
    cost_discount: float
    cost_total: float
    cost_estimate_nano_usd: int


class BillingEvents(_Page):
    """A page of charges."""

    billing_events: list[BillingEvent]


class UsageRow(Shape):
    """What an endpoint used, at one price."""

    endpoint_id: str
    unit: str
    quantity: float
    unit_price: float
    percent_discount: float
    cost_subtotal: float
    cost_discount: float
    cost_total: float
    cost: float
    currency: Literal["USD"]
    auth_method: str = ""


class Bucket(Shape):
    """A stretch of time, by its beginning."""

    bucket: str
    results: list[UsageRow]


class Usage(_Page):
    """What was used, by time or in sum."""

    time_series: list[Bucket] = Field(default_factory=list)
    summary: list[UsageRow] = Field(default_factory=list)
