"""How a pass is run, and what it may cost: the price of what comes next, held against the budget.

Everything counts, at the price that was read when its run began, from the moment it may have been received; a free
engine's budget rehearses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seedance_lab.engine import Place
from seedance_lab.errors import BudgetError
from seedance_lab.plan import Plan
from seedance_lab.prices import PUBLISHED, Prices
from seedance_lab.record import Record
from seedance_lab.request import Request

_ROUNDING = 0.0001
"""Dollars: sums of list prices are compared to a hundredth of a cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a pass is run; none of it is part of a request's identity.

    Attributes:
        budget_usd: Most that the study may have spent, in flight included; None: no limit.
        in_flight: Requests at the service at a time; None follows what the service shows of its slots.
        retry_failed: Whether what failed before is sent again: True for what may pass this time, `"all"` also
            for what was refused for its content or its input.
        slots: Requests that the in-process simulator works on at a time.
        max_requests: Most POSTs of this pass, declined ones not counted; None: no limit.
        stop_if: Share of failures among the pass's ended requests (at least 5) above which nothing new begins.
        requests_per_s: Most HTTP requests a second to the service, files not counted; None: its own default.
        keep_uploads_s: How long uploaded pictures stay at the service; None for as long as it likes.
        keep_outputs_s: The same for the videos it makes.
    """

    budget_usd: float | None = None
    in_flight: int | None = None
    retry_failed: bool | Literal["all"] = False
    slots: int | None = None
    max_requests: int | None = None
    stop_if: float | None = None
    requests_per_s: float | None = None
    keep_uploads_s: float | None = None
    keep_outputs_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("in_flight", "slots", "max_requests"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r} must be a whole number, 1 or more. Nothing was sent.")
        if self.stop_if is not None and not (_is_number(self.stop_if) and 0 <= self.stop_if < 1):
            raise ValueError(
                f"stop_if={self.stop_if!r} must be a share of failures, 0 or more and less than 1, such as 0.5. "
                "Nothing was sent."
            )
        for name, least in (("requests_per_s", 0.0), ("keep_uploads_s", 60.0), ("keep_outputs_s", 60.0)):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= least and value > 0):
                raise ValueError(
                    f"{name}={value!r} must be {f'{least:g} or more' if least else 'more than 0'}. Nothing was sent."
                )
        if not isinstance(self.retry_failed, bool) and self.retry_failed != "all":
            raise ValueError(
                f"retry_failed={self.retry_failed!r} must be True, False or 'all'. Nothing was sent."
            )

    def retries(self, record: Record) -> bool:
        """Whether a request that ended without a clip is sent again."""
        return self.retry_failed == "all" or (self.retry_failed is True and record.may_pass)

    def affords(self, usd: float | None, at_stake_usd: float) -> bool:
        """Whether one more request of this price keeps the study within its budget."""
        return self.budget_usd is None or at_stake_usd + (usd or 0.0) <= self.budget_usd + _ROUNDING


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spent_usd(records: Mapping[str, Record]) -> float:
    """Dollars that these requests may have cost, at the prices they were sent at, in flight included."""
    return sum(record.at_stake_usd for record in records.values())


def to_send(plan: Plan, records: Mapping[str, Record], options: Options) -> list[Request]:
    """The plan's requests that a pass would send, as far as is known before it."""
    todo = []
    for request in plan:
        stage = records[request.key].stage if request.key in records else "new"
        again = stage in {"refused", "failed"} and options.retries(records[request.key])
        if again or stage in {"new", "declined", "cancelled"}:
            todo.append(request)
    return todo


def check_limit(place: Place, plan: Plan, records: Mapping[str, Record], options: Options) -> None:
    """Make sure that there is a budget where one is needed, whatever the prices are.

    Raises:
        BudgetError: It is no amount of dollars, or a hosted engine was given none.
    """
    budget = options.budget_usd
    if budget is None:
        if place.hosted and to_send(plan, records, options):
            raise BudgetError(
                f"This plan costs money at {place.name} and no budget is set. Nothing was sent. "
                "Say how much the study may spend: study.run(plan, budget_usd=5)"
            )
        return
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget >= 0:
        raise BudgetError(f"budget_usd={budget!r} must be a number of dollars, 0 or more. Nothing was sent.")


def check_budget(
    place: Place,
    plan: Plan,
    records: Mapping[str, Record],
    options: Options,
    prices: Prices = PUBLISHED,
) -> None:
    """Hold the price of what is still to send against the budget, before anything is sent.

    Args:
        place: Where it would be sent.
        plan: What is asked for.
        records: What the study has sent before.
        options: The budget, and what is sent again.
        prices: Live ones where they were read; else the published ones count.

    Raises:
        BudgetError: It does not fit, there is no price, or a hosted engine was given no budget.
    """
    check_limit(place, plan, records, options)
    budget, todo = options.budget_usd, to_send(plan, records, options)
    if budget is None:
        return
    each = [prices.usd(request) for request in todo]
    if None in each:
        raise BudgetError("The price of this plan is unknown, so no budget can hold it. Nothing was sent.")
    spent, next_ = spent_usd(records), sum(price for price in each if price is not None)
    if spent + next_ <= budget + _ROUNDING:
        return
    before = f"; ${spent:,.2f} may have been spent in this study already" if spent else ""
    n = _affordable(each, budget - spent)
    part = f", or run part of it: study.run(plan[:{n}], budget_usd={budget:g})" if n and not before else ""
    raise BudgetError(
        f"This plan is estimated at ${next_:,.2f}{_basis(todo, prices)} and the budget is ${budget:,.2f}{before}. "
        f"Nothing was sent. Raise budget_usd{part}"
    )


def _basis(todo: list[Request], prices: Prices) -> str:
    """The prices that make the estimate, where the service was asked."""
    if prices.read_at is None:
        return ""
    listed = [request.usd for request in todo]
    published = (
        "" if None in listed else f", ${sum(p for p in listed if p is not None):,.2f} at the published price"
    )
    problems = "".join(f"; {problem}" for problem in prices.problems)
    return f" ({prices.basis(todo)}{published if prices.live else ''}{problems})"


def _affordable(prices: list[float | None], usd: float) -> int:
    total = 0.0
    for n, price in enumerate(prices):
        total += price or 0.0
        if total > usd + _ROUNDING:
            return n
    return len(prices)
