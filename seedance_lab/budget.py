"""How a pass is run, and what it may cost: the price of what comes next, held against the budget.

Everything counts at list price from the moment it may have been received; a free engine's budget rehearses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seedance_lab.engine import Place
from seedance_lab.errors import BudgetError
from seedance_lab.plan import Plan
from seedance_lab.record import Record

_ROUNDING = 0.0001
"""Dollars: sums of list prices are compared to a hundredth of a cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a pass is run; none of it is part of a request's identity.

    Attributes:
        budget_usd: Most that the study may have spent, list prices, in flight included; None: no limit.
        in_flight: Requests at the service at a time.
        retry_failed: Whether what was refused or failed before is sent again.
        slots: Requests that the in-process simulator works on at a time.
    """

    budget_usd: float | None = None
    in_flight: int = 4
    retry_failed: bool = False
    slots: int | None = None


def spent_usd(records: Mapping[str, Record]) -> float:
    """Dollars, at list prices, that these requests may have cost, in flight included."""
    return sum(record.at_stake_usd for record in records.values())


def check_budget(place: Place, plan: Plan, records: Mapping[str, Record], options: Options) -> None:
    """Hold the price of what is still to send against the budget, before anything is sent.

    Raises:
        BudgetError: It does not fit, there is no price, or a hosted engine was given no budget.
    """
    budget = options.budget_usd
    todo = []
    for request in plan:
        stage = records[request.key].stage if request.key in records else "new"
        again = options.retry_failed and stage in {"refused", "failed"}
        if again or stage in {"new", "declined", "cancelled"}:
            todo.append(request)
    if budget is None:
        if place.hosted and todo:
            raise BudgetError(
                f"This plan costs money at {place.name} and no budget is set. Nothing was sent. "
                "Say how much the study may spend: study.run(plan, budget_usd=5)"
            )
        return
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget >= 0:
        raise BudgetError(f"budget_usd={budget!r} must be a number of dollars, 0 or more. Nothing was sent.")
    prices = [request.usd for request in todo]
    if None in prices:
        raise BudgetError("The price of this plan is unknown, so no budget can hold it. Nothing was sent.")
    spent, next_ = spent_usd(records), sum(price for price in prices if price is not None)
    if spent + next_ <= budget + _ROUNDING:
        return
    before = f"; ${spent:,.2f} may have been spent in this study already" if spent else ""
    n = _affordable(prices, budget - spent)
    part = f", or run part of it: study.run(plan[:{n}], budget_usd={budget:g})" if n and not before else ""
    raise BudgetError(
        f"This plan is estimated at ${next_:,.2f} and the budget is ${budget:,.2f}{before}. Nothing was sent. "
        f"Raise budget_usd{part}"
    )


def fits(usd: float | None, records: Mapping[str, Record], options: Options) -> bool:
    """Whether one more request of this price keeps the study within its budget."""
    return options.budget_usd is None or spent_usd(records) + (usd or 0.0) <= options.budget_usd + _ROUNDING


def _affordable(prices: list[float | None], usd: float) -> int:
    total = 0.0
    for n, price in enumerate(prices):
        total += price or 0.0
        if total > usd + _ROUNDING:
            return n
    return len(prices)
